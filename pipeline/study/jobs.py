"""A study's tweets and classifiers: these on a CPU each a piece of work by itself, on a GPU trained together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from pipeline.config.schema import SPECIALS, Config
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.worker_pool import TaskResult, WorkerPool
from pipeline.stages.cache_keys import device_used, record_key_and_folder, trial_key
from pipeline.stages.paths import artifact_folder
from pipeline.stages.prepare import prepare as prepare_stage
from pipeline.stages.train import train
from pipeline.stages.transfer import transfer
from pipeline.stages.trial import trial, validation_scores
from pipeline.study.design import Variants, with_emoticons

Key = TypeVar("Key")
# Initial and trained rows of the runs of a batch wait in memory until their records are written.
BATCH_BYTES = 4 << 30


@dataclass(frozen=True)
class Trial:
    """A classifier to try: it never sees the test split."""

    config: Config
    prepared: Stage
    vectors: Stage | None

    def is_done(self) -> bool:
        """Whether its outcome is on disk."""
        key = trial_key(self.config, self.prepared, self.vectors)
        return not self.config.force and artifact_folder(self.config, "trial", key).exists()

    def do(self, learned: Any = None) -> Stage:
        """Have it done, with what was learned where it was among others."""
        return trial(self.config, self.prepared, self.vectors, learned)


@dataclass(frozen=True)
class Training(Trial):
    """A classifier to train and to record."""

    overrides: Sequence[str]

    def is_done(self) -> bool:
        """Whether its record is on disk."""
        config = self.config
        unforced = replace(config, force=False)
        tasks = {name: transfer(unforced, self.prepared, name).key for name in config.probe.transfer}
        _, folder = record_key_and_folder(config, self.prepared, self.vectors, tasks)
        return not config.force and folder.exists()

    def do(self, learned: Any = None) -> Any:
        """Have it done, with what was learned where it was among others."""
        return train(self.config, self.prepared, self.vectors, self.overrides, learned)


def prepare(config: Config, variants: Variants) -> dict[str, Stage]:
    """The tweets of a study or a search, encoded for each mode of `text.emoticons` that its variants ask for."""
    modes = sorted({mode for _, mode in variants.values()})
    return {mode: prepare_stage(with_emoticons(config, mode)) for mode in modes}


def team(config: Config) -> WorkerPool:
    """Who does the work: processes of this machine or, with `study.launcher=ray`, those of a cluster."""
    if config.study.launcher == "local":
        return WorkerPool(config.workers)
    from pipeline.study.ray_pool import RayWorkerPool

    return RayWorkerPool(config.workers, config.study)


def do(workers: WorkerPool, work: Mapping[Key, Trial], label: str) -> dict[Key, TaskResult[Any]]:
    """Do trials or trainings (all of one kind) under `label`; results are in the order of `work`.

    On a GPU, those that share their splits go to the engine in batches, in one process, and the processes of `workers`
    then finish them; otherwise each is a task of its own.
    """
    if not work or device_used(next(iter(work.values())).config) == "cpu":
        return workers.do({key: piece.do for key, piece in work.items()}, label)
    done: dict[Key, TaskResult[Any]] = {}
    for keys in batches(work):
        missing = [key for key in keys if not work[key].is_done()]
        learned: dict[Key, Any] = {}
        if missing:
            asked = [(work[key].config, work[key].prepared, work[key].vectors) for key in missing]
            recorded = isinstance(work[missing[0]], Training)
            together: Callable[..., Any] = train_together if recorded else validation_scores
            task = {"batch": partial(together, asked)}
            (batch,) = workers.do(task, f"{label}, {len(missing)} trained together").values()
            results: list[Any] = [batch.reason] * len(missing) if batch.reason else list(batch.get())
            for key, result in zip(missing, results, strict=True):
                if isinstance(result, str | Exception):
                    done[key] = TaskResult(None, str(result))
                else:
                    learned[key] = result
        left = {key: partial(work[key].do, learned.get(key)) for key in keys if key not in done}
        done |= workers.do(left, label)
    return {key: done[key] for key in work}


def train_together(requests: Sequence[Any]) -> list[Any]:
    """`train_requests`, imported where it is used: it loads torch."""
    from pipeline.stages.learn import train_requests

    return train_requests(requests)


def batches(work: Mapping[Key, Trial]) -> Iterator[list[Key]]:
    """Keys of work on the same splits, in the order of `work`, as many as BATCH_BYTES of rows allow, at least one."""
    by_splits: dict[str, list[Key]] = {}
    for key, piece in work.items():
        by_splits.setdefault(piece.prepared.key, []).append(key)
    for keys in by_splits.values():
        first = work[keys[0]]
        row = 2 * 4 * max(work[key].config.embedding.dim for key in keys)
        size = max(1, BATCH_BYTES // (row * (first.prepared.outcome["vocabulary"]["types_kept"] + SPECIALS)))
        for start in range(0, len(keys), size):
            yield keys[start : start + size]
