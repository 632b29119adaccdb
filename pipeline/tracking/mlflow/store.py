"""The door to MLflow's store: quiet, without telemetry, one process at a time where it is a sqlite file.

MLflow commits some fifteen times per run, and sqlite waits for the disk each time: two thirds of the time that logging
takes. The file is brought to the disk once, at the end. If the power fails in between, `python -m pipeline sync` makes
it anew.
"""

import gc
import logging
import os
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

SQLITE = "sqlite:///"
LOCK_SECONDS = 120
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}


@contextmanager
def mlflow_client(uri: str) -> Iterator["MlflowClient"]:
    """Open the tracking store, quietly and without telemetry; a sqlite store is made if need be.

    A sqlite store is held under a file lock meanwhile: processes that meet on a fresh one would break it for good.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    with _no_collection(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy is deprecated")
        from mlflow.tracking import MlflowClient

        loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "urllib3.connectionpool")]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        _leave_writing_to_the_system()
        try:
            with _store_lock(uri):
                yield MlflowClient(uri, registry_uri=uri)
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def _no_collection() -> Iterator[None]:
    """No search for garbage: MLflow brings hundreds of thousands of objects that stay, and each search visits them."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _store_lock(uri: str) -> AbstractContextManager[Any]:
    return _sqlite_store(Path(uri.removeprefix(SQLITE))) if uri.startswith(SQLITE) else nullcontext()


@contextmanager
def _sqlite_store(store: Path) -> Iterator[None]:
    """Hold the lock of a sqlite file, and bring it to the disk before it is let go."""
    store.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(store.parent / f".{store.name}.lock", timeout=LOCK_SECONDS):
        try:
            yield
        finally:
            with suppress(OSError), store.open("rb") as stream:
                os.fsync(stream.fileno())


def _leave_writing_to_the_system() -> None:
    """Have sqlite connections of this process not wait for the disk."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    if not event.contains(Engine, "connect", _do_not_wait):
        event.listen(Engine, "connect", _do_not_wait)


def _do_not_wait(connection: Any, _: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")
