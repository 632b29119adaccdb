"""What a search found: the one thing that its report, figures and tables are made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.study.report.study_results import StudyResults
from pipeline.study.statistics.expected_best import Band, bands, best_so_far, crossing, expected_best_replaced, lead

DEFAULT = "@default"  # ends the name of a variant with the settings of the configuration


@dataclass(frozen=True)
class Trial:
    """A setting that was tried: the `number`-th of its variant, from 1.

    score : mean validation score over the seeds; None where a seed diverged or failed, for the `reason`.
    """

    variant: str
    number: int
    setting: dict[str, Any]
    score: float | None
    reason: str | None


def best_of(trials: Sequence[Trial], monitor: str) -> Trial | None:
    """The trial with the best score (the lowest `nll`, the highest of others), of equal ones the first."""
    sign = 1 if monitor == "nll" else -1
    usable = [(sign * trial.score, trial.number, trial) for trial in trials if trial.score is not None]
    return min(usable, key=lambda found: found[:2])[2] if usable else None


@dataclass(frozen=True)
class Space:
    """A hyper-parameter that was searched: its range, its default, and the best value of each variant.

    ends : of a range of numbers, else None. edges : variants whose best value lies at an end.
    """

    key: str
    range: str
    ends: tuple[float, float] | None
    log: bool
    choices: list[Any]
    default: Any
    best: dict[str, Any]
    edges: list[str]


@dataclass(frozen=True)
class SearchResults:
    """A finished search.

    Attributes
    ----------
    findings : the comparison on test: the best setting of each variant under its name, the settings of the
        configuration under NAME@default; planned pairs are those of the study and best against default.
    trials : all trials, by variant and number.
    spaces : what was searched.
    monitor : the validation score of trials. sampler : `random` or `tpe`. pairs : of variants, to compare curves.
    """

    findings: StudyResults
    trials: list[Trial]
    spaces: list[Space]
    monitor: str
    sampler: str
    pairs: list[tuple[str, str]]
    resamples: int

    @property
    def sign(self) -> int:
        """1 where a higher score is better, else -1."""
        return -1 if self.monitor == "nll" else 1

    @property
    def variants(self) -> list[str]:
        """The variants with a trial that worked, in the order of the study."""
        return list(dict.fromkeys(trial.variant for trial in self.trials if trial.score is not None))

    @property
    def budget(self) -> int:
        """Trials of each variant."""
        return max(trial.number for trial in self.trials)

    def best(self, variant: str) -> Trial:
        """The variant's best trial."""
        found = best_of([trial for trial in self.trials if trial.variant == variant], self.monitor)
        assert found is not None
        return found

    def scores(self) -> dict[str, NDArray[np.float64]]:
        """Validation scores (N,) by variant, more is better; one that diverged has the worst score of the whole search.

        So it counts as a trial and is never better than another, without a score being made up for it.
        """
        worst = min(self.sign * trial.score for trial in self.trials if trial.score is not None)
        return {
            name: np.array(
                [worst if t.score is None else self.sign * t.score for t in self.trials if t.variant == name]
            )
            for name in self.variants
        }

    def bands(self) -> dict[str, Band]:
        """Expected best scores by variant, more is better."""
        return bands(self.scores(), self.resamples)

    def leads(self) -> dict[tuple[str, str], Band]:
        """For each pair, how much better the expected best of the first is."""
        scores = self.scores()
        return {pair: lead(scores, *pair, self.resamples) for pair in self.pairs if set(pair) <= set(scores)}


def trial_frame(found: SearchResults) -> pd.DataFrame:
    """A row per trial: variant, trial, a column per key, score, best (whether it was chosen), reason."""
    rows = [
        {"variant": trial.variant, "trial": trial.number}
        | trial.setting
        | {"score": trial.score, "best": trial.variant in found.variants and trial == found.best(trial.variant)}
        | {"reason": trial.reason}
        for trial in found.trials
    ]
    return pd.DataFrame(rows)


def curve_frame(found: SearchResults) -> pd.DataFrame:
    """A row per variant and number of trials, from 1: both estimates of the best score, the band, the best so far."""
    scores, sign = found.scores(), found.sign
    rows = []
    for name, band in found.bands().items():
        ends = (sign * band.low, sign * band.high)[::sign]
        columns = (
            sign * band.mean,
            *ends,
            sign * expected_best_replaced(scores[name]),
            sign * best_so_far(scores[name]),
        )
        rows += [(name, k, *values) for k, values in enumerate(zip(*columns, strict=True), start=1)]
    names = ["variant", "trials", "expected_best", "low", "high", "with_replacement", "best_so_far"]
    return pd.DataFrame(rows, columns=names)


def lead_frame(found: SearchResults) -> pd.DataFrame:
    """A row per pair and number of trials: how much better the first is (mean, low, high); crossing (or none)."""
    rows = [
        (*pair, k, *values, crossing(band.mean))
        for pair, band in found.leads().items()
        for k, values in enumerate(zip(band.mean, band.low, band.high, strict=True), start=1)
    ]
    return pd.DataFrame(rows, columns=["a", "b", "trials", "better_by", "low", "high", "crossing"])
