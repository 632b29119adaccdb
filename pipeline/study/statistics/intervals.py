"""Confidence intervals over seeds (Student's t), over test tweets, or over both at once."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta, norm, t


@dataclass(frozen=True)
class Interval:
    """A mean over `n` seeds with its interval from `low` to `high`; scores are fractions.

    `sd` is the standard deviation between seeds, `se` the standard error of the mean, `df` its degrees of freedom
    (None for infinitely many, the normal distribution). With one seed, all but the mean are None.
    """

    mean: float
    sd: float | None
    se: float | None
    df: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Share:
    """A share of `n` seeds with its interval from `low` to `high`."""

    share: float
    low: float
    high: float
    n: int


def seed_values(values_S: ArrayLike) -> NDArray[np.float64]:
    """One finite number per seed, as float64 (S,); raises ValueError for any other shape, and for NaN or infinity."""
    checked_S = np.asarray(values_S, dtype=np.float64)
    if checked_S.ndim != 1 or not len(checked_S) or not np.isfinite(checked_S).all():
        raise ValueError(f"expected one finite number per seed, got shape {checked_S.shape}: {checked_S}")
    return checked_S


def t_interval(values_S: ArrayLike, level: float = 0.95) -> Interval:
    """Mean over seeds with Student's t-interval for other seeds, on these test tweets.

    A 95 % percentile bootstrap of five values covers some 83 %; this covers 95 % for values near normal.
    """
    return combined_interval(values_S, 0.0, level)


def combined_interval(values_S: ArrayLike, tweet_variance: float, level: float = 0.95) -> Interval:
    """Mean over seeds with an interval for other seeds and other test tweets at once.

    It adds the variance of the mean over seeds (S - 1 degrees of freedom) and `tweet_variance`, that of the mean over
    test sets (see `bootstrap`; taken as known). The degrees of freedom of the sum are Satterthwaite's (1946). The
    interaction of seed and tweet is in both terms, so the interval is, if anything, slightly wide.
    """
    if not 0 <= tweet_variance < math.inf:
        raise ValueError(f"a variance is a finite number from 0, not {tweet_variance}")
    values_S = seed_values(values_S)
    mean, n = float(values_S.mean()), len(values_S)
    if n == 1:
        return Interval(mean, None, None, None, None, None, 1)
    sd = float(values_S.std(ddof=1))
    seed_variance = sd * sd / n
    variance = seed_variance + tweet_variance
    # equal values may leave a spread of rounding errors, whose square may underflow: divide before squaring
    seed_share = seed_variance / variance if variance else 1.0
    df = (n - 1) / seed_share**2 if seed_share > 1e-150 else math.inf
    half = float(t.ppf((1 + level) / 2, df)) * math.sqrt(variance)
    known_df = df if df < math.inf else None
    return Interval(mean, sd, math.sqrt(variance), known_df, mean - half, mean + half, n)


def tweet_interval(score: float, tweet_variance: float, level: float = 0.95) -> Interval:
    """A score that involves no draw of a seed, with the normal interval for other test tweets."""
    half = float(norm.ppf((1 + level) / 2)) * math.sqrt(tweet_variance)
    return Interval(score, None, math.sqrt(tweet_variance), None, score - half, score + half, 1)


def resplit_interval(values_R: ArrayLike, test_ratio: float, level: float = 0.95) -> Interval:
    """Mean over R random resplits with an interval for other resplits of the population (Nadeau and Bengio 2003).

    Resplits share most of their tweets, so the variance of their mean does not fall to that of one over R: it is taken
    as the variance between resplits times 1/R + `test_ratio`, the test tweets per training tweet. With few labels,
    training sets overlap less than this assumes, and the interval is wide.
    """
    values_R = seed_values(values_R)
    mean, n = float(values_R.mean()), len(values_R)
    if n == 1:
        return Interval(mean, None, None, None, None, None, 1)
    sd = float(values_R.std(ddof=1))
    se = sd * math.sqrt(1 / n + test_ratio)
    half = float(t.ppf((1 + level) / 2, n - 1)) * se
    return Interval(mean, sd, se, n - 1, mean - half, mean + half, n)


def superiority(differences_S: ArrayLike, level: float = 0.95) -> Share:
    """Probability that the first variant beats the second with a new seed: share of seeds, ties counted half.

    The interval is Clopper and Pearson's (1934), with beta quantiles at half counts where seeds tie. It never covers
    less than `level`, and has a positive width even where one variant wins with every seed.
    """
    differences_S = seed_values(differences_S)
    n = len(differences_S)
    wins = float((differences_S > 0).sum() + (differences_S == 0).sum() / 2)
    low = float(beta.ppf((1 - level) / 2, wins, n - wins + 1)) if wins > 0 else 0.0
    high = float(beta.ppf((1 + level) / 2, wins + 1, n - wins)) if wins < n else 1.0
    return Share(wins / n, low, high, n)
