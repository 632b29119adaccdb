"""Accuracy and lead by share of unseen tokens, against the same numbers worked out by themselves."""

import numpy as np
import pytest

from pipeline.study.statistics.frames import Outcomes
from pipeline.study.statistics.intervals import combined_interval, t_interval
from pipeline.study.statistics.unseen_tokens import unseen_accuracy_frame, unseen_lead_frame

TWEETS, SEEDS = 400, 6
LABELS = np.random.default_rng(0).integers(0, 3, TWEETS)
RIGHT = {"cbow_frozen": 0.8, "random_trainable": 0.6, "other": 0.5}
FEW = {seed: np.random.default_rng(seed).random(TWEETS) < 0.5 for seed in range(SEEDS)}
HITS = {name: np.random.default_rng([1, len(name)]).random((SEEDS, TWEETS)) < p for name, p in RIGHT.items()}
OUTCOMES = Outcomes(
    LABELS,
    {(name, 9): dict(enumerate(np.where(hits, LABELS, (LABELS + 1) % 3))) for name, hits in HITS.items()},
    frozenset(),
    "accuracy",
    100,
)
BINS = {
    (name, 9, seed): {"none": FEW[seed], "some": ~FEW[seed], "all": np.zeros(TWEETS, bool)}
    for name in RIGHT
    for seed in range(SEEDS)
}
EVERY = {key: {"every": np.ones(TWEETS, bool)} for key in BINS}


def test_the_lead_is_paired_by_seed_and_bin():
    table = unseen_lead_frame(OUTCOMES, [("cbow_frozen", "random_trainable"), ("other", "cbow_frozen")], BINS)
    assert table[["a", "b", "label_budget", "band", "n"]].to_numpy().tolist() == [
        ["cbow_frozen", "random_trainable", 9, band, SEEDS] for band in ("none", "some")
    ]
    first, second = HITS["cbow_frozen"], HITS["random_trainable"]
    leads = [first[s, FEW[s]].mean() - second[s, FEW[s]].mean() for s in range(SEEDS)]
    assert table["mean"][0] == pytest.approx(np.mean(leads))
    assert table["tweets"][0] == pytest.approx(np.mean([FEW[s].sum() for s in range(SEEDS)]))
    alone = t_interval(leads)
    assert table["low"][0] < alone.low < alone.high < table["high"][0]


def test_the_variance_over_all_tweets_is_that_of_a_mean():
    (row,) = unseen_lead_frame(OUTCOMES, [("random_trainable", "cbow_frozen")], EVERY).to_dict("records")
    lead_SN = HITS["cbow_frozen"].astype(float) - HITS["random_trainable"]
    expected = combined_interval(lead_SN.mean(axis=1), lead_SN.mean(axis=0).var() / TWEETS)
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((expected.mean, expected.low, expected.high))


def test_accuracy_has_a_row_per_variant_and_bin():
    table = unseen_accuracy_frame(OUTCOMES, ["other", "cbow_frozen", "absent"], 9, BINS)
    assert table[["variant", "band"]].to_numpy().tolist() == [
        [variant, band] for variant in ("other", "cbow_frozen") for band in ("none", "some")
    ]
    values = [HITS["other"][s, ~FEW[s]].mean() for s in range(SEEDS)]
    assert table["accuracy"][1] == pytest.approx(np.mean(values))
    assert table["low"][1] < t_interval(values).low
    rng = np.random.default_rng(3)
    resampled = []
    for rows in rng.integers(TWEETS, size=(3000, TWEETS)):
        resampled.append(np.mean([HITS["other"][s, rows][~FEW[s][rows]].mean() for s in range(SEEDS)]))
    expected = combined_interval(values, np.var(resampled))
    assert table["high"][1] - table["low"][1] == pytest.approx(expected.high - expected.low, rel=0.04)
