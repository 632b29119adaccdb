"""What a search adds to the results of a study: its trials, the expected best score by trials, and their tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.config.schema import Config
from pipeline.study.design import value_of
from pipeline.study.results import METRIC_NAMES
from pipeline.study.search.space import Range
from pipeline.study.search.trials import Trial, best_trials
from pipeline.study.statistics.expected_best import Band, bands, best_so_far, crossing, expected_best_replaced, lead

DEFAULT = "@default"  # ends the name of a variant with the settings of the configuration
INDEPENDENT = ("random",)  # samplers whose trials are independent draws


@dataclass(frozen=True)
class SearchResults:
    """The trials of a search, best settings and curves.

    Attributes
    ----------
    trials : all trials, by variant and number.
    ranges : what was searched. defaults : the value of each key in the configuration.
    monitor : the validation score of trials. sampler : `random` or `tpe`. pairs : of variants, to compare curves.
    """

    trials: Sequence[Trial]
    ranges: Sequence[Range]
    defaults: Mapping[str, Any]
    monitor: str
    sampler: str
    pairs: Sequence[tuple[str, str]]
    resamples: int

    @property
    def sign(self) -> int:
        """1 where a higher score is better, else -1."""
        return -1 if self.monitor == "nll" else 1

    @property
    def score_name(self) -> str:
        """The validation score in words, with its unit: `validation macro recall, %`."""
        return f"validation {METRIC_NAMES[self.monitor]}, {'nats' if self.monitor == 'nll' else '%'}"

    @property
    def display_factor(self) -> int:
        """The factor from a score, more is better, to its displayed value: percent, or nats."""
        return -1 if self.monitor == "nll" else 100

    @property
    def decimals(self) -> int:
        """Decimals of a displayed score."""
        return 3 if self.monitor == "nll" else 1

    @property
    def independent(self) -> bool:
        """Whether the trials are independent draws."""
        return self.sampler in INDEPENDENT

    @property
    def budget(self) -> int:
        """Trials of each variant."""
        return max(trial.number for trial in self.trials)

    @cached_property
    def best(self) -> dict[str, Trial]:
        """The best trial of each variant that has a trial with a score."""
        return best_trials(self.trials, self.monitor)

    def edges(self, range_: Range) -> list[str]:
        """The variants whose best value lies at an end of the range."""
        return [name for name, trial in self.best.items() if range_.at_edge(trial.setting[range_.key])]

    @cached_property
    def scores(self) -> dict[str, NDArray[np.float64]]:
        """Validation scores (N,) by variant, more is better; one that diverged has the worst score of the whole search.

        So it counts as a trial and is never better than another, without an invented score.
        """
        worst = min(self.sign * trial.score for trial in self.trials if trial.score is not None)
        return {
            name: np.array(
                [worst if t.score is None else self.sign * t.score for t in self.trials if t.variant == name]
            )
            for name in self.best
        }

    @cached_property
    def bands(self) -> dict[str, Band]:
        """Expected best scores by variant, more is better."""
        return bands(self.scores, self.resamples)

    @cached_property
    def leads(self) -> dict[tuple[str, str], Band]:
        """For each pair, how much better the expected best of the first is."""
        return {pair: lead(self.scores, *pair, self.resamples) for pair in self.pairs if set(pair) <= set(self.scores)}


def search_results(config: Config, ranges: Sequence[Range], trials: Sequence[Trial]) -> SearchResults:
    """The results of the trials of a search."""
    return SearchResults(
        trials=trials,
        ranges=ranges,
        defaults={range_.key: value_of(config, range_.key) for range_ in ranges},
        monitor=config.train.monitor,
        sampler=config.search.sampler,
        pairs=[(first, second) for first, second in config.study.pairs],
        resamples=config.study.resamples,
    )


def trial_frame(search: SearchResults) -> pd.DataFrame:
    """A row per trial: variant, trial, a column per key, score, best (whether it was chosen), reason."""
    rows = [
        {"variant": trial.variant, "trial": trial.number}
        | trial.setting
        | {"score": trial.score, "best": trial == search.best.get(trial.variant), "reason": trial.reason}
        for trial in search.trials
    ]
    return pd.DataFrame(rows)


def curve_frame(search: SearchResults) -> pd.DataFrame:
    """A row per variant and number of trials, from 1: both estimates of the best score, the band, the best so far."""
    sign = search.sign
    rows = []
    for name, band in search.bands.items():
        ends = (sign * band.low, sign * band.high)[::sign]
        replaced, so_far = (sign * estimate(search.scores[name]) for estimate in (expected_best_replaced, best_so_far))
        columns = (sign * band.mean, *ends, replaced, so_far)
        rows += [(name, k, *values) for k, values in enumerate(zip(*columns, strict=True), start=1)]
    names = ["variant", "trials", "expected_best", "low", "high", "with_replacement", "best_so_far"]
    return pd.DataFrame(rows, columns=names)


def lead_frame(search: SearchResults) -> pd.DataFrame:
    """A row per pair and number of trials: how much better the first is (mean, low, high); crossing (or none)."""
    rows = [
        (*pair, k, *values, crossing(band.mean))
        for pair, band in search.leads.items()
        for k, values in enumerate(zip(band.mean, band.low, band.high, strict=True), start=1)
    ]
    return pd.DataFrame(rows, columns=["a", "b", "trials", "better_by", "low", "high", "crossing"])
