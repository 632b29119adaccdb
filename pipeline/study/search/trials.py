"""The trials of a search: as many settings for each variant, proposed by optuna and scored on validation."""

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import util
from typing import Any

from pipeline.config.validate import check
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.errors import UserError
from pipeline.runtime.paths import script
from pipeline.runtime.worker_pool import TaskResult, WorkerPool
from pipeline.study.choices import failure_reason, mean_score
from pipeline.study.design import Cell, LabelBudget, Settings, Study
from pipeline.study.jobs import VectorResults, job, run_jobs
from pipeline.study.prerequisites import vector_tasks
from pipeline.study.search.space import Range


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


def require_optuna() -> None:
    """Raise UserError where optuna is not installed."""
    if util.find_spec("optuna") is None:
        raise UserError(f"stage=search needs the extra 'search': {script('setup')} search")


class Sampler:
    """The settings of one variant, by optuna's ask-and-tell: the same for the same seed, batch size and scores.

    kind : `random` (independent draws) or `tpe` (optuna's tree-structured Parzen estimator, Bergstra et al. 2011: its
        first ten settings are random, later ones follow the better scores so far).
    minimize : whether lower scores are better.
    """

    def __init__(self, ranges: Sequence[Range], kind: str, seed: int, *, minimize: bool) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._ranges = ranges
        with warnings.catch_warnings():
            # optuna 4 calls this option experimental. Without it, the settings of a batch may be near copies.
            warnings.simplefilter("ignore")
            if kind == "tpe":
                sampler: Any = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            else:
                sampler = optuna.samplers.RandomSampler(seed=seed)
        self._study = optuna.create_study(sampler=sampler, direction="minimize" if minimize else "maximize")
        self._pending: list[Any] = []

    def ask(self, count: int) -> list[dict[str, Any]]:
        """The next settings; the scores of earlier ones must have been told."""
        self._pending = [self._study.ask() for _ in range(count)]
        return [{range_.key: _suggested(trial, range_) for range_ in self._ranges} for trial in self._pending]

    def tell(self, scores: Sequence[float | None]) -> None:
        """The scores of the settings asked last, in order; None, of one that diverged, counts below all scores."""
        from optuna.trial import TrialState

        for trial, score in zip(self._pending, scores, strict=True):
            self._study.tell(trial, score, state=TrialState.PRUNED if score is None else TrialState.COMPLETE)


def _suggested(trial: Any, range_: Range) -> Any:
    """A value of `range_`; numbers are rounded to four digits, so that they are easy to read and to repeat."""
    if range_.choices:
        return range_.choices[trial.suggest_categorical(range_.key, range(len(range_.choices)))]
    if range_.whole:
        return trial.suggest_int(range_.key, int(range_.low), int(range_.high), log=range_.log)
    value = trial.suggest_float(range_.key, range_.low, range_.high, log=range_.log)
    return min(max(float(f"{value:.4g}"), range_.low), range_.high)


def run_trials(workers: WorkerPool, study: Study, ranges: Sequence[Range], budget: LabelBudget) -> list[Trial]:
    """Try settings in batches, all variants at the same time, until each variant has had its trials.

    The settings follow from the seed, the batch size and the scores, not from the number of workers. Every outcome is
    stored, so that a search that was interrupted repeats the same settings and finds the scores of those that are done.
    """
    config, search = study.config, study.config.search
    minimize = config.train.monitor == "nll"
    samplers = {variant: Sampler(ranges, search.sampler, search.seed, minimize=minimize) for variant in study.variants}
    vectors: VectorResults = {}
    trials = []
    for start in range(0, search.trials, search.batch):
        numbers = range(start + 1, min(start + search.batch, search.trials) + 1)
        settings = {
            (variant, number): setting
            for variant, sampler in samplers.items()
            for number, setting in zip(numbers, sampler.ask(len(numbers)), strict=True)
        }
        cells = {
            (variant, number, seed): setting_cell(study, variant, budget, seed, setting)
            for (variant, number), setting in settings.items()
            for seed in range(config.study.trial_seeds)
        }
        vectors = with_vectors(workers, list(cells.values()), vectors)
        label = f"search: settings {numbers[0]} to {numbers[-1]} of {search.trials}"
        results = run_jobs(workers, {key: job(cell, vectors) for key, cell in cells.items()}, label)
        batch = [
            scored_trial(*key, setting, [result for cell, result in results.items() if cell[:2] == key])
            for key, setting in settings.items()
        ]
        for variant, sampler in samplers.items():
            sampler.tell([trial.score for trial in batch if trial.variant == variant])
        trials += batch
    return sorted(trials, key=lambda trial: (list(study.variants).index(trial.variant), trial.number))


def scored_trial(variant: str, number: int, setting: Settings, results: Sequence[TaskResult[Stage]]) -> Trial:
    """A setting with its mean score over seeds; None where it failed or diverged with any seed."""
    return Trial(variant, number, dict(setting), mean_score(results), failure_reason(results))


def setting_cell(study: Study, variant: str, budget: LabelBudget, seed: int, setting: Settings) -> Cell:
    """One run of a variant with a setting; raises UserError where the setting does not fit the configuration."""
    cell = study.changed(study.cell(variant, budget, seed, largest=True), {"probe.transfer": [], **setting})
    return dataclasses.replace(cell, config=check(dataclasses.asdict(cell.config)))


def with_vectors(workers: WorkerPool, cells: Sequence[Cell], vectors: VectorResults) -> VectorResults:
    """The word vectors `vectors` and those that the cells start from besides, which are trained."""
    missing = {key: task for key, task in vector_tasks(cells).items() if key not in vectors}
    return {**vectors, **workers.do(missing, "search: vectors")} if missing else vectors
