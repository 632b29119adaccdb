"""Forked processes: where they are safe, and how a child process ends with its parent."""

import multiprocessing
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


def can_fork() -> bool:
    """Whether this process may be forked: elsewhere than on Linux, numerical libraries may not survive it."""
    return sys.platform == "linux"


@contextmanager
def no_fork_warning() -> Iterator[None]:
    """Suppress the warning of Python 3.12 and later about forking a process that has threads.

    The children do not use the parent's threads.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)
        yield


def end_with_parent() -> None:
    """Make this child process of multiprocessing exit as soon as its parent ends, for whatever reason."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
