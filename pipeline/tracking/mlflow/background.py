"""MLflow in a process beside the run: loading it and opening its store take as long as a short run trains.

The process starts with the run and is ready by the time there is something to log. It shares no interpreter lock with
the training loop, hears no Ctrl-C, and ends when the process that started it ends or lets go of it.
"""

import atexit
import gc
import json
import logging
import os
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.runtime.log import log
from pipeline.runtime.paths import project_root

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


class Beside:
    """Logs records as `mlflow_log.log_run` does, in a process of its own if it is given one."""

    def __init__(self, process: "subprocess.Popen[str] | None") -> None:
        self._process = process
        self._idle = True
        atexit.register(self.close)

    def prepare(self, uri: str) -> None:
        """Have the store opened, and do not wait for it."""
        self._ask({"open": uri})

    def log_run(self, folder: Path, uri: str, experiment: str, artifact_root: Path) -> str | None:
        """Log a record; in this process where there is no other, or it has died."""
        answer = self._answer({"log": [str(folder), uri, experiment, str(artifact_root)]})
        if not answer:
            from pipeline.tracking.mlflow.log import log_run

            return log_run(folder, uri, experiment, artifact_root)
        found = json.loads(answer)
        for warning in found["warnings"]:
            log.warning("%s", warning)
        return None if found["run_id"] is None else str(found["run_id"])

    def close(self) -> None:
        """Let the process go. What it has begun it ends, so that no store is left half made; nobody waits for that."""
        if self._process is None:
            return
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if stream:
                    stream.close()
        if self._idle:
            self._process.wait()

    def _ask(self, question: dict[str, Any]) -> bool:
        if self._process is None or self._process.stdin is None:
            return False
        self._idle = False
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except OSError:
            return False
        return True

    def _answer(self, question: dict[str, Any]) -> str:
        if not self._ask(question) or self._process is None or self._process.stdout is None:
            return ""
        answer = self._process.stdout.readline()
        self._idle = True
        return answer


def start_process() -> "subprocess.Popen[str]":
    """A process that `serve`s, out of reach of Ctrl-C."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", __name__],
        cwd=project_root(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def mlflow_beside() -> Beside:
    """What logs the records of this process: itself on a single core, and where MLflow is loaded already."""
    return _beside(os.getpid())


@cache
def _beside(process: int) -> Beside:
    """One for each process: what a fork inherits belongs to its parent."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Beside(start_process() if cores > 1 and "mlflow" not in sys.modules else None)


class _Warnings(logging.Handler):
    """Keeps what is to be said by the process that asked."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def _rehearse(client: "MlflowClient") -> None:
    """Ask what `log_run` will ask: the first question of a kind is made into SQL, the next ones take half the time."""
    client.search_experiments(max_results=1)
    client.search_registered_models(max_results=1)
    client.search_runs(["0"], "tags.`none` = ''")
    for look in (client.get_experiment_by_name, client.get_run, client.get_logged_model, client.get_registered_model):
        with suppress(Exception):  # there is none
            look("0" * 32)


def serve() -> None:
    """Answer the questions on standard input, in their order, until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    gc.disable()  # until all is loaded: it stays, and to look through it again and again takes a third of the time
    from pipeline.tracking.mlflow.log import log_run
    from pipeline.tracking.mlflow.model_folder import load_ahead
    from pipeline.tracking.mlflow.store import mlflow_client

    load_ahead()
    warnings = _Warnings()
    log.addHandler(warnings)
    for line in sys.stdin:
        question = json.loads(line)
        if "open" in question:
            with suppress(Exception), mlflow_client(question["open"]) as client:  # `log_run` says what is wrong
                _rehearse(client)
        else:
            folder, uri, experiment, artifact_root = question["log"]
            run_id = log_run(Path(folder), uri, experiment, Path(artifact_root))
            answers.write(json.dumps({"run_id": run_id, "warnings": warnings.said}) + "\n")
            answers.flush()
            warnings.said.clear()
        if not gc.isenabled():
            gc.freeze()
            gc.enable()


if __name__ == "__main__":
    serve()
    os._exit(0)  # nothing is left to do, and taking all these libraries apart takes a while
