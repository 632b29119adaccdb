"""Significance tests: sign-flip test over seeds, Holm correction, equivalence (TOST), McNemar.

`S`: seeds, `N`: tweets.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from pipeline.study.statistics.intervals import Interval, seed_values

EXACT_SEEDS = 20  # up to this many, all sign flips are counted
FLIPS = 99_999  # random sign flips for more seeds
ROUNDING = 1e-10  # sums that differ by less than this share of the sum of sizes are equal


@dataclass(frozen=True)
class McNemar:
    """Tweets that only the first, or only the second, classifier got right, and the two-sided exact p."""

    only_first: int
    only_second: int
    p: float


def sign_flip_p(differences_S: ArrayLike) -> float:
    """Two-sided p of the sign-flip permutation test that paired differences are symmetric around zero (Fisher 1935).

    The p is the share of all 2^S sign assignments whose sum is at least as far from zero as the observed one. It is
    exact, whatever the distribution. Above `EXACT_SEEDS` seeds, `FLIPS` random assignments of a fixed seed stand for
    all, and the observed one is counted among them (Phipson and Smyth 2010).
    """
    # scipy.stats.permutation_test(permutation_type="samples") gives the same p, but takes 85 times as long for 10 seeds
    # and 2,000 times for 16, refuses a single seed, and misses ties that rounding breaks around a sum of zero.
    differences_S = seed_values(differences_S)
    seeds, size = len(differences_S), float(np.abs(differences_S).sum())
    threshold = abs(float(differences_S.sum())) - ROUNDING * size
    if seeds <= EXACT_SEEDS:
        sums = differences_S[:1]  # flipping all signs changes no absolute sum, so the first sign may stay fixed
        for difference in differences_S[1:]:
            sums = np.concatenate([sums + difference, sums - difference])
        return float(np.mean(np.abs(sums) >= threshold))
    generator, extreme, block = np.random.default_rng(0), 0, 10_000
    for first in range(0, FLIPS, block):
        signs = 2 * generator.integers(0, 2, size=(min(block, FLIPS - first), seeds), dtype=np.int8) - 1
        extreme += int((np.abs(signs @ differences_S) >= threshold).sum())
    return (1 + extreme) / (1 + FLIPS)


def smallest_p(seeds: int) -> float:
    """The smallest possible `sign_flip_p` of so many seeds: 2 / 2^S (0.0625 for five)."""
    if seeds < 1:
        raise ValueError(f"expected at least one seed, got {seeds}")
    return 2.0 / 2**seeds if seeds <= EXACT_SEEDS else 1 / (1 + FLIPS)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979) of a family's p-values, which bounds the family-wise error rate."""
    # statsmodels' multipletests gives the same digits, but runs the garbage collector at every call.
    order = np.argsort(p_values)
    corrected = np.empty(len(p_values))
    corrected[order] = np.maximum.accumulate(np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1))
    return [float(p) for p in np.minimum(corrected, 1.0)]


def smallest_holm_p(seeds: Sequence[int]) -> list[float]:
    """The smallest possible corrected p of each member of a family, from their numbers of seeds.

    A corrected p is monotone in every p of the family, so it is smallest where all of them are.
    """
    return holm([smallest_p(count) for count in seeds])


def difference_p(interval: Interval) -> float:
    """Two-sided p of a mean of zero, from the interval's standard error and degrees of freedom; 1 for a single seed."""
    if interval.se is None:
        return 1.0
    if interval.se == 0:
        return 0.0 if interval.mean else 1.0
    return float(2 * t.sf(abs(interval.mean) / interval.se, math.inf if interval.df is None else interval.df))


def equivalence_p(interval: Interval, smallest_effect: float = 0.01) -> float | None:
    """Equivalence p by two one-sided tests (TOST; Schuirmann 1987); None for a single seed.

    The null hypothesis is a difference of `smallest_effect` or more in either direction. The p is the larger one of the
    two tests, with the interval's standard error and degrees of freedom.
    """
    if not smallest_effect > 0:
        raise ValueError(f"the smallest effect of interest must be above 0, not {smallest_effect}")
    if interval.se is None:
        return None
    margin = smallest_effect - abs(interval.mean)  # to the nearer bound, whose p is the larger
    if interval.se == 0:
        return 0.0 if margin > 0 else 1.0
    return float(t.sf(margin / interval.se, math.inf if interval.df is None else interval.df))


def mcnemar(labels_N: NDArray[np.integer], first_N: NDArray[np.integer], second_N: NDArray[np.integer]) -> McNemar:
    """McNemar's test (1947) of equal error rates of two classifiers on the same tweets, from their predicted classes.

    It holds for these two trained classifiers on other tweets, not for other seeds. The p is the exact binomial one at
    any count, and 1 where both are correct on the same tweets.
    """
    if not labels_N.shape == first_N.shape == second_N.shape:
        raise ValueError(f"expected three arrays (N,), got {labels_N.shape}, {first_N.shape}, {second_N.shape}")
    first_right, second_right = first_N == labels_N, second_N == labels_N
    only_first, only_second = int((first_right & ~second_right).sum()), int((second_right & ~first_right).sum())
    both, neither = int((first_right & second_right).sum()), int((~first_right & ~second_right).sum())
    p = statsmodels_mcnemar([[both, only_first], [only_second, neither]], exact=True).pvalue
    return McNemar(only_first, only_second, float(p))
