"""The trials of a search: as many settings for every variant, asked of a sampler and scored on validation."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config.validate import check
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.worker_pool import TaskResult, WorkerPool
from pipeline.study.design import Cell, LabelBudget, Settings, Study
from pipeline.study.foundations import vector_tasks
from pipeline.study.jobs import VectorResults, score_cells
from pipeline.study.learning_rates import failure_reason, mean_score
from pipeline.study.search.sampler import Sampler
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
        results = score_cells(workers, cells, vectors, label)
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


def best_trials(trials: Sequence[Trial], monitor: str) -> dict[str, Trial]:
    """The best trial of each variant that has one: the lowest `nll`, the highest of other scores, the first of ties."""
    sign = 1 if monitor == "nll" else -1
    scored = [(sign * trial.score, trial.number, trial) for trial in trials if trial.score is not None]
    best: dict[str, Trial] = {}
    for _, _, trial in sorted(scored, key=lambda entry: entry[:2]):
        best.setdefault(trial.variant, trial)
    return {variant: best[variant] for variant in _variants(trials) if variant in best}


def failed_variants(trials: Sequence[Trial]) -> Mapping[str, str | None]:
    """The variants without a scored trial, each with the reason of its last trial."""
    scored = {trial.variant for trial in trials if trial.score is not None}
    return {trial.variant: trial.reason for trial in trials if trial.variant not in scored}


def _variants(trials: Sequence[Trial]) -> list[str]:
    return list(dict.fromkeys(trial.variant for trial in trials))
