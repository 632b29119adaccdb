"""Paired bootstrap of the test tweets: the variance of scores, and of their differences, over test sets.

`N` test tweets, `S` seeds, `V` columns (a variant at a label budget), `R` resamples.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

K = TypeVar("K", bound=Hashable)
METRICS = ("accuracy", "macro_recall")
BLOCK_SIZE = 2**21  # weights in memory at a time: 16 MiB


@dataclass(frozen=True)
class TweetResamples(Generic[K]):
    """Mean-over-seeds scores (R, V) of every column on the same R resampled test sets."""

    columns: tuple[K, ...]
    scores_RV: NDArray[np.float64]

    def variance(self, column: K) -> float:
        """Variance of a column's score over test sets."""
        return self.contrast_variance({column: 1.0})

    def difference_variance(self, first: K, second: K) -> float:
        """Variance of the difference of two columns over test sets; errors that both share cancel."""
        return self.contrast_variance({first: 1.0, second: -1.0}) if first != second else 0.0

    def contrast_variance(self, weights: Mapping[K, float]) -> float:
        """Variance of a weighted sum of columns over test sets."""
        total_R = np.zeros(len(self.scores_RV))
        for column, weight in weights.items():
            total_R += weight * self.scores_RV[:, self.columns.index(column)]
        return float(total_R.var(ddof=1))


def resample_tweets(
    labels_N: NDArray[np.integer],
    predictions: Mapping[K, NDArray[np.integer]],
    metric: str,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> TweetResamples[K]:
    """Score every column on the same resampled test sets (paired bootstrap; Efron and Tibshirani 1993).

    Accuracy and macro recall are linear in the hits per tweet. Their mean over seeds therefore needs only the number
    of seeds that got a tweet right, and all columns share one matrix product per block of resamples. All sums are of
    whole numbers, exact in float64: the result depends neither on the block nor on the order of summation.

    Parameters
    ----------
    labels_N : true classes.
    predictions : by column, predicted classes (S, N); the number of seeds may differ between columns.
    metric : `accuracy` or `macro_recall`. Macro recall averages over the classes that occur in the resample, as the
        score itself averages over those in the test split.

    Raises ValueError for an unknown metric, no tweets, fewer than two resamples, or predictions of another shape.
    """
    labels_N = np.asarray(labels_N)
    tweets = len(labels_N)
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r} is none of {', '.join(METRICS)}")
    if labels_N.ndim != 1 or not tweets or resamples < 2:
        raise ValueError(f"expected labels (N,) and resamples from 2, got {labels_N.shape} and {resamples}")
    order_N = np.argsort(labels_N, kind="stable")
    hits_NV = np.empty((tweets, len(predictions)))
    seeds_V = np.empty(len(predictions))
    for index, (column, predicted) in enumerate(predictions.items()):
        predicted_SN = np.asarray(predicted)
        if predicted_SN.ndim != 2 or not len(predicted_SN) or predicted_SN.shape[1] != tweets:
            raise ValueError(f"predictions of {column}: expected (S, {tweets}), got {predicted_SN.shape}")
        hits_NV[:, index] = (predicted_SN == labels_N).sum(axis=0)[order_N]
        seeds_V[index] = len(predicted_SN)
    sizes = np.unique(labels_N, return_counts=True)[1] if metric == "macro_recall" else np.array([tweets])
    ends = np.cumsum(sizes)
    groups = [slice(int(end - size), int(end)) for size, end in zip(sizes, ends, strict=True)]

    generator = np.random.default_rng(seed)
    scores_RV = np.empty((resamples, len(predictions)))
    block = max(1, BLOCK_SIZE // tweets)
    for first in range(0, resamples, block):
        scores_bV = scores_RV[first : first + block]
        weights_bN = _weights(generator, len(scores_bV), tweets)
        total_bV, present_b = np.zeros_like(scores_bV), np.zeros(len(scores_bV))
        for group in groups:
            count_b = weights_bN[:, group].sum(axis=1)
            # a class that is not in the resample has no hits: it adds nothing and is not counted
            total_bV += weights_bN[:, group] @ hits_NV[group] / np.maximum(count_b, 1)[:, None]
            present_b += count_b > 0
        scores_bV[:] = total_bV / present_b[:, None] / seeds_V
    return TweetResamples(tuple(predictions), scores_RV)


def _weights(generator: np.random.Generator, resamples: int, tweets: int) -> NDArray[np.float64]:
    """Count of each tweet in each resample (resamples, N)."""
    indices = generator.integers(tweets, size=(resamples, tweets))
    indices += np.arange(resamples)[:, None] * tweets
    return np.bincount(indices.ravel(), minlength=indices.size).reshape(indices.shape).astype(np.float64)
