"""The trials of a search: as many settings for every variant, asked of a sampler and scored on validation."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config.validate import check
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.worker_pool import TaskResult, WorkerPool
from pipeline.study.design import Cell, LabelBudget, Settings, Study
from pipeline.study.jobs import VectorResults, run_jobs, trial_job
from pipeline.study.learning_rates import failure_reason, mean_score
from pipeline.study.prerequisites import vector_tasks
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
        results = run_jobs(workers, {key: trial_job(cell, vectors) for key, cell in cells.items()}, label)
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
