"""Stratified shuffling of N rows; its prefixes are the held-out splits and the nested label budgets."""

from collections.abc import Sequence
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from pipeline.runtime.errors import UserError
from pipeline.runtime.log import log

IntArray = NDArray[np.integer]
SLICE = 1 << 16


def index_dtype(rows: int) -> type[np.signedinteger]:
    """int32 where it can index this many rows, else int64: the two types that numpy indexes by cheaply."""
    return np.int32 if rows < 1 << 31 else np.int64


def stratified_order(labels: IntArray, seed: int | Sequence[int]) -> IntArray:
    """Shuffle rows of the classes `labels`, (N,), so that every prefix holds each in proportion, to within one row.

    The seed decides which rows of a class come first, and ties between classes. Arrays have the smallest possible types
    and are freed early: millions of rows take about 10 bytes each.
    """
    rng = np.random.default_rng(seed)
    shuffled = np.arange(len(labels), dtype=index_dtype(len(labels)))
    rng.shuffle(shuffled)
    classes, counts = np.unique(labels, return_counts=True)
    if len(counts) < 2:
        return shuffled
    rank = rng.permutation(len(counts))
    counts_by_rank = np.empty_like(counts)
    counts_by_rank[rank] = counts
    by_rank = np.empty_like(shuffled)
    positions = _SortedPositions(counts_by_rank)
    for start in range(0, len(labels), SLICE):
        rows = shuffled[start : start + SLICE]
        by_rank[positions(rank[np.searchsorted(classes, labels[rows])])] = rows
    order = shuffled
    sequence = _class_sequence(counts_by_rank.astype(np.int64))
    positions = _SortedPositions(counts_by_rank)
    for start in range(0, len(labels), SLICE):
        order[start : start + SLICE] = by_rank[positions(sequence[start : start + SLICE])]
    return order


class _SortedPositions:
    """Positions of elements in a stable sort by class, computed slice by slice; classes have `counts` elements."""

    def __init__(self, counts: IntArray) -> None:
        self._next = np.cumsum(counts) - counts

    def __call__(self, classes: IntArray) -> IntArray:
        """The positions of the next elements, (N,), by the class of each."""
        counts = np.bincount(classes, minlength=len(self._next))
        positions = np.empty(len(classes), np.int64)
        offsets = self._next - np.cumsum(counts) + counts
        positions[np.argsort(classes, kind="stable")] = np.arange(len(classes)) + np.repeat(offsets, counts)
        self._next += counts
        return positions


def _class_sequence(counts: NDArray[np.int64]) -> IntArray:
    """The class at each position of the order, (N,), for at least two classes of `counts` rows.

    This is the chairman assignment problem. The j-th row of a class has a first and a last position between which the
    class stays within one row of its share. Of the rows whose first position is reached, the one with the earliest last
    position is next. Tijdeman (1980, Discrete Mathematics 32) proves that this always succeeds. The usual shortcut,
    sorting rows by their rank within their class, is off by many rows with one large class and many small ones.
    """
    size, slack = int(counts.sum()), 2 * len(counts) - 2
    sequence = np.empty(size, np.min_scalar_type(len(counts) - 1))
    heap: list[int] = []
    released = np.zeros_like(counts)  # rows of each class that have been in the heap
    for start in range(0, size, SLICE):
        stop = min(start + SLICE, size)
        # Rows of each class whose first position is at most `stop`: the formula of `first` below, solved for the row.
        released_at_stop = np.minimum((stop * slack * counts - size) // (slack * size) + 1, counts)
        new = released_at_stop - released
        classes = np.repeat(np.arange(len(counts)), new)
        rows = np.arange(len(classes)) + np.repeat(released - np.cumsum(new) + new, new) + 1
        released = released_at_stop
        share = slack * counts[classes]
        first = -(-((rows - 1) * slack + 1) * size // share)
        last = np.minimum((rows * slack - 1) * size // share + 1, size)
        by_first = np.argsort(first, kind="stable")
        # One integer per row, so that the heap compares numbers: last position, then class.
        keys = (last * len(counts) + classes)[by_first].tolist()
        queue = zip(first[by_first].tolist(), keys, strict=True)
        next_first, next_key = next(queue, (size + 1, 0))
        chosen = []
        for position in range(start, stop):
            while next_first <= position + 1:
                heappush(heap, next_key)
                next_first, next_key = next(queue, (size + 1, 0))
            chosen.append(heappop(heap))
        sequence[start:stop] = np.array(chosen) % len(counts)
    return sequence


def budget_rows(labels: IntArray, budget: int | None, seed: int) -> IntArray:
    """Rows of the training split in a label budget, ascending, (budget,).

    Budgets are nested: with one seed, the rows of a smaller budget are a subset of those of a larger one. None means
    every row; a budget larger than the training split is a UserError.
    """
    if budget is None:
        return np.arange(len(labels), dtype=index_dtype(len(labels)))
    if budget > len(labels):
        raise UserError(f"data.label_budget={budget} is larger than the training split of {len(labels)} rows")
    rows = np.sort(stratified_order(labels, seed)[:budget])
    absent = np.setdiff1d(labels, labels[rows]).tolist()
    if absent:
        log.warning("data.label_budget=%d holds no training row of class %s", budget, ", ".join(map(str, absent)))
    return rows
