"""Macro AUC and NLL against scikit-learn, and their variance over test tweets against the bootstrap and DeLong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import log_loss, roc_auc_score

from pipeline.study.statistics.probability_scores import macro_auc, nll, probability_scores


def probabilities(labels: np.ndarray, classes: int, seed: int, shift: float = 1.0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(len(labels), classes))
    logits[np.arange(len(labels)), labels] += shift
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@given(st.lists(st.integers(0, 2), min_size=6, max_size=40), st.integers(0, 99), st.integers(1, 6))
def test_both_equal_scikit_learn_with_ties_and_absent_classes(drawn, seed, levels):
    labels = np.array([0, 1, 2, *drawn])
    rounded = np.round(probabilities(labels, 3, seed) * levels) / levels + 1e-3
    shares = rounded / rounded.sum(axis=1, keepdims=True)
    auc, influence = macro_auc(labels, shares)
    assert auc == pytest.approx(roc_auc_score(labels, shares, multi_class="ovr"))
    assert influence.mean() == pytest.approx(0, abs=1e-12)
    assert nll(labels, shares)[0] == pytest.approx(log_loss(labels, shares))
    two = labels[labels < 2]
    binary = shares[labels < 2][:, :2]
    assert macro_auc(two, binary)[0] == pytest.approx(
        np.mean([roc_auc_score(two == label, binary[:, label]) for label in (0, 1)])
    )


def test_nll_of_a_certain_mistake_is_finite():
    value, influence = nll(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert value == pytest.approx(-np.log(np.finfo(np.float32).tiny) / 2)
    assert influence == pytest.approx([value, -value])


def test_one_class_has_no_auc():
    with pytest.raises(ValueError, match="labels of two classes"):
        macro_auc(np.zeros(3, int), np.full((3, 2), 0.5))
    assert probability_scores(np.zeros(3, int), {"a": {0: np.full((3, 2), 0.5)}}) == {}


def test_the_variance_of_one_auc_is_delongs():
    labels = np.repeat([0, 1], [150, 90])
    shares = probabilities(labels, 2, 0)
    positive = labels == 1
    rank = rankdata(shares[:, 1])
    above = (rank[positive] - rankdata(shares[positive, 1])) / 150
    below = 1 - (rank[~positive] - rankdata(shares[~positive, 1])) / 90
    delong = above.var() / 90 + below.var() / 150
    _, influence = macro_auc(labels, shares)
    assert (influence**2).mean() / len(labels) == pytest.approx(delong)


def test_the_variance_of_a_difference_is_the_bootstraps():
    rng = np.random.default_rng(1)
    labels = rng.choice(3, 600, p=[0.5, 0.3, 0.2])
    columns = {
        name: {seed: probabilities(labels, 3, first + seed, shift) for seed in range(2)}
        for name, first, shift in (("a", 10, 1.2), ("b", 20, 0.8))
    }
    scores = probability_scores(labels, columns)
    resampled = []
    for rows in rng.integers(600, size=(600, 600)):
        again = probability_scores(labels[rows], {n: {s: p[rows] for s, p in c.items()} for n, c in columns.items()})
        resampled.append(
            [np.subtract(*(np.mean(list(again[k].values[v].values())) for v in "ab")) for k in ("auc", "nll")]
        )
    for name, variance in zip(("auc", "nll"), np.var(resampled, axis=0), strict=True):
        assert scores[name].difference_variance("a", "b") == pytest.approx(variance, rel=0.2)
    assert scores["auc"].difference_variance("a", "a") == 0
