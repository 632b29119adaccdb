"""The choice of learning rates on validation, with the same trials for every variant and label budget."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.worker_pool import TaskResult, WorkerPool
from pipeline.study.design import Cell, Choice, Study, failure, learning_rates
from pipeline.study.jobs import VectorResults, cell_vectors, job, run_jobs

Choices = dict[tuple[str, int], Choice]  # by variant and label budget


def choose_learning_rates(
    workers: WorkerPool, study: Study, cells: Sequence[Cell], vectors: VectorResults
) -> tuple[Choices, list[dict[str, Any]]]:
    """The best factor of the learning rates for each variant and label budget, and a row for each without one."""
    design = study.config.study
    jobs = {
        (*cell.key[:2], factor, cell.seed): job(study.changed(cell, learning_rates(study.config, factor)), vectors)
        for cell in sorted(cells, key=lambda cell: -cell.label_budget)
        if cell.seed < design.trial_seeds and cell_vectors(cell, vectors).reason is None
        for factor in design.lr_factors
    }
    results = run_jobs(workers, jobs, "compare: learning-rate trials")
    choices: Choices = {}
    failures = []
    for variant, budget in dict.fromkeys((cell.variant, cell.label_budget) for cell in cells):
        trials = {
            factor: [results[key] for key in results if key[:3] == (variant, budget, factor)]
            for factor in design.lr_factors
        }
        scores = {factor: mean_score(seeds) for factor, seeds in trials.items()}
        usable = {factor: score for factor, score in scores.items() if score is not None}
        if usable:
            best = best_factor(usable, study.config.train.monitor)
            choices[variant, budget] = Choice(variant, budget, best, scores)
        else:
            reason = failure_reason([result for seeds in trials.values() for result in seeds])
            if reason is None:  # there was no trial, as there are no word vectors
                cell = next(cell for cell in cells if (cell.variant, cell.label_budget) == (variant, budget))
                reason = f"its word vectors: {cell_vectors(cell, vectors).reason}"
            failures.append(failure(variant, budget, None, f"no trial of a learning rate worked: {reason}"))
    return choices, failures


def with_chosen_rates(study: Study, cells: Sequence[Cell], choices: Choices) -> list[Cell]:
    """The cells for which learning rates were chosen, with these rates."""
    return [
        study.changed(cell, learning_rates(study.config, choices[cell.variant, cell.label_budget].factor))
        for cell in cells
        if (cell.variant, cell.label_budget) in choices
    ]


def best_factor(scores: Mapping[float, float], monitor: str) -> float:
    """The factor with the best score, which is the lowest `nll` and the highest of other scores.

    Of equal ones it is the nearest to 1, as a ratio, and of those the smaller.
    """
    sign = 1 if monitor == "nll" else -1
    return min(scores, key=lambda factor: (sign * scores[factor], max(factor, 1 / factor), factor))


def mean_score(trials: Sequence[TaskResult[Stage]]) -> float | None:
    """The mean validation score of the same trial with several seeds; None where one of them failed or diverged."""
    scores = [None if trial.reason else trial.get().outcome["score"] for trial in trials]
    usable = [float(score) for score in scores if score is not None]
    return sum(usable) / len(usable) if usable and len(usable) == len(scores) else None


def failure_reason(trials: Sequence[TaskResult[Stage]]) -> str | None:
    """Why the first trial without a score has none; None where every trial has one."""
    reasons = (trial.reason or trial.get().outcome.get("reason") for trial in trials)
    return next((reason for reason in reasons if reason), None)
