"""The choice of learning rates: the same trials on validation for every variant and label budget."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.config.schema import Config
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.worker_pool import TaskResult, WorkerPool
from pipeline.study import jobs as batches
from pipeline.study.design import Cell, Choice, best_factor, failure, mean_score, vectors_key, with_factor


def choose(
    config: Config, workers: WorkerPool, cells: Sequence[Cell], vectors: Mapping[Any, TaskResult[Stage | None]]
) -> tuple[dict[tuple[str, int], Choice], list[dict[str, Any]]]:
    """Choose the factor of the learning rates on validation, with the same trials for every variant and budget."""
    study = config.study
    tried = [cell for cell in cells if cell.seed < study.trial_seeds and vectors[vectors_key(cell)].reason is None]
    tasks = {
        (cell.variant, cell.label_budget, factor, cell.seed): batches.Trial(
            with_factor(cell, config, factor), cell.prepared, vectors[vectors_key(cell)].value
        )
        for cell in sorted(tried, key=lambda cell: -cell.label_budget)
        for factor in study.lr_factors
    }
    done = batches.do(workers, tasks, "compare: learning-rate trials")
    choices, failures = {}, []
    for variant, budget in dict.fromkeys((cell.variant, cell.label_budget) for cell in cells):
        results = {
            factor: [
                done[variant, budget, factor, seed]
                for seed in range(study.trial_seeds)
                if (variant, budget, factor, seed) in done
            ]
            for factor in study.lr_factors
        }
        scores = {factor: mean_score(found) for factor, found in results.items()}
        usable = {factor: score for factor, score in scores.items() if score is not None}
        if not usable:
            first = next((result for found in results.values() for result in found), None)
            reason = "its word vectors failed" if first is None else first.reason or first.get().outcome["reason"]
            failures.append(failure(variant, budget, None, f"no trial of a learning rate worked: {reason}"))
            continue
        choices[variant, budget] = Choice(variant, budget, best_factor(usable, config.train.monitor), scores)
    return choices, failures
