"""What a section hands over: figures of ours and of a named peer, taken in turns in one run."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pipeline.runtime.log import log

TARGET = re.compile(r"(?P<sign>[≥≤<>]) ?(?P<bound>-?\d[\d,]*(?:\.\d+)?) ?(?P<unit>\S.*)")
HOLDS: dict[str, Callable[[float, float], bool]] = {
    "≥": lambda value, bound: value >= bound,
    "≤": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    "<": lambda value, bound: value < bound,
}


class Skipped(Exception):  # noqa: N818 - nothing went wrong
    """A section, or the rest of one, cannot run here; its one line says why: no GPU, no data."""


@dataclass(frozen=True)
class Scale:
    """How much is measured, and with what."""

    quick: bool  # two minutes in all, for completion, not for figures
    cores: int  # cores this process may use
    data: Path | None  # the folder of real data beside the project; None: sections generate tweets and say so
    folder: Path  # scratch, removed afterwards


@dataclass(frozen=True)
class Figure:
    """One row of the table. Round k of `ours` and round k of `theirs` ran one after the other."""

    section: str  # "Tokenizing"
    what: str  # "text to ids, 419,159 tweets, one core"
    unit: str  # "tweets/CPU-second", "seconds"
    ours: tuple[float, ...]  # one value per round
    peer: str  # "NLTK TweetTokenizer + dict", "memory-bandwidth floor"; "" where the target is a limit
    theirs: tuple[float, ...]  # of the same rounds; empty without a peer
    target: str  # "≥ 5 ×", "≤ 3 %" of the peer; "≤ 8 GiB", "≥ -0.5 points" of ours; "" for information
    note: str = ""  # what else a reader must know: n, dimensions, accuracy of both

    def __post_init__(self) -> None:
        if not self.ours:
            raise ValueError(f"{self.what}: no round was measured")
        if self.theirs and len(self.theirs) != len(self.ours):
            raise ValueError(f"{self.what}: {len(self.ours)} rounds of ours and {len(self.theirs)} of {self.peer}")
        if self.target:
            self._bound()

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ours over theirs, round by round; empty without a peer."""
        return tuple(a / b for a, b in zip(self.ours, self.theirs, strict=False))

    @property
    def met(self) -> bool | None:
        """Whether the median over rounds reaches the target; None where there is no target."""
        return self.holds(median(self.bounded)) if self.target else None

    @property
    def bounded(self) -> tuple[float, ...]:
        """What the target bounds, round by round: the ratios, or values of ours; empty where there is no target."""
        if not self.target:
            return ()
        return self.ratios if self._bound()[2] else self.ours

    def holds(self, value: float) -> bool:
        """Whether `value`, in the place of what the target bounds, would reach it."""
        sign, bound, of_peer = self._bound()
        return HOLDS[sign](value * (of_peer or 1), bound)

    def _bound(self) -> tuple[str, float, int]:
        """Sign and bound of the target; 1 where it bounds the ratio, 100 where it does in per cent, 0 for our value."""
        found = TARGET.fullmatch(self.target)
        if found is None:
            raise ValueError(f"{self.what}: target {self.target!r}, expected such as '≥ 5 ×' or '≤ 8 GiB'")
        sign, bound, unit = found["sign"], float(found["bound"].replace(",", "")), found["unit"]
        if unit.startswith(self.unit) or (unit == "s" and self.unit == "seconds"):
            return sign, bound, 0
        if self.theirs and unit[0] in "×%":
            return sign, bound, 1 if unit[0] == "×" else 100
        raise ValueError(f"{self.what}: target {self.target!r} is neither × or % of a peer nor in {self.unit}")


def versus(
    section: str,
    what: str,
    unit: str,
    ours: Callable[[], float],
    peer_name: str,
    peer: Callable[[], float],
    *,
    rounds: int,
    target: str,
    note: str = "",
) -> Figure:
    """Call `ours` and `peer` in turns, `rounds` times; each returns its own value (a rate, or seconds).

    Who goes first changes with every round, so that a machine that slows down or warms up favours neither.
    """
    pairs = []
    for round_number in range(rounds):
        log.info("%s: %s, round %d of %d", section, what, round_number + 1, rounds)
        if round_number % 2:
            theirs, mine = peer(), ours()
        else:
            mine, theirs = ours(), peer()
        pairs.append((mine, theirs))
    mine_all, theirs_all = zip(*pairs, strict=True)
    return Figure(section, what, unit, mine_all, peer_name, theirs_all, target, note)
