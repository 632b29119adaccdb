"""Runs side by side in processes that begin as copies of this one: torch, the splits and the tables are there at once.

Threads would have to take turns in Python: with small batches that is a third of the work.
"""

import mmap
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier.run_spec import Run, RunResult, Task
from pipeline.runtime.errors import RunError
from pipeline.runtime.processes import end_with_parent, no_fork_warning

Attempt = Callable[[Task, Run], RunResult | RunError]
_NO_TABLE: NDArray[np.float32] = np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class _Work:
    """What the processes find in the memory that they begin with; tables : where they leave rows that moved."""

    task: Task
    runs: Sequence[Run]
    attempt: Attempt
    tables: list[NDArray[np.float32]]


_work: list[_Work] = []


def train_side_by_side(task: Task, runs: Sequence[Run], workers: int, attempt: Attempt) -> list[RunResult | RunError]:
    """What `attempt` makes of each run, in their order. The runs must want one thread each.

    Raises RunError where a process dies.
    """
    work = _Work(task, runs, attempt, [_shared_table(run) if run.moves else _NO_TABLE for run in runs])
    long_first = sorted(range(len(runs)), key=lambda number: not runs[number].moves)
    context = multiprocessing.get_context("fork")
    try:
        with no_fork_warning(), ProcessPoolExecutor(min(workers, len(runs)), context, _begin, (work,)) as pool:
            found = dict(zip(long_first, pool.map(_train, long_first), strict=True))
    except BrokenProcessPool as error:
        raise RunError("a training process ended unexpectedly (out of memory?): fewer workers need less") from error
    return [_whole(run, found[number], work.tables[number]) for number, run in enumerate(runs)]


def _begin(work: _Work) -> None:
    end_with_parent()
    _work.append(work)


def _shared_table(run: Run) -> NDArray[np.float32]:
    rows, size = run.embedding_VD.shape
    shape = (rows, 2 * size if run.embedding.multichannel else size)
    return np.frombuffer(mmap.mmap(-1, 4 * shape[0] * shape[1]), np.float32).reshape(shape)


def _train(number: int) -> RunResult | RunError:
    """In a process: train, and leave the tables out of what is sent back."""
    work = _work[-1]
    result = work.attempt(work.task, work.runs[number])
    if isinstance(result, RunError):
        return result
    if work.runs[number].moves:
        work.tables[number][:] = result.embedding_VE
    return replace(result, initial_VE=_NO_TABLE, embedding_VE=_NO_TABLE)


def _whole(run: Run, result: RunResult | RunError, table_VE: NDArray[np.float32]) -> RunResult | RunError:
    if isinstance(result, RunError):
        return result
    initial_VE = run.initial_table()
    return replace(result, initial_VE=initial_VE, embedding_VE=table_VE if run.moves else initial_VE)
