"""From runs to comparisons: scores, paired differences, factorial effects, crossovers and McNemar's test as tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.study.report.phrases import effect_text, interval_points
from pipeline.study.statistics.bootstrap import TweetResamples, resample_tweets
from pipeline.study.statistics.comparisons import Comparison, compare_family, paired_differences
from pipeline.study.statistics.crossover import Crossover, crossover
from pipeline.study.statistics.factorial import factorial_effects
from pipeline.study.statistics.intervals import combined_interval, t_interval
from pipeline.study.statistics.tests import mcnemar

Cell = tuple[str, int]  # a variant (or baseline) at a label budget
EFFECTS = {"init": "CBOW init", "training": "training", "interaction": "interaction"}
FACTORIAL = ("random_frozen", "random_trainable", "cbow_frozen", "cbow_finetuned")
LEARNED = "random_trainable"


@dataclass(frozen=True)
class Outcomes:
    """What the finished runs predicted on the test split.

    Attributes
    ----------
    labels : (N,) true classes.
    predictions : by variant and label budget, then by seed: predicted classes (N,).
    baselines : names among the variants that are baselines.
    metric : `accuracy` or `macro_recall`.
    resamples : bootstrap resamples of the tweets.
    """

    labels: NDArray[np.int64]
    predictions: Mapping[Cell, Mapping[int, NDArray[np.int64]]]
    baselines: frozenset[str]
    metric: str
    resamples: int

    @cached_property
    def tweets(self) -> TweetResamples[Cell]:
        """One bootstrap of the test tweets, shared by every comparison."""
        columns = {cell: np.stack(list(seeds.values())) for cell, seeds in self.predictions.items()}
        return resample_tweets(self.labels, columns, self.metric, resamples=self.resamples)

    @cached_property
    def scores(self) -> dict[Cell, dict[int, float]]:
        """The test score of every run."""
        return {
            cell: {seed: self._score(predicted) for seed, predicted in seeds.items()}
            for cell, seeds in self.predictions.items()
        }

    @property
    def budgets(self) -> list[int]:
        """Label budgets, ascending."""
        return sorted({budget for _, budget in self.predictions})

    def paired(self, *cells: Cell) -> list[NDArray[np.float64]]:
        """Scores (S,) of cells over the seeds that all of them have; none where one is missing."""
        if any(cell not in self.scores for cell in cells):
            return []
        seeds = sorted(set.intersection(*(set(self.scores[cell]) for cell in cells)))
        return [np.array([self.scores[cell][seed] for seed in seeds]) for cell in cells] if seeds else []

    def _score(self, predicted: NDArray[np.int64]) -> float:
        right = predicted == self.labels
        if self.metric == "accuracy":
            return float(right.mean())
        return float(np.mean([right[self.labels == label].mean() for label in np.unique(self.labels)]))


def score_frame(outcomes: Outcomes, parameters: Mapping[Cell, tuple[float | None, float | None]]) -> pd.DataFrame:
    """`StudyResults.scores`; `parameters` gives trainable and total parameters of each cell."""
    rows = []
    for cell in outcomes.predictions:
        values = list(outcomes.scores[cell].values())
        over_seeds = t_interval(values)
        total = combined_interval(values, outcomes.tweets.variance(cell))
        trainable, all_parameters = parameters.get(cell, (None, None))
        rows.append(
            {
                "kind": "baseline" if cell[0] in outcomes.baselines else "variant",
                "variant": cell[0],
                "label_budget": cell[1],
                "n": over_seeds.n,
                "mean": over_seeds.mean,
                "sd": over_seeds.sd,
                "low": _fraction(over_seeds.low),
                "high": _fraction(over_seeds.high),
                "low_total": _fraction(total.low),
                "high_total": _fraction(total.high),
                "trainable": trainable,
                "parameters": all_parameters,
            }
        )
    return pd.DataFrame(rows)


def _fraction(bound: float | None) -> float | None:
    """A bound of a score, which no interval of a normal distribution keeps within 0 and 1."""
    return None if bound is None else min(max(bound, 0.0), 1.0)


def difference_frame(
    outcomes: Outcomes,
    planned: Sequence[tuple[str, str]],
    others: Sequence[tuple[str, str]],
    smallest_effect: float,
) -> pd.DataFrame:
    """`StudyResults.differences`: planned pairs at every budget are one family; `others` are described, not tested."""
    rows: list[dict[str, Any]] = []
    for pairs, is_planned in ((planned, True), (others, False)):
        found = {}
        for first, second in pairs:
            for budget in outcomes.budgets:
                if scores := outcomes.paired((first, budget), (second, budget)):
                    found[first, second, budget] = paired_differences(*scores)
        variances = {key: outcomes.tweets.difference_variance((key[0], key[2]), (key[1], key[2])) for key in found}
        for key, comparison in compare_family(found, variances, smallest_effect).items():
            rows.append(_difference_row(*key, is_planned, comparison, smallest_effect))
    return pd.DataFrame(rows, columns=list(DIFFERENCE_COLUMNS))


DIFFERENCE_COLUMNS = (
    "a", "b", "label_budget", "planned", "n", "mean", "sd", "low", "high", "low_total", "high_total",
    "p", "p_smallest", "p_holm", "p_holm_smallest", "superiority", "superiority_low", "superiority_high",
    "p_equivalence", "decision", "equivalent", "sentence",
)  # fmt: skip


def _difference_row(
    first: str, second: str, budget: int, planned: bool, found: Comparison, smallest_effect: float
) -> dict[str, Any]:
    return {
        "a": first,
        "b": second,
        "label_budget": budget,
        "planned": planned,
        "n": found.over_seeds.n,
        "mean": found.over_seeds.mean,
        "sd": found.over_seeds.sd,
        "low": found.over_seeds.low,
        "high": found.over_seeds.high,
        "low_total": found.combined.low,
        "high_total": found.combined.high,
        "p": found.p,
        "p_smallest": found.smallest_p,
        "p_holm": found.holm_p if planned else None,
        "p_holm_smallest": found.smallest_holm_p if planned else None,
        "superiority": found.superiority.share,
        "superiority_low": found.superiority.low,
        "superiority_high": found.superiority.high,
        "p_equivalence": found.equivalence_p,
        "decision": found.decision.verdict if planned else None,
        "equivalent": found.decision.equivalent,
        "sentence": difference_sentence(first, second, found, smallest_effect, planned),
    }


def difference_sentence(first: str, second: str, found: Comparison, smallest_effect: float, planned: bool) -> str:
    """What may be said of a difference, in one sentence with its number."""
    points, size = effect_text(smallest_effect), interval_points(found.combined)
    if not planned:
        return f"{first} − {second}: {size} (not planned, not tested)"
    small = f", but by less than {points}" if found.decision.equivalent else ""
    meaning = {
        "higher": f"{first} scores higher than {second}{small}",
        "lower": f"{first} scores lower than {second}{small}",
        "equivalent": f"{first} and {second} differ by less than {points}",
        "undecided": f"{first} and {second} are not told apart, nor shown to be within {points} of each other",
        "too few seeds": (
            f"{first} and {second}: {found.over_seeds.n} seeds are too few to test this family (the corrected p cannot "
            f"fall below {found.smallest_holm_p:.3g}); read the interval"
        ),
    }
    return f"{meaning[found.decision.verdict]}: {size}"


def factorial_frame(outcomes: Outcomes) -> pd.DataFrame:
    """`StudyResults.factorial`, where all four variants of the 2 × 2 design are there."""
    rows = []
    for budget in outcomes.budgets:
        columns = [(variant, budget) for variant in FACTORIAL]
        if scores := outcomes.paired(*columns):
            for name, effect in factorial_effects(*scores, tweets=outcomes.tweets, columns=columns).items():
                interval = effect.combined
                rows.append(
                    {
                        "label_budget": budget,
                        "effect": EFFECTS[name],
                        "n": interval.n,
                        "mean": interval.mean,
                        "low": interval.low,
                        "high": interval.high,
                        "p": effect.p,
                    }
                )
    return pd.DataFrame(rows, columns=["label_budget", "effect", "n", "mean", "low", "high", "p"])


def crossover_frame(outcomes: Outcomes, variants: Sequence[str]) -> pd.DataFrame:
    """`StudyResults.crossover`: from how many labels on learned embeddings have reached each of `variants`."""
    rows = []
    for variant in variants:
        shared = [n for n in outcomes.budgets if {(variant, n), (LEARNED, n)} <= set(outcomes.predictions)]
        cells = [(name, n) for name in (LEARNED, variant) for n in shared]
        if variant == LEARNED or len(shared) < 2 or not (scores := outcomes.paired(*cells)):
            continue
        learned, rival = np.stack(scores[: len(shared)], 1), np.stack(scores[len(shared) :], 1)
        variances = [outcomes.tweets.difference_variance((variant, n), (LEARNED, n)) for n in shared]
        found = crossover(shared, learned, rival, variances)
        rows.append(
            {
                "variant": variant,
                "kind": found.kind,
                "estimate": found.estimate,
                "low": found.low,
                "high": found.high,
                "certain": found.certain,
                "sentence": crossover_sentence(variant, found, shared),
            }
        )
    return pd.DataFrame(rows, columns=["variant", "kind", "estimate", "low", "high", "certain", "sentence"])


def crossover_sentence(variant: str, found: Crossover, budgets: Sequence[int]) -> str:
    """Where learned embeddings reach a variant, in one sentence."""
    smallest, largest = budgets[0], budgets[-1]
    low, high = (None if end is None else f"{end:,.0f}" for end in (found.low, found.high))
    one_seed = low is None and not found.certain
    if found.kind == "reached":
        bottom = f"{low} or fewer" if found.low == smallest else low
        interval = (
            "one seed, no interval" if one_seed else f"95 % interval {bottom} to {high or f'more than {largest:,}'}"
        )
        return f"{LEARNED} reaches {variant} at about {found.estimate:,.0f} labels ({interval})"
    if found.kind == "ahead from the start":
        sentence = f"{LEARNED} is not behind {variant} with {smallest:,} labels or more"
        doubt = f"it may be so only {f'from {high} labels on' if high else f'with more than {largest:,} labels'}"
    else:
        sentence = f"{LEARNED} has not reached {variant} with {largest:,} labels"
        doubt = f"with {low} labels or more it may have"
    if found.certain:
        return sentence
    return f"{sentence} (one seed, no interval)" if one_seed else f"{sentence}, which is not certain: {doubt}"


def mcnemar_frame(outcomes: Outcomes, pair: tuple[str, str]) -> pd.DataFrame:
    """`StudyResults.mcnemar`: the headline pair at the largest budget, seed by seed."""
    budget = outcomes.budgets[-1]
    first, second = (outcomes.predictions.get((name, budget), {}) for name in pair)
    rows = []
    for seed in sorted(set(first) & set(second)):
        found = mcnemar(outcomes.labels, first[seed], second[seed])
        rows.append(
            {
                "a": pair[0],
                "b": pair[1],
                "label_budget": budget,
                "seed": seed,
                "only_a": found.only_first,
                "only_b": found.only_second,
                "p": found.p,
            }
        )
    return pd.DataFrame(rows, columns=["a", "b", "label_budget", "seed", "only_a", "only_b", "p"])
