"""The nearest neighbours of chosen words by cosine, and how training changed them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import SPECIALS

BLOCK_ROWS = 1 << 14
DECIMALS = 6  # cosines that agree so far count as equal: beyond lies the rounding of the matrix product


def nearest_neighbours(
    matrix: NDArray[np.floating],
    words: Sequence[str],
    queries: Sequence[str],
    k: int,
    *,
    among: NDArray[np.bool_] | None = None,
) -> list[dict[str, Any]]:
    """Find the `k` words nearest to each of `queries` in `matrix` (V, D), as rows {word, rank, neighbour, cosine}.

    Ranks begin at 1; equal cosines (to six decimals) are ranked by id. PAD, UNK, the word itself and zero rows are no
    neighbours. A query that is not in the vocabulary, or whose row is zero, gives one row whose other fields are None,
    so that a table shows it was asked for. Memory is bounded by blocks of 16,384 rows.

    Parameters
    ----------
    words : the vocabulary, V words by id; ids 0 and 1 are PAD and UNK.
    among : (V,) which words may be neighbours; all where None.
    """
    id_of = {word: row for row, word in enumerate(words) if row >= SPECIALS}
    asked = list(dict.fromkeys(queries))
    known = [word for word in asked if word in id_of and matrix[id_of[word]].any()]
    found = dict(zip(known, _search(matrix, [id_of[word] for word in known], k, among), strict=True))
    rows: list[dict[str, Any]] = []
    for word in asked:
        for rank, (neighbour, cosine) in enumerate(found.get(word, ()), start=1):
            rows.append({"word": word, "rank": rank, "neighbour": words[neighbour], "cosine": cosine})
        if not found.get(word):
            rows.append({"word": word, "rank": None, "neighbour": None, "cosine": None})
    return rows


def _search(
    matrix: NDArray[np.floating], ids: list[int], k: int, among: NDArray[np.bool_] | None
) -> list[list[tuple[int, float]]]:
    """For each of the rows `ids`, the ids and cosines of its k nearest rows, best first."""
    targets = matrix[ids].astype(np.float64)
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    best: list[list[tuple[int, float]]] = [[] for _ in ids]
    for start in range(SPECIALS, len(matrix), BLOCK_ROWS):
        block = matrix[start : start + BLOCK_ROWS].astype(np.float64)
        norms = np.linalg.norm(block, axis=1)
        allowed = norms > 0
        if among is not None:
            allowed &= among[start : start + BLOCK_ROWS]
        candidates = np.flatnonzero(allowed)
        cosines = np.round((block[candidates] / norms[candidates, None]) @ targets.T, DECIMALS)  # (candidates, queries)
        for column, query in enumerate(ids):
            mine = cosines[:, column]
            if len(mine) > k + 1:  # k + 1, as the word itself may be one of them; all that tie with the last are kept
                mine_top = np.flatnonzero(mine >= np.partition(mine, -k - 1)[-k - 1])
            else:
                mine_top = np.arange(len(mine))
            near = [(int(candidates[row]) + start, float(mine[row])) for row in mine_top]
            merged = best[column] + [pair for pair in near if pair[0] != query]
            best[column] = sorted(merged, key=lambda pair: (-pair[1], pair[0]))[:k]
    return best


def before_after(
    initial: NDArray[np.floating], final: NDArray[np.floating], words: Sequence[str], queries: Sequence[str], k: int
) -> list[dict[str, Any]]:
    """Put the neighbours in the `initial` and in the `final` matrix (V, D) side by side.

    Rows {word, rank, before, before_cosine, after, after_cosine}; a side that has no neighbour of that rank holds None.
    """
    sides = [nearest_neighbours(matrix, words, queries, k) for matrix in (initial, final)]
    before, after = ({(row["word"], row["rank"]): row for row in side} for side in sides)
    rows: list[dict[str, Any]] = []
    for word in dict.fromkeys(queries):
        ranks: list[int | None] = [rank for rank in range(1, k + 1) if (word, rank) in before or (word, rank) in after]
        for rank in ranks or [None]:
            left, right = before.get((word, rank), {}), after.get((word, rank), {})
            rows.append(
                {
                    "word": word,
                    "rank": rank,
                    "before": left.get("neighbour"),
                    "before_cosine": left.get("cosine"),
                    "after": right.get("neighbour"),
                    "after_cosine": right.get("cosine"),
                }
            )
    return rows
