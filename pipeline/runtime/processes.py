"""How a process may begin as a copy of this one, and how none outlives the one that started it."""

import multiprocessing
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


def can_fork() -> bool:
    """Whether a process may begin as a copy of this one; elsewhere the libraries it computes with may not survive."""
    return sys.platform == "linux"


@contextmanager
def forking() -> Iterator[None]:
    """Within it processes are forked, without the warning of Python 3.12 and later.

    The copies have nothing to do with this process's other threads.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)
        yield


def end_with_parent() -> None:
    """Have this process, which multiprocessing started, leave at once when its parent ends, however that happens."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
