"""Logistic regression on words and pairs of words, weighted by TF-IDF or by naive Bayes.

Features and weights come from the labelled rows alone. Newton's method reaches the same optimum as scikit-learn's
default, L-BFGS, several times sooner on half a million sparse features.

Shapes: `N` tweets, `F` features, `C` classes, `M` one-against-rest models.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import diags_array, sparray, spmatrix
from scipy.special import log_expit, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from pipeline.evaluation.baselines.data import FloatArray, Model, Split, Training

# Tokens are what the project's tokenizer made; scikit-learn splits them at the spaces and changes nothing.
TOKENS: dict[str, Any] = {"tokenizer": str.split, "token_pattern": None, "lowercase": False, "ngram_range": (1, 2)}
MAX_ITERATIONS = 1000


def tfidf_logistic(training: Training) -> Callable[[float], Model]:
    """Multinomial logistic regression on TF-IDF (1 + log count) of words and pairs; call the outcome with C."""
    vectorizer = TfidfVectorizer(sublinear_tf=True, **TOKENS)
    features_NF = vectorizer.fit_transform(training.tokens)

    def fit(strength: float) -> Model:
        model, notes = fit_logistic(features_NF, training.labels, strength)

        def probabilities(split: Split) -> FloatArray:
            found_NC = model.predict_proba(vectorizer.transform(split.tokens))
            return _all_classes(found_NC, model.classes_, training.classes)

        return Model(probabilities, model.coef_.size + model.intercept_.size, notes)

    return fit


def nb_logistic(training: Training) -> Callable[[float], Model]:
    """Logistic regression on which words and pairs occur, each scaled by its log-count ratio; call the outcome with C.

    Wang & Manning (2012, Baselines and bigrams) with logistic regression in place of the SVM, so that it gives
    probabilities, and without their interpolation. Two classes need one model; more are each told from the rest, and
    the probabilities of that are scaled to sum to one.
    """
    vectorizer = CountVectorizer(binary=True, dtype=np.float64, **TOKENS)
    occurs_NF = vectorizer.fit_transform(training.tokens)
    present = np.unique(training.labels)
    ratios_MF = [
        log_count_ratio(occurs_NF, training.labels == label)
        for label in (present[1:] if len(present) == 2 else present)
    ]

    def fit(strength: float) -> Model:
        fitted = [
            fit_logistic(occurs_NF @ diags_array(ratio_F), training.labels == label, strength)
            for label, ratio_F in zip(present[-len(ratios_MF) :], ratios_MF, strict=True)
        ]

        def probabilities(split: Split) -> FloatArray:
            rows_NF = vectorizer.transform(split.tokens)
            pairs = zip(fitted, ratios_MF, strict=True)
            decision_NM = np.stack([one.decision_function(rows_NF @ diags_array(r)) for (one, _), r in pairs], axis=1)
            if len(present) == 2:
                decision_NM = np.hstack([-decision_NM, decision_NM])
            return _all_classes(softmax(log_expit(decision_NM), axis=1), present, training.classes)

        parameters = sum(one.coef_.size + one.intercept_.size for one, _ in fitted)
        return Model(probabilities, parameters, tuple(dict.fromkeys(note for _, notes in fitted for note in notes)))

    return fit


def log_count_ratio(occurs_NF: spmatrix | sparray, positive_N: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Log of how much larger a feature's share is among positive tweets than among the others, (F,).

    A share is 1 plus the number of tweets that hold the feature, over the sum of that over all features.
    """
    inside_F = 1 + np.asarray(occurs_NF[np.flatnonzero(positive_N)].sum(axis=0)).ravel()
    outside_F = 1 + np.asarray(occurs_NF[np.flatnonzero(~positive_N)].sum(axis=0)).ravel()
    ratio_F: NDArray[np.float64] = np.log(inside_F / inside_F.sum()) - np.log(outside_F / outside_F.sum())
    return ratio_F


def fit_logistic(
    features_NF: spmatrix | sparray, labels_N: NDArray[Any], strength: float
) -> tuple[LogisticRegression, tuple[str, ...]]:
    """Fit with C=`strength` (larger is less regularised); the notes say so if it did not converge."""
    model = LogisticRegression(C=strength, solver="newton-cg", max_iter=MAX_ITERATIONS)
    with warnings.catch_warnings():
        # A line search fails where rounding leaves nothing to gain; too few iterations are told by a note.
        warnings.filterwarnings("ignore", "Line Search failed")
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features_NF, labels_N)
    short = int(np.max(model.n_iter_)) >= MAX_ITERATIONS
    return model, (f"C={strength:g}: not converged after {MAX_ITERATIONS:,} iterations",) if short else ()


def _all_classes(found: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> FloatArray:
    """Put the columns of the classes that were seen in training in their places; the others get probability 0."""
    whole_NC = np.zeros((len(found), classes), dtype=np.float32)
    whole_NC[:, labels] = found
    return whole_NC
