"""Independent pieces of work side by side in processes: one that fails, or whose process dies, stops no other."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from types import FrameType
from typing import Any, Generic, TypeVar, cast

from pipeline.progress import log

Item = TypeVar("Item")
Value = TypeVar("Value")
DIED = "its process died (out of memory, or killed)"
SECONDS_BETWEEN_LINES = 30.0


@dataclass(frozen=True)
class Done(Generic[Value]):
    """What became of one piece of work: its value, or in one line the reason why it has none."""

    value: Value | None
    reason: str | None = None

    def get(self) -> Value:
        """The value of work that did not fail."""
        assert self.reason is None, self.reason
        return cast(Value, self.value)


def side_by_side(
    function: Callable[[Item], Value], items: Sequence[Item], workers: int, label: str
) -> list[Done[Value]]:
    """Call `function` on each item in up to `workers` processes; results are in the order of `items`.

    With one worker, or one item, the work is done in this process. `function` must be a module's function, items and
    values are sent between processes. A process that dies takes only its own piece of work with it: what ran beside
    it is done again. When this process is interrupted or killed, so are the others.
    """
    counter = _Counter(label, len(items))
    if workers <= 1 or len(items) <= 1:
        return [counter.count(_attempt(function, item)) for item in items]
    results: dict[int, Done[Value]] = {}
    waiting = list(range(len(items)))
    while waiting:
        waiting, suspects = _run_pool(function, items, waiting, workers, results, counter)
        for number in suspects:
            # One of these killed the pool: each gets a pool of its own, and only the culprit dies again.
            _, died = _run_pool(function, items, [number], 1, results, counter)
            if died:
                results[number] = counter.count(Done(None, DIED))
    return [results[number] for number in range(len(items))]


def _run_pool(
    function: Callable[[Item], Value],
    items: Sequence[Item],
    waiting: Sequence[int],
    workers: int,
    results: dict[int, Done[Value]],
    counter: "_Counter",
) -> tuple[list[int], list[int]]:
    """Work off `waiting` until all is done or the pool breaks: what still waits, and what was running when it broke."""
    left = list(waiting)
    context = multiprocessing.get_context("forkserver")
    pool = ProcessPoolExecutor(min(workers, len(left)), mp_context=context, initializer=_leave_with_parent)
    running: dict[Future[Done[Value]], int] = {}
    try:
        while left or running:
            # No more than can run at once is handed over, so that a broken pool has few suspects.
            while left and len(running) < workers:
                running[pool.submit(_attempt, function, items[left[0]])] = left[0]
                left.pop(0)
            for future in wait(running, timeout=SECONDS_BETWEEN_LINES, return_when=FIRST_COMPLETED).done:
                results[running[future]] = future.result()
                counter.count(future.result())
                del running[future]
            counter.line()
        pool.shutdown()
    except BrokenProcessPool:
        pool.shutdown(cancel_futures=True)
        return left, sorted(running.values())
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    return left, []


def _attempt(function: Callable[[Item], Value], item: Item) -> Done[Value]:
    try:
        return Done(function(item))
    except Exception as error:
        message = " ".join(str(error).split())
        return Done(None, message or type(error).__name__)


def _leave_with_parent() -> None:
    """End this worker with its parent, however that ended: an orphan would wait for ever, or hold a lock."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it too, and ends its workers
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


class _Counter:
    """Says now and then how much is done and how long the rest may take."""

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total = label, total
        self.done = self.failed = self.told = 0
        self.started = self.last = time.monotonic()

    def count(self, done: Done[Any]) -> Done[Any]:
        self.done += 1
        self.failed += done.reason is not None
        self.line()
        return done

    def line(self) -> None:
        now = time.monotonic()
        finished = self.done == self.total
        if self.done == self.told or (now - self.last < SECONDS_BETWEEN_LINES and not finished):
            return
        took = now - self.started
        rest = "" if finished else f", about {took / self.done * (self.total - self.done) / 60:.1f} min left"
        failed = f", {self.failed} failed" if self.failed else ""
        log.info("compare: %s: %d of %d%s, %.0f s%s", self.label, self.done, self.total, failed, took, rest)
        self.last, self.told = now, self.done
