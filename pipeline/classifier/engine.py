"""The training engine: a batch of runs in, arrays and histories out. It writes no files and knows no tracker.

A run's numbers do not depend on its companions: every run draws from generators of its own, and on a CPU computes with
its own number of threads. On a CPU the runs of a batch go side by side; on a GPU those that can be are stacked.
"""

import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.classifier.device import resolve_device
from pipeline.classifier.fast.forked_runs import train_side_by_side
from pipeline.classifier.run_spec import Report, Run, RunResult, Task
from pipeline.classifier.trainer import Trainer, class_weights
from pipeline.runtime.errors import RunError, UserError
from pipeline.runtime.processes import can_fork

__all__ = ["Report", "Run", "RunResult", "Task", "Trainer", "class_weights", "train_batch", "train_run"]


def train_run(task: Task, run: Run, report: Report | None = None) -> RunResult:
    """Train one run and read the test split once, after the choice of the epoch.

    `report` is called with every finished epoch's history row. Raises UserError where the device is not there or there
    is nothing to train on, and RunError where the loss is not finite.
    """
    if len(run.rows_N) == 0:
        raise UserError("the training split is empty: nothing to train on")
    device = resolve_device(run.train.device)
    threads = torch.get_num_threads()
    torch.set_num_threads(run.train.threads)
    started = time.perf_counter()
    try:
        validation, test = (None if split is None else split.to(device) for split in (task.validation, task.test))
        trainer = Trainer(Task(task.train.to(device), validation, test, task.classes), run, device)
        history, chosen = trainer.fit(report)
        probabilities: dict[str, NDArray[np.float32]] = {}
        metrics = trainer.model.parameter_counts() | {"params/touched_rows": float(trainer.touched_V.sum())}
        for name, texts in (("validation", validation), ("test", test)):
            if texts is not None:
                probabilities[name], found = trainer.evaluate(texts)
                metrics |= {f"{name}/{score}": value for score, value in found.items()}
        embedding_VE = trainer.table()
    finally:
        torch.set_num_threads(threads)
    return RunResult(
        initial_VE=run.initial_table(),
        embedding_VE=embedding_VE,
        layers={name: layer.detach().cpu().numpy() for name, layer in trainer.model.layers().items()},
        touched_V=trainer.touched_V.cpu().numpy(),
        probabilities=probabilities,
        metrics=metrics,
        history=history,
        chosen_epoch=chosen,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        seconds=time.perf_counter() - started,
    )


def train_batch(
    task: Task, runs: Sequence[Run], workers: int = 1, report: Report | None = None
) -> list[RunResult | RunError]:
    """Train runs that share a task: the one door to the engine; a single run is a batch of one.

    Results are in the order of `runs`; a run that failed has its error there and stops no other. On a GPU, runs that
    can be stacked train as one model, and each has the numbers that `train_run` gives it but for sums in another order.
    On a CPU they have the very same numbers: up to `workers` runs with one thread each go side by side, and nothing is
    reported, or all go one after another. Raises UserError where the device is not there or nothing is to train on.
    """
    results: dict[int, RunResult | RunError] = {}
    on_gpu = any(resolve_device(run.train.device).type == "cuda" for run in runs)
    alone = [number for number, run in enumerate(runs) if run.train.threads == 1]
    if on_gpu and len(runs) > 1:
        results = _stacked(task, runs, report)
    elif not on_gpu and min(workers, len(alone)) > 1 and can_fork():
        done = train_side_by_side(task, [runs[number] for number in alone], workers, _attempt)
        results = dict(zip(alone, done, strict=True))
    return [results[number] if number in results else _attempt(task, run, report) for number, run in enumerate(runs)]


def _attempt(task: Task, run: Run, report: Report | None = None) -> RunResult | RunError:
    try:
        return train_run(task, run, report)
    except RunError as error:
        return error


def _stacked(task: Task, runs: Sequence[Run], report: Report | None) -> dict[int, RunResult | RunError]:
    """Results, by their numbers, of the runs that can be stacked."""
    from pipeline.classifier.fast.stack import stackable, train_stacked

    numbers = [number for number, run in enumerate(runs) if stackable(run)]
    return dict(zip(numbers, train_stacked(task, [runs[number] for number in numbers], report), strict=True))
