"""Nearest neighbours of chosen words by cosine, before and after training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import SPECIALS

BLOCK_ROWS = 1 << 14
DECIMALS = 6  # cosines equal to so many decimals are ties: further digits are rounding errors of the matrix product


def nearest_neighbours(
    matrix: NDArray[np.floating], words: Sequence[str], queries: Sequence[str], k: int
) -> list[dict[str, Any]]:
    """Find the `k` words nearest to each of `queries` in `matrix` (V, D), as rows {word, rank, neighbour, cosine}.

    Ranks start at 1; equal cosines (to six decimals) are ranked by id. PAD, UNK, the word itself and zero rows are not
    neighbours. A query that is not in the vocabulary, or whose row is zero, gives one row whose other fields are None.
    Blocks of 16,384 rows bound the memory.

    Parameters
    ----------
    words : the vocabulary, V words by id; ids 0 and 1 are PAD and UNK.
    """
    id_of = {word: row for row, word in enumerate(words) if row >= SPECIALS}
    queries = list(dict.fromkeys(queries))
    known = [word for word in queries if word in id_of and matrix[id_of[word]].any()]
    neighbours = dict(zip(known, _search(matrix, [id_of[word] for word in known], k), strict=True))
    rows: list[dict[str, Any]] = []
    for word in queries:
        for rank, (neighbour, cosine) in enumerate(neighbours.get(word, ()), start=1):
            rows.append({"word": word, "rank": rank, "neighbour": words[neighbour], "cosine": cosine})
        if not neighbours.get(word):
            rows.append({"word": word, "rank": None, "neighbour": None, "cosine": None})
    return rows


def _search(matrix: NDArray[np.floating], ids: list[int], k: int) -> list[list[tuple[int, float]]]:
    """For each of the rows `ids`, the ids and cosines of its k nearest rows, best first."""
    targets = matrix[ids].astype(np.float64)
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    best: list[list[tuple[int, float]]] = [[] for _ in ids]
    for start in range(SPECIALS, len(matrix), BLOCK_ROWS):
        block = matrix[start : start + BLOCK_ROWS].astype(np.float64)
        norms = np.linalg.norm(block, axis=1)
        candidates = np.flatnonzero(norms > 0)
        cosines = np.round((block[candidates] / norms[candidates, None]) @ targets.T, DECIMALS)  # (candidates, queries)
        for column, query in enumerate(ids):
            scores = cosines[:, column]
            if len(scores) > k + 1:  # k + 1, as the query itself may be among them; ties with the last are included
                top = np.flatnonzero(scores >= np.partition(scores, -k - 1)[-k - 1])
            else:
                top = np.arange(len(scores))
            near = [(int(candidates[row]) + start, float(scores[row])) for row in top]
            merged = best[column] + [pair for pair in near if pair[0] != query]
            best[column] = sorted(merged, key=lambda pair: (-pair[1], pair[0]))[:k]
    return best


def neighbours_before_after(
    initial: NDArray[np.floating], final: NDArray[np.floating], words: Sequence[str], queries: Sequence[str], k: int
) -> list[dict[str, Any]]:
    """Join the neighbours in the `initial` and in the `final` matrix (V, D) by word and rank.

    Rows {word, rank, before, before_cosine, after, after_cosine}; fields are None where there is no neighbour of that
    rank.
    """
    tables = [nearest_neighbours(matrix, words, queries, k) for matrix in (initial, final)]
    before, after = ({(row["word"], row["rank"]): row for row in table} for table in tables)
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
