"""Crossover: the number of labels at which vectors learned from scratch catch up with another variant.

`S`: seeds, `B`: label budgets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from pipeline.study.statistics.intervals import Interval, combined_interval

Kind = Literal["reached", "not reached", "ahead from the start"]


@dataclass(frozen=True)
class Crossover:
    """The number of labels from which on the rival no longer leads.

    kind : the outcome by the mean over seeds.
    estimate : number of labels; None unless `reached`.
    low, high : its interval. None is beyond the largest budget (for a single seed: unknown); the smallest budget means
        "there or before".
    certain : whether the whole interval agrees with `kind`: within the budgets, beyond the largest, or at most the
        smallest. A crossover that is `not reached` and not `certain` may lie at `low` or above.
    """

    kind: Kind
    estimate: float | None
    low: float | None
    high: float | None
    certain: bool


def crossover(
    budgets_B: ArrayLike,
    scratch_SB: ArrayLike,
    rival_SB: ArrayLike,
    tweet_variances_B: ArrayLike | None = None,
    level: float = 0.95,
) -> Crossover:
    """Find where the rival's lead over vectors learned from scratch ends.

    Each seed's lead is interpolated linearly in log labels between neighbouring budgets. The estimate is the first
    label budget from which on the mean lead stays at or below zero. The interval inverts the interval of the lead: it
    reaches from the first budget at which the lower bound is at or below zero to the one from which on the upper bound
    stays below zero. It misses the truth only where the interval of the lead at the true crossover misses zero. So it
    covers at least `level`, whatever the curve's shape, for leads that are linear between budgets. A lower bound above
    zero at the largest budget puts both ends beyond it.

    Parameters
    ----------
    budgets_B : numbers of labels, increasing, from 1 (for "all": the number of labelled tweets).
    scratch_SB, rival_SB : scores of the same seeds.
    tweet_variances_B : variance of the mean lead over test sets, per budget. Between budgets its root is interpolated,
        as if the two were perfectly correlated, which is the widest case.

    Raises ValueError for shapes that do not fit, numbers that are not finite, or budgets that do not increase.
    """
    budgets_B = np.asarray(budgets_B, dtype=np.float64)
    lead_SB = np.asarray(rival_SB, dtype=np.float64) - np.asarray(scratch_SB, dtype=np.float64)
    knots = len(budgets_B)
    tweet_sd_B = np.sqrt(np.zeros(knots) if tweet_variances_B is None else np.asarray(tweet_variances_B, np.float64))
    if lead_SB.ndim != 2 or lead_SB.shape[1] != knots or tweet_sd_B.shape != (knots,):
        raise ValueError(f"expected scores (S, {knots}), got {lead_SB.shape}; tweet variances {tweet_sd_B.shape}")
    if knots == 0 or budgets_B[0] < 1 or (np.diff(budgets_B) <= 0).any():
        raise ValueError(f"expected increasing label budgets from 1, got {budgets_B.tolist()}")

    def lead_at(position: float) -> Interval:
        """The lead at a position on the axis of budgets, 0 … B - 1, linear in log labels between integers."""
        left = min(int(position), knots - 1)
        right, share = min(left + 1, knots - 1), position - left
        lead_S = (1 - share) * lead_SB[:, left] + share * lead_SB[:, right]
        tweet_sd = (1 - share) * tweet_sd_B[left] + share * tweet_sd_B[right]
        return combined_interval(lead_S, float(tweet_sd**2), level)

    def labels_at_zero(curve: Callable[[Interval], float | None], left: int) -> float:
        position = brentq(lambda x: curve(lead_at(x)), left, left + 1)
        return float(np.exp(np.interp(position, np.arange(knots), np.log(budgets_B))))

    leads = [lead_at(knot) for knot in range(knots)]
    smallest, last = float(budgets_B[0]), knots - 1
    low, high, surely_not_reached = None, None, False
    if len(lead_SB) > 1:
        low_below_zero = [knot for knot, lead in enumerate(leads) if lead.low is not None and lead.low <= 0]
        high_above_zero = [knot for knot, lead in enumerate(leads) if lead.high is not None and lead.high >= 0]
        surely_not_reached = last not in low_below_zero
        if not surely_not_reached:
            low = smallest if low_below_zero[0] == 0 else labels_at_zero(lambda lead: lead.low, low_below_zero[0] - 1)
        if not high_above_zero:
            high = smallest
        elif high_above_zero[-1] < last:
            high = labels_at_zero(lambda lead: lead.high, high_above_zero[-1])
    rival_leads = [knot for knot, lead in enumerate(leads) if lead.mean > 0]
    if not rival_leads:
        return Crossover("ahead from the start", None, low, high, high == smallest)
    if rival_leads[-1] == last:
        return Crossover("not reached", None, low, high, surely_not_reached)
    estimate = labels_at_zero(lambda lead: lead.mean, rival_leads[-1])
    certain = low is not None and low > smallest and high is not None
    return Crossover("reached", estimate, low, high, certain)
