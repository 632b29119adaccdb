"""How far training moved the row of each word: by its count in the labelled tweets, and the words moved most."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import SPECIALS

BLOCK_ROWS = 1 << 14
BANDS: tuple[tuple[int, int | None], ...] = ((0, 0), (1, 1), (2, 4), (5, 19), (20, 99), (100, None))


def labelled_counts(
    ids: NDArray[np.integer], offsets: NDArray[np.integer], rows: NDArray[np.integer], vocabulary_size: int
) -> NDArray[np.int64]:
    """Count how often each word (V,) stands in the tweets `rows`, where tweet i is `ids[offsets[i]:offsets[i + 1]]`."""
    counts = np.zeros(vocabulary_size, np.int64)
    for first in range(0, len(rows), BLOCK_ROWS):
        some = rows[first : first + BLOCK_ROWS]
        starts, lengths = offsets[some], offsets[some + 1] - offsets[some]
        before = np.cumsum(lengths) - lengths
        places = np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)
        counts += np.bincount(ids[places], minlength=vocabulary_size)
    return counts


def drift_by_band(
    initial: NDArray[np.floating], final: NDArray[np.floating], counts: NDArray[np.integer], touched: NDArray[np.bool_]
) -> tuple[dict[str, float | None], list[dict[str, Any]]]:
    """Summarize the drift of words (V, D), from `initial` to `final`, by their count; as metrics and as a table.

    Parameters
    ----------
    counts : (V,) occurrences in the labelled training tweets that the run used, as of `labelled_counts`.
    touched : (V,) which rows at least one training batch read.

    Returns
    -------
    Metrics `count_<band>/mean`, `…/relative_l2` and `…/rows` (bands 0, 1, 2_4, 5_19, 20_99, 100_up), and a table of
    `counts` (the band), `rows` and `touched` (number of words, and of those read), and of these words' means:
    `mean_drift`, of 1 - cos(initial row, final row), and `relative_l2`, of ‖final - initial‖ / ‖initial‖. PAD and UNK
    are no words. Rows that are zero have no direction or no length to compare with, and are left out of the mean
    concerned, which is None where no row remains. A row that did not move counts as exactly 0.
    """
    drifts, lengths = row_changes(initial, final)
    metrics: dict[str, float | None] = {}
    table = []
    words = np.arange(len(counts)) >= SPECIALS
    for low, high in BANDS:
        band = words & (counts >= low) & (counts <= (np.inf if high is None else high))
        row: dict[str, Any] = {
            "counts": str(low) if low == high else f"{low}+" if high is None else f"{low}-{high}",
            "rows": int(band.sum()),
            "touched": int((band & touched).sum()),
            "mean_drift": _mean(drifts[band]),
            "relative_l2": _mean(lengths[band]),
        }
        name = f"count_{low}" + ("" if low == high else "_up" if high is None else f"_{high}")
        metrics[f"{name}/rows"] = row["rows"]
        metrics[f"{name}/mean"] = row["mean_drift"]
        metrics[f"{name}/relative_l2"] = row["relative_l2"]
        table.append(row)
    return metrics, table


def most_changed(
    initial: NDArray[np.floating],
    final: NDArray[np.floating],
    words: Sequence[str],
    counts: NDArray[np.integer],
    touched: NDArray[np.bool_],
    k: int,
    min_count: int,
    direction: NDArray[np.floating] | None = None,
) -> list[dict[str, Any]]:
    """List the `k` words whose rows moved most for their length, from `initial` to `final` (V, D), most first.

    Parameters
    ----------
    counts : (V,) occurrences in the labelled training tweets that the run used; `min_count` of them earn a place.
    touched : (V,) which rows at least one training batch read; others are not listed, nor rows that did not move.
    direction : (D,) what counts as up, such as the head's weights of one label less those of another. Where None, the
        largest component of the change's first direction is positive: the same every time, but without a meaning.

    Returns
    -------
    Rows {word, rank, count, relative_l2, drift, score}: ‖final - initial‖ / ‖initial‖; 1 - cos(initial, final), None
    for a final row of zeros; and the part of `relative_l2` that lies along the first singular direction of the change
    of all rows, positive where it goes the way of `direction`. Equal movements are ranked by id.
    """
    drifts, lengths = row_changes(initial, final)
    eligible = touched & (counts >= min_count) & (np.nan_to_num(lengths) > 0)
    eligible[:SPECIALS] = False
    ids = np.flatnonzero(eligible)
    ids = ids[np.argsort(-lengths[ids], kind="stable")[:k]]
    before = initial[ids].astype(np.float64)
    along = (final[ids] - before) @ first_direction(initial, final, direction)
    scores = along / np.linalg.norm(before, axis=1)
    return [
        {
            "word": words[row],
            "rank": rank,
            "count": int(counts[row]),
            "relative_l2": float(lengths[row]),
            "drift": None if np.isnan(drifts[row]) else float(drifts[row]),
            "score": float(score),
        }
        for rank, (row, score) in enumerate(zip(ids.tolist(), scores, strict=True), start=1)
    ]


def row_changes(
    initial: NDArray[np.floating], final: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute for each row 1 - cos(initial, final) and ‖final - initial‖ / ‖initial‖, NaN where a norm is zero.

    Both are exactly 0 for a row that did not move. Memory is bounded by blocks of 16,384 rows.
    """
    if initial.shape != final.shape:
        raise ValueError(f"shapes {initial.shape} and {final.shape} do not belong together")
    drifts, lengths = np.full(len(initial), np.nan), np.full(len(initial), np.nan)
    for start in range(0, len(initial), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        before, after = initial[rows].astype(np.float64), final[rows].astype(np.float64)
        old, new = np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1)
        moved = np.linalg.norm(after - before, axis=1)
        np.divide(moved, old, out=lengths[rows], where=old > 0)
        cosines = np.divide((before * after).sum(axis=1), old * new, out=drifts[rows], where=old * new > 0)
        np.clip(1 - cosines, 0, 2, out=drifts[rows])
        drifts[rows][(moved == 0) & (old > 0)] = 0
    return drifts, lengths


def first_direction(
    initial: NDArray[np.floating], final: NDArray[np.floating], direction: NDArray[np.floating] | None = None
) -> NDArray[np.float64]:
    """Compute the first right singular vector (D,) of `final - initial`, pointing the way of `direction`.

    Without a `direction`, or with one at a right angle to it, its largest component is positive. Zero where nothing
    moved.
    """
    dim = initial.shape[1]
    gram = np.zeros((dim, dim))
    for start in range(0, len(initial), BLOCK_ROWS):
        change = final[start : start + BLOCK_ROWS].astype(np.float64) - initial[start : start + BLOCK_ROWS]
        change = change[change.any(axis=1)]
        gram += change.T @ change
    if not gram.any():
        return np.zeros(dim)
    first: NDArray[np.float64] = np.linalg.eigh(gram)[1][:, -1]
    sign = 0.0 if direction is None else float(np.sign(first @ direction))
    return first * (sign or np.sign(first[np.abs(first).argmax()]))


def _mean(values: NDArray[np.float64]) -> float | None:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else None
