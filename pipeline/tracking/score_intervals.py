"""95 % confidence intervals of a test score: Wilson's for accuracy, Zou and Donner's for macro recall."""

import math

import numpy as np
from numpy.typing import NDArray


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's score interval (1927) of a proportion, as fractions; ValueError unless n > 0 and 0 ≤ hits ≤ n."""
    from scipy.stats import binomtest  # takes half a second to load

    interval = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def macro_recall_interval(confusion: NDArray[np.integer]) -> tuple[float, float]:
    """Interval of the mean recall over the classes that occur, from counts (C, C) with true classes as rows.

    The recalls of the classes are independent proportions. Their Wilson intervals combine by the method of variance
    estimates recovery (Zou and Donner 2008): squared distances to the limits add up like variances. The method needs
    no resampling, and its interval keeps a positive width where every prediction is right.
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


def score_intervals(confusion: NDArray[np.integer]) -> dict[str, tuple[float, float]]:
    """Intervals of `accuracy` and `macro_recall` by name, from counts (C, C); none where there are no tweets."""
    n, hits = int(confusion.sum()), int(np.trace(confusion))
    return {"accuracy": wilson(hits, n), "macro_recall": macro_recall_interval(confusion)} if n else {}
