"""95 % confidence intervals of test scores: how far the score of other tweets of the same kind may lie."""

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.probes.similarity import Z_95


def wilson(hits: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson's score interval of a proportion `hits / n`, as fractions (Wilson 1927).

    Raises
    ------
    ValueError : `n` is not positive or `hits` is not between 0 and `n`.
    """
    if n < 1 or not 0 <= hits <= n:
        raise ValueError(f"no proportion: {hits} of {n}")
    share = hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if hits == 0 else centre - half
    high = 1.0 if hits == n else centre + half
    return low, high


def macro_recall_interval(confusion: NDArray[np.integer]) -> tuple[float, float]:
    """Interval of the mean recall over the classes that occur, from counts (C, C) with true classes as rows.

    The recalls of the classes are independent proportions, so their Wilson intervals combine by the method of
    variance estimates recovery (Zou and Donner 2008): squared distances to the limits add up like variances. It needs
    no resampling and stays open where every tweet was right.
    """
    occurring = [(int(row[label]), int(row.sum())) for label, row in enumerate(confusion) if row.sum() > 0]
    if not occurring:
        raise ValueError("no tweets: the confusion matrix is empty")
    recalls = np.array([hits / n for hits, n in occurring])
    limits = np.array([wilson(hits, n) for hits, n in occurring])
    mean, classes = recalls.mean(), len(occurring)
    below = math.sqrt(((recalls - limits[:, 0]) ** 2).sum()) / classes
    above = math.sqrt(((limits[:, 1] - recalls) ** 2).sum()) / classes
    return max(0.0, float(mean - below)), min(1.0, float(mean + above))
