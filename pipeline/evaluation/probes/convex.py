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
MAX_WORK = 60_000_000  # labelled tweets × dimensions × classes: more would take over about ten seconds
NOTED_DIFFERENCE = 0.003  # of accuracy
MAX_ITERATIONS = 200


def is_convex(config: Config) -> bool:
    """Whether the run is a logistic regression: mean vectors that training does not change, and no projection."""
    return config.model.encoder == "mean" and not (config.embedding.trainable or config.embedding.projected)


def convex_reference(
    matrix_VE: NDArray[np.float32], splits: Mapping[str, EncodedSplit], rows: NDArray[np.integer], class_weights: str
) -> dict[str, float] | None:
    """Test `accuracy` and `nll` of a logistic regression on the mean vectors of the training tweets `rows`.

    C is chosen from `GRID` by validation NLL. The weights of the classes are those of the run. None without validation
    tweets, for training tweets without one of the classes, and above `MAX_WORK`.
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
    features = standardized({name: share @ matrix for name, share in shares.items()})
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
    return {score: best[score] for score in ("accuracy", "nll")}


def convex_note(reference: float, result: "RunResult", config: Config) -> str | None:
    """The caveat for a run whose test accuracy differs notably from the `reference`, with the probable reason."""
    accuracy = result.metrics["test/accuracy"]
    if abs(accuracy - reference) <= NOTED_DIFFERENCE:
        return None
    dropout, train, last = config.model.dropout, config.train, result.chosen_epoch == len(result.history)
    if dropout and accuracy < reference:
        reason = f"model.dropout={dropout:g} may under-fit averaged vectors: compare model.dropout=0"
    elif train.monitor != "nll":
        reason = f"the epoch was chosen by {train.monitor}, the regression by NLL: compare train.monitor=nll"
    elif last:
        reason = f"the last of {result.chosen_epoch} epochs was the best on validation: compare a higher train.lr_head"
    else:
        reason = f"training ended at epoch {result.chosen_epoch}, before the optimum: compare a lower train.lr_head"
    return (
        f"a logistic regression on the same averaged vectors, chosen by validation NLL, has a test accuracy of "
        f"{reference:.3f}, this run {accuracy:.3f}; {reason}"
    )
