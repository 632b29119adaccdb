"""What the verdicts are worded with: variants by short names, differences with intervals, lists of words."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from pipeline.study.report.tables import interval_text, number, signed
from pipeline.study.statistics.intervals import Interval

LEARNED, FLOOR = "random_trainable", "random_frozen"
FROZEN, TUNED = "cbow_frozen", "cbow_finetuned"
NAMES = {LEARNED: "learned rows", FLOOR: "rows that stay random", FROZEN: "frozen CBOW", TUNED: "fine-tuned CBOW"}
SWAPPED = {"higher": "lower", "lower": "higher"}
NOT_PLANNED = "not planned"


@dataclass(frozen=True)
class Difference:
    """First minus second variant at a label budget: mean and interval (other seeds and tweets) as fractions.

    `decision` is that of `StudyResults.differences`, or `not planned`.
    """

    mean: float
    low: float | None
    high: float | None
    decision: str
    equivalent: bool
    seeds: int

    def __str__(self) -> str:
        """In points with the interval."""
        return points(self.mean, self.low, self.high)

    @property
    def tested(self) -> bool:
        """Whether the study planned the comparison and had seeds enough for it."""
        return self.decision not in (NOT_PLANNED, "too few seeds")


def points(mean: float, low: float | None, high: float | None) -> str:
    """A difference of fractions with its interval: `+3.2 points [+2.1, +4.3]`."""
    return f"{signed(100 * mean)} points {interval_text(low, high)}".removesuffix(" –")


def interval_points(interval: Interval) -> str:
    """The same of an `Interval`."""
    return points(interval.mean, interval.low, interval.high)


def score(mean: Any, low: Any, high: Any) -> str:
    """A score with its interval: `0.605 [0.581, 0.629]`."""
    bottom, top = number(low), number(high)
    return f"{mean:.3f}" if bottom is None or top is None else f"{mean:.3f} [{bottom:.3f}, {top:.3f}]"


def effect_text(effect: float) -> str:
    """A size of difference: `1 point`, `2 points`."""
    return f"{100 * effect:g} point{'' if f'{100 * effect:g}' == '1' else 's'}"


def too_few(seeds: int) -> str:
    """`3 seeds are too few`."""
    return f"{seeds} seed{' is' if seeds == 1 else 's are'} too few"


def row_of(frame: pd.DataFrame, **wanted: Any) -> dict[str, Any] | None:
    """The first row with these values, or None."""
    for column, value in wanted.items():
        if column not in frame:
            return None
        frame = frame[frame[column] == value]
    return None if frame.empty else {str(key): value for key, value in frame.iloc[0].to_dict().items()}


def difference_of(differences: pd.DataFrame, first: str, second: str, budget: int) -> Difference | None:
    """First minus second at a label budget, whichever way round it stands in `StudyResults.differences`."""
    if row := row_of(differences, a=first, b=second, label_budget=budget):
        decision = str(row["decision"]) if row["planned"] else NOT_PLANNED
        low, high = number(row["low_total"]), number(row["high_total"])
        return Difference(float(row["mean"]), low, high, decision, bool(row["equivalent"]), int(row["n"]))
    if row_of(differences, a=second, b=first, label_budget=budget) is None:
        return None
    found = difference_of(differences, second, first, budget)
    assert found is not None
    return replace(
        found,
        mean=-found.mean,
        low=None if found.high is None else -found.high,
        high=None if found.low is None else -found.low,
        decision=SWAPPED.get(found.decision, found.decision),
    )


def over_budgets(name: str, rows: Sequence[tuple[int, Difference]]) -> str:
    """A difference at every label budget, as a sentence of evidence."""
    return f"{name}: " + "; ".join(f"{found} at {budget:,} labels" for budget, found in rows) + "."


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def capital(text: str) -> str:
    """The text with its first letter as a capital."""
    return text[:1].upper() + text[1:]
