"""Scores: accuracy, macro recall, macro F1, calibration error (fractions in [0, 1]), NLL (nats); never rounded."""

import numpy as np
from numpy.typing import NDArray

SCORES = ("accuracy", "macro_recall", "macro_f1", "nll", "ece")


def confusion_matrix(
    labels_N: NDArray[np.integer], predicted_N: NDArray[np.integer], classes: int
) -> NDArray[np.int64]:
    """Counts (C, C): rows are true classes, columns predicted ones."""
    cell_N = labels_N.astype(np.int64) * classes + predicted_N
    return np.bincount(cell_N, minlength=classes * classes).reshape(classes, classes)


def expected_calibration_error(
    labels_N: NDArray[np.integer], probabilities_NC: NDArray[np.floating], bins: int = 15
) -> float:
    """Mean gap between confidence and accuracy over bins of equal width, weighted by bin size (Guo et al. 2017).

    A bin holds confidences in (lower, upper], as in the paper.
    """
    confidence_N = probabilities_NC.max(axis=1)
    correct_N = probabilities_NC.argmax(axis=1) == labels_N
    bin_N = np.clip(np.ceil(confidence_N * bins).astype(int) - 1, 0, bins - 1)
    gap_sums = np.bincount(bin_N, weights=correct_N - confidence_N.astype(np.float64), minlength=bins)
    return float(np.abs(gap_sums).sum() / len(labels_N))


def scores(labels_N: NDArray[np.integer], probabilities_NC: NDArray[np.floating]) -> dict[str, float]:
    """The five scores of a split.

    `macro_recall` averages over the classes among the true labels, `macro_f1` over those among true or predicted ones
    (scikit-learn's convention). `nll` is the mean negative natural log of the true class's probability, which is
    floored at the smallest positive float32. Raises ValueError if the split is empty.
    """
    if len(labels_N) == 0:
        raise ValueError("no labels to score: the split is empty")
    labels_N = np.asarray(labels_N, dtype=np.int64)
    matrix_CC = confusion_matrix(labels_N, probabilities_NC.argmax(axis=1), probabilities_NC.shape[1])
    return {
        **counted_scores(matrix_CC),
        "nll": negative_log_likelihood(probabilities_NC[np.arange(len(labels_N)), labels_N]),
        "ece": expected_calibration_error(labels_N, probabilities_NC),
    }


def score(
    name: str, labels_N: NDArray[np.int64], predicted_N: NDArray[np.integer], true_probability_N: NDArray[np.floating]
) -> float:
    """One of `scores` but `ece`, from the predicted classes and the probabilities of the true ones."""
    if name == "nll":
        return negative_log_likelihood(true_probability_N)
    classes = int(max(labels_N.max(), predicted_N.max())) + 1
    return counted_scores(confusion_matrix(labels_N, predicted_N, classes))[name]


def counted_scores(matrix_CC: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, macro recall and macro F1 of a confusion matrix."""
    true_C, predicted_C, correct_C = matrix_CC.sum(axis=1), matrix_CC.sum(axis=0), np.diag(matrix_CC)
    is_true_C, is_either_C = true_C > 0, (true_C + predicted_C) > 0
    return {
        "accuracy": float(correct_C.sum() / true_C.sum()),
        "macro_recall": float((correct_C[is_true_C] / true_C[is_true_C]).mean()),
        "macro_f1": float((2 * correct_C[is_either_C] / (true_C + predicted_C)[is_either_C]).mean()),
    }


def negative_log_likelihood(true_probability_N: NDArray[np.floating]) -> float:
    """Mean of `log_losses`, in nats."""
    return float(log_losses(true_probability_N).mean())


def log_losses(true_probability_N: NDArray[np.floating]) -> NDArray[np.float64]:
    """Negative natural log of the true class's probability (N,), floored at the smallest positive float32."""
    floored_N = np.maximum(true_probability_N.astype(np.float64), np.finfo(np.float32).tiny)
    return np.asarray(-np.log(floored_N))
