"""Trials and trainings as tasks of a worker pool; on a GPU, those on the same splits are trained as one batch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pipeline.config.schema import SPECIALS, Config
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.worker_pool import TaskResult, WorkerPool
from pipeline.stages.cache_keys import device_used, record_key_and_folder, trial_key
from pipeline.stages.paths import artifact_folder
from pipeline.stages.train import train
from pipeline.stages.transfer import transfer
from pipeline.stages.trial import trial, validation_scores
from pipeline.study.design import Cell, RunKey, Study, vectors_key

Key = TypeVar("Key")
VectorResults = Mapping[tuple[str, ...], TaskResult[Stage | None]]  # by `vectors_key`
# Bytes of initial and trained embedding matrices of a batch, which stay in memory until the records are written.
BATCH_BYTES = 4 << 30


@dataclass(frozen=True)
class TrialJob:
    """A classifier to score on validation; it never reads the test split."""

    config: Config
    prepared: Stage
    vectors: Stage | None

    def is_cached(self) -> bool:
        """Whether the outcome is on disk."""
        key = trial_key(self.config, self.prepared, self.vectors)
        return not self.config.force and artifact_folder(self.config, "trial", key).exists()

    def finish(self, trained: Any = None) -> Stage:
        """Write or reuse the outcome. `trained` : the validation score, where a batch has computed it."""
        return trial(self.config, self.prepared, self.vectors, trained)

    @staticmethod
    def train_batch(requests: Sequence[Any]) -> list[Any]:
        """The validation score of each request, in one batch of the engine."""
        return list(validation_scores(requests))


@dataclass(frozen=True)
class TrainingJob(TrialJob):
    """A classifier to train and to record. `overrides` : the command that repeats it."""

    overrides: Sequence[str]

    def is_cached(self) -> bool:
        """Whether the record is on disk."""
        config = self.config
        unforced = replace(config, force=False)
        tasks = {name: transfer(unforced, self.prepared, name).key for name in config.probe.transfer}
        _, folder = record_key_and_folder(config, self.prepared, self.vectors, tasks)
        return not config.force and folder.exists()

    def finish(self, trained: Any = None) -> Any:
        """Write or reuse the record. `trained` : the classifier, where a batch has trained it."""
        return train(self.config, self.prepared, self.vectors, self.overrides, trained)

    @staticmethod
    def train_batch(requests: Sequence[Any]) -> list[Any]:
        """The trained classifier of each request, or its error, in one batch of the engine."""
        from pipeline.stages.learn import train_requests  # loads torch

        return list(train_requests(requests))


def worker_pool(config: Config) -> WorkerPool:
    """Processes of this machine or, with `study.launcher=ray`, those of a cluster."""
    if config.study.launcher == "local":
        return WorkerPool(config.workers)
    from pipeline.study.ray_pool import RayWorkerPool

    return RayWorkerPool(config.workers, config.study)


def score_cells(
    workers: WorkerPool, cells: Mapping[Key, Cell], vectors: VectorResults, label: str
) -> dict[Key, TaskResult[Stage]]:
    """Score every cell on validation; a cell without its word vectors has failed."""

    def job(cell: Cell, source: Stage | None) -> TrialJob:
        return TrialJob(cell.config, cell.prepared, source)

    return _run_cells(workers, cells, vectors, job, label)


def train_cells(
    workers: WorkerPool, study: Study, cells: Sequence[Cell], vectors: VectorResults, label: str
) -> dict[RunKey, TaskResult[Path]]:
    """Train and record every cell; a cell without its word vectors has failed."""

    def job(cell: Cell, source: Stage | None) -> TrainingJob:
        return TrainingJob(cell.config, cell.prepared, source, study.command(cell))

    return _run_cells(workers, {cell.key: cell for cell in cells}, vectors, job, label)


def _run_cells(
    workers: WorkerPool,
    cells: Mapping[Key, Cell],
    vectors: VectorResults,
    job: Callable[[Cell, Stage | None], TrialJob],
    label: str,
) -> dict[Key, TaskResult[Any]]:
    sources = {key: vectors[vectors_key(cell)] for key, cell in cells.items()}
    failed: dict[Key, TaskResult[Any]] = {
        key: TaskResult(None, f"its word vectors: {source.reason}") for key, source in sources.items() if source.reason
    }
    jobs = {key: job(cell, sources[key].value) for key, cell in cells.items() if key not in failed}
    return failed | run_jobs(workers, jobs, label)


def run_jobs(workers: WorkerPool, jobs: Mapping[Key, TrialJob], label: str) -> dict[Key, TaskResult[Any]]:
    """Run jobs of one kind, with progress logged under `label`; results are in the order of `jobs`.

    On a CPU each job is a task of its own. On a GPU, jobs on the same splits are first trained in batches of the
    engine, in one process; then each is finished (probed, recorded) as a task of its own.
    """
    if not jobs or device_used(next(iter(jobs.values())).config) == "cpu":
        return workers.do({key: job.finish for key, job in jobs.items()}, label)
    results: dict[Key, TaskResult[Any]] = {}
    for keys in batches(jobs):
        results |= _run_batch(workers, {key: jobs[key] for key in keys}, label)
    return {key: results[key] for key in jobs}


def _run_batch(workers: WorkerPool, jobs: Mapping[Key, TrialJob], label: str) -> dict[Key, TaskResult[Any]]:
    """Train the jobs that are not on disk as one batch, then finish all that did not fail."""
    missing = {key: job for key, job in jobs.items() if not job.is_cached()}
    trained: dict[Key, Any] = {}
    failed: dict[Key, TaskResult[Any]] = {}
    if missing:
        requests = [(job.config, job.prepared, job.vectors) for job in missing.values()]
        train_batch = partial(next(iter(missing.values())).train_batch, requests)
        (batch,) = workers.do({"batch": train_batch}, f"{label}, a batch of {len(missing)}").values()
        outcomes = [batch.reason] * len(missing) if batch.reason else batch.get()
        for key, outcome in zip(missing, outcomes, strict=True):
            if isinstance(outcome, str | Exception):
                failed[key] = TaskResult(None, str(outcome))
            else:
                trained[key] = outcome
    tasks = {key: partial(job.finish, trained.get(key)) for key, job in jobs.items() if key not in failed}
    return failed | workers.do(tasks, label)


def batches(jobs: Mapping[Key, TrialJob]) -> Iterator[list[Key]]:
    """Keys of jobs on the same splits, in their order, as many at once as BATCH_BYTES allow, at least one."""
    by_splits: dict[str, list[Key]] = {}
    for key, job in jobs.items():
        by_splits.setdefault(job.prepared.key, []).append(key)
    for keys in by_splits.values():
        rows = jobs[keys[0]].prepared.outcome["vocabulary"]["types_kept"] + SPECIALS
        bytes_per_row = 2 * 4 * max(jobs[key].config.embedding.dim for key in keys)  # initial and trained, float32
        size = max(1, BATCH_BYTES // (bytes_per_row * rows))
        for start in range(0, len(keys), size):
            yield keys[start : start + size]
