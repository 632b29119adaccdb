"""The rule by which variants and baselines choose settings: a grid, extended where the best lies at its end."""

import math
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

K = TypeVar("K")
STEP = 3.0  # ratio of a value beyond the grid to the last one


def next_value(scores: Mapping[float, float | None]) -> float:
    """The value to try next, from the scores of earlier ones (higher is better; None for a trial that diverged).

    Where the best value is the smallest or the largest, it is one beyond; else the geometric mean of the best value and
    that of its two neighbours with the higher score. All values are positive.
    """
    values = sorted(scores)
    rank = {value: -math.inf if score is None else score for value, score in scores.items()}
    best = values.index(max(values, key=lambda value: rank[value]))
    if best == len(values) - 1:
        return float(f"{values[best] * STEP:.4g}")
    if best == 0:
        return float(f"{values[best] / STEP:.4g}")
    neighbour = max(values[best - 1], values[best + 1], key=lambda value: rank[value])
    return float(f"{math.sqrt(values[best] * neighbour):.4g}")


def finalists(scores: Mapping[K, float], count: int) -> list[K]:
    """The settings with the highest scores, the best first; of equal ones the earlier."""
    return sorted(scores, key=lambda setting: -scores[setting])[:count]


def validation_resample(tweets: int, seed: int) -> NDArray[np.int64]:
    """Indices (N,) of the validation tweets that a seed chooses by: drawn with replacement (bootstrap).

    Each seed thus repeats the choice with other validation tweets, as far as these can be had, so that the spread over
    seeds holds the error of the choice.
    """
    return np.random.default_rng([seed, 2]).integers(tweets, size=tweets)
