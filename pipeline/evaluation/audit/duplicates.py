"""Duplicate texts within and between splits, and duplicates with different labels."""

from typing import Any

import numpy as np

from pipeline.evaluation.audit.concatenated import EXAMPLES, Bools, Ints, LabelledRows, TextGroups


def find_duplicates(rows: LabelledRows, groups: TextGroups) -> dict[str, Any]:
    """Count the duplicates within each split, between every two splits, and those with different labels.

    Texts of one of the `groups` count as equal. Blank texts are not duplicates of each other.

    `within`, one record per split: `rows` that have a duplicate in it, the `groups` of equal texts they form, and
    `repeats` (rows beyond the first of their group).
    `across`, one record per pair of splits: `groups` that occur in both, and their rows, `rows_first` and
    `rows_second`.
    `conflicts`: `groups` of equal texts with different labels over all splits, their `rows`, and `train_groups` whose
    training rows alone disagree. Each with a few `examples`, which are lists of rows.
    """
    group, counts = groups.group, groups.counts

    def examples(selected: Bools, members: Bools, distinct: Ints | None = None) -> list[list[dict[str, Any]]]:
        """The first groups of those `selected`: two of their `members`, or the first of each `distinct` value."""
        by_group: dict[int, list[int]] = {}
        for position in np.flatnonzero(members & selected[group]).tolist():
            number = int(group[position])
            if number not in by_group and len(by_group) == EXAMPLES:
                continue
            listed = by_group.setdefault(number, [])
            if len(listed) < 2 if distinct is None else distinct[position] not in distinct[listed]:
                listed.append(position)
        return [[rows.example(groups.rows[position]) for position in listed] for listed in by_group.values()]

    within = []
    for number, name in enumerate(rows.split_names):
        repeated = counts[:, number] > 1
        n, total = int(repeated.sum()), int(counts[repeated, number].sum())
        record: dict[str, Any] = {"split": name, "groups": n, "rows": total, "repeats": total - n}
        within.append(record | {"examples": examples(repeated, groups.splits == number)})
    across = []
    for first, second in rows.split_pairs():
        shared = (counts[:, first] > 0) & (counts[:, second] > 0)
        record = {"first": rows.split_names[first], "second": rows.split_names[second], "groups": int(shared.sum())}
        record |= {f"rows_{side}": int(counts[shared, n].sum()) for side, n in (("first", first), ("second", second))}
        members = (groups.splits == first) | (groups.splits == second)
        across.append(record | {"examples": examples(shared, members, groups.splits)})
    conflicting = _label_counts(group, groups.labels, len(counts)) > 1
    train = groups.splits == 0
    conflicts = {
        "groups": int(conflicting.sum()),
        "rows": int(counts[conflicting].sum()),
        "train_groups": int((_label_counts(group[train], groups.labels[train], len(counts)) > 1).sum()),
        "examples": examples(conflicting, np.ones(len(group), dtype=np.bool_), groups.labels),
    }
    return {"within": within, "across": across, "conflicts": conflicts}


def _label_counts(group: Ints, labels: Ints, groups: int) -> Ints:
    """(groups,) number of different labels in each group."""
    classes = int(labels.max(initial=0)) + 1
    return np.bincount(np.unique(group * classes + labels) // classes, minlength=groups)
