import warnings
from collections.abc import Callable
from itertools import pairwise
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from pipeline.evaluation.baselines import linear
from pipeline.evaluation.baselines.data import BaselineData, Split, TrainingSet
from pipeline.evaluation.baselines.linear import log_count_ratio, nb_logistic, tfidf_logistic

Generated = Callable[[int], BaselineData]


def training(data: BaselineData) -> TrainingSet:
    return TrainingSet(list(data.train.tokens), data.train.labels, len(data.label_names), seed=0)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("strength", [0.5, 30.0])
def test_tfidf_is_scikit_learns(generated: Generated, classes: int, strength: float) -> None:
    data = generated(classes)
    model = tfidf_logistic(training(data))(strength)
    reference = TfidfVectorizer(analyzer=words_and_pairs, sublinear_tf=True)
    train = reference.fit_transform(data.train.tokens)
    probabilities = model.probabilities(data.test)
    assert probabilities.dtype == np.float32
    for solver, tolerance, equal in (("newton-cg", 1e-4, 1e-6), ("lbfgs", 1e-8, 5e-3)):
        logistic = LogisticRegression(C=strength, solver=solver, max_iter=10_000, tol=tolerance)
        expected = logistic.fit(train, data.train.labels).predict_proba(reference.transform(data.test.tokens))
        np.testing.assert_allclose(probabilities, expected, atol=equal)
    assert model.parameters == (len(reference.vocabulary_) + 1) * (1 if classes == 2 else 3)
    assert model.notes == ()


def words_and_pairs(tokens: str) -> list[str]:
    words = tokens.split(" ")
    return words + [f"{a} {b}" for a, b in pairwise(words)]


def test_repeated_words_count_by_their_logarithm() -> None:
    tokens = ["a a a b", "b c", "c a", "b"]
    fit = tfidf_logistic(TrainingSet(tokens, np.array([0, 1, 0, 1]), 2, seed=0))(1.0)
    doubled = Split(tokens, ["a a a b"], np.array([0]))
    single = Split(tokens, ["a b"], np.array([0]))
    assert fit.probabilities(doubled)[0, 0] > fit.probabilities(single)[0, 0]


def test_tokens_are_not_tokenized_again() -> None:
    fit = tfidf_logistic(TrainingSet([":) A", ":( a", ":)", ":("], np.array([1, 0, 1, 0]), 2, seed=0))(1.0)
    # :) :( A a, and two pairs: neither case nor punctuation is lost.
    assert fit.parameters == 6 + 1
    probabilities = fit.probabilities(Split(["", ""], [":)", ":("], np.array([1, 0])))
    assert probabilities.argmax(axis=1).tolist() == [1, 0]


def test_log_count_ratio_by_hand() -> None:
    # Features a, b, c in three positive and two negative tweets; each count plus one.
    occurs = csr_array(np.array([[1, 0, 1], [1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 1, 1]], dtype=np.float64))
    ratio = log_count_ratio(occurs, np.array([True, True, True, False, False]))
    # positive: 4, 2, 2 of 8; others: 1, 3, 2 of 6
    expected = [log((4 / 8) / (1 / 6)), log((2 / 8) / (3 / 6)), log((2 / 8) / (2 / 6))]
    np.testing.assert_allclose(ratio, expected, rtol=1e-12)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 15)), min_size=2, max_size=20))
def test_log_count_ratio_changes_sign_with_the_side(rows: list[tuple[bool, int]]) -> None:
    occurs = csr_array([[float(bits >> column & 1) for column in range(4)] for _, bits in rows])
    positive = np.array([side for side, _ in rows])
    ratio = log_count_ratio(occurs, positive)
    assert np.isfinite(ratio).all()
    np.testing.assert_allclose(ratio, -log_count_ratio(occurs, ~positive), atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_nb_is_scikit_learn_on_scaled_columns(generated: Generated, classes: int) -> None:
    data = generated(classes)
    model = nb_logistic(training(data))(2.0)
    vectorizer = CountVectorizer(analyzer=words_and_pairs, binary=True, dtype=np.float64)
    train = vectorizer.fit_transform(data.train.tokens).toarray()
    test = vectorizer.transform(data.test.tokens).toarray()
    columns = []
    for label in [1] if classes == 2 else range(3):
        inside, outside = train[data.train.labels == label], train[data.train.labels != label]
        p, q = 1 + inside.sum(axis=0), 1 + outside.sum(axis=0)
        ratio = np.log((p / p.sum()) / (q / q.sum()))
        logistic = LogisticRegression(C=2.0, max_iter=10_000, tol=1e-8)
        logistic.fit(train * ratio, data.train.labels == label)
        columns.append(logistic.predict_proba(test * ratio)[:, 1])
    expected = np.stack([1 - columns[0], columns[0]] if classes == 2 else columns, axis=1)
    expected /= expected.sum(axis=1, keepdims=True)
    probabilities = model.probabilities(data.test)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, expected, atol=2e-3)
    assert model.parameters == (train.shape[1] + 1) * len(columns)


def test_nb_normalises_as_scikit_learns_one_against_rest(monkeypatch: pytest.MonkeyPatch, generated: Generated) -> None:
    """With every ratio 1, what is left is logistic regression on binary features, one class against the rest."""
    monkeypatch.setattr(linear, "log_count_ratio", lambda occurs, positive: np.ones(occurs.shape[1]))
    data = generated(3)
    vectorizer = CountVectorizer(analyzer=words_and_pairs, binary=True, dtype=np.float64)
    reference = OneVsRestClassifier(LogisticRegression(C=1.0, solver="newton-cg"))
    reference.fit(vectorizer.fit_transform(data.train.tokens), data.train.labels)
    expected = reference.predict_proba(vectorizer.transform(data.test.tokens))
    np.testing.assert_allclose(nb_logistic(training(data))(1.0).probabilities(data.test), expected, atol=1e-6)


@pytest.mark.parametrize("recipe", [tfidf_logistic, nb_logistic])
class TestBoth:
    def test_a_class_without_training_rows_gets_zero(self, generated: Generated, recipe: Callable[..., object]) -> None:
        data = generated(3)
        rows = np.flatnonzero(data.train.labels != 1)
        part = TrainingSet([data.train.tokens[row] for row in rows], data.train.labels[rows], 3, seed=0)
        probabilities = recipe(part)(1.0).probabilities(data.test)
        assert probabilities.shape == (120, 3)
        assert (probabilities[:, 1] == 0).all()
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
        plain = (data.test.labels != 1) & (probabilities[:, 0] != probabilities[:, 2])
        assert (probabilities.argmax(axis=1) == data.test.labels)[plain].mean() > 0.85

    def test_features_come_from_the_labelled_rows(self, generated: Generated, recipe: Callable[..., object]) -> None:
        data = generated(2)
        model = recipe(TrainingSet(list(data.train.tokens[:50]), data.train.labels[:50], 2, seed=0))(1.0)
        seen = {part for tokens in data.train.tokens[:50] for part in words_and_pairs(tokens)}
        assert model.parameters == len(seen) + 1

    def test_unknown_and_empty_tweets_score_the_same(self, generated: Generated, recipe: Callable[..., object]) -> None:
        model = recipe(training(generated(3)))(1.0)
        probabilities = model.probabilities(Split(["", ""], ["", "neverseen"], np.array([0, 0])))
        assert probabilities[0].tolist() == probabilities[1].tolist()

    def test_too_few_iterations_are_noted(
        self, generated: Generated, recipe: Callable[..., object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(linear, "MAX_ITERATIONS", 1)
        model = recipe(training(generated(3)))(5.0)
        assert model.notes == ("C=5: not converged after 1 iterations",)

    def test_separable_tweets_raise_no_warning(self, recipe: Callable[..., object]) -> None:
        fit = recipe(TrainingSet(["a b", "c d", "a", "d"], np.array([0, 1, 0, 1]), 2, seed=0))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            probabilities = fit(1e6).probabilities(Split(["", ""], ["a", "d"], np.array([0, 1])))
        assert probabilities.argmax(axis=1).tolist() == [0, 1]
        assert probabilities.max(axis=1).min() > 0.95
