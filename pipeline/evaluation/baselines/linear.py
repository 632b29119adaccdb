"""Linear baselines: logistic regression on words and bigrams, weighted by TF-IDF or by naive Bayes.

Features and weights come from the labelled rows alone. On half a million sparse features, Newton's method reaches the
same optimum as L-BFGS, scikit-learn's default, several times faster.

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

from pipeline.evaluation.baselines.data import FittedBaseline, FloatArray, Split, TrainingSet

# Texts are the project's tokens joined by spaces; scikit-learn splits them there and changes nothing else.
TOKENS: dict[str, Any] = {"tokenizer": str.split, "token_pattern": None, "lowercase": False, "ngram_range": (1, 2)}
MAX_ITERATIONS = 1000


def tfidf_logistic(training: TrainingSet) -> Callable[[float], FittedBaseline]:
    """Return a function of C that fits multinomial logistic regression on TF-IDF of words and bigrams.

    Term frequencies are sublinear, 1 + log(count).
    """
    vectorizer = TfidfVectorizer(sublinear_tf=True, **TOKENS)
    features_NF = vectorizer.fit_transform(training.tokens)

    def fit(strength: float) -> FittedBaseline:
        model, notes = fit_logistic(features_NF, training.labels, strength)

        def probabilities(split: Split) -> FloatArray:
            probabilities_NC = model.predict_proba(vectorizer.transform(split.tokens))
            return _all_classes(probabilities_NC, model.classes_, training.classes)

        return FittedBaseline(probabilities, model.coef_.size + model.intercept_.size, notes)

    return fit


def nb_logistic(training: TrainingSet) -> Callable[[float], FittedBaseline]:
    """Return a function of C that fits logistic regression on binary words and bigrams times their log-count ratio.

    Wang & Manning (2012, Baselines and bigrams), without their interpolation, and with logistic regression in place of
    the SVM for its probabilities. More than two classes are fitted one against rest, and their probabilities normalised
    to sum to one.
    """
    vectorizer = CountVectorizer(binary=True, dtype=np.float64, **TOKENS)
    occurs_NF = vectorizer.fit_transform(training.tokens)
    present = np.unique(training.labels)
    modelled = present[1:] if len(present) == 2 else present
    ratios_MF = [log_count_ratio(occurs_NF, training.labels == label) for label in modelled]

    def fit(strength: float) -> FittedBaseline:
        fitted = [
            fit_logistic(occurs_NF @ diags_array(ratio_F), training.labels == label, strength)
            for label, ratio_F in zip(modelled, ratios_MF, strict=True)
        ]

        def probabilities(split: Split) -> FloatArray:
            rows_NF = vectorizer.transform(split.tokens)
            pairs = zip(fitted, ratios_MF, strict=True)
            decision_NM = np.stack([m.decision_function(rows_NF @ diags_array(r_F)) for (m, _), r_F in pairs], axis=1)
            if len(present) == 2:
                decision_NM = np.hstack([-decision_NM, decision_NM])
            return _all_classes(softmax(log_expit(decision_NM), axis=1), present, training.classes)

        parameters = sum(model.coef_.size + model.intercept_.size for model, _ in fitted)
        notes = tuple(dict.fromkeys(note for _, model_notes in fitted for note in model_notes))
        return FittedBaseline(probabilities, parameters, notes)

    return fit


def log_count_ratio(occurs_NF: spmatrix | sparray, positive_N: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Log ratio (F,) of each feature's share among positive tweets to its share among the others.

    A share is 1 plus the number of tweets with the feature, divided by the sum of these over all features.
    """
    inside_F = 1 + np.asarray(occurs_NF[np.flatnonzero(positive_N)].sum(axis=0)).ravel()
    outside_F = 1 + np.asarray(occurs_NF[np.flatnonzero(~positive_N)].sum(axis=0)).ravel()
    ratio_F: NDArray[np.float64] = np.log(inside_F / inside_F.sum()) - np.log(outside_F / outside_F.sum())
    return ratio_F


def fit_logistic(
    features_NF: spmatrix | sparray, labels_N: NDArray[Any], strength: float
) -> tuple[LogisticRegression, tuple[str, ...]]:
    """Fit with C=`strength` (larger is less regularised); returns the model, and a note if it did not converge."""
    model = LogisticRegression(C=strength, solver="newton-cg", max_iter=MAX_ITERATIONS)
    with warnings.catch_warnings():
        # The line search fails at rounding precision; non-convergence is reported as a note.
        warnings.filterwarnings("ignore", "Line Search failed")
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features_NF, labels_N)
    stopped = int(np.max(model.n_iter_)) >= MAX_ITERATIONS
    return model, (f"C={strength:g}: not converged after {MAX_ITERATIONS:,} iterations",) if stopped else ()


def _all_classes(probabilities: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> FloatArray:
    """Expand columns of the classes seen in training to all classes; the others get probability 0."""
    expanded_NC = np.zeros((len(probabilities), classes), dtype=np.float32)
    expanded_NC[:, labels] = probabilities
    return expanded_NC
