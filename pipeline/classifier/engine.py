"""The training engine: trains a list of runs one by one (`trainer`), in processes, or stacked on a GPU (`fast`).

It returns arrays and histories, writes no files and knows no tracker. The numbers of a run do not depend on the other
runs of its batch: each run has random generators of its own and, on a CPU, its own number of threads.
"""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier.device import device_name, resolve_device, torch_threads
from pipeline.classifier.fast.forked_runs import train_in_processes
from pipeline.classifier.run_spec import Report, Run, RunResult, Task
from pipeline.classifier.trainer import Trainer, class_weights
from pipeline.runtime.errors import RunError, UserError
from pipeline.runtime.processes import can_fork

__all__ = ["Report", "Run", "RunResult", "Task", "Trainer", "class_weights", "train_batch", "train_run"]


def train_run(task: Task, run: Run, report: Report | None = None) -> RunResult:
    """Train one run; the test split is scored once, after the choice of the epoch.

    `report` is called with the history row of every epoch. Raises UserError without the device or without training
    tweets, and RunError where the loss is not finite.
    """
    if len(run.rows_N) == 0:
        raise UserError("the training split is empty: nothing to train on")
    device = resolve_device(run.train.device)
    start = time.perf_counter()
    with torch_threads(run.train.threads):
        validation, test = (None if split is None else split.to(device) for split in (task.validation, task.test))
        trainer = Trainer(Task(task.train.to(device), validation, test, task.classes), run, device)
        trainer.fit(report)
        probabilities: dict[str, NDArray[np.float32]] = {}
        metrics = trainer.model.parameter_counts() | {"params/touched_rows": float(trainer.touched_V.sum())}
        for name, texts in (("validation", validation), ("test", test)):
            if texts is not None:
                probabilities[name], scores = trainer.evaluate(texts)
                metrics |= {f"{name}/{score}": value for score, value in scores.items()}
        initial_VE = run.embedding_VD
        embedding_VE = trainer.model.embedding.matrix().cpu().numpy() if run.changes_embedding else initial_VE
    return RunResult(
        initial_VE=initial_VE,
        embedding_VE=embedding_VE,
        layers={name: layer.detach().cpu().numpy() for name, layer in trainer.model.layers().items()},
        touched_V=trainer.touched_V.cpu().numpy(),
        probabilities=probabilities,
        metrics=metrics,
        history=trainer.state.history,
        chosen_epoch=trainer.state.chosen_epoch,
        device=device_name(device),
        seconds=time.perf_counter() - start,
    )


def train_batch(
    task: Task, runs: Sequence[Run], workers: int = 1, report: Report | None = None
) -> list[RunResult | RunError]:
    """Train runs that share a task; a single run is a batch of one.

    On a GPU, runs that can be stacked train as one model; only the order of floating-point sums differs from
    `train_run`. On a CPU all numbers equal those of `train_run`: up to `workers` runs with one thread each train in
    parallel, without reports, or all runs train in sequence.

    Results are in the order of `runs`; a failed run has its RunError there and does not stop the others. Raises
    UserError without the device or without training tweets.
    """
    results: dict[int, RunResult | RunError] = {}
    on_gpu = any(resolve_device(run.train.device).type == "cuda" for run in runs)
    one_thread = [index for index, run in enumerate(runs) if run.train.threads == 1]
    if on_gpu and len(runs) > 1:
        from pipeline.classifier.fast.stack import stackable, train_stacked

        indices = [index for index, run in enumerate(runs) if stackable(run)]
        results = dict(zip(indices, train_stacked(task, [runs[index] for index in indices], report), strict=True))
    elif not on_gpu and min(workers, len(one_thread)) > 1 and can_fork():
        parallel = train_in_processes(task, [runs[index] for index in one_thread], workers, _train_or_error)
        results = dict(zip(one_thread, parallel, strict=True))
    return [
        results[index] if index in results else _train_or_error(task, run, report) for index, run in enumerate(runs)
    ]


def _train_or_error(task: Task, run: Run, report: Report | None = None) -> RunResult | RunError:
    try:
        return train_run(task, run, report)
    except RunError as error:
        return error
