"""Whether an embedding learned on one task is of use on another: frozen rows as features of a logistic regression.

A tweet is the mean of the rows of its known words, as in the `mean` encoder and in SentEval's bag-of-vectors baseline
(Conneau and Kiela 2018). Only the regression is fitted to the other task, so what it can tell apart is what the rows
hold.

Shapes: `N` tweets of a split, `V` vocabulary, `D` dimensions, `C` classes. A regression's `C` is scikit-learn's: the
smaller, the stronger its penalty.
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

SPLITS = ("train", "validation", "test")
REPORTED = ("accuracy", "macro_recall", "macro_f1")
# Values of C for standardized features, and for TF-IDF, whose values are far smaller.
GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
TFIDF_GRID = (0.1, 1.0, 10.0, 100.0)
MAX_ITERATIONS = 500


@dataclass(frozen=True, eq=False)
class TransferTask:
    """A task as a matrix of word shares: `shares @ rows of an embedding` are the means of its tweets.

    Attributes
    ----------
    classes : number of classes; the training split holds every one of them.
    shares : of each split, (N, V): how often a word stands among the known words of a tweet, as a fraction; a row sums
        to one, or to zero for a tweet without a known word.
    labels : of each split, (N,).
    """

    name: str
    classes: int
    shares: Mapping[str, csr_array]
    labels: Mapping[str, NDArray[np.int64]]


def open_task(folder: Path, name: str, classes: int, vocabulary_size: int) -> TransferTask:
    """Read a task that `transfer_tasks.write_task` encoded into `folder`; raises RunError where files are damaged."""
    splits = {split: EncodedSplit.open(folder, split) for split in SPLITS}
    shares = {split: word_shares(encoded, vocabulary_size) for split, encoded in splits.items()}
    labels = {split: np.asarray(encoded.labels, dtype=np.int64) for split, encoded in splits.items()}
    return TransferTask(name, classes, shares, labels)


def word_shares(split: EncodedSplit, vocabulary_size: int) -> csr_array:
    """The shares (N, V) of the known words of each tweet; unknown words are left out, as though not written."""
    known = (split.ids != UNK) & (split.ids != PAD)
    # How many known tokens stand before each position: differences at the tweets' ends are their known lengths.
    before = np.concatenate([[0], np.cumsum(known, dtype=np.int64)])
    ends = before[split.offsets]
    lengths = np.diff(ends)
    shares = np.repeat(1 / np.maximum(lengths, 1), lengths)
    return csr_array((shares, split.ids[known], ends), shape=(len(split), vocabulary_size))


def transfer_score(matrix: NDArray[np.floating], task: TransferTask) -> dict[str, float]:
    """Score an embedding `matrix` (V, D) by a logistic regression on the means of its rows.

    Features are standardized by the mean and standard deviation of the training split; one that does not vary there
    counts as zero. C is chosen from `GRID` on validation (`logistic_scores`). One thread does all of it, so the outcome
    does not depend on the number of cores.

    Returns
    -------
    `accuracy`, `macro_recall` and `macro_f1` on the task's test split, fractions; `n`, its tweets; `C`, and
    `C_at_edge`, 1 where that is an end of the grid (as where the features tell all classes apart); `converged`, 1 where
    every fit did.

    Raises
    ------
    ValueError : the matrix does not have the rows of the task's vocabulary, or holds numbers that are not finite.
    """
    rows = task.shares["train"].shape[1]
    if len(matrix) != rows:
        raise ValueError(f"{task.name}: the matrix has {len(matrix)} rows, the task's vocabulary {rows}")
    if not np.isfinite(matrix).all():
        raise ValueError(f"{task.name}: the matrix holds numbers that are not finite")
    means = {split: shares @ matrix.astype(np.float64) for split, shares in task.shares.items()}
    centre, spread = means["train"].mean(axis=0), means["train"].std(axis=0)
    # Equal numbers have a rounding error for a spread; what is below it is none.
    flat = spread <= 1e-10 * np.abs(means["train"]).max(axis=0, initial=0)
    scale = np.where(flat, 0, 1 / np.where(flat, 1, spread))
    features = {split: (mean - centre) * scale for split, mean in means.items()}
    return logistic_scores(features, task.labels, task.classes, GRID)


def transfer_metrics(
    tasks: Mapping[str, TransferTask], initial: NDArray[np.floating], final: NDArray[np.floating]
) -> dict[str, float]:
    """`probe/transfer/<task>/<score>` of the matrix after training, and `…/<score>_before` of the one before.

    The matrices are (V, D), of any D. Rows that did not move are scored once.
    """
    same = initial.shape == final.shape and np.array_equal(initial, final)
    metrics: dict[str, float] = {}
    for name, task in tasks.items():
        after = transfer_score(final, task)
        before = after if same else transfer_score(initial, task)
        metrics |= {f"probe/transfer/{name}/{key}": value for key, value in after.items()}
        metrics |= {f"probe/transfer/{name}/{key}_before": before[key] for key in (*REPORTED, "C", "C_at_edge")}
    return metrics


def logistic_scores(
    features: Mapping[str, Any], labels: Mapping[str, NDArray[np.integer]], classes: int, grid: tuple[float, ...]
) -> dict[str, float]:
    """Fit a logistic regression for each C of `grid`, choose one on validation, score it on test.

    Classes weigh alike in the fit and in the choice, whatever their sizes: tasks are skewed, and macro recall is the
    score that counts. C goes by the mean over classes of the negative log probability of the true class, which is less
    of a lottery on a few hundred tweets than a share of right answers.

    Parameters
    ----------
    features : of each split, (N, F), dense or sparse.
    grid : ascending, so that each fit starts from the one before and needs few steps.

    Raises
    ------
    ValueError : the training split lacks a class.
    """
    found = len(np.unique(labels["train"]))
    if found != classes:
        raise ValueError(f"the training split holds {found} of {classes} classes")
    model = LogisticRegression(class_weight="balanced", warm_start=True, max_iter=MAX_ITERATIONS)
    least, chosen, converged, probabilities_NC = np.inf, grid[0], True, np.empty((0, classes))
    with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # `converged` tells
        for strength in grid:
            model.set_params(C=strength).fit(features["train"], labels["train"])
            converged &= bool(model.n_iter_.max() < MAX_ITERATIONS)
            loss = macro_nll(labels["validation"], model.predict_proba(features["validation"]))
            if loss < least:
                least, chosen, probabilities_NC = loss, strength, model.predict_proba(features["test"])
    reached = scores(labels["test"], probabilities_NC)
    return {
        **{score: reached[score] for score in REPORTED},
        "n": float(len(labels["test"])),
        "C": chosen,
        "C_at_edge": float(chosen in (grid[0], grid[-1])),
        "converged": float(converged),
    }


def macro_nll(labels_N: NDArray[np.integer], probabilities_NC: NDArray[np.floating]) -> float:
    """Negative log probability (nats) of the true class: its mean over the classes that occur, of means over tweets."""
    chosen_N = probabilities_NC[np.arange(len(labels_N)), labels_N]
    nll_N = -np.log(np.maximum(chosen_N, np.finfo(np.float64).tiny))
    counts_C = np.bincount(labels_N)
    return float((np.bincount(labels_N, weights=nll_N)[counts_C > 0] / counts_C[counts_C > 0]).mean())


def reference_scores(
    tokens: Mapping[str, list[list[str]]], labels: Mapping[str, NDArray[np.integer]], classes: int
) -> dict[str, dict[str, float]]:
    """What the task's own labels give without any embedding: `majority` class, and `tfidf_logistic`.

    The second is a logistic regression on TF-IDF (sublinear counts) of all words of the task's training text, those
    that the embedding's vocabulary lacks among them.
    """
    majority = np.bincount(labels["train"], minlength=classes).argmax()
    always = scores(labels["test"], np.tile(np.eye(classes)[majority], (len(labels["test"]), 1)))
    vectorizer = TfidfVectorizer(analyzer=lambda words: words, sublinear_tf=True)
    features = {"train": vectorizer.fit_transform(tokens["train"])}
    features |= {split: vectorizer.transform(tokens[split]) for split in ("validation", "test")}
    return {
        "majority": {name: always[name] for name in REPORTED},
        "tfidf_logistic": logistic_scores(features, labels, classes, TFIDF_GRID),
    }
