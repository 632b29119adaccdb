"""Expected best score of k hyper-parameter trials, for each k up to N, with bootstrap bands.

`N`: trials, `R`: resamples; higher scores are better. The estimand is the mean of the largest of k independent trials
(Dodge et al. 2019, "Show Your Work"). Their own estimator draws trials with replacement. It is biased downwards, the
more so the nearer k is to N (Tang et al. 2020, "Showing Your Work Doesn't Always Work"). The mean over all subsets of k
trials, used here, is unbiased. Trials that a sampler chose by earlier scores are not independent: their curve only
describes these trials in random order.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln
from scipy.stats import t

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """An estimate for each number of trials (N,) with its interval, in the units of the scores."""

    mean: FloatArray
    low: FloatArray
    high: FloatArray


def subset_weights(trials: int) -> FloatArray:
    """Weights (N, N): row k - 1 holds, for each ascending rank, its probability to be the largest of k trials.

    The i-th smallest trial is the largest of comb(i - 1, k - 1) of the comb(N, k) subsets.
    """
    rank = np.arange(1.0, trials + 1)
    size = rank[:, None]
    with np.errstate(invalid="ignore"):
        subsets = gammaln(rank) - gammaln(size) - gammaln(rank - size + 1)
    all_subsets = gammaln(trials + 1) - gammaln(size + 1) - gammaln(trials - size + 1)
    weights: FloatArray = np.where(rank >= size, np.exp(subsets - all_subsets), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def expected_best(scores_N: ArrayLike) -> FloatArray:
    """Mean best score (N,) of 1, 2 … N trials, without replacement: unbiased for independent trials.

    It is the mean of the scores at 1, their maximum at N, and never falls in between.
    """
    sorted_N = np.sort(_checked(scores_N))
    best: FloatArray = subset_weights(len(sorted_N)) @ sorted_N
    return best


def expected_best_replaced(scores_N: ArrayLike) -> FloatArray:
    """Mean best score (N,) with replacement, the estimator of Dodge et al. (2019): biased, but widely reported."""
    sorted_N = np.sort(_checked(scores_N))
    share = np.arange(len(sorted_N) + 1) / len(sorted_N)
    size = np.arange(1, len(sorted_N) + 1)[:, None]
    best: FloatArray = np.diff(share**size, axis=1) @ sorted_N
    return best


def best_so_far(scores_N: ArrayLike) -> FloatArray:
    """Best score (N,) after each trial, in the order of the search."""
    return np.maximum.accumulate(_checked(scores_N))


def bands(scores: Mapping[str, ArrayLike], resamples: int, seed: int = 0, level: float = 0.95) -> dict[str, Band]:
    """`expected_best` of each variant, with a bootstrap band over trials."""
    curves = _resampled(scores, resamples, seed)
    return {name: _band(expected_best(scores[name]), curves[name], level) for name in scores}


def lead(
    scores: Mapping[str, ArrayLike], first: str, second: str, resamples: int, seed: int = 0, level: float = 0.95
) -> Band:
    """How much better the expected best of `first` is than that of `second`, with a bootstrap band.

    Trials are resampled in pairs, as random search tries the same settings for all variants.
    """
    pair = {name: scores[name] for name in (first, second)}
    curves = _resampled(pair, resamples, seed)
    return _band(expected_best(scores[first]) - expected_best(scores[second]), curves[first] - curves[second], level)


def crossing(difference_N: ArrayLike) -> int | None:
    """The number of trials from which on the final leader stays ahead; None where the other never led."""
    signs = np.sign(np.round(np.asarray(difference_N, dtype=np.float64), 12))
    behind = np.flatnonzero(signs == -signs[-1])
    return int(behind[-1]) + 2 if signs[-1] and len(behind) else None


def _resampled(scores: Mapping[str, ArrayLike], resamples: int, seed: int) -> dict[str, FloatArray]:
    """`expected_best` (R, N) of bootstrap resamples of the trials, the same resamples for every variant."""
    checked = {name: _checked(values) for name, values in scores.items()}
    (trials,) = {len(values) for values in checked.values()}
    indices = np.random.default_rng(seed).integers(0, trials, (resamples, trials))
    weights = subset_weights(trials)
    return {name: np.sort(values[indices], axis=1) @ weights.T for name, values in checked.items()}


def _band(mean_N: FloatArray, resampled_RN: FloatArray, level: float) -> Band:
    """The estimate ± Student's t times the bootstrap's standard error.

    A percentile interval covers too little here, as no resample has a trial better than the best. With 20 trials and
    normally distributed scores it covers the mean best of 10 in 69 % and of 20 in 47 % of the cases. This interval
    covers them in 81 % and 75 %, and more where good settings are less rare
    (tests/study/statistics/test_expected_best_coverage.py).
    """
    half = t.ppf((1 + level) / 2, len(mean_N) - 1) * resampled_RN.std(axis=0)
    return Band(mean_N, mean_N - half, mean_N + half)


def _checked(scores_N: ArrayLike) -> FloatArray:
    checked_N = np.asarray(scores_N, dtype=np.float64)
    if checked_N.ndim != 1 or not len(checked_N) or not np.isfinite(checked_N).all():
        raise ValueError(f"expected one finite score per trial, got shape {checked_N.shape}")
    return checked_N
