"""Accuracy, and the lead over vectors learned from scratch, by a tweet's share of unseen tokens.

`N` test tweets. Intervals are for other seeds and other test tweets.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.study.statistics.frames import LEARNED, Outcomes
from pipeline.study.statistics.intervals import Interval, combined_interval

# By variant, label budget and seed: the test tweets (N,) in each bin of shares.
TweetBins = Mapping[tuple[str, int, int], Mapping[str, NDArray[np.bool_]]]


def unseen_accuracy_frame(outcomes: Outcomes, variants: Sequence[str], budget: int, bins: TweetBins) -> pd.DataFrame:
    """`StudyResults.unknown`: the accuracy of every variant at a label budget."""
    rows = [
        (variant, band, tweets, accuracy.mean, accuracy.low, accuracy.high)
        for variant in variants
        for band, tweets, accuracy in _by_band(_hits(outcomes, variant, budget), variant, budget, bins)
    ]
    return pd.DataFrame(rows, columns=["variant", "band", "tweets", "accuracy", "low", "high"])


def unseen_lead_frame(outcomes: Outcomes, pairs: Sequence[tuple[str, str]], bins: TweetBins) -> pd.DataFrame:
    """`StudyResults.unseen_leads`, for the `pairs` with vectors learned from scratch, in either order."""
    rivals = dict.fromkeys(name for pair in pairs if LEARNED in pair for name in pair if not name.startswith(LEARNED))
    rows = []
    for rival, budget in product(rivals, outcomes.budgets):
        first, second = (_hits(outcomes, name, budget) for name in (rival, LEARNED))
        leads = {seed: first[seed] - second[seed] for seed in sorted(set(first) & set(second))}
        for band, tweets, lead in _by_band(leads, LEARNED, budget, bins):
            rows.append((rival, LEARNED, budget, band, lead.n, tweets, lead.mean, lead.low, lead.high))
    return pd.DataFrame(rows, columns=["a", "b", "label_budget", "band", "n", "tweets", "mean", "low", "high"])


def _hits(outcomes: Outcomes, variant: str, budget: int) -> dict[int, NDArray[np.float64]]:
    """By seed, 1 for each tweet that is labelled correctly, else 0."""
    predictions = outcomes.predictions.get((variant, budget), {})
    return {seed: (predicted_N == outcomes.labels).astype(float) for seed, predicted_N in predictions.items()}


def _by_band(
    values: Mapping[int, NDArray[np.float64]], variant: str, budget: int, bins: TweetBins
) -> Iterator[tuple[str, float, Interval]]:
    """For each bin: its name, its number of tweets (mean over seeds), and the mean value (N,) per seed in it."""
    members = {seed: bins[variant, budget, seed] for seed in values}
    for band in dict.fromkeys(name for bands in members.values() for name in bands):
        present = {seed: bands[band] for seed, bands in members.items() if bands[band].any()}
        if present:
            means = [float(values[seed][member_N].mean()) for seed, member_N in present.items()]
            # The influence of each tweet on the mean over seeds: seeds differ in the tweets of a bin.
            influences = [
                member_N * (values[seed] - mean) / member_N.mean()
                for (seed, member_N), mean in zip(present.items(), means, strict=True)
            ]
            variance = float((np.mean(influences, axis=0) ** 2).mean() / len(influences[0]))
            tweets = float(np.mean([member_N.sum() for member_N in present.values()]))
            yield band, tweets, combined_interval(means, variance)
