"""WorkerPool: tasks that fail, processes that die, and a command that ends early."""

import importlib
import logging
import multiprocessing
import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline.runtime.errors import UserError
from pipeline.runtime.paths import project_root
from pipeline.runtime.worker_pool import DIED, TaskResult, WorkerPool

# Worker processes import tasks by module name, and test modules have no importable one.
TASKS_MODULE = '''
import os
import signal
import time
from pathlib import Path


def pid_after(seconds):
    time.sleep(seconds)
    return os.getpid()


def note(folder, name, seconds=0.0):
    """Create a new file at each call."""
    (folder / f"{name}.{len(list(folder.glob(f'{name}.*')))}").touch()
    time.sleep(seconds)
    return name


def die(folder, name, times):
    note(folder, name)
    if len(list(folder.glob(f"{name}.*"))) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return name


def wait_for(path):
    while not path.exists():
        time.sleep(0.02)


def stay(path, seconds):
    path.with_suffix(".started").touch()
    try:
        time.sleep(seconds)
    finally:
        path.with_suffix(".cleaned").touch()
'''

COMMAND = """
import signal, sys
from functools import partial
from pathlib import Path
import pool_tasks
from pipeline.runtime.worker_pool import WorkerPool

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
try:
    with WorkerPool(3) as workers:
        workers.do({n: partial(pool_tasks.pid_after, 0.2) for n in range(3)}, "then one of them is idle")
        workers.do({n: partial(pool_tasks.stay, Path(sys.argv[1]) / str(n), 600) for n in range(2)}, "work")
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def pool_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "pool_tasks.py").write_text(TASKS_MODULE, "utf-8")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    yield importlib.import_module("pool_tasks")
    del sys.modules["pool_tasks"]


def done_times(folder: Path) -> dict[str, int]:
    names = [path.name.partition(".")[0] for path in folder.iterdir()]
    return {name: names.count(name) for name in names}


def becomes_true(seconds: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def group_members(group: int) -> list[int]:
    """Live processes of a group, without zombies."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text("utf-8").rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state not in "ZX":
            members.append(int(stat.parent.name))
    return members


class TestResults:
    def test_results_are_in_the_order_of_the_tasks(self, pool_tasks: ModuleType):
        tasks: dict[Any, Callable[[], Any]] = {
            "slow": partial(pool_tasks.pid_after, 0.5),
            ("a", 1): partial(pow, 2, 5),
            7: partial(pow, 3, 2),
            "": os.getppid,
        }
        with WorkerPool(2) as workers:
            results = workers.do(tasks, "work")
        assert list(results) == ["slow", ("a", 1), 7, ""]
        assert (results["a", 1], results[7]) == (TaskResult(32), TaskResult(9))
        assert results["slow"].get() != os.getpid()

    def test_a_failed_task_is_reported_and_the_others_are_done(self, caplog: pytest.LogCaptureFixture):
        tasks: dict[str, Callable[[], Any]] = {
            "zero": partial(operator.truediv, 1, 0),
            "fine": partial(operator.truediv, 1, 4),
            "key": partial(operator.getitem, {}, "no such key"),
            "two lines": partial(int, "1\n2"),
            "user": partial(_raise, UserError, "data.path: no file"),
            "empty": partial(next, iter(())),
        }
        with caplog.at_level(logging.INFO, "pipeline"), WorkerPool(1) as workers:
            results = workers.do(tasks, "sums")
        assert results["fine"] == TaskResult(0.25)
        assert {key: done.reason for key, done in results.items() if key != "fine"} == {
            "zero": "ZeroDivisionError: division by zero",
            "key": "KeyError: 'no such key'",
            "two lines": r"ValueError: invalid literal for int() with base 10: '1\n2'",
            "user": "data.path: no file",
            "empty": "StopIteration",
        }
        assert caplog.messages == ["sums: 6 of 6, 5 failed, 0 s"]
        with pytest.raises(AssertionError, match="division by zero"):
            results["zero"].get()

    def test_a_failure_in_a_worker_process_has_the_same_reason(self):
        tasks = {n: partial(operator.truediv, 1, n) for n in (0, 2)}
        with WorkerPool(2) as workers:
            assert workers.do(tasks, "sums") == {
                0: TaskResult(None, "ZeroDivisionError: division by zero"),
                2: TaskResult(0.5),
            }

    def test_no_tasks_start_no_process(self):
        with WorkerPool(2) as workers:
            assert workers.do({}, "nothing") == {}
            assert multiprocessing.active_children() == []


def _raise(kind: type[Exception], text: str) -> None:
    raise kind(text)


class TestProcesses:
    def test_one_worker_means_this_process(self):
        with WorkerPool(1) as workers:
            results = workers.do({1: os.getpid, 2: lambda: "an unpicklable task"}, "work")
            assert multiprocessing.active_children() == []
        assert results == {1: TaskResult(os.getpid()), 2: TaskResult("an unpicklable task")}

    def test_processes_live_until_the_pool_is_left(self, pool_tasks: ModuleType):
        with WorkerPool(2) as workers:
            first = workers.do({n: partial(pool_tasks.pid_after, 0.3) for n in range(4)}, "first")
            second = workers.do({n: partial(pool_tasks.pid_after, 0.3) for n in range(2)}, "second")
        pids = {done.get() for done in first.values()}
        assert len(pids) == 2
        assert os.getpid() not in pids
        assert {done.get() for done in second.values()} == pids
        assert multiprocessing.active_children() == []

    def test_there_are_no_more_processes_than_tasks(self):
        with WorkerPool(8) as workers:
            workers.do({1: os.getpid}, "one")
            assert len(multiprocessing.active_children()) == 1

    @pytest.mark.parametrize("death", [partial(os._exit, 3), partial(signal.raise_signal, signal.SIGKILL)])
    def test_a_process_that_dies_fails_only_its_own_task(
        self, pool_tasks: ModuleType, tmp_path: Path, death: Callable[[], Any]
    ):
        folder = tmp_path / "notes"
        folder.mkdir()
        tasks: dict[str, Callable[[], Any]] = {"long": partial(pool_tasks.note, folder, "long", 1.0), "dies": death}
        tasks |= {name: partial(pool_tasks.note, folder, name) for name in "abc"}
        with WorkerPool(2) as workers:
            results = workers.do(tasks, "work")
            assert workers.do({"next": partial(pow, 2, 3)}, "next") == {"next": TaskResult(8)}
        assert list(results) == list(tasks)
        assert results.pop("dies") == TaskResult(None, DIED)
        assert results == {name: TaskResult(name) for name in ("long", "a", "b", "c")}
        assert done_times(folder) == dict.fromkeys(results, 1)

    def test_a_task_whose_process_dies_runs_again_alone(self, pool_tasks: ModuleType, tmp_path: Path):
        folder = tmp_path / "notes"
        folder.mkdir()
        tasks = {name: partial(pool_tasks.die, folder, name, times) for name, times in {"a": 1, "b": 0, "c": 5}.items()}
        with WorkerPool(2) as workers:
            assert workers.do(tasks, "work") == {
                "a": TaskResult("a"),
                "b": TaskResult("b"),
                "c": TaskResult(None, DIED),
            }
        assert done_times(folder) == {"a": 2, "b": 1, "c": 2}

    def test_an_idle_process_that_dies_is_replaced(self, pool_tasks: ModuleType):
        with WorkerPool(2) as workers:
            first = workers.do({n: partial(pool_tasks.pid_after, 0.3) for n in range(2)}, "first")
            victim = first[0].get()
            os.kill(victim, signal.SIGKILL)
            assert becomes_true(20, lambda: victim not in [child.pid for child in multiprocessing.active_children()])
            second = workers.do({n: partial(pool_tasks.pid_after, 0.3) for n in range(2)}, "second")
        pids = [second[n].get() for n in range(2)]
        assert first[1].get() in pids
        assert victim not in pids

    def test_an_error_of_this_process_terminates_running_tasks(
        self, pool_tasks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        def interrupt(_: Any, result: TaskResult[Any]) -> TaskResult[Any]:
            raise KeyboardInterrupt

        monkeypatch.setattr("pipeline.runtime.worker_pool.ProgressLog.count", interrupt)
        tasks = {
            "long": partial(pool_tasks.stay, tmp_path / "long", 600),
            "short": partial(pool_tasks.wait_for, tmp_path / "long.started"),
        }
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt), WorkerPool(2) as workers:
            workers.do(tasks, "work")
        assert time.monotonic() - started < 60
        assert multiprocessing.active_children() == []
        assert (tmp_path / "long.cleaned").exists()


def accept_interrupts() -> None:
    """Restore SIGINT, which background jobs of a shell ignore, as do their children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are counted in /proc")
@pytest.mark.parametrize(
    ("number", "to_all", "code"),
    [
        (signal.SIGKILL, False, -signal.SIGKILL),
        (signal.SIGTERM, False, 143),
        (signal.SIGTERM, True, 143),
        (signal.SIGINT, True, 130),  # as Ctrl-C on a terminal sends it
    ],
)
def test_no_process_outlives_the_command(
    pool_tasks: ModuleType, tmp_path: Path, number: signal.Signals, to_all: bool, code: int
):
    modules = os.pathsep.join([str(project_root()), str(tmp_path / "modules")])
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(tmp_path)],
        env=_environment(PYTHONPATH=modules), stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=accept_interrupts,
    )  # fmt: skip
    try:
        assert becomes_true(60, lambda: len(list(tmp_path.glob("*.started"))) == 2), "the tasks have not started"
        assert len(group_members(process.pid)) >= 4
        if to_all:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
        assert (process.returncode, stderr) == (code, "")
        assert becomes_true(30, lambda: not group_members(process.pid)), group_members(process.pid)
        if number != signal.SIGKILL:
            assert {path.name for path in tmp_path.glob("*.cleaned")} == {"0.cleaned", "1.cleaned"}
    finally:
        for pid in group_members(process.pid):
            os.kill(pid, signal.SIGKILL)


POOLS = {
    "tokenizing": """
import itertools
from pipeline.text.parallel_tokenize import tokenize_batches
for _ in tokenize_batches(itertools.repeat(["a b c"] * 20_000), str.split, workers=2):
    print(flush=True)
""",
    "training": """
import time
import numpy as np
from pipeline.classifier.fast.forked_runs import train_in_processes
from pipeline.classifier.run_spec import Run
from pipeline.config.compose import compose
config = compose([])
run = Run(np.zeros((3, 2), np.float32), config.embedding, np.arange(1), 0, config.model, config.train)
def attempt(task, run):
    print(flush=True)
    time.sleep(600)
train_in_processes(None, [run, run], 2, attempt)
""",
}


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
@pytest.mark.parametrize("pool", POOLS)
def test_no_forked_process_outlives_a_killed_parent(pool: str):
    process = subprocess.Popen(
        [sys.executable, "-c", POOLS[pool]], env=_environment(PYTHONPATH=str(project_root())),
        stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert len(group_members(process.pid)) == 3
        process.kill()
        process.wait(60)
        assert becomes_true(30, lambda: not group_members(process.pid)), group_members(process.pid)
    finally:
        for pid in group_members(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.communicate()


def _environment(**changes: str) -> Mapping[str, str]:
    return {**os.environ, **changes}
