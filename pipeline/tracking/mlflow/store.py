"""Open MLflow's tracking store: without log output and telemetry, and under a file lock if it is a sqlite file.

MLflow commits some fifteen times per run. Sqlite waits for the disk at each commit, two thirds of the logging time.
Here the file is synced to the disk once, at the end. After a power failure, `python -m pipeline sync` rebuilds it.
"""

import gc
import logging
import os
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
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
    """Open the tracking store, without log output and telemetry; a missing sqlite store is created.

    A file lock gives one process at a time a sqlite store: concurrent creation would break it for good.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    collects = gc.isenabled()
    gc.disable()  # MLflow keeps hundreds of thousands of objects, and each collection visits them
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy is deprecated")
        from mlflow.tracking import MlflowClient
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        if not event.contains(Engine, "connect", _set_synchronous_off):
            event.listen(Engine, "connect", _set_synchronous_off)
        loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "urllib3.connectionpool")]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            with _sqlite_store(Path(uri.removeprefix(SQLITE))) if uri.startswith(SQLITE) else nullcontext():
                yield MlflowClient(uri, registry_uri=uri)
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            if collects:
                gc.enable()


@contextmanager
def _sqlite_store(store: Path) -> Iterator[None]:
    """Hold the lock of a sqlite file, and sync the file to the disk before releasing it."""
    store.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(store.parent / f".{store.name}.lock", timeout=LOCK_SECONDS):
        try:
            yield
        finally:
            with suppress(OSError), store.open("rb") as stream:
                os.fsync(stream.fileno())


def _set_synchronous_off(connection: Any, _: Any) -> None:
    """Make a sqlite connection not wait for the disk at each commit."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")
