import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.classifier.metrics import scores
from pipeline.study.statistics import bootstrap
from pipeline.study.statistics.bootstrap import resample_tweets


def guesses(rng, labels, seeds, right=0.7, classes=3):
    other = (labels + rng.integers(1, classes, size=(seeds, len(labels)))) % classes
    return np.where(rng.random((seeds, len(labels))) < right, labels, other)


def one_hot(predicted, classes=3):
    return np.eye(classes)[predicted]


@pytest.mark.parametrize("metric", ["accuracy", "macro_recall"])
def test_each_resample_is_scored_as_the_pipeline_scores_a_split(metric, monkeypatch):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 12)  # so few that some resamples lose a class
    predictions = {"a": guesses(rng, labels, 4), "b": guesses(rng, labels, 2)}
    drawn = []
    weights_of = bootstrap._weights
    monkeypatch.setattr(bootstrap, "_weights", lambda *args: drawn.append(weights_of(*args)) or drawn[-1])
    resampled = resample_tweets(labels, predictions, metric, resamples=300)
    order = np.argsort(labels, kind="stable")
    lost = 0
    for row, weights in zip(resampled.scores_RV, np.concatenate(drawn), strict=True):
        chosen = np.repeat(order, weights.astype(int))
        assert len(chosen) == 12
        lost += len(set(labels[chosen])) < 3
        expected = [
            np.mean([scores(labels[chosen], one_hot(predicted[chosen]))[metric] for predicted in predictions[name]])
            for name in ("a", "b")
        ]
        assert row == pytest.approx(expected, abs=1e-12)
    assert lost > 0


def test_variance_of_accuracy_is_that_of_a_mean():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 400)
    a, b = guesses(rng, labels, 5), guesses(rng, labels, 5, right=0.6)
    resampled = resample_tweets(labels, {"a": a, "b": b}, "accuracy", resamples=20_000)
    per_tweet_a, per_tweet_b = (a == labels).mean(axis=0), (b == labels).mean(axis=0)
    # the relative error of a variance from 20,000 draws is 1 %
    assert resampled.variance("a") == pytest.approx(per_tweet_a.var() / 400, rel=0.04)
    expected = (per_tweet_a - per_tweet_b).var() / 400
    assert resampled.difference_variance("a", "b") == pytest.approx(expected, rel=0.04)


def test_variance_of_macro_recall_is_that_of_recalls_of_independent_classes():
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1, 2], [1000, 300, 200])
    predicted = guesses(rng, labels, 3)
    resampled = resample_tweets(labels, {"a": predicted}, "macro_recall", resamples=20_000)
    right = (predicted == labels).mean(axis=0)
    expected = sum(right[labels == c].var() / (labels == c).sum() for c in range(3)) / 9
    assert resampled.variance("a") == pytest.approx(expected, rel=0.05)


def test_variance_is_that_of_fresh_test_sets():
    rng = np.random.default_rng(3)
    simulated, bootstrapped = [], []
    for repetition in range(400):
        labels = rng.choice(3, size=300, p=[0.6, 0.25, 0.15])
        predicted = guesses(rng, labels, 1, right=np.array([0.9, 0.7, 0.5])[labels])
        simulated.append(scores(labels, one_hot(predicted[0]))["macro_recall"])
        if repetition % 10 == 0:
            bootstrapped.append(resample_tweets(labels, {0: predicted}, "macro_recall", resamples=300).variance(0))
    # a variance from 400 draws has a relative error of 7 %
    assert np.mean(bootstrapped) == pytest.approx(np.var(simulated, ddof=1), rel=0.2)


def test_pairing_cancels_what_two_variants_share():
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 500)
    a = guesses(rng, labels, 3, classes=2)
    b = a.copy()
    b[:, :10] = 1 - b[:, :10]
    resampled = resample_tweets(labels, {"a": a, "b": b, "twin": a}, "accuracy")
    assert resampled.difference_variance("a", "twin") == 0.0
    assert resampled.difference_variance("a", "b") < 0.2 * resampled.variance("a")
    apart = resampled.variance("a") + resampled.variance("b")
    covariance = np.cov(resampled.scores_RV[:, 0], resampled.scores_RV[:, 1])[0, 1]
    assert resampled.difference_variance("a", "b") == pytest.approx(apart - 2 * covariance)
    assert resampled.contrast_variance({"a": 2.0, "b": -2.0}) == pytest.approx(
        4 * resampled.difference_variance("a", "b")
    )


@given(st.integers(1, 3000), st.integers(2, 12))
def test_blocks_and_companions_change_nothing(block_cells, resamples):
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 3, 60)
    predictions = {name: guesses(rng, labels, 3) for name in range(5)}
    whole = resample_tweets(labels, predictions, "macro_recall", resamples=resamples)
    alone = resample_tweets(labels, {3: predictions[3]}, "macro_recall", resamples=resamples)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "BLOCK_SIZE", block_cells)
        in_blocks = resample_tweets(labels, predictions, "macro_recall", resamples=resamples)
    assert np.array_equal(whole.scores_RV, in_blocks.scores_RV)
    assert np.array_equal(whole.scores_RV[:, 3], alone.scores_RV[:, 0])


def test_the_seed_fixes_the_resamples():
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 3, 50)
    predictions = {"a": guesses(rng, labels, 2)}
    same, again, other = (
        resample_tweets(labels, predictions, "accuracy", resamples=50, seed=seed).scores_RV for seed in (1, 1, 2)
    )
    assert np.array_equal(same, again)
    assert not np.array_equal(same, other)


def test_a_test_split_of_tweet_eval_takes_seconds():
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 3, 12_284)
    predictions = {column: guesses(rng, labels, 5) for column in range(20)}
    started = time.perf_counter()
    resample_tweets(labels, predictions, "macro_recall")
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(
    ("labels", "predicted", "metric", "resamples", "message"),
    [
        ([0, 1], [[0, 1]], "macro_f1", 10, "none of accuracy, macro_recall"),
        ([], [[]], "accuracy", 10, "labels"),
        ([0, 1], [[0, 1]], "accuracy", 1, "resamples from 2"),
        ([0, 1], [[0, 1, 1]], "accuracy", 10, r"predictions of a: expected \(S, 2\), got \(1, 3\)"),
        ([0, 1], [0, 1], "accuracy", 10, r"got \(2,\)"),
    ],
)
def test_what_does_not_fit_is_refused(labels, predicted, metric, resamples, message):
    with pytest.raises(ValueError, match=message):
        resample_tweets(np.array(labels), {"a": np.array(predicted)}, metric, resamples=resamples)
