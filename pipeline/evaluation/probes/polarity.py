"""Whether the rows of positive and of negative words lie apart, for words that training saw and words it did not."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from pipeline.evaluation.probes.similarity import Z_95

NEIGHBOURS = 10
FOLDS = 5
# The fits of the folds share most of their words, so the variance of their mean is larger than that of as many words
# judged by one fit, by this factor (Nadeau and Bengio 2003, Machine Learning 52, 239-281: 1/K + 1/(K - 1) for 1/K).
OVERLAP = 1 + FOLDS / (FOLDS - 1)
INVERSE_PENALTY = 0.01  # of squared weights, against the summed loss (scikit-learn's C)
FEWEST_WORDS = 10  # of either polarity, for a number to be given
BLOCK_QUERIES = 1 << 10

Words = tuple[NDArray[np.int64], NDArray[np.bool_]]


def polarity(
    initial: NDArray[np.floating],
    final: NDArray[np.floating],
    opinions: Mapping[str, int],
    id_of: Mapping[str, int],
    normalize: Callable[[str], str | None],
    seen: NDArray[np.bool_],
) -> tuple[dict[str, float | None], list[dict[str, Any]]]:
    """Measure how far polarity can be read off the rows of `initial` and `final` (V, D), as metrics and as a table.

    Parameters
    ----------
    opinions : polarity of words, 0 negative or 1 positive.
    id_of : the row of each token that may be judged, specials left out.
    normalize : the one token that the run's text preset makes of a word, or None where it is not one token. Words that
        become one token count once, or not at all where they disagree.
    seen : (V,) which rows the labelled training tweets read.

    Returns
    -------
    Metrics, a table with a row for `seen` and one for `unseen` words. None stands for what fewer than 10 words of
    either polarity cannot tell; those that end in `_before` are of the initial matrix.

    `<group>/positive`, `<group>/negative`: words of the group, by polarity. `coverage`: share of `opinions` in use.
    `<group>/neighbours`: share of the 10 nearest among all words in use that have the word's own polarity, the mean of
    the means of positive and of negative words. `neighbours_chance`: what unrelated rows give, close to one half
    however unequal the two polarities are and however often some rows are neighbours.
    `seen/auc`: probability that a linear classifier ranks a positive above a negative seen word, on words held out from
    its training (five-fold cross-validation); `unseen/auc`: the same for unseen words and a classifier trained on all
    seen ones. 0.5 is chance; the table adds 95 % intervals. A polarity that only training wrote into the rows it read
    shows in `seen`, one that the words' use in unlabelled text has given them in both.
    """
    words = opinion_rows(opinions, id_of, normalize)
    before, after = (_measure(matrix, words, seen) for matrix in (initial, final))
    used = after["seen"]["positive"] + after["seen"]["negative"] + after["unseen"]["positive"]
    used += after["unseen"]["negative"]
    metrics: dict[str, float | None] = {
        "coverage": used / len(opinions) if opinions else 0.0,
        "neighbours_chance": (used - 2) / (2 * (used - 1)) if used > 2 else None,
    }
    table = []
    for group in ("seen", "unseen"):
        old, new = before[group], after[group]
        row = {
            "words": group,
            "positive": new["positive"],
            "negative": new["negative"],
            "neighbours_chance": metrics["neighbours_chance"],
            "neighbours_before": old["neighbours"],
            "neighbours": new["neighbours"],
            "auc_before": old["auc"],
            "before_low": old["low"],
            "before_high": old["high"],
            "auc": new["auc"],
            "low": new["low"],
            "high": new["high"],
        }
        shown = ("positive", "negative", "neighbours_before", "neighbours", "auc_before", "auc")
        metrics |= {f"{group}/{key}": row[key] for key in shown}
        table.append(row)
    return metrics, table


def opinion_rows(
    opinions: Mapping[str, int], id_of: Mapping[str, int], normalize: Callable[[str], str | None]
) -> Words:
    """Look up the rows of `opinions`: rising ids (n,) and which are positive (n,). A token of both kinds has none."""
    found: dict[int, set[int]] = {}
    for word, positive in opinions.items():
        token = normalize(word)
        if token is not None and (row := id_of.get(token)) is not None:
            found.setdefault(row, set()).add(positive)
    agreed = sorted((row, *kinds) for row, kinds in found.items() if len(kinds) == 1)
    ids = np.array([row for row, _ in agreed], dtype=np.int64)
    return ids, np.array([positive for _, positive in agreed], dtype=bool)


def _measure(matrix: NDArray[np.floating], words: Words, seen: NDArray[np.bool_]) -> dict[str, dict[str, Any]]:
    """Measure one matrix: for each group of words its size, neighbours' polarity, and separation with interval.

    Rows are brought to unit length, so that both measures see what a cosine sees; zero rows are left out.
    """
    ids, positive = words
    rows = matrix[ids].astype(np.float32)
    lengths = np.linalg.norm(rows, axis=1)
    there = lengths > 0
    unit, positive, seen = rows[there] / lengths[there, None], positive[there], seen[ids[there]]
    groups = {"seen": seen, "unseen": ~seen}
    sizes = {name: (int(positive[group].sum()), int((~positive[group]).sum())) for name, group in groups.items()}
    enough = {name: min(size) >= FEWEST_WORDS for name, size in sizes.items()}
    same = neighbour_agreement(unit, positive) if any(enough.values()) else np.zeros(len(unit))
    scored = {
        "seen": lambda: held_out_auc(unit[seen], positive[seen]),
        "unseen": lambda: area_under_curve(
            fit_separation(unit[seen], positive[seen])(unit[~seen]), positive[~seen]
        ),
    }  # fmt: skip
    result: dict[str, dict[str, Any]] = {}
    for name, group in groups.items():
        found: dict[str, Any] = dict.fromkeys(("neighbours", "auc", "low", "high"))
        found |= dict(zip(("positive", "negative"), sizes[name], strict=True))
        if enough[name]:
            found["neighbours"] = float(same[group & positive].mean() + same[group & ~positive].mean()) / 2
        if enough["seen"] and enough[name]:
            auc = scored[name]()
            worth = 1 / OVERLAP if name == "seen" else 1
            interval = auc_interval(auc, worth * sizes[name][0], worth * sizes[name][1])
            found |= zip(("auc", "low", "high"), (auc, *interval), strict=True)
        result[name] = found
    return result


def neighbour_agreement(unit: NDArray[np.float32], positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Compute for each of n rows of unit length (n, D) the share of its 10 nearest that have its polarity."""
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
    """Fit a linear classifier to rows of unit length (n, D) and return what scores others: higher is more positive.

    Logistic regression in which both polarities weigh the same, with one strong penalty for every matrix: the rows are
    brought to a mean square of 1 per dimension, so it does not depend on the scale that a variant starts from. A weaker
    penalty, or whitening the rows as a discriminant does, misses much of the one direction that training writes.
    """
    scale = math.sqrt(unit.shape[1])
    model = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced").fit(
        unit.astype(np.float64) * scale, positive
    )
    return lambda others: np.asarray(model.decision_function(others.astype(np.float64) * scale), dtype=np.float64)


def held_out_auc(unit: NDArray[np.float32], positive: NDArray[np.bool_]) -> float:
    """Compute the mean over five folds of the area under the curve of words held out from the fit.

    Folds have equal shares of both polarities and are the same whenever the words are. Scores of different folds, which
    come from different fits, are never ranked against each other.
    """
    fold = np.empty(len(unit), dtype=np.int64)
    draw = np.random.default_rng(0)
    for members in (np.flatnonzero(positive), np.flatnonzero(~positive)):
        fold[draw.permutation(members)] = np.arange(len(members)) % FOLDS
    areas = []
    for number in range(FOLDS):
        kept, held = fold != number, fold == number
        areas.append(area_under_curve(fit_separation(unit[kept], positive[kept])(unit[held]), positive[held]))
    return float(np.mean(areas))


def area_under_curve(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Compute the probability that a positive scores higher than a negative, ties counting one half (Mann-Whitney)."""
    m, n = int(positive.sum()), int((~positive).sum())
    return float((rankdata(scores)[positive].sum() - m * (m + 1) / 2) / (m * n))


def auc_interval(auc: float, m: float, n: float) -> tuple[float, float]:
    """Return the 95 % interval of an area under the curve over `m` positives and `n` negatives, were others drawn.

    A score interval, which stays within [0, 1] and open at 1: method 5 of Newcombe (2006, Statistics in Medicine 25,
    559-573), whose standard error is that of Hanley and McNeil (1982) with equal group sizes in its numerator.
    """
    half = (m + n) / 2 - 1

    def excess(value: float) -> float:
        variance = value * (1 - value) / (m * n)
        variance *= 1 + half * (1 - value) / (2 - value) + half * value / (1 + value)
        return abs(auc - value) - Z_95 * math.sqrt(max(variance, 0.0))

    inside = min(max(auc, 1e-9), 1 - 1e-9)  # 0 and 1 have no variance, so they are roots where they are the area itself
    low = 0.0 if auc <= 0 else float(brentq(excess, 0, min(auc, inside)))
    high = 1.0 if auc >= 1 else float(brentq(excess, max(auc, inside), 1))
    return low, high
