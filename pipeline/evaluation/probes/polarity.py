"""Polarity probe: whether word vectors separate positive from negative words, seen or unseen in training."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from pipeline.evaluation.auc import VARIANCE_FACTOR, area_under_curve, auc_interval, held_out_auc
from pipeline.evaluation.probes.similarity import RowOf

NEIGHBOURS = 10
INVERSE_PENALTY = 0.01  # of squared weights, against the summed loss (scikit-learn's C)
MIN_WORDS = 10  # of each polarity, for a score
BLOCK_QUERIES = 1 << 10

Matrix = NDArray[np.floating]
Words = tuple[NDArray[np.int64], NDArray[np.bool_]]


def polarity(
    initial: Matrix, final: Matrix, opinions: Mapping[str, int], row_of: RowOf, touched: NDArray[np.bool_]
) -> tuple[dict[str, float | None], list[dict[str, Any]]]:
    """Measure how well the vectors in `initial` and `final` (V, D) predict word polarity, as metrics and a table.

    Polarity that training wrote into the rows it read shows in `seen` words only. Polarity learned from unlabelled text
    shows in `seen` and in `unseen` words.

    Parameters
    ----------
    opinions : polarity of words, 0 negative or 1 positive. Words with the same row count once, or not at all if their
        polarities differ.
    touched : (V,) which rows at least one training batch read.

    Returns
    -------
    Metrics, and a table with a row for `seen` (touched) and one for `unseen` words. Scores of a group with fewer than
    10 words of either polarity are None. Metrics ending in `_before` are of the initial matrix.

    `<group>/positive`, `<group>/negative`: number of words by polarity. `coverage`: share of `opinions` in use.
    `<group>/neighbours`: share of a word's 10 nearest neighbours (among all words in use) that have its polarity,
    averaged over positive and over negative words, then over both. `neighbours_chance`: its expectation for unrelated
    vectors, near one half even for unequal numbers of positive and negative words.
    `seen/auc`: area under the ROC curve of a linear classifier on held-out seen words, by five-fold cross-validation.
    `unseen/auc`: the same on unseen words, for a classifier trained on all seen words. 0.5 is chance; the table adds
    95 % intervals.
    """
    words = opinion_rows(opinions, row_of)
    before, after = (_measure(matrix, words, touched) for matrix in (initial, final))
    n = sum(after[group][sign] for group in ("seen", "unseen") for sign in ("positive", "negative"))
    metrics: dict[str, float | None] = {
        "coverage": n / len(opinions) if opinions else 0.0,
        "neighbours_chance": (n - 2) / (2 * (n - 1)) if n > 2 else None,
    }
    table = []
    for group in ("seen", "unseen"):
        old, new = before[group], after[group]
        row: dict[str, Any] = {"words": group, "positive": new["positive"], "negative": new["negative"]}
        row |= {"neighbours_chance": metrics["neighbours_chance"], "neighbours_before": old["neighbours"]}
        row |= {"neighbours": new["neighbours"], "auc_before": old["auc"]}
        row |= {f"before_{end}": old[end] for end in ("low", "high")}
        row |= {name: new[name] for name in ("auc", "low", "high")}
        names = ("positive", "negative", "neighbours_before", "neighbours", "auc_before", "auc")
        metrics |= {f"{group}/{name}": row[name] for name in names}
        table.append(row)
    return metrics, table


def opinion_rows(opinions: Mapping[str, int], row_of: RowOf) -> Words:
    """The rows of `opinions`: ascending ids (n,) and which are positive (n,); rows of both polarities are left out."""
    polarities: dict[int, set[int]] = {}
    for word, positive in opinions.items():
        if (row := row_of(word)) is not None:
            polarities.setdefault(row, set()).add(positive)
    unambiguous = sorted((row, *values) for row, values in polarities.items() if len(values) == 1)
    ids = np.array([row for row, _ in unambiguous], dtype=np.int64)
    return ids, np.array([positive for _, positive in unambiguous], dtype=bool)


def _measure(matrix: NDArray[np.floating], words: Words, touched: NDArray[np.bool_]) -> dict[str, dict[str, Any]]:
    """The sizes, neighbour agreement and AUC with its interval of each group of words, in one matrix.

    Vectors are scaled to unit length, so that both measures depend on cosines alone; zero rows are left out.
    """
    ids, positive = words
    rows = matrix[ids].astype(np.float32)
    norms = np.linalg.norm(rows, axis=1)
    nonzero = norms > 0
    unit, positive, seen = rows[nonzero] / norms[nonzero, None], positive[nonzero], touched[ids[nonzero]]
    groups = {"seen": seen, "unseen": ~seen}
    sizes = {name: (int(positive[group].sum()), int((~positive[group]).sum())) for name, group in groups.items()}
    enough = {name: min(size) >= MIN_WORDS for name, size in sizes.items()}
    agreement = neighbour_agreement(unit, positive) if any(enough.values()) else np.zeros(len(unit))
    result: dict[str, dict[str, Any]] = {}
    for name, group in groups.items():
        scores: dict[str, Any] = dict.fromkeys(("neighbours", "auc", "low", "high"))
        scores |= dict(zip(("positive", "negative"), sizes[name], strict=True))
        if enough[name]:
            means = agreement[group & positive].mean(), agreement[group & ~positive].mean()
            scores["neighbours"] = float(means[0] + means[1]) / 2
        if enough["seen"] and enough[name]:
            if name == "seen":
                auc, weight = held_out_auc(unit[seen], positive[seen], fit_separation), 1 / VARIANCE_FACTOR
            else:
                classifier = fit_separation(unit[seen], positive[seen])
                auc, weight = area_under_curve(classifier(unit[~seen]), positive[~seen]), 1
            low, high = auc_interval(auc, weight * sizes[name][0], weight * sizes[name][1])
            scores |= {"auc": auc, "low": low, "high": high}
        result[name] = scores
    return result


def neighbour_agreement(unit: NDArray[np.float32], positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each of n unit vectors (n, D), the share of its 10 nearest neighbours that have its polarity."""
    k = min(NEIGHBOURS, len(unit) - 1)
    shares = np.empty(len(unit))
    for start in range(0, len(unit), BLOCK_QUERIES):
        cosines = unit[start : start + BLOCK_QUERIES] @ unit.T
        queries = np.arange(len(cosines))
        cosines[queries, start + queries] = -np.inf
        nearest = np.argpartition(cosines, -k, axis=1)[:, -k:]
        shares[start + queries] = (positive[nearest] == positive[start + queries, None]).mean(axis=1)
    return shares


def fit_separation(
    unit: NDArray[np.float32], positive: NDArray[np.bool_]
) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """Fit a linear classifier to unit vectors (n, D); returns its decision function, higher for positive words.

    Logistic regression with balanced class weights and one strong penalty for every matrix. The vectors are scaled to a
    mean square of 1 per dimension, so the fit does not depend on the scale of a variant's initial values. A weaker
    penalty, or whitening as in discriminant analysis, misses much of the single direction that training adds.
    """
    scale = math.sqrt(unit.shape[1])
    model = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced")
    model.fit(unit.astype(np.float64) * scale, positive)
    return lambda others: np.asarray(model.decision_function(others.astype(np.float64) * scale), dtype=np.float64)
