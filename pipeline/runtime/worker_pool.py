"""A pool of worker processes for independent tasks; a task that fails, or whose process dies, stops no other."""

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
Tasks = Mapping[Key, Callable[[], Value]]
DIED = "its process died (out of memory, or killed)"
LOG_INTERVAL_SECONDS = 30.0
EXIT_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class TaskResult(Generic[Value]):
    """The value of a task or, where it failed, the reason in one line."""

    value: Value | None
    reason: str | None = None

    def get(self) -> Value:
        """The value of a task that did not fail."""
        assert self.reason is None, self.reason
        return cast(Value, self.value)


class WorkerPool:
    """Up to `workers` processes, as a context manager: they start on demand and live until it is left.

    With one worker the tasks run in this process. When this process is interrupted or killed, its workers end too.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._processes: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        for worker in self._processes:
            if error is not None:
                worker.process.terminate()
            with suppress(OSError):
                worker.connection.send(None)
        for worker in self._processes:
            # The connection closes when the process ends, even where the fork server was killed and cannot report it.
            with suppress(EOFError, OSError):
                while worker.connection.poll(EXIT_TIMEOUT_SECONDS):
                    worker.connection.recv_bytes()
            worker.process.kill()
            worker.process.join()
        self._processes.clear()

    def do(self, tasks: Tasks[Key, Value], label: str) -> dict[Key, TaskResult[Value]]:
        """Run every task and log progress under `label`; results are in the order of `tasks`.

        Tasks and values are pickled. A process that dies affects only its own task. That task runs once more at the
        end, alone, since memory may have been short for many at once; it fails if its process dies again.
        """
        progress = ProgressLog(label, len(tasks))
        if self.workers <= 1:
            return {key: progress.count(attempt(task)) for key, task in tasks.items()}
        results: dict[Key, TaskResult[Value]] = {}
        for key in self._run(tasks, self.workers, results, progress):
            if self._run({key: tasks[key]}, 1, results, progress):
                results[key] = progress.count(TaskResult(None, DIED))
        return {key: results[key] for key in tasks}

    def _run(
        self, tasks: Tasks[Key, Value], workers: int, results: dict[Key, TaskResult[Value]], progress: "ProgressLog"
    ) -> list[Key]:
        """Run tasks with up to `workers` processes; returns the keys of those whose process died."""
        waiting, died = deque(tasks), []
        busy: dict[Connection, tuple[_Worker, Key]] = {}
        while waiting or busy:
            while waiting and len(busy) < workers:
                if len(busy) == len(self._processes):
                    self._processes.append(_Worker())
                worker = next(worker for worker in self._processes if worker.connection not in busy)
                try:
                    worker.connection.send(tasks[waiting[0]])
                except OSError:  # the process died while idle
                    self._processes.remove(worker)
                    continue
                busy[worker.connection] = worker, waiting.popleft()
            for connection in wait(list(busy), timeout=LOG_INTERVAL_SECONDS):
                worker, key = busy.pop(cast(Connection, connection))
                try:
                    results[key] = progress.count(worker.connection.recv())
                except (EOFError, OSError):
                    self._processes.remove(worker)
                    died.append(key)
            progress.report()
        return died


class _Worker:
    """A process that runs one task after the other, and the connection to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("forkserver")
        self.connection, remote_end = context.Pipe()
        self.process = context.Process(target=_serve, args=(remote_end,))
        self.process.start()
        remote_end.close()  # only the process holds it now, so the connection breaks when the process dies


def _serve(connection: Connection) -> None:
    """Run the tasks received until None is received; exit at once when the parent process ends."""
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent receives it too, and ends its workers
    end_with_parent()
    with suppress(EOFError, OSError):  # raised by the connection when the parent is gone
        while (task := connection.recv()) is not None:
            connection.send(attempt(task))


def _exit(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second signal would interrupt the clean-up
    raise SystemExit(128 + number)


def attempt(task: Callable[[], Value]) -> TaskResult[Value]:
    """Run a task in this process; an exception becomes the reason of the result."""
    try:
        return TaskResult(task())
    except Exception as error:
        kind = [] if isinstance(error, UserError | RunError) else [f"{type(error).__name__}:"]
        return TaskResult(None, " ".join([*kind, *str(error).split()]).removesuffix(":"))


class ProgressLog:
    """Logs at intervals how many tasks are done and how long the remaining ones may take."""

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total = label, total
        self.done = self.failed = self.logged = 0
        self.started = self.last = time.monotonic()

    def count(self, result: TaskResult[Any]) -> TaskResult[Any]:
        """Count a finished task, and return its result."""
        self.done, self.failed = self.done + 1, self.failed + (result.reason is not None)
        self.report()
        return result

    def report(self) -> None:
        """Log the progress, at most once per interval."""
        now = time.monotonic()
        finished = self.done == self.total
        if self.done == self.logged or (now - self.last < LOG_INTERVAL_SECONDS and not finished):
            return
        seconds = now - self.started
        rest = "" if finished else f", about {seconds / self.done * (self.total - self.done) / 60:.1f} min left"
        failed = f", {self.failed} failed" if self.failed else ""
        log.info("%s: %d of %d%s, %.0f s%s", self.label, self.done, self.total, failed, seconds, rest)
        self.last, self.logged = now, self.done
