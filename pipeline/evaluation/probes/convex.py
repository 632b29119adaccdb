"""Convex check: a frozen `mean` run next to the logistic regression on its features, whose optimum is unique."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from pipeline.classifier.metrics import scores
from pipeline.config.schema import Config
from pipeline.evaluation.probes.transfer import standardized, word_shares
from pipeline.text.encoded_split import EncodedSplit

if TYPE_CHECKING:
    from pipeline.classifier.engine import RunResult

GRID = (1e-3, 1e-2, 1e-1, 1.0)  # values of scikit-learn's C, for standardized features
MAX_WORK = 60_000_000  # labelled tweets × dimensions × classes: this many take about five seconds
NOTED_DIFFERENCE = 0.003  # of test accuracy
# Nats of validation NLL above that of the regression: as good; and more than dropout or the choice of the epoch cost.
EQUAL_NLL, FAR_NLL = 0.005, 0.1
MAX_ITERATIONS = 200
FAR = (
    "training did not reach the optimum, as where all vectors are nearly parallel: compare more epochs of CBOW "
    "(cbow.epochs), and other values of train.lr_head and train.max_epochs"
)


def is_convex(config: Config) -> bool:
    """Whether the run is a logistic regression: mean vectors that training does not change, and no projection."""
    return config.model.encoder == "mean" and not (config.embedding.trainable or config.embedding.projected)


def convex_reference(
    matrix_VE: NDArray[np.float32], splits: Mapping[str, EncodedSplit], rows: NDArray[np.integer], class_weights: str
) -> dict[str, float] | None:
    """Scores of a logistic regression on the mean vectors of the training tweets `rows`.

    `accuracy` and `nll` on test, and `validation_nll`, by which C is chosen from `GRID`. The weights of the classes are
    those of the run. None without validation tweets, for training tweets without one of the classes, and above
    `MAX_WORK`.
    """
    labels = {name: np.asarray(split.labels) for name, split in splits.items()}
    labels["train"] = labels["train"][rows]
    classes = np.unique(np.concatenate(list(labels.values())))
    work = len(rows) * matrix_VE.shape[1] * len(classes)
    if "validation" not in splits or work > MAX_WORK or not np.array_equal(np.unique(labels["train"]), classes):
        return None
    matrix = matrix_VE.astype(np.float64)
    shares = {name: word_shares(split, len(matrix), unknown=True) for name, split in splits.items()}
    shares["train"] = shares["train"][rows]
    means = standardized({name: share @ matrix for name, share in shares.items()})
    features = {name: mean.astype(np.float32) for name, mean in means.items()}
    weights = None if class_weights == "none" else class_weights
    model = LogisticRegression(class_weight=weights, warm_start=True, max_iter=MAX_ITERATIONS)
    best_loss, best = np.inf, dict[str, float]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fit that stops early is the better one on validation
        for strength in GRID:
            model.set_params(C=strength).fit(features["train"], labels["train"])
            loss = scores(labels["validation"], model.predict_proba(features["validation"]))["nll"]
            if loss < best_loss:
                best_loss, best = loss, scores(labels["test"], model.predict_proba(features["test"]))
    return {"accuracy": best["accuracy"], "nll": best["nll"], "validation_nll": best_loss}


def convex_note(reference: Mapping[str, float], result: "RunResult", config: Config) -> str | None:
    """The caveat for a run whose test accuracy differs notably from the `reference`, with the probable reason."""
    accuracy, loss, train = result.metrics["test/accuracy"], result.metrics["validation/nll"], config.train
    if abs(accuracy - reference["accuracy"]) <= NOTED_DIFFERENCE:
        return None
    excess = loss - reference["validation_nll"]
    if excess <= EQUAL_NLL:
        reason = "training reached the optimum; early stopping and dropout regularize in another way than the penalty C"
    elif excess > FAR_NLL:
        reason = FAR
    elif train.monitor != "nll":
        reason = f"the epoch was chosen by {train.monitor}: compare train.monitor=nll"
    elif config.model.dropout:
        reason = f"model.dropout={config.model.dropout:g} can under-fit averaged vectors: compare model.dropout=0"
    elif result.chosen_epoch == train.max_epochs:
        reason = f"the last of {train.max_epochs} epochs was the best: compare train.max_epochs={2 * train.max_epochs}"
    else:
        reason = FAR
    return (
        "a logistic regression on the same averaged vectors has a test accuracy of "
        f"{reference['accuracy']:.3f} and a validation NLL of {reference['validation_nll']:.3f}, this run has "
        f"{accuracy:.3f} and {loss:.3f}: {reason}"
    )
