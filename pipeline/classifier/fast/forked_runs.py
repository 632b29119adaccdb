"""Runs in parallel on a CPU, in forked processes, which inherit torch, the splits and the initial matrices.

Threads would take turns because of the GIL: with small batches, a third of the work is Python.
"""

import mmap
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier.run_spec import Run, RunResult, Task
from pipeline.runtime.errors import RunError
from pipeline.runtime.processes import end_with_parent, no_fork_warning

TrainFunction = Callable[[Task, Run], RunResult | RunError]
_NO_MATRIX: NDArray[np.float32] = np.empty((0, 0), np.float32)


# What a process inherits: task, runs, function, and shared memory for the embedding matrices that training changes.
_inputs: list[tuple[Task, Sequence[Run], TrainFunction, list[NDArray[np.float32]]]] = []


def train_in_processes(
    task: Task, runs: Sequence[Run], workers: int, train: TrainFunction
) -> list[RunResult | RunError]:
    """Call `train` for each run, which must use one thread; returns the results in the order of `runs`.

    Raises RunError where a process dies.
    """
    matrices = [_shared_matrix(run) if run.changes_embedding else _NO_MATRIX for run in runs]
    longest_first = sorted(range(len(runs)), key=lambda index: not runs[index].changes_embedding)
    context, inputs = multiprocessing.get_context("fork"), (task, runs, train, matrices)
    try:
        with no_fork_warning(), ProcessPoolExecutor(min(workers, len(runs)), context, _init_process, inputs) as pool:
            results = dict(zip(longest_first, pool.map(_train, longest_first), strict=True))
    except BrokenProcessPool as error:
        raise RunError("a training process ended unexpectedly (out of memory?): fewer workers need less") from error
    for index, result in results.items():
        if isinstance(result, RunResult):
            initial_VE = runs[index].embedding_VD
            final_VE = matrices[index] if runs[index].changes_embedding else initial_VE
            results[index] = replace(result, initial_VE=initial_VE, embedding_VE=final_VE)
    return [results[index] for index in range(len(runs))]


def _init_process(*inputs: Any) -> None:
    end_with_parent()
    _inputs.append(inputs)


def _shared_matrix(run: Run) -> NDArray[np.float32]:
    return np.frombuffer(mmap.mmap(-1, 4 * run.embedding_VD.size), np.float32).reshape(run.embedding_VD.shape)


def _train(index: int) -> RunResult | RunError:
    """In a process: train a run, and send its result without the embedding matrices."""
    task, runs, train, matrices = _inputs[-1]
    result = train(task, runs[index])
    if isinstance(result, RunError):
        return result
    if runs[index].changes_embedding:
        matrices[index][:] = result.embedding_VE
    return replace(result, initial_VE=_NO_MATRIX, embedding_VE=_NO_MATRIX)
