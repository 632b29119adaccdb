"""The area under the ROC curve (AUC): of scores, by cross-validation, and with a 95 % interval."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import rankdata

FOLDS = 5
# The folds' fits share most of their rows. So the variance of their mean exceeds that of one fit tested on as many
# rows by this factor: 1/K + 1/(K - 1) in place of 1/K (Nadeau and Bengio 2003, Machine Learning 52, 239-281).
VARIANCE_FACTOR = 1 + FOLDS / (FOLDS - 1)
Z_95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution

Scorer = Callable[[Any], NDArray[np.float64]]


def held_out_auc(features: Any, positive: NDArray[np.bool_], fit: Callable[[Any, NDArray[np.bool_]], Scorer]) -> float:
    """Compute the area under the ROC curve of held-out rows, as the mean over five stratified folds.

    The folds are the same for the same rows. Scores from different fits are never ranked against each other.

    Parameters
    ----------
    features : (n, F), dense or sparse.
    fit : fits a classifier to rows and returns its decision function, higher for positive rows.
    """
    fold = np.empty(len(positive), dtype=np.int64)
    rng = np.random.default_rng(0)
    for members in (np.flatnonzero(positive), np.flatnonzero(~positive)):
        fold[rng.permutation(members)] = np.arange(len(members)) % FOLDS
    areas = []
    for number in range(FOLDS):
        train, test = fold != number, fold == number
        areas.append(area_under_curve(fit(features[train], positive[train])(features[test]), positive[test]))
    return float(np.mean(areas))


def area_under_curve(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Compute the probability that a positive scores higher than a negative, ties counting one half (Mann-Whitney)."""
    m, n = int(positive.sum()), int((~positive).sum())
    return float((rankdata(scores)[positive].sum() - m * (m + 1) / 2) / (m * n))


def auc_interval(auc: float, m: float, n: float) -> tuple[float, float]:
    """Return the 95 % interval of an area under the ROC curve over `m` positives and `n` negatives.

    A score interval, which stays within [0, 1] and has a width even at 0 and 1: method 5 of Newcombe (2006, Statistics
    in Medicine 25, 559-573). Its standard error is that of Hanley and McNeil (1982) with equal group sizes in the
    numerator.
    """
    half = (m + n) / 2 - 1

    def excess(value: float) -> float:
        variance = value * (1 - value) / (m * n)
        variance *= 1 + half * (1 - value) / (2 - value) + half * value / (1 + value)
        return abs(auc - value) - Z_95 * math.sqrt(max(variance, 0.0))

    inside = min(max(auc, 1e-9), 1 - 1e-9)  # at an area of 0 or 1 the variance is 0, so these are roots too
    low = 0.0 if auc <= 0 else float(brentq(excess, 0, min(auc, inside)))
    high = 1.0 if auc >= 1 else float(brentq(excess, max(auc, inside), 1))
    return low, high
