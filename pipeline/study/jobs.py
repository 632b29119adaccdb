"""Trials and trainings as tasks of a worker pool; on a GPU, those on the same splits are trained as one batch."""

from collections.abc import Iterator, Mapping, Sequence
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
from pipeline.study.design import Cell, RunKey, Study, failure, vectors_key

Key = TypeVar("Key")
VectorResults = Mapping[tuple[str, str, str], TaskResult[Stage]]  # by the parts of `vectors_key`
# Bytes of initial and trained embedding matrices of a batch, which stay in memory until the records are written.
BATCH_BYTES = 4 << 30


@dataclass(frozen=True)
class TrialJob:
    """A classifier to score on validation; it never reads the test split."""

    config: Config
    prepared: Stage
    vectors: Mapping[str, Stage]

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
        tasks = {name: transfer(unforced, self.prepared, name).key for name in config.probe.tasks}
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


def cell_vectors(cell: Cell, vectors: VectorResults) -> TaskResult[dict[str, Stage]]:
    """The word vectors that a cell starts from, by init, or why one of them failed."""
    results = {key[0]: vectors[key] for key in vectors_key(cell)}
    reason = next((result.reason for result in results.values() if result.reason is not None), None)
    return TaskResult(None if reason else {init: result.get() for init, result in results.items()}, reason)


def job(cell: Cell, vectors: VectorResults, command: Sequence[str] | None = None) -> TrialJob | TaskResult[Any]:
    """The trial of a cell or, with its `command`, the training; the failure of its word vectors where they failed."""
    source = cell_vectors(cell, vectors)
    if source.reason is not None:
        return TaskResult(None, f"its word vectors: {source.reason}")
    task = cell.config, cell.prepared, source.get()
    return TrialJob(*task) if command is None else TrainingJob(*task, command)


def train_cells(
    workers: WorkerPool, study: Study, cells: Sequence[Cell], vectors: VectorResults, label: str
) -> tuple[dict[RunKey, Path], list[dict[str, Any]]]:
    """Train and record every cell: the folders of the records, and a row for every run that failed."""
    results = run_jobs(workers, {cell.key: job(cell, vectors, study.command(cell)) for cell in cells}, label)
    folders = {key: result.get() for key, result in results.items() if result.reason is None}
    return folders, [failure(*key, result.reason) for key, result in results.items() if result.reason is not None]


def run_jobs(
    workers: WorkerPool, jobs: Mapping[Key, TrialJob | TaskResult[Any]], label: str
) -> dict[Key, TaskResult[Any]]:
    """Run jobs of one kind, with progress logged under `label`; a job that is a failure already comes back first.

    On a CPU each job is a task of its own. On a GPU, jobs on the same splits are first trained in batches of the
    engine, in one process; then each is finished (probed, recorded) as a task of its own.
    """
    runnable = {key: job for key, job in jobs.items() if isinstance(job, TrialJob)}
    failed = {key: job for key, job in jobs.items() if isinstance(job, TaskResult)}
    if not runnable or device_used(next(iter(runnable.values())).config) == "cpu":
        return failed | workers.do({key: job.finish for key, job in runnable.items()}, label)
    results: dict[Key, TaskResult[Any]] = {}
    for keys in batches(runnable):
        results |= _run_batch(workers, {key: runnable[key] for key in keys}, label)
    return failed | {key: results[key] for key in runnable}


def _run_batch(workers: WorkerPool, jobs: Mapping[Key, TrialJob], label: str) -> dict[Key, TaskResult[Any]]:
    """Train the jobs that are not on disk as one batch, then finish all that did not fail."""
    missing = {key: job for key, job in jobs.items() if not job.is_cached()}
    outcomes: dict[Key, Any] = {}
    if missing:
        requests = [(job.config, job.prepared, job.vectors) for job in missing.values()]
        train_batch = partial(next(iter(missing.values())).train_batch, requests)
        (batch,) = workers.do({"batch": train_batch}, f"{label}, a batch of {len(missing)}").values()
        outcomes = dict(zip(missing, [batch.reason] * len(missing) if batch.reason else batch.get(), strict=True))
    reasons = {key: str(outcome) for key, outcome in outcomes.items() if isinstance(outcome, str | Exception)}
    failed: dict[Key, TaskResult[Any]] = {key: TaskResult(None, reason) for key, reason in reasons.items()}
    tasks = {key: partial(job.finish, outcomes.get(key)) for key, job in jobs.items() if key not in failed}
    return failed | workers.do(tasks, label)


def batches(jobs: Mapping[Key, TrialJob]) -> Iterator[list[Key]]:
    """Keys of jobs on the same splits, in their order, as many at once as BATCH_BYTES allow, at least one."""
    by_splits: dict[str, list[Key]] = {}
    for key, job in jobs.items():
        by_splits.setdefault(job.prepared.key, []).append(key)
    for keys in by_splits.values():
        rows = jobs[keys[0]].prepared.outcome["vocabulary"]["types_kept"] + SPECIALS
        bytes_per_row = (
            2 * 4 * max(jobs[key].config.embedding.encoder_dim for key in keys)
        )  # initial and trained, float32
        size = max(1, BATCH_BYTES // (bytes_per_row * rows))
        for start in range(0, len(keys), size):
            yield keys[start : start + size]
