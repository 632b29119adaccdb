"""Nearest neighbours of chosen words by cosine, before and after training."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import SPECIALS

BLOCK_ROWS = 1 << 14
DECIMALS = 6  # cosines equal to so many decimals are ties: further digits are rounding errors of the matrix product


def neighbours_before_after(
    initial: NDArray[np.floating], final: NDArray[np.floating], words: Sequence[str], queries: Sequence[str], k: int
) -> list[dict[str, Any]]:
    """Join the neighbours of words in the `initial` and in the `final` matrix (V, D) by rank, from 1.

    Rows {word, rank, before, before_cosine, after, after_cosine}; fields are None where there is no neighbour. A word
    without neighbours in either matrix has one row, without a rank.
    """
    before, after = (nearest_neighbours(matrix, words, queries, k) for matrix in (initial, final))
    nothing = (None, None)
    rows: list[dict[str, Any]] = []
    for word in before:
        ranked = list(zip_longest(before[word], after[word], fillvalue=nothing))
        for rank, (old, new) in enumerate(ranked or [(nothing, nothing)], start=1):
            names = ("before", "before_cosine", "after", "after_cosine")
            rows.append({"word": word, "rank": rank if ranked else None, **dict(zip(names, old + new, strict=True))})
    return rows


def nearest_neighbours(
    matrix: NDArray[np.floating], words: Sequence[str], queries: Sequence[str], k: int
) -> dict[str, list[tuple[str, float]]]:
    """Find the `k` words nearest to each of `queries` in `matrix` (V, D), with their cosines, nearest first.

    Equal cosines (to six decimals) are ordered by id. PAD, UNK, the word itself and zero rows are not neighbours. A
    query that is not in the vocabulary, or whose row is zero, has no neighbours. `words` is the vocabulary by id, (V,).
    """
    id_of = {word: row for row, word in enumerate(words) if row >= SPECIALS}
    known = [word for word in dict.fromkeys(queries) if word in id_of and matrix[id_of[word]].any()]
    nearest_rows = zip(known, _search(matrix, [id_of[word] for word in known], k), strict=True)
    neighbours: dict[str, list[tuple[str, float]]] = {word: [] for word in queries}
    return neighbours | {word: [(words[row], cosine) for row, cosine in nearest] for word, nearest in nearest_rows}


def _search(matrix: NDArray[np.floating], ids: list[int], k: int) -> list[list[tuple[int, float]]]:
    """For each of the rows `ids`, the ids and cosines of its k nearest rows, best first."""
    targets = matrix[ids].astype(np.float64)
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    cosines_QV = np.full((len(ids), len(matrix)), -np.inf)
    for start in range(SPECIALS, len(matrix), BLOCK_ROWS):
        block = matrix[start : start + BLOCK_ROWS].astype(np.float64)
        norms = np.linalg.norm(block, axis=1)
        rows = np.flatnonzero(norms > 0)
        cosines_QV[:, start + rows] = np.round((block[rows] / norms[rows, None]) @ targets.T, DECIMALS).T
    best = []
    for query, cosines_V in zip(ids, cosines_QV, strict=True):
        cosines_V[query] = -np.inf
        nearest = np.argsort(-cosines_V, kind="stable")[:k]
        best.append([(int(row), float(cosines_V[row])) for row in nearest if cosines_V[row] > -np.inf])
    return best
