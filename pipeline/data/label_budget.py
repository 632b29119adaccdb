"""Stratified orders of rows: their prefixes are held-out splits and nested label budgets.

Shapes: `N` rows.
"""

from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from pipeline.runtime.errors import UserError
from pipeline.runtime.log import log

IntArray = NDArray[np.integer]
SLICE = 1 << 16


def row_type(rows: int) -> type[np.signedinteger]:
    """The smallest type that numbers this many rows, of the two that indexing by is cheap for."""
    return np.int32 if rows < 1 << 31 else np.int64


def stratified_order(labels: IntArray, seed: int) -> IntArray:
    """Shuffle rows so that every prefix holds each class in proportion, less than one row off.

    Arrays are of the smallest types that do and end as early as they can: millions of rows take some 10 bytes each.

    Parameters
    ----------
    labels : class of each row, (N,).
    seed : decides which rows of a class come first, and ties between classes.

    Returns
    -------
    A permutation of the rows, (N,).
    """
    rng = np.random.default_rng(seed)
    shuffled = np.arange(len(labels), dtype=row_type(len(labels)))
    rng.shuffle(shuffled)
    found, counts = np.unique(labels, return_counts=True)
    if len(counts) < 2:
        return shuffled
    rank = rng.permutation(len(counts))
    counts_by_rank = np.empty_like(counts)
    counts_by_rank[rank] = counts
    by_rank = np.empty_like(shuffled)
    places = _Places(counts_by_rank)
    for start in range(0, len(labels), SLICE):
        rows = shuffled[start : start + SLICE]
        by_rank[places(rank[np.searchsorted(found, labels[rows])])] = rows
    order = shuffled
    sequence = _class_sequence(counts_by_rank.astype(np.int64))
    places = _Places(counts_by_rank)
    for start in range(0, len(labels), SLICE):
        order[start : start + SLICE] = by_rank[places(sequence[start : start + SLICE])]
    return order


class _Places:
    """Where elements belong that are sorted by class, stably, of which there are `counts`; asked slice by slice."""

    def __init__(self, counts: IntArray) -> None:
        self._next = np.cumsum(counts) - counts

    def __call__(self, classes: IntArray) -> IntArray:
        """The places of the next elements, (N,), by the class of each."""
        counts = np.bincount(classes, minlength=len(self._next))
        places = np.empty(len(classes), np.int64)
        firsts = self._next - np.cumsum(counts) + counts
        places[np.argsort(classes, kind="stable")] = np.arange(len(classes)) + np.repeat(firsts, counts)
        self._next += counts
        return places


def _class_sequence(counts: NDArray[np.int64]) -> IntArray:
    """Which class each place of the order takes, (N,), for classes of `counts` rows, at least two classes.

    This is the chairman assignment problem. The j-th row of a class has a first and a last place between which the
    class stays within one row of its share; of the rows whose first place has come, the one with the nearest last
    place is next. Tijdeman (1980, Discrete Mathematics 32) proves that this always succeeds. Sorting rows by their
    rank within their class, the usual shortcut, is off by many rows where many small classes meet one large one.
    """
    size, slack = int(counts.sum()), 2 * len(counts) - 2
    sequence = np.empty(size, np.min_scalar_type(len(counts) - 1))
    heap: list[int] = []
    come = np.zeros_like(counts)
    for start in range(0, size, SLICE):
        stop = min(start + SLICE, size)
        # Rows of each class whose first place is at most `stop`: the formula of `first` below, solved for the row.
        until = np.minimum((stop * slack * counts - size) // (slack * size) + 1, counts)
        coming = until - come
        classes = np.repeat(np.arange(len(counts)), coming)
        rows = np.arange(len(classes)) + np.repeat(come - np.cumsum(coming) + coming, coming) + 1
        come = until
        share = slack * counts[classes]
        first = -(-((rows - 1) * slack + 1) * size // share)
        last = np.minimum((rows * slack - 1) * size // share + 1, size)
        by_first = np.argsort(first, kind="stable")
        # One integer per row, so that the heap compares numbers: last place, then class.
        keys = (last * len(counts) + classes)[by_first].tolist()
        rows_to_come = zip(first[by_first].tolist(), keys, strict=True)
        opens, row = next(rows_to_come, (size + 1, 0))
        taken = []
        for place in range(start, stop):
            while opens <= place + 1:
                heappush(heap, row)
                opens, row = next(rows_to_come, (size + 1, 0))
            taken.append(heappop(heap))
        sequence[start:stop] = np.array(taken) % len(counts)
    return sequence


def budget_rows(labels: IntArray, budget: int | None, seed: int) -> IntArray:
    """Rows of the training split that a label budget uses, ascending, (budget,).

    Budgets are nested: with one seed, the rows of a smaller budget are among those of a larger one. None is every row.

    Raises
    ------
    UserError
        The budget is larger than the training split.
    """
    if budget is None:
        return np.arange(len(labels), dtype=row_type(len(labels)))
    if budget > len(labels):
        raise UserError(f"data.label_budget={budget} is larger than the training split of {len(labels)} rows")
    rows = np.sort(stratified_order(labels, seed)[:budget])
    absent = np.setdiff1d(labels, labels[rows]).tolist()
    if absent:
        log.warning("data.label_budget=%d leaves no training row of class %s", budget, ", ".join(map(str, absent)))
    return rows
