"""The scores agree with scikit-learn and with hand-worked values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from pipeline.classifier.metrics import confusion_matrix, expected_calibration_error, scores


@st.composite
def predictions(draw):
    classes = draw(st.integers(2, 5))
    size = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.integers(0, classes, size), rng.dirichlet(np.ones(classes), size).astype(np.float32)


@given(predictions())
def test_scores_equal_scikit_learn(case):
    labels, probabilities = case
    predicted = probabilities.argmax(axis=1)
    result = scores(labels, probabilities)
    assert result["accuracy"] == pytest.approx(reference.accuracy_score(labels, predicted))
    occurring = np.unique(labels)
    assert result["macro_recall"] == pytest.approx(
        reference.recall_score(labels, predicted, labels=occurring, average="macro", zero_division=0)
    )
    assert result["macro_f1"] == pytest.approx(reference.f1_score(labels, predicted, average="macro", zero_division=0))
    everything = np.arange(probabilities.shape[1])
    normalized = probabilities.astype(float) / probabilities.astype(float).sum(axis=1, keepdims=True)
    assert result["nll"] == pytest.approx(reference.log_loss(labels, normalized, labels=everything), rel=1e-5)
    assert np.array_equal(
        confusion_matrix(labels, predicted, probabilities.shape[1]),
        reference.confusion_matrix(labels, predicted, labels=everything),
    )


def test_calibration_error_by_hand():
    # Two tweets at confidence 0.9, one right: gap |0.5 - 0.9|; two at 0.6, both right: gap |1 - 0.6|; bins weigh 1/2.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    labels = np.array([0, 1, 0, 1])
    assert expected_calibration_error(labels, probabilities) == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)


def test_certain_and_right_is_perfect():
    result = scores(np.array([0, 1]), np.eye(2))
    assert result == {"accuracy": 1.0, "macro_recall": 1.0, "macro_f1": 1.0, "nll": 0.0, "ece": 0.0}


def test_certain_and_wrong_has_finite_nll():
    assert scores(np.array([1, 0]), np.eye(2))["nll"] == pytest.approx(-np.log(np.finfo(np.float32).tiny))


def test_empty_split_is_refused():
    with pytest.raises(ValueError, match="empty"):
        scores(np.array([], dtype=int), np.zeros((0, 2)))
