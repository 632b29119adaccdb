"""What a search adds to the results of a study: its trials, the expected best score by trials, and their tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from pipeline.config.schema import Config
from pipeline.evaluation.line_search import finalists
from pipeline.runtime.templates import page_file
from pipeline.study.design import RunKey
from pipeline.study.results import METRIC_NAMES
from pipeline.study.search.space import Range
from pipeline.study.search.trials import Trial
from pipeline.study.statistics.expected_best import Band, bands, best_so_far, crossing, expected_best_replaced, lead

DEFAULT = "@default"  # ends the name of a variant with the settings of the configuration
TEXTS: dict[str, Any] = yaml.safe_load(page_file("pipeline.study.search", "texts.yaml"))


@dataclass
class SearchResults:
    """The trials of a search (by variant and number), what was searched, and what follows from their scores.

    chosen : the number of the trial whose setting each run chose; 0 is the default setting.
    """

    config: Config
    ranges: Sequence[Range]
    trials: Sequence[Trial]
    chosen: Mapping[RunKey, int] = field(default_factory=dict)

    @property
    def sign(self) -> int:
        """1 where a higher score is better, else -1."""
        return -1 if self.config.train.monitor == "nll" else 1

    @property
    def score_name(self) -> str:
        """The validation score in words, with its unit: `validation macro recall, %`."""
        return f"validation {METRIC_NAMES[self.config.train.monitor]}, {'%' if self.sign == 1 else 'nats'}"

    def score_text(self, value: float) -> str:
        """A score, more is better, as in tables: `81.3`, or nats `0.412`."""
        return f"{100 * value:.1f}" if self.sign == 1 else f"{-value:.3f}"

    @property
    def independent(self) -> bool:
        """Whether the trials are independent draws."""
        return self.config.search.sampler == "random"

    @property
    def budget(self) -> int:
        """Trials of each variant."""
        return max(trial.number for trial in self.trials)

    @cached_property
    def best(self) -> dict[str, Trial]:
        """The best trial, the first of equal ones, of each variant that has a trial with a score."""
        scored = [trial for trial in self.trials if trial.score is not None]
        return {
            name: max((t for t in scored if t.variant == name), key=lambda t: self.sign * (t.score or 0.0))
            for name in dict.fromkeys(trial.variant for trial in scored)
        }

    def finalists(self, variant: str) -> dict[int, dict[str, Any]]:
        """The best `study.finalists` settings of a variant by the number of their trial, the best first."""
        scores = {t.number: self.sign * t.score for t in self.trials if t.variant == variant and t.score is not None}
        settings = {trial.number: trial.setting for trial in self.trials if trial.variant == variant}
        return {number: settings[number] for number in finalists(scores, self.config.study.finalists)}

    @property
    def failed(self) -> dict[str, str | None]:
        """The variants without a trial that has a score, each with the reason of its last trial."""
        return {trial.variant: trial.reason for trial in self.trials if trial.variant not in self.best}

    def edges(self, range_: Range) -> list[str]:
        """The variants whose best value lies at an end of the range."""
        return [name for name, trial in self.best.items() if range_.at_edge(trial.setting[range_.key])]

    @cached_property
    def scores(self) -> dict[str, NDArray[np.float64]]:
        """Validation scores (N,) by variant, more is better; one that diverged has the worst score of the whole search.

        So it counts as a trial and is never better than another, without an invented score.
        """
        worst = min(self.sign * trial.score for trial in self.trials if trial.score is not None)
        scores = [(t.variant, worst if t.score is None else self.sign * t.score) for t in self.trials]
        return {name: np.array([score for variant, score in scores if variant == name]) for name in self.best}

    @cached_property
    def bands(self) -> dict[str, Band]:
        """Expected best scores by variant, more is better."""
        return bands(self.scores, self.config.study.resamples)

    @cached_property
    def leads(self) -> dict[tuple[str, str], Band]:
        """For each pair, how much better the expected best of the first is."""
        study = self.config.study
        return {
            (first, second): lead(self.scores, first, second, study.resamples)
            for first, second in study.pairs
            if {first, second} <= set(self.scores)
        }


def trial_frame(search: SearchResults) -> pd.DataFrame:
    """A row per trial: variant, trial, a column per key, score, best, seeds (the number that chose it), reason."""
    rows = []
    for trial in search.trials:
        seeds = sum(key[0] == trial.variant and number == trial.number for key, number in search.chosen.items())
        best = trial == search.best.get(trial.variant)
        outcome = {"score": trial.score, "best": best, "seeds": seeds, "reason": trial.reason}
        rows.append({"variant": trial.variant, "trial": trial.number, **trial.setting, **outcome})
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
