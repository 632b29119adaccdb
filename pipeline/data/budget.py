"""Stratified orders of rows: their prefixes are held-out splits and nested label budgets.

Shapes: `N` rows.
"""

from collections.abc import Iterator
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.progress import log

IntArray = NDArray[np.int64]


def stratified_order(labels: IntArray, seed: int) -> IntArray:
    """Shuffle rows so that every prefix holds each class in proportion, less than one row off.

    Parameters
    ----------
    labels : class of each row, (N,).
    seed : decides which rows of a class come first, and ties between classes.

    Returns
    -------
    A permutation of the rows, (N,).
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    _, classes, counts = np.unique(labels[shuffled], return_inverse=True, return_counts=True)
    if len(counts) < 2:
        return shuffled.astype(np.int64)
    rank = rng.permutation(len(counts))
    counts_by_rank = np.empty_like(counts)
    counts_by_rank[rank] = counts
    ranks = rank[classes]
    sequence = _class_sequence(counts_by_rank.astype(np.int64))
    order = np.empty(len(labels), dtype=np.int64)
    order[np.argsort(sequence, kind="stable")] = shuffled[np.argsort(ranks, kind="stable")]
    return order


def _class_sequence(counts: IntArray) -> IntArray:
    """Which class each place of the order takes, (N,), for classes of `counts` rows, at least two classes.

    This is the chairman assignment problem. The j-th row of a class has a first and a last place between which the
    class stays within one row of its share; of the rows whose first place has come, the one with the nearest last
    place is next. Tijdeman (1980, Discrete Mathematics 32) proves that this always succeeds. Sorting rows by their
    rank within their class, the usual shortcut, is off by many rows where many small classes meet one large one.
    """
    size, slack = int(counts.sum()), 2 * len(counts) - 2
    classes = np.repeat(np.arange(len(counts)), counts)
    rows = np.arange(size) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    share = slack * counts[classes]
    first = -(-((rows - 1) * slack + 1) * size // share)
    last = np.minimum((rows * slack - 1) * size // share + 1, size)
    by_first = np.argsort(first, kind="stable")
    # One integer per row, so that the heap compares numbers: last place, then class.
    rows_to_come = zip(_numbers(first[by_first]), _numbers((last * len(counts) + classes)[by_first]), strict=True)
    opens, row = next(rows_to_come)
    heap: list[int] = []
    sequence = np.empty(size, dtype=np.int64)
    for place in range(size):
        while opens <= place + 1:
            heappush(heap, row)
            opens, row = next(rows_to_come, (size + 1, 0))
        sequence[place] = heappop(heap)
    return sequence % len(counts)


def _numbers(values: IntArray) -> Iterator[int]:
    """Yield the elements as Python numbers, without a list of all of them."""
    for start in range(0, len(values), 65_536):
        yield from values[start : start + 65_536].tolist()


def budget_rows(labels: IntArray, budget: int | None, seed: int) -> IntArray:
    """Rows of the training split that a label budget uses, ascending, (budget,).

    Budgets are nested: with one seed, the rows of a smaller budget are among those of a larger one. None is every row.

    Raises
    ------
    UserError
        The budget is larger than the training split.
    """
    if budget is None:
        return np.arange(len(labels), dtype=np.int64)
    if budget > len(labels):
        raise UserError(f"data.label_budget={budget} is larger than the training split of {len(labels)} rows")
    rows = np.sort(stratified_order(labels, seed)[:budget])
    absent = np.setdiff1d(labels, labels[rows]).tolist()
    if absent:
        log.warning("data.label_budget=%d leaves no training row of class %s", budget, ", ".join(map(str, absent)))
    return rows
