"""Drift of an embedding matrix in training: distance from its initial values, and the main direction of change."""

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 1 << 14


def drift(initial: NDArray[np.floating], final: NDArray[np.floating], touched: NDArray[np.bool_]) -> dict[str, float]:
    """Compare an embedding matrix before and after training, both (V, D).

    Parameters
    ----------
    touched : (V,) which rows at least one training batch read.

    Returns
    -------
    `mean` and `max`: of 1 - cos(initial row, final row) over touched rows that are zero in neither matrix; 0 where
    there are none.
    `moved_rows`: number of rows with any change. `moved_untouched`: number of those that no batch read; anything but 0
    is an error of the training.
    `relative_l2`: ‖final - initial‖ / ‖initial‖ (Frobenius); absent where the initial matrix is zero.
    `rank1_share`: share of the squared change along its first singular direction, from 1/min(V, D) to 1; absent where
    nothing moved.

    A matrix that did not move has a drift of exactly 0. All sums are float64, over blocks of 16,384 rows.
    """
    if not initial.shape == final.shape or len(touched) != len(initial):
        raise ValueError(f"shapes {initial.shape}, {final.shape} and {touched.shape} do not match")
    gram = np.zeros((initial.shape[1],) * 2)  # of the change
    squared_initial = 0.0
    moved_rows = moved_untouched = compared = 0
    total = largest = 0.0
    for start in range(0, len(initial), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        before, after = initial[rows].astype(np.float64), final[rows].astype(np.float64)
        change = after - before
        moved = change.any(axis=1)
        gram += change[moved].T @ change[moved]
        squared_initial += float((before**2).sum())
        moved_rows += int(moved.sum())
        moved_untouched += int((moved & ~touched[rows]).sum())
        norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        comparable = touched[rows] & (norms > 0)
        compared += int(comparable.sum())
        changed = comparable & moved  # an unmoved row must not get the rounding error of its cosine
        distances = np.clip(1 - (before * after).sum(axis=1)[changed] / norms[changed], 0, 2)
        total += float(distances.sum())
        largest = max(largest, float(distances.max(initial=0.0)))
    squared_change = float(np.trace(gram))
    result = {
        "mean": total / compared if compared else 0.0,
        "max": largest,
        "moved_rows": float(moved_rows),
        "moved_untouched": float(moved_untouched),
    }
    if squared_initial > 0:
        result["relative_l2"] = float(np.sqrt(squared_change / squared_initial))
    if squared_change > 0:
        result["rank1_share"] = min(float(np.linalg.eigvalsh(gram)[-1]) / squared_change, 1.0)
    return result


def first_direction(
    initial: NDArray[np.floating], final: NDArray[np.floating], orientation: NDArray[np.floating] | None = None
) -> NDArray[np.float64]:
    """Compute the first right singular vector (D,) of `final - initial`; zeros where nothing moved.

    Its sign is that of a positive dot product with `orientation`. Without one, or where that product is zero, its
    largest component is positive.
    """
    gram = np.zeros((initial.shape[1],) * 2)
    for start in range(0, len(initial), BLOCK_ROWS):
        change = final[start : start + BLOCK_ROWS].astype(np.float64) - initial[start : start + BLOCK_ROWS]
        change = change[change.any(axis=1)]
        gram += change.T @ change
    if not gram.any():
        return np.zeros(len(gram))
    first: NDArray[np.float64] = np.linalg.eigh(gram)[1][:, -1]
    sign = 0.0 if orientation is None else float(np.sign(first @ orientation))
    return first * (sign or np.sign(first[np.abs(first).argmax()]))
