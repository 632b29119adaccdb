"""The label budget from which learned embeddings have reached a rival. `S` seeds, `B` label budgets."""

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
    """From how many labels on the rival's lead is gone, between `low` and `high`.

    `low` and `high` are None where they lie beyond the largest budget (for a single seed: unknown); an end at the
    smallest budget means "there or before". `estimate` is None unless `reached`. `certain`: the interval says the same
    as the kind, that the crossover is within the budgets, beyond the largest, or at most the smallest. What is `not
    reached` by the mean and not `certain` may have been reached from `low` on.
    """

    kind: Kind
    estimate: float | None
    low: float | None
    high: float | None
    certain: bool


def crossover(
    budgets_B: ArrayLike,
    learned_SB: ArrayLike,
    rival_SB: ArrayLike,
    tweet_variances_B: ArrayLike | None = None,
    level: float = 0.95,
) -> Crossover:
    """Find where the rival's lead over learned embeddings ends.

    Each seed's lead is a line in log labels between neighbouring budgets. The estimate is the first label budget from
    which the mean lead stays at or below zero. The interval inverts the interval of the lead at every budget: from the
    first budget at which its lower bound is at or below zero to the one from which its upper bound stays below. Such
    ends miss the truth only where the interval at the true crossover misses zero, so they cover at least `level`,
    whatever the curve's shape, for leads that are straight between budgets. A lower bound above zero at the largest
    budget puts both ends beyond it.

    Parameters
    ----------
    budgets_B : numbers of labels, increasing, from 1 (for "all": how many there are).
    learned_SB, rival_SB : scores of the same seeds.
    tweet_variances_B : variance of the mean lead over test sets, per budget. Between budgets its root is interpolated,
        as if both moved together, which is the widest case.

    Raises
    ------
    ValueError : shapes that do not fit, numbers that are not finite, or budgets that do not increase.
    """
    budgets_B = np.asarray(budgets_B, dtype=np.float64)
    lead_SB = np.asarray(rival_SB, dtype=np.float64) - np.asarray(learned_SB, dtype=np.float64)
    knots = len(budgets_B)
    tweet_sd_B = np.sqrt(np.zeros(knots) if tweet_variances_B is None else np.asarray(tweet_variances_B, np.float64))
    if lead_SB.ndim != 2 or lead_SB.shape[1] != knots or tweet_sd_B.shape != (knots,):
        raise ValueError(f"expected scores (S, {knots}), got {lead_SB.shape}; tweet variances {tweet_sd_B.shape}")
    if knots == 0 or budgets_B[0] < 1 or (np.diff(budgets_B) <= 0).any():
        raise ValueError(f"expected increasing label budgets from 1, got {budgets_B.tolist()}")

    def lead_at(position: float) -> Interval:
        """The lead at a position along the budgets, 0 … B - 1; in between, a share of the way in log labels."""
        left = min(int(position), knots - 1)
        right, share = min(left + 1, knots - 1), position - left
        lead_S = (1 - share) * lead_SB[:, left] + share * lead_SB[:, right]
        tweet_sd = (1 - share) * tweet_sd_B[left] + share * tweet_sd_B[right]
        return combined_interval(lead_S, float(tweet_sd**2), level)

    def labels_at_zero(height: Callable[[Interval], float | None], left: int) -> float:
        position = brentq(lambda x: height(lead_at(x)), left, left + 1)
        return float(np.exp(np.interp(position, np.arange(knots), np.log(budgets_B))))

    leads = [lead_at(knot) for knot in range(knots)]
    smallest, last = float(budgets_B[0]), knots - 1
    low, high, certainly_behind = None, None, False
    if len(lead_SB) > 1:
        reached = [knot for knot, lead in enumerate(leads) if lead.low is not None and lead.low <= 0]
        behind = [knot for knot, lead in enumerate(leads) if lead.high is not None and lead.high >= 0]
        certainly_behind = last not in reached
        if not certainly_behind:
            low = smallest if reached[0] == 0 else labels_at_zero(lambda lead: lead.low, reached[0] - 1)
        if not behind:
            high = smallest
        elif behind[-1] < last:
            high = labels_at_zero(lambda lead: lead.high, behind[-1])
    ahead = [knot for knot, lead in enumerate(leads) if lead.mean > 0]
    if not ahead:
        return Crossover("ahead from the start", None, low, high, high == smallest)
    if ahead[-1] == last:
        return Crossover("not reached", None, low, high, certainly_behind)
    estimate = labels_at_zero(lambda lead: lead.mean, ahead[-1])
    certain = low is not None and low > smallest and high is not None
    return Crossover("reached", estimate, low, high, certain)
