"""A study's statistics as data frames: scores, averages, paired differences, effects, crossovers, McNemar."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.study.statistics.bootstrap import TweetResamples, resample_tweets
from pipeline.study.statistics.comparisons import Comparison, compare_family, paired_differences
from pipeline.study.statistics.crossover import crossover
from pipeline.study.statistics.factorial import CONTRASTS, factorial_effects
from pipeline.study.statistics.intervals import combined_interval, t_interval, tweet_interval
from pipeline.study.statistics.probability_scores import ProbabilityScore, probability_scores
from pipeline.study.statistics.significance import mcnemar

PROBABILITY_COLUMNS = ("auc", "auc_low", "auc_high", "nll", "nll_low", "nll_high")
Cell = tuple[str, int]  # a variant (or baseline) at a label budget
EFFECTS = {"init": "CBOW init", "training": "training", "interaction": "interaction"}
FACTORIAL = ("random_frozen", "random_trainable", "cbow_frozen", "cbow_finetuned")
LEARNED = "random_trainable"
SCORE_COLUMNS = [
    "kind", "variant", "label_budget", "n", "mean", "sd", "low", "high", "low_total", "high_total",
    "auc", "nll", "trainable", "parameters",
]  # fmt: skip
DIFFERENCE_COLUMNS = (
    "a", "b", "label_budget", "planned", "n", "mean", "sd", "low", "high", "low_total", "high_total",
    "p", "p_smallest", "p_holm", "p_holm_smallest", "superiority", "superiority_low", "superiority_high",
    "p_equivalence", "p_equivalence_holm", "decision", "equivalent",
)  # fmt: skip


@dataclass(frozen=True)
class Outcomes:
    """The predictions of all finished runs on the test split.

    labels : (N,) true classes.
    predictions : by variant and label budget, then by seed: predicted classes (N,).
    baselines : names among the variants that are baselines.
    metric : `accuracy` or `macro_recall`.
    resamples : bootstrap resamples of the tweets.
    probabilities : like `predictions`, (N, C), of the methods that predict probabilities.
    """

    labels: NDArray[np.int64]
    predictions: Mapping[Cell, Mapping[int, NDArray[np.int64]]]
    baselines: frozenset[str]
    metric: str
    resamples: int
    probabilities: Mapping[Cell, Mapping[int, NDArray[np.float32]]] = field(default_factory=dict)

    @cached_property
    def tweets(self) -> TweetResamples[Cell]:
        """One bootstrap of the test tweets, shared by every comparison."""
        columns = {cell: np.stack(list(seeds.values())) for cell, seeds in self.predictions.items()}
        return resample_tweets(self.labels, columns, self.metric, resamples=self.resamples)

    @cached_property
    def scores(self) -> dict[Cell, dict[int, float]]:
        """The test score of every run."""
        return {
            cell: {seed: self.score(predicted) for seed, predicted in seeds.items()}
            for cell, seeds in self.predictions.items()
        }

    @cached_property
    def probability_scores(self) -> dict[str, ProbabilityScore[Cell]]:
        """Macro AUC and NLL of every run with probabilities."""
        return probability_scores(self.labels, self.probabilities)

    @property
    def budgets(self) -> list[int]:
        """Label budgets, ascending."""
        return sorted({budget for _, budget in self.predictions})

    def paired(
        self, *cells: Cell, scores: Mapping[Cell, Mapping[int, float]] | None = None
    ) -> list[NDArray[np.float64]]:
        """Scores (S,) of each cell over the seeds that all of them have; empty where a cell is missing."""
        scores = self.scores if scores is None else scores
        if any(cell not in scores for cell in cells):
            return []
        seeds = sorted(set.intersection(*(set(scores[cell]) for cell in cells)))
        return [np.array([scores[cell][seed] for seed in seeds]) for cell in cells] if seeds else []

    def score(self, predicted: NDArray[np.int64]) -> float:
        """The score of predicted classes (N,)."""
        return score_of(self.metric, self.labels, predicted)


def score_of(metric: str, labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """Accuracy or macro recall of predicted classes (N,)."""
    correct = predicted == labels
    if metric == "accuracy":
        return float(correct.mean())
    return float(np.mean([correct[labels == label].mean() for label in np.unique(labels)]))


def score_frame(outcomes: Outcomes, parameters: Mapping[Cell, tuple[float | None, float | None]]) -> pd.DataFrame:
    """`StudyResults.scores`; `parameters` gives trainable and total parameters of each cell."""
    rows = []
    for cell in outcomes.predictions:
        values = list(outcomes.scores[cell].values())
        over_seeds, total = t_interval(values), combined_interval(values, outcomes.tweets.variance(cell))
        kind = "baseline" if cell[0] in outcomes.baselines else "variant"
        bounds = (over_seeds.low, over_seeds.high, total.low, total.high)
        clipped = [None if bound is None else min(max(bound, 0.0), 1.0) for bound in bounds]  # as scores are
        others = (outcomes.probability_scores[name].values.get(cell) for name in outcomes.probability_scores)
        means = [float(np.mean(list(seeds.values()))) if seeds else None for seeds in others] or [None, None]
        numbers = (over_seeds.n, over_seeds.mean, over_seeds.sd, *clipped, *means)
        rows.append((kind, *cell, *numbers, *parameters.get(cell, (None, None))))
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)


def ensemble_frame(outcomes: Outcomes) -> pd.DataFrame:
    """`StudyResults.ensembles`: the average of the probabilities of a variant's runs, with an interval over tweets."""
    predicted = {
        cell: np.mean(list(seeds.values()), axis=0).argmax(axis=1)
        for cell, seeds in outcomes.probabilities.items()
        if len(seeds) > 1 and cell[0] not in outcomes.baselines
    }
    columns = {cell: predicted_N[None] for cell, predicted_N in predicted.items()}
    tweets = resample_tweets(outcomes.labels, columns, outcomes.metric, resamples=outcomes.resamples)
    rows = []
    for cell, predicted_N in predicted.items():
        interval = tweet_interval(outcomes.score(predicted_N), tweets.variance(cell))
        rows.append((*cell, len(outcomes.probabilities[cell]), interval.mean, interval.low, interval.high))
    return pd.DataFrame(rows, columns=["variant", "label_budget", "n", "mean", "low", "high"])


def difference_frame(
    outcomes: Outcomes, planned: Sequence[tuple[str, str]], others: Sequence[tuple[str, str]], smallest_effect: float
) -> pd.DataFrame:
    """`StudyResults.differences`, its sentences aside.

    The `planned` pairs at every label budget are one family of tests; `others` are described, not tested.
    """
    rows: list[dict[str, Any]] = []
    for pairs, is_planned in ((planned, True), (others, False)):
        differences = {}
        for first, second in pairs:
            for budget in outcomes.budgets:
                if scores := outcomes.paired((first, budget), (second, budget)):
                    differences[first, second, budget] = paired_differences(*scores)
        variances = {
            (first, second, budget): outcomes.tweets.difference_variance((first, budget), (second, budget))
            for first, second, budget in differences
        }
        for key, comparison in compare_family(differences, variances, smallest_effect).items():
            rows.append(difference_row(*key, is_planned, comparison) | _probability_differences(outcomes, *key))
    return pd.DataFrame(rows, columns=[*DIFFERENCE_COLUMNS, *PROBABILITY_COLUMNS])


def _probability_differences(outcomes: Outcomes, first: str, second: str, budget: int) -> dict[str, float | None]:
    """First minus second in macro AUC and NLL, with intervals for other seeds and other test tweets."""
    cells = ((first, budget), (second, budget))
    row: dict[str, float | None] = {}
    for name, score in outcomes.probability_scores.items():
        if values := outcomes.paired(*cells, scores=score.values):
            interval = combined_interval(paired_differences(*values), score.difference_variance(*cells))
            row |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return row


def difference_row(first: str, second: str, budget: int, planned: bool, comparison: Comparison) -> dict[str, Any]:
    """A row of `difference_frame`; corrected p-values and the decision of a pair that was not planned are None."""
    seeds, total, wins = comparison.over_seeds, comparison.combined, comparison.superiority
    holm = (comparison.holm_p, comparison.smallest_holm_p) if planned else (None, None)
    equivalence_holm, decision = (
        (comparison.equivalence_holm_p, comparison.decision.verdict) if planned else (None, None)
    )
    values = (
        *(first, second, budget, planned, seeds.n, seeds.mean, seeds.sd, seeds.low, seeds.high, total.low, total.high),
        *(comparison.p, comparison.smallest_p, *holm, wins.share, wins.low, wins.high),
        *(comparison.equivalence_p, equivalence_holm, decision, comparison.decision.equivalent),
    )
    return dict(zip(DIFFERENCE_COLUMNS, values, strict=True))


def factorial_frame(outcomes: Outcomes) -> pd.DataFrame:
    """`StudyResults.factorial`, for the label budgets that have all four variants of the 2 × 2 design.

    The effects at all budgets are one family of tests.
    """
    effects, variances = {}, {}
    for budget in outcomes.budgets:
        cells = [(variant, budget) for variant in FACTORIAL]
        if scores := outcomes.paired(*cells):
            for name, effect_S in factorial_effects(scores).items():
                weights = dict(zip(cells, CONTRASTS[name], strict=True))
                effects[budget, EFFECTS[name]] = effect_S
                variances[budget, EFFECTS[name]] = outcomes.tweets.contrast_variance(weights)
    rows = []
    for key, effect in compare_family(effects, variances).items():
        seeds, total = effect.over_seeds, effect.combined
        rows.append((*key, seeds.n, seeds.mean, seeds.low, seeds.high, total.low, total.high, effect.p, effect.holm_p))
    columns = ["label_budget", "effect", "n", "mean", "low", "high", "low_total", "high_total", "p", "p_holm"]
    return pd.DataFrame(rows, columns=columns)


def crossover_frame(outcomes: Outcomes, variants: Sequence[str]) -> pd.DataFrame:
    """`StudyResults.crossover`, its sentences aside: where vectors learned from scratch reach each of `variants`."""
    rows = []
    for variant in variants:
        shared = [n for n in outcomes.budgets if {(variant, n), (LEARNED, n)} <= set(outcomes.predictions)]
        cells = [(name, n) for name in (LEARNED, variant) for n in shared]
        if variant == LEARNED or len(shared) < 2 or not (scores := outcomes.paired(*cells)):
            continue
        scratch, rival = np.stack(scores[: len(shared)], 1), np.stack(scores[len(shared) :], 1)
        variances = [outcomes.tweets.difference_variance((variant, n), (LEARNED, n)) for n in shared]
        rows.append((variant, *astuple(crossover(shared, scratch, rival, variances))))
    return pd.DataFrame(rows, columns=["variant", "kind", "estimate", "low", "high", "certain"])


def mcnemar_frame(outcomes: Outcomes, pair: tuple[str, str]) -> pd.DataFrame:
    """`StudyResults.mcnemar`: a pair at the largest label budget, a row per seed."""
    budget = outcomes.budgets[-1]
    first, second = (outcomes.predictions.get((name, budget), {}) for name in pair)
    rows = [
        (*pair, budget, seed, *astuple(mcnemar(outcomes.labels, first[seed], second[seed])))
        for seed in sorted(set(first) & set(second))
    ]
    return pd.DataFrame(rows, columns=["a", "b", "label_budget", "seed", "only_a", "only_b", "p"])
