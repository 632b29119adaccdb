"""Log to MLflow from a background process, since importing MLflow takes as long as a short run trains.

The process starts with the run and is ready when there is a record to log. It does not share the GIL with the training
loop, ignores Ctrl-C, and ends when its parent ends or closes it.
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
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from pipeline.runtime.log import log
from pipeline.runtime.paths import cpu_count, project_root

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


class BackgroundLogger:
    """Logs records as `log.log_run` does, in the given process, or in this one where it is None."""

    def __init__(self, process: "subprocess.Popen[str] | None") -> None:
        self._process = process
        self._idle, self._unused = True, True
        atexit.register(self.close)

    def prepare(self, uri: str) -> None:
        """Open the store in the background; returns at once."""
        with suppress(OSError):
            self._send({"open": uri})

    def log_run(self, folder: Path, uri: str, experiment: str, artifact_root: Path) -> str | None:
        """Log a record; in this process if there is no background process or it has died."""
        reply = ""
        with suppress(OSError):
            reply = self._send({"log": [str(folder), uri, experiment, str(artifact_root)]}).readline()
            self._idle = True
        if not reply:
            from pipeline.tracking.mlflow.log import log_run

            return log_run(folder, uri, experiment, artifact_root)
        result = json.loads(reply)
        for warning in result["warnings"]:
            log.warning("%s", warning)
        return cast("str | None", result["run_id"])

    def close(self) -> None:
        """Close the pipes of the process: it finishes a request in progress and ends, and nothing waits for it.

        A process that was asked for nothing, as the run was refused, is ended while it still imports its libraries.
        """
        if self._process is None:
            return
        for stream in filter(None, (self._process.stdin, self._process.stdout)):
            with suppress(OSError):
                stream.close()
        if self._unused:
            self._process.terminate()
        if self._idle:
            self._process.wait()

    def _send(self, request: dict[str, Any]) -> IO[str]:
        """Write a request to the process and return the stream of its replies; OSError if there is none or it died."""
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            raise BrokenPipeError("no background process")
        self._idle = self._unused = False
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._process.stdout


def start_process() -> "subprocess.Popen[str]":
    """Start a process that runs `serve`, in a session of its own so that Ctrl-C does not reach it."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", __name__],
        cwd=project_root(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


@cache
def background_logger() -> BackgroundLogger:
    """The logger of this process; without a background process on a single core or if MLflow is loaded already."""
    return BackgroundLogger(start_process() if cpu_count() > 1 and "mlflow" not in sys.modules else None)


os.register_at_fork(after_in_child=background_logger.cache_clear)  # a child must not use its parent's


def _warm_up(client: "MlflowClient") -> None:
    """Run each kind of query that `log_run` needs: the first of a kind is compiled to SQL and takes twice the time."""
    client.search_experiments(max_results=1)
    client.search_registered_models(max_results=1)
    client.search_runs(["0"], "tags.`none` = ''")
    for query in (client.get_experiment_by_name, client.get_run, client.get_logged_model, client.get_registered_model):
        with suppress(Exception):  # not found
            query("0" * 32)


def serve() -> None:
    """Serve the requests on standard input, in order, until it ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # keeps the output of libraries out of the replies
    gc.disable()  # until everything is loaded: collections over objects that stay take a third of the time
    from pipeline.tracking.mlflow.log import log_run
    from pipeline.tracking.mlflow.model_folder import preload
    from pipeline.tracking.mlflow.store import mlflow_client

    preload()
    warnings = BufferingHandler(capacity=1000)  # the parent process logs them
    warnings.setLevel(logging.WARNING)
    log.addHandler(warnings)
    for line in sys.stdin:
        request = json.loads(line)
        if "open" in request:
            with suppress(Exception), mlflow_client(request["open"]) as client:  # `log_run` reports errors
                _warm_up(client)
        else:
            folder, uri, experiment, artifact_root = request["log"]
            run_id = log_run(Path(folder), uri, experiment, Path(artifact_root))
            messages = [record.getMessage() for record in warnings.buffer]
            replies.write(json.dumps({"run_id": run_id, "warnings": messages}) + "\n")
            replies.flush()
            warnings.flush()
        if not gc.isenabled():
            gc.freeze()
            gc.enable()


if __name__ == "__main__":
    serve()
    os._exit(0)  # skips the slow shutdown of the loaded libraries
