"""Texts that stand in the data more than once, and copies that carry different labels."""

from typing import Any

import numpy as np

from pipeline.data.duplicates import digests
from pipeline.evaluation.audit.concatenated import EXAMPLES, Bools, Ints, Rows


def find_copies(rows: Rows, kind: str) -> dict[str, Any]:
    """Count the copies within each split, between every two splits, and those whose labels differ.

    Parameters
    ----------
    rows : the labelled texts; blank ones are no copies of each other.
    kind : `exact` or `masked`, see `pipeline.data.duplicates`.

    Returns
    -------
    `within`, one record per split: `rows` that have a copy in it, `groups` of equal texts they form, `repeats` (rows
    beyond the first of their group). `across`, one record per pair of splits: `groups` that stand in both,
    `rows_first` and `rows_second` of them. `conflicts`: `groups` and `rows` of equal texts under different labels over
    all splits, `train_groups` whose training rows alone disagree. Each with a few `examples`, which are lists of rows.
    """
    kept = np.flatnonzero(~rows.blank)
    _, group = np.unique(digests([[rows.texts[row] for row in kept]], kind), return_inverse=True)
    groups, splits = int(group.max(initial=-1)) + 1, len(rows.split_names)
    counts = np.bincount(group * splits + rows.splits[kept], minlength=groups * splits).reshape(groups, splits)

    def examples(chosen: Bools, within: Bools, distinct: Ints | None = None) -> list[list[dict[str, Any]]]:
        """The first groups of those `chosen`: of their rows `within`, two, or the first of each `distinct` value."""
        found: dict[int, list[int]] = {}
        for position in np.flatnonzero(within & chosen[group]).tolist():
            number = int(group[position])
            if number not in found and len(found) == EXAMPLES:
                continue
            members = found.setdefault(number, [])
            if len(members) < 2 if distinct is None else distinct[position] not in distinct[members]:
                members.append(position)
        return [[rows.example(kept[position]) for position in members] for members in found.values()]

    split, label = rows.splits[kept], rows.labels[kept]
    within = []
    for number, name in enumerate(rows.split_names):
        repeated = counts[:, number] > 1
        own = int(counts[repeated, number].sum())
        within.append(
            {
                "split": name,
                "groups": int(repeated.sum()),
                "rows": own,
                "repeats": own - int(repeated.sum()),
                "examples": examples(repeated, split == number),
            }
        )
    across = []
    for first, second in rows.pairs():
        shared = (counts[:, first] > 0) & (counts[:, second] > 0)
        across.append(
            {
                "first": rows.split_names[first],
                "second": rows.split_names[second],
                "groups": int(shared.sum()),
                "rows_first": int(counts[shared, first].sum()),
                "rows_second": int(counts[shared, second].sum()),
                "examples": examples(shared, (split == first) | (split == second), split),
            }
        )
    everywhere = np.ones(len(kept), dtype=np.bool_)
    conflicting = _labels_of(group, label, groups) > 1
    training = split == 0
    conflicts = {
        "groups": int(conflicting.sum()),
        "rows": int(counts[conflicting].sum()),
        "train_groups": int((_labels_of(group[training], label[training], groups) > 1).sum()),
        "examples": examples(conflicting, everywhere, label),
    }
    return {"within": within, "across": across, "conflicts": conflicts}


def _labels_of(group: Ints, label: Ints, groups: int) -> Ints:
    """(groups,) number of different labels in each group."""
    classes = int(label.max(initial=0)) + 1
    return np.bincount(np.unique(group * classes + label) // classes, minlength=groups)
