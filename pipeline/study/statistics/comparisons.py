"""Planned comparisons as one family: paired differences with intervals, corrected p, equivalence and decision.

`S`: seeds.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.study.statistics.intervals import Interval, Share, combined_interval, seed_values, superiority, t_interval
from pipeline.study.statistics.significance import (
    difference_p,
    equivalence_p,
    holm,
    sign_flip_p,
    smallest_holm_p,
    smallest_p,
)

K = TypeVar("K", bound=Hashable)
Verdict = Literal["higher", "lower", "equivalent", "undecided", "too few seeds"]


@dataclass(frozen=True)
class Decision:
    """The conclusion on a difference.

    `equivalent` does not follow from the verdict: a difference can be `higher` with certainty and still smaller than
    the smallest effect of interest.
    """

    verdict: Verdict
    equivalent: bool


@dataclass(frozen=True)
class Comparison:
    """First minus second variant over the same seeds.

    over_seeds : interval for other seeds, the test tweets taken as given.
    combined : interval for other seeds and other test tweets; the same without a tweet variance.
    superiority : probability that the first variant scores higher with a new seed.
    p : of the sign-flip test. smallest_p : the least it can be with so many seeds.
    holm_p : Holm correction of the larger of `p` and the combined interval's own p (`difference_p`), so that it holds
        for other tweets as well. smallest_holm_p : the least it can be with these seeds and this family.
    equivalence_p : of two one-sided tests with `combined`, not corrected. equivalence_holm_p : Holm's correction of it
        over the family; both are None for a single seed.
    """

    over_seeds: Interval
    combined: Interval
    superiority: Share
    p: float
    smallest_p: float
    holm_p: float
    smallest_holm_p: float
    equivalence_p: float | None
    equivalence_holm_p: float | None
    decision: Decision


def decide(
    combined: Interval, holm_p: float, smallest_holm_p: float, equivalence_holm_p: float | None, alpha: float = 0.05
) -> Decision:
    """The verdict on a difference.

    - `higher` or `lower` needs a corrected p of at most `alpha` and a combined interval (of level 1 - `alpha`) without
      zero: the difference would hold with other seeds and on other tweets.
    - `equivalent` needs a corrected equivalence p of at most `alpha`.
    - Otherwise the verdict is `too few seeds` where no outcome of the sign-flip test could have reached `alpha`, else
      `undecided`. A difference that is not significant is never called "no difference".
    """
    equivalent = equivalence_holm_p is not None and equivalence_holm_p <= alpha
    if holm_p <= alpha and combined.low is not None and combined.low > 0:
        return Decision("higher", equivalent)
    if holm_p <= alpha and combined.high is not None and combined.high < 0:
        return Decision("lower", equivalent)
    if equivalent:
        return Decision("equivalent", True)
    return Decision("too few seeds" if smallest_holm_p > alpha else "undecided", False)


def paired_differences(first_S: ArrayLike, second_S: ArrayLike) -> NDArray[np.float64]:
    """First minus second (S,), seed by seed; raises ValueError where their numbers of seeds differ."""
    first_S, second_S = seed_values(first_S), seed_values(second_S)
    if len(first_S) != len(second_S):
        raise ValueError(f"differences are paired: expected the same seeds, got {len(first_S)} and {len(second_S)}")
    return first_S - second_S


def compare_family(
    differences: Mapping[K, ArrayLike],
    tweet_variances: Mapping[K, float] | None = None,
    smallest_effect: float = 0.01,
    alpha: float = 0.05,
) -> dict[K, Comparison]:
    """Compare all planned pairs, or other contrasts of the same seeds, as one family.

    Parameters
    ----------
    differences : by pair (and label budget), differences (S,) of `paired_differences`; S may differ between pairs.
    tweet_variances : by the same keys, the variance of the mean difference over test sets; None takes the test tweets
        as given.
    smallest_effect : the smallest difference of interest, a fraction.
    alpha : allowed rate of errors; intervals have level 1 - `alpha`.
    """
    values = {key: seed_values(difference) for key, difference in differences.items()}
    p_values = [sign_flip_p(values_S) for values_S in values.values()]
    seeds = [len(values_S) for values_S in values.values()]
    variances = {key: 0.0 if tweet_variances is None else tweet_variances[key] for key in values}
    intervals = {key: combined_interval(values_S, variances[key], 1 - alpha) for key, values_S in values.items()}
    # The claim is about other seeds and other tweets, so the larger p of the two is the one to correct.
    larger_p = [max(p, difference_p(interval)) for p, interval in zip(p_values, intervals.values(), strict=True)]
    equivalence = {key: equivalence_p(interval, smallest_effect) for key, interval in intervals.items()}
    tested = {key: p for key, p in equivalence.items() if p is not None}
    equivalence_holm = dict(zip(tested, holm(list(tested.values())), strict=True))
    comparisons = {}
    corrected = zip(values.items(), p_values, holm(larger_p), smallest_holm_p(seeds), strict=True)
    for (key, values_S), p, holm_p, smallest in corrected:
        combined, equivalence_holm_p = intervals[key], equivalence_holm.get(key)
        comparisons[key] = Comparison(
            over_seeds=t_interval(values_S, 1 - alpha),
            combined=combined,
            superiority=superiority(values_S, 1 - alpha),
            p=p,
            smallest_p=smallest_p(len(values_S)),
            holm_p=holm_p,
            smallest_holm_p=smallest,
            equivalence_p=equivalence[key],
            equivalence_holm_p=equivalence_holm_p,
            decision=decide(combined, holm_p, smallest, equivalence_holm_p, alpha),
        )
    return comparisons
