"""Drift of each word's vector in training, by the word's count in the labelled tweets; the most changed words."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import SPECIALS
from pipeline.evaluation.probes.drift import first_direction

BLOCK_ROWS = 1 << 14
BANDS: tuple[tuple[int, int | None], ...] = ((0, 0), (1, 1), (2, 4), (5, 19), (20, 99), (100, None))


def labelled_counts(
    ids: NDArray[np.integer], offsets: NDArray[np.integer], rows: NDArray[np.integer], vocabulary_size: int
) -> NDArray[np.int64]:
    """Count the occurrences of each word (V,) in the tweets `rows`; tweet i is `ids[offsets[i]:offsets[i + 1]]`."""
    counts = np.zeros(vocabulary_size, np.int64)
    for first in range(0, len(rows), BLOCK_ROWS):
        block = rows[first : first + BLOCK_ROWS]
        starts, lengths = offsets[block], offsets[block + 1] - offsets[block]
        before = np.cumsum(lengths) - lengths
        positions = np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)
        counts += np.bincount(ids[positions], minlength=vocabulary_size)
    return counts


def drift_by_count(
    initial: NDArray[np.floating], final: NDArray[np.floating], counts: NDArray[np.integer], touched: NDArray[np.bool_]
) -> tuple[dict[str, float | None], list[dict[str, Any]]]:
    """Summarize the drift of words from `initial` to `final` (V, D) in bands of their count; metrics and a table.

    PAD and UNK are not words. Rows of zeros have no direction or no length, and are left out of the mean concerned. A
    row that did not move counts as exactly 0.

    Parameters
    ----------
    counts : (V,) occurrences in the labelled training tweets of the run, from `labelled_counts`.
    touched : (V,) which rows at least one training batch read.

    Returns
    -------
    Metrics `count_<band>/mean`, `…/relative_l2` and `…/rows` for the bands 0, 1, 2_4, 5_19, 20_99 and 100_up.
    A table with a row for each band: `counts` (the band), `rows` (number of words), `touched` (of these, the number
    read), `mean_drift` (mean of 1 - cos(initial row, final row)) and `relative_l2` (mean of ‖final - initial‖ /
    ‖initial‖). The means are None where no row remains.
    """
    drifts, relative = row_changes(initial, final)
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
            "relative_l2": _mean(relative[band]),
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
    orientation: NDArray[np.floating] | None = None,
) -> list[dict[str, Any]]:
    """List the `k` words whose vectors changed most relative to their length, from `initial` to `final` (V, D).

    Parameters
    ----------
    counts : (V,) occurrences in the labelled training tweets of the run; words with fewer than `min_count` are left
        out.
    touched : (V,) which rows at least one training batch read. Other rows, and rows that did not move, are left out.
    orientation : (D,) the positive side of the scores, such as the head's weights of one label less those of another.
        Where None, the sign of the scores is reproducible, but has no meaning.

    Returns
    -------
    Rows {word, rank, count, relative_l2, drift, score}, the most changed first, ties by id. `relative_l2` is
    ‖final - initial‖ / ‖initial‖. `drift` is 1 - cos(initial, final), None for a final row of zeros. `score` is the
    component of the relative change along the first singular direction of all rows' change.
    """
    drifts, relative = row_changes(initial, final)
    eligible = touched & (counts >= min_count) & (np.nan_to_num(relative) > 0)
    eligible[:SPECIALS] = False
    ids = np.flatnonzero(eligible)
    ids = ids[np.argsort(-relative[ids], kind="stable")[:k]]
    before = initial[ids].astype(np.float64)
    along = (final[ids] - before) @ first_direction(initial, final, orientation)
    scores = along / np.linalg.norm(before, axis=1)
    return [
        {
            "word": words[row],
            "rank": rank,
            "count": int(counts[row]),
            "relative_l2": float(relative[row]),
            "drift": None if np.isnan(drifts[row]) else float(drifts[row]),
            "score": float(score),
        }
        for rank, (row, score) in enumerate(zip(ids.tolist(), scores, strict=True), start=1)
    ]


def row_changes(
    initial: NDArray[np.floating], final: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute for each row 1 - cos(initial, final) and ‖final - initial‖ / ‖initial‖, NaN where a norm is zero.

    Both are exactly 0 for a row that did not move. Blocks of 16,384 rows bound the memory.
    """
    if initial.shape != final.shape:
        raise ValueError(f"shapes {initial.shape} and {final.shape} do not match")
    drifts, relative = np.full(len(initial), np.nan), np.full(len(initial), np.nan)
    for start in range(0, len(initial), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        before, after = initial[rows].astype(np.float64), final[rows].astype(np.float64)
        norms, final_norms = np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1)
        distances = np.linalg.norm(after - before, axis=1)
        np.divide(distances, norms, out=relative[rows], where=norms > 0)
        products = norms * final_norms
        cosines = np.divide((before * after).sum(axis=1), products, out=drifts[rows], where=products > 0)
        np.clip(1 - cosines, 0, 2, out=drifts[rows])
        drifts[rows][(distances == 0) & (norms > 0)] = 0
    return drifts, relative


def _mean(values: NDArray[np.float64]) -> float | None:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else None
