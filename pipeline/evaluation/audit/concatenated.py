"""The labelled texts of all splits, laid end to end so that rows of different splits compare as numbers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.runtime.errors import RunError
from pipeline.text.encoded_split import EncodedSplit

SPLITS = ("train", "validation", "test")
EXAMPLES = 5  # shown of each kind
EXAMPLE_CHARACTERS = 300  # of a text that is shown

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Rows:
    """N labelled texts.

    Attributes
    ----------
    texts : the N texts.
    labels : (N,) index into `label_names`.
    splits : (N,) index into `split_names`.
    numbers : (N,) row number within the split, from 0.
    split_names : the splits there are, in the order of `SPLITS`.
    """

    texts: list[str]
    labels: Ints
    splits: Ints
    numbers: Ints
    split_names: list[str]
    label_names: list[str]

    @property
    def blank(self) -> Bools:
        """(N,) which texts are empty or white space."""
        return np.array([not text or text.isspace() for text in self.texts], dtype=np.bool_)

    def example(self, row: int) -> dict[str, Any]:
        """One row for a reader: split, row number, label and the beginning of the text."""
        text = self.texts[row]
        return {
            "split": self.split_names[self.splits[row]],
            "row": int(self.numbers[row]),
            "label": self.label_names[self.labels[row]],
            "text": text if len(text) <= EXAMPLE_CHARACTERS else text[: EXAMPLE_CHARACTERS - 1] + "…",
        }

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Every two splits, the earlier one first."""
        return combinations(range(len(self.split_names)), 2)


def gather(texts: Mapping[str, Iterable[str]], encoded: Mapping[str, EncodedSplit], label_names: Sequence[str]) -> Rows:
    """Lay the splits end to end; a RunError where texts and labels do not fit together."""
    names = [name for name in SPLITS if name in encoded]
    lists = [list(texts[name]) for name in names]
    for name, split in zip(names, lists, strict=True):
        if len(split) != len(encoded[name]):
            raise RunError(f"audit: split {name!r} has {len(split):,} texts, expected {len(encoded[name]):,} as labels")
    sizes = [len(split) for split in lists]
    return Rows(
        texts=[text for split in lists for text in split],
        labels=np.concatenate([np.asarray(encoded[name].labels, np.int64) for name in names]),
        splits=np.repeat(np.arange(len(names)), sizes),
        numbers=np.concatenate([np.arange(size) for size in sizes]),
        split_names=names,
        label_names=list(label_names),
    )
