"""Transfer probe: score of a logistic regression for another task on an embedding matrix's frozen vectors.

A tweet's features are the mean vector of its known words, as in the `mean` encoder and in SentEval's bag-of-vectors
baseline (Conneau and Kiela 2018). Only the regression is fitted to the other task.

Shapes: `N` tweets of a split, `V` vocabulary, `D` dimensions, `F` features, `C` classes. The setting `C` of a
regression is scikit-learn's inverse regularization strength.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from pipeline.classifier.metrics import scores
from pipeline.config.schema import PAD, UNK
from pipeline.text.encoded_split import EncodedSplit

REPORTED = ("accuracy", "macro_recall", "macro_f1")
# Values of C for standardized features, and for TF-IDF, whose values are far smaller.
GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
TFIDF_GRID = (0.1, 1.0, 10.0, 100.0)
MAX_ITERATIONS = 500


@dataclass(frozen=True, eq=False)
class TransferTask:
    """A task as matrices of word shares: `shares @ matrix` are the mean vectors of its tweets."""

    name: str
    classes: int  # all of them occur in the training split
    shares: Mapping[str, csr_array]  # of each split, from `word_shares`
    labels: Mapping[str, NDArray[np.int64]]  # of each split, (N,)


def open_task(folder: Path, name: str, classes: int, vocabulary_size: int) -> TransferTask:
    """Read a task that `transfer_tasks.write_task` encoded into `folder`; raises RunError if files are damaged."""
    splits = {split: EncodedSplit.open(folder, split) for split in ("train", "validation", "test")}
    shares = {split: word_shares(encoded, vocabulary_size) for split, encoded in splits.items()}
    labels = {split: np.asarray(encoded.labels, dtype=np.int64) for split, encoded in splits.items()}
    return TransferTask(name, classes, shares, labels)


def word_shares(split: EncodedSplit, vocabulary_size: int, *, unknown: bool = False) -> csr_array:
    """The share (N, V) of each word among the known words of a tweet; a row sums to one, or to zero without any.

    With `unknown`, UNK counts as a word, as in the `mean` encoder.
    """
    known = (split.ids != PAD) & ((split.ids != UNK) | unknown)
    # Number of known tokens before each position; differences at the tweets' ends are their known lengths.
    before = np.concatenate([[0], np.cumsum(known, dtype=np.int64)])
    ends = before[split.offsets]
    lengths = np.diff(ends)
    shares = np.repeat(1 / np.maximum(lengths, 1), lengths)
    return csr_array((shares, split.ids[known], ends), shape=(len(split), vocabulary_size))


def transfer_score(matrix: NDArray[np.floating], task: TransferTask) -> tuple[dict[str, float], NDArray[np.bool_]]:
    """Score an embedding `matrix` (V, D) by a logistic regression on mean vectors, as `logistic_scores` does.

    Features are standardized by the mean and standard deviation of the training split; a constant feature becomes zero.
    C is chosen from `GRID` on validation (`logistic_scores`). One thread is used, so the result does not depend on the
    number of cores. Raises ValueError where the matrix does not fit the task's vocabulary or is not finite.
    """
    size = task.shares["train"].shape[1]
    if len(matrix) != size:
        raise ValueError(f"{task.name}: the matrix has {len(matrix)} rows, the task's vocabulary {size}")
    if not np.isfinite(matrix).all():
        raise ValueError(f"{task.name}: the matrix has values that are not finite")
    means = {split: shares @ matrix.astype(np.float64) for split, shares in task.shares.items()}
    return logistic_scores(standardized(means), task.labels, task.classes, GRID)


def standardized(means: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Features (N, F) with mean 0 and variance 1 on the training split; a constant feature becomes zero."""
    centre, spread = means["train"].mean(axis=0), means["train"].std(axis=0)
    # The standard deviation of equal numbers is a rounding error, not exactly zero.
    constant = spread <= 1e-10 * np.abs(means["train"]).max(axis=0, initial=0)
    scale = np.where(constant, 0, 1 / np.where(constant, 1, spread))
    return {split: (mean - centre) * scale for split, mean in means.items()}


def transfer_metrics(
    task: TransferTask, initial: NDArray[np.floating], final: NDArray[np.floating]
) -> tuple[dict[str, float], dict[str, str]]:
    """Scores of the matrix after training, and `<score>_before` of the one before; and a row of the table `transfer`.

    The matrices are (V, D), of any D. A frozen matrix is scored once. The row holds the hits `before` and `after`: a
    digit for each test tweet, 1 where its label was predicted.
    """
    frozen = initial.shape == final.shape and np.array_equal(initial, final)
    after, after_N = transfer_score(final, task)
    before, before_N = (after, after_N) if frozen else transfer_score(initial, task)
    row = {"task": task.name} | {
        side: "".join(map(str, hits_N.astype(int))) for side, hits_N in (("before", before_N), ("after", after_N))
    }
    return after | {f"{key}_before": before[key] for key in (*REPORTED, "C", "C_at_edge")}, row


def logistic_scores(
    features: Mapping[str, Any], labels: Mapping[str, NDArray[np.integer]], classes: int, grid: tuple[float, ...]
) -> tuple[dict[str, float], NDArray[np.bool_]]:
    """Fit a logistic regression for each C of `grid`, choose one on validation, and score it on test.

    Classes have equal weight in the fit and in the choice, because tasks are imbalanced and macro recall is the main
    score. C is chosen by `macro_nll`, which has less variance than accuracy on a few hundred tweets.

    Parameters
    ----------
    features : for each split, (N, F), dense or sparse.
    grid : ascending, so that each fit starts from the previous one and needs few iterations.

    Returns
    -------
    The scores, and whether each test tweet's label was predicted, (N,). The scores are `accuracy`, `macro_recall` and
    `macro_f1` on the task's test split, fractions; `n`, its number of tweets; `C`, and `C_at_edge`, 1 if that is an end
    of the grid (as for separable classes); `converged`, 1 if every fit did.

    Raises ValueError where the training split lacks a class.
    """
    present = len(np.unique(labels["train"]))
    if present != classes:
        raise ValueError(f"the training split has {present} of {classes} classes")
    model = LogisticRegression(class_weight="balanced", warm_start=True, max_iter=MAX_ITERATIONS)
    best_loss, best, converged, probabilities_NC = np.inf, grid[0], True, np.empty((0, classes))
    with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # returned as `converged`
        for strength in grid:
            model.set_params(C=strength).fit(features["train"], labels["train"])
            converged &= bool(model.n_iter_.max() < MAX_ITERATIONS)
            loss = macro_nll(labels["validation"], model.predict_proba(features["validation"]))
            if loss < best_loss:
                best_loss, best, probabilities_NC = loss, strength, model.predict_proba(features["test"])
    test_scores = scores(labels["test"], probabilities_NC)
    settings = {"C": best, "C_at_edge": float(best in (grid[0], grid[-1])), "converged": float(converged)}
    reported = {score: test_scores[score] for score in REPORTED} | {"n": float(len(labels["test"]))}
    return reported | settings, probabilities_NC.argmax(axis=1) == labels["test"]


def macro_nll(labels_N: NDArray[np.integer], probabilities_NC: NDArray[np.floating]) -> float:
    """Mean negative log probability (nats) of the true class within each class that occurs, averaged over classes."""
    true_N = probabilities_NC[np.arange(len(labels_N)), labels_N]
    nll_N = -np.log(np.maximum(true_N, np.finfo(np.float64).tiny))
    counts_C = np.bincount(labels_N)
    return float((np.bincount(labels_N, weights=nll_N)[counts_C > 0] / counts_C[counts_C > 0]).mean())


def reference_scores(
    tokens: Mapping[str, list[list[str]]], labels: Mapping[str, NDArray[np.integer]], classes: int
) -> dict[str, dict[str, float]]:
    """Scores on the task without an embedding: of the `majority` class and of `tfidf_logistic`.

    The latter is a logistic regression on TF-IDF (sublinear counts) of all words of the task's training texts, even
    those outside the embedding's vocabulary.
    """
    majority = np.bincount(labels["train"], minlength=classes).argmax()
    constant = scores(labels["test"], np.tile(np.eye(classes)[majority], (len(labels["test"]), 1)))
    vectorizer = TfidfVectorizer(analyzer=lambda words: words, sublinear_tf=True)
    features = {"train": vectorizer.fit_transform(tokens["train"])}
    features |= {split: vectorizer.transform(tokens[split]) for split in ("validation", "test")}
    return {
        "majority": {name: constant[name] for name in REPORTED},
        "tfidf_logistic": logistic_scores(features, labels, classes, TFIDF_GRID)[0],
    }
