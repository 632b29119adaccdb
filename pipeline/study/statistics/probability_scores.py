"""Scores of probabilities, without a threshold: macro AUC and NLL, each with the influence of every tweet.

`N` tweets, `C` classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from pipeline.classifier.metrics import log_losses
from pipeline.study.statistics.bootstrap import K

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ProbabilityScore(Generic[K]):
    """One score: `values` by column and seed, and the `influence` (N,) by column, mean over its seeds."""

    values: Mapping[K, Mapping[int, float]]
    influence: Mapping[K, Floats]

    def difference_variance(self, first: K, second: K) -> float:
        """Variance of the difference of two columns over test sets (infinitesimal jackknife)."""
        return float(((self.influence[first] - self.influence[second]) ** 2).mean() / len(self.influence[first]))


def macro_auc(labels_N: NDArray[np.integer], probabilities_NC: NDArray[np.floating]) -> tuple[float, Floats]:
    """Area under the ROC curve of a class against the rest, mean over the classes among the labels, and its influence.

    Equal probabilities count half, as in scikit-learn's `roc_auc_score(multi_class="ovr")`. The influence (N,) has mean
    zero; the mean of its square over N is the variance over test sets (DeLong, DeLong and Clarke-Pearson 1988, here
    for a mean of classes). Raises ValueError where the labels are of one class.
    """
    classes = np.unique(labels_N)
    if len(classes) < 2:
        raise ValueError("an AUC needs labels of two classes")
    aucs, influence_N = [], np.zeros(len(labels_N))
    for label in classes:
        positive_N, score_N = labels_N == label, probabilities_NC[:, label]
        positives, negatives = int(positive_N.sum()), int((~positive_N).sum())
        # Of a positive tweet: the share of negatives below it. Of a negative tweet: the share of positives above it.
        rank_N, share_N = rankdata(score_N), np.empty(len(labels_N))
        share_N[positive_N] = (rank_N[positive_N] - rankdata(score_N[positive_N])) / negatives
        share_N[~positive_N] = 1 - (rank_N[~positive_N] - rankdata(score_N[~positive_N])) / positives
        auc = float(share_N[positive_N].mean())
        influence_N += (share_N - auc) * len(labels_N) / np.where(positive_N, positives, negatives)
        aucs.append(auc)
    return float(np.mean(aucs)), influence_N / len(classes)


def nll(labels_N: NDArray[np.integer], probabilities_NC: NDArray[np.floating]) -> tuple[float, Floats]:
    """Mean negative log probability of the true class in nats, and its influence (N,): each tweet's, less the mean."""
    loss_N = log_losses(probabilities_NC[np.arange(len(labels_N)), labels_N])
    return float(loss_N.mean()), loss_N - loss_N.mean()


def probability_scores(
    labels_N: NDArray[np.integer], probabilities: Mapping[K, Mapping[int, NDArray[np.floating]]]
) -> dict[str, ProbabilityScore[K]]:
    """`auc` and `nll` of every run, from probabilities (N, C) by column and seed; empty where labels have one class."""
    scores = {}
    for name, score in {"auc": macro_auc, "nll": nll}.items() if len(np.unique(labels_N)) > 1 else ():
        results = {
            column: {seed: score(labels_N, probabilities_NC) for seed, probabilities_NC in seeds.items()}
            for column, seeds in probabilities.items()
        }
        scores[name] = ProbabilityScore(
            {column: {seed: value for seed, (value, _) in seeds.items()} for column, seeds in results.items()},
            {column: np.mean([influence for _, influence in seeds.values()], 0) for column, seeds in results.items()},
        )
    return scores
