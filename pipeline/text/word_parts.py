"""Known parts of unknown words: `#thankyouobama` is read as `thank you obama`, `soooo` as `soo`.

A hashtag is segmented into the most probable sequence of frequent words (Norvig 2009, Natural language corpus data).
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.config.schema import SPECIALS, UNK

FREQUENT_WORDS = 10_000  # of which a segmentation consists
SHORT_WORDS = 100  # of the most frequent words: a segment of one or two letters is one of these
MAX_LETTERS = 40  # of a hashtag that is segmented
_RUNS = re.compile(r"[^\W\d_]+|\d+")
_REPEATED = re.compile(r"(.)\1+")


class WordParts:
    """Token ids of a vocabulary; with `text.unknown=parts`, an unknown word has the ids of its known parts.

    While texts are encoded, such a word has one temporary id beyond the vocabulary, which `expand` replaces.
    """

    def __init__(self, words: Sequence[str], id_of: Mapping[str, int], unknown: str) -> None:
        """`words` (V,) are those of the vocabulary by falling count, `id_of` the ids of all but the special ones."""
        self._id_of = id_of
        self._size = len(words)
        self._enabled = unknown == "parts"
        self._parts: list[list[int]] = []  # of the temporary ids, from V
        frequent = enumerate(words[SPECIALS : SPECIALS + FREQUENT_WORDS])
        # Zipf's law: a word's share of all words is inversely proportional to its rank.
        self._cost = {
            word: math.log((rank + 1) * math.log(FREQUENT_WORDS))
            for rank, word in frequent
            if self._enabled and word.isalpha() and (len(word) > 2 or rank < SHORT_WORDS)
        }
        self._longest = max(map(len, self._cost), default=0)

    def __len__(self) -> int:
        """The number of temporary ids."""
        return len(self._parts)

    def __call__(self, word: str) -> list[str]:
        """The known parts of a word, in order; the word itself where it is known or has none."""
        if not self._enabled or word in self._id_of:
            return [word]
        find: Callable[[str], list[str]] = self._segments if word.startswith("#") else self._shortened
        return [part for run in _RUNS.findall(word) for part in find(run)] or [word]

    def id_of(self, word: str) -> int:
        """The id of a word, of its only known part, or a temporary id; UNK for a word without known parts."""
        ids = [self._id_of.get(part, UNK) for part in self(word)]
        if len(ids) == 1:
            return ids[0]
        self._parts.append(ids)
        return self._size + len(self._parts) - 1

    def expand(
        self, ids: npt.NDArray[np.int32], offsets: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Replace temporary ids by those of the parts, in a ragged array of n texts (ids, n + 1 offsets)."""
        temporary = ids >= self._size
        if not temporary.any():
            return ids, offsets
        parts = [self._parts[id - self._size] for id in ids[temporary].tolist()]
        sizes = np.ones(len(ids), np.int64)
        sizes[temporary] = list(map(len, parts))
        expanded = np.repeat(ids, sizes)
        expanded[np.repeat(temporary, sizes)] = np.concatenate(parts)
        return expanded, np.concatenate([[0], np.cumsum(sizes)])[offsets]

    def _shortened(self, run: str) -> list[str]:
        """A run of letters or digits, or its form with fewer repeated letters, where that is known."""
        if len(run) == 1 and run.isalpha():  # the s of a genitive
            return []
        forms = (run, _REPEATED.sub(r"\1\1", run), _REPEATED.sub(r"\1", run))
        return next(([form] for form in forms if form in self._id_of), [])

    def _segments(self, run: str) -> list[str]:
        """A run of a hashtag, or the words that it consists of."""
        known = self._shortened(run)
        if known or not run.isalpha() or len(run) > MAX_LETTERS:
            return known
        best: list[tuple[float, list[str]]] = [(0.0, [])]  # cost and words of the first letters
        for end in range(1, len(run) + 1):
            candidates = [
                (best[start][0] + self._cost[run[start:end]], [*best[start][1], run[start:end]])
                for start in range(max(0, end - self._longest), end)
                if run[start:end] in self._cost
            ]
            best.append(min(candidates, default=(math.inf, [])))
        return best[-1][1] if best[-1][0] < math.inf else []
