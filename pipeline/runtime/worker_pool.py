"""Independent pieces of work side by side in processes: one that fails, or whose process dies, stops no other."""

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, Generic, Self, TypeVar, cast

from pipeline.runtime.errors import RunError, UserError
from pipeline.runtime.log import log
from pipeline.runtime.processes import end_with_parent

Key = TypeVar("Key")
Value = TypeVar("Value")
DIED = "its process died (out of memory, or killed)"
SECONDS_BETWEEN_LINES = 30.0
SECONDS_TO_LEAVE = 10.0


@dataclass(frozen=True)
class TaskResult(Generic[Value]):
    """What became of one piece of work: its value, or in one line the reason why it has none."""

    value: Value | None
    reason: str | None = None

    def get(self) -> Value:
        """The value of work that did not fail."""
        assert self.reason is None, self.reason
        return cast(Value, self.value)


class WorkerPool:
    """Up to `workers` processes, for `with`: they start when there is work and live until its end.

    With one worker the work is done in this process. When this process is interrupted or killed, so are the others.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._team: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        for worker in self._team:
            if error is not None:
                worker.process.terminate()
            with suppress(OSError):
                worker.line.send(None)
        for worker in self._team:
            # The line tells when the process is gone, even where what started it was killed and cannot say.
            with suppress(EOFError, OSError):
                while worker.line.poll(SECONDS_TO_LEAVE):
                    worker.line.recv_bytes()
            worker.process.kill()
            worker.process.join()
        self._team.clear()

    def do(self, tasks: Mapping[Key, Callable[[], Value]], label: str) -> dict[Key, TaskResult[Value]]:
        """Do every task and say under `label` how far it is; results are in the order of `tasks`.

        Tasks and values are sent between processes. Where a process dies only its own task is affected: it is done
        again by itself at the end, as memory may have been short for many, and has failed when that process dies too.
        """
        counter = Counter(label, len(tasks))
        if self.workers <= 1:
            return {key: counter.count(attempt(task)) for key, task in tasks.items()}
        done: dict[Key, TaskResult[Value]] = {}
        for key in self._round(tasks, self.workers, done, counter):
            if self._round({key: tasks[key]}, 1, done, counter):
                done[key] = counter.count(TaskResult(None, DIED))
        return {key: done[key] for key in tasks}

    def _round(
        self,
        tasks: Mapping[Key, Callable[[], Value]],
        workers: int,
        done: dict[Key, TaskResult[Value]],
        counter: "Counter",
    ) -> list[Key]:
        """Do tasks with up to `workers` processes; returns the keys of those whose process died."""
        waiting, died = deque(tasks), []
        busy: dict[Connection, tuple[_Worker, Key]] = {}
        while waiting or busy:
            while waiting and len(busy) < workers:
                worker = self._idle(busy)
                try:
                    worker.line.send(tasks[waiting[0]])
                except OSError:  # it died while it had nothing to do
                    self._team.remove(worker)
                    continue
                busy[worker.line] = worker, waiting.popleft()
            for line in wait(list(busy), timeout=SECONDS_BETWEEN_LINES):
                worker, key = busy.pop(cast(Connection, line))
                try:
                    done[key] = counter.count(worker.line.recv())
                except (EOFError, OSError):
                    self._team.remove(worker)
                    died.append(key)
            counter.line()
        return died

    def _idle(self, busy: Mapping[Connection, Any]) -> "_Worker":
        if len(busy) == len(self._team):
            self._team.append(_Worker())
        return next(worker for worker in self._team if worker.line not in busy)


class _Worker:
    """A process that does one task after the other, and the line to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("forkserver")
        self.line, end = context.Pipe()
        self.process = context.Process(target=_serve, args=(end,))
        self.process.start()
        end.close()  # the process holds it now: when that dies, so does the line


def _serve(line: Connection) -> None:
    """Do what comes along the line until None comes; leave at once when the parent ends, however that happens."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it too, and ends its workers
    end_with_parent()
    with suppress(EOFError, OSError):  # of the line, where the parent is gone
        while (task := line.recv()) is not None:
            line.send(attempt(task))


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one would interrupt the cleaning up
    raise SystemExit(128 + number)


def attempt(task: Callable[[], Value]) -> TaskResult[Value]:
    """What becomes of a task that is done here and now."""
    try:
        return TaskResult(task())
    except Exception as error:
        kind = [] if isinstance(error, UserError | RunError) else [f"{type(error).__name__}:"]
        return TaskResult(None, " ".join([*kind, *str(error).split()]).removesuffix(":"))


class Counter:
    """Says now and then how much is done and how long the rest may take."""

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total = label, total
        self.done = self.failed = self.told = 0
        self.started = self.last = time.monotonic()

    def count(self, done: TaskResult[Any]) -> TaskResult[Any]:
        """Count what was done, and pass it on."""
        self.done, self.failed = self.done + 1, self.failed + (done.reason is not None)
        self.line()
        return done

    def line(self) -> None:
        """Say how far it is, unless that was said a moment ago."""
        now = time.monotonic()
        finished = self.done == self.total
        if self.done == self.told or (now - self.last < SECONDS_BETWEEN_LINES and not finished):
            return
        took = now - self.started
        rest = "" if finished else f", about {took / self.done * (self.total - self.done) / 60:.1f} min left"
        failed = f", {self.failed} failed" if self.failed else ""
        log.info("%s: %d of %d%s, %.0f s%s", self.label, self.done, self.total, failed, took, rest)
        self.last, self.told = now, self.done
