"""The labelled texts of all splits in one table, and its groups of texts that are equal by a key."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.data.duplicates import KEYS
from pipeline.runtime.errors import RunError
from pipeline.text.encoded_split import EncodedSplit

SPLITS = ("train", "validation", "test")
EXAMPLES = 5  # listed of each kind
EXAMPLE_CHARACTERS = 300  # of the text of an example

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """N labelled texts of S splits."""

    texts: list[str]
    labels: Ints  # (N,) indices into `label_names`
    splits: Ints  # (N,) indices into `split_names`
    numbers: Ints  # (N,) row numbers within the split, from 0
    split_names: list[str]  # the splits present, in the order of `SPLITS`
    label_names: list[str]

    @cached_property
    def blank(self) -> Bools:
        """(N,) which texts are empty or white space."""
        return np.array([not text or text.isspace() for text in self.texts], dtype=np.bool_)

    def example(self, row: int) -> dict[str, Any]:
        """A row of the report: split, row number, label and the beginning of the text."""
        text = self.texts[row]
        return {
            "split": self.split_names[self.splits[row]],
            "row": int(self.numbers[row]),
            "label": self.label_names[self.labels[row]],
            "text": text if len(text) <= EXAMPLE_CHARACTERS else text[: EXAMPLE_CHARACTERS - 1] + "…",
        }

    def split_pairs(self) -> Iterator[tuple[int, int]]:
        """All pairs of splits, the earlier one first."""
        return combinations(range(len(self.split_names)), 2)


@dataclass(frozen=True, eq=False)
class TextGroups:
    """The M rows that are not blank, in G groups of texts with equal keys, in the order of their first rows."""

    keys: list[str]  # of the G groups
    rows: Ints  # (M,) indices into the labelled rows
    group: Ints  # (M,) the group of each of these rows
    splits: Ints  # (M,) of these rows, as `labels`
    labels: Ints
    first: Ints  # (G,) the position in `rows` of each group's first row
    counts: Ints  # (G, S) rows of each group in each split


def group_texts(rows: LabelledRows, kind: str) -> TextGroups:
    """Group equal texts by the key `exact` or `masked` of `pipeline.data.duplicates`; blank texts are left out."""
    nonblank, key, numbers = np.flatnonzero(~rows.blank), KEYS[kind], dict[str, int]()
    group = np.array([numbers.setdefault(key(rows.texts[row]), len(numbers)) for row in nonblank.tolist()], np.int64)
    _, first = np.unique(group, return_index=True)
    shape, splits = (len(first), len(rows.split_names)), rows.splits[nonblank]
    counts = np.bincount(group * shape[1] + splits, minlength=shape[0] * shape[1]).reshape(shape)
    return TextGroups(list(numbers), nonblank, group, splits, rows.labels[nonblank], first, counts)


def sampled(members: Ints, limit: int) -> Ints:
    """At most `limit` of the `members`, at even intervals."""
    size = min(len(members), limit)
    return members[np.arange(size) * len(members) // max(size, 1)]


def concatenate(
    texts: Mapping[str, Iterable[str]], encoded: Mapping[str, EncodedSplit], label_names: Sequence[str]
) -> LabelledRows:
    """Concatenate the splits; raises RunError if a split has more or fewer texts than labels."""
    names = [name for name in SPLITS if name in encoded]
    lists = [list(texts[name]) for name in names]
    for name, split in zip(names, lists, strict=True):
        if len(split) != len(encoded[name]):
            raise RunError(f"audit: split {name!r} has {len(split):,} texts, but {len(encoded[name]):,} labels")
    sizes = [len(split) for split in lists]
    return LabelledRows(
        texts=[text for split in lists for text in split],
        labels=np.concatenate([np.asarray(encoded[name].labels, np.int64) for name in names]),
        splits=np.repeat(np.arange(len(names)), sizes),
        numbers=np.concatenate([np.arange(size) for size in sizes]),
        split_names=names,
        label_names=list(label_names),
    )
