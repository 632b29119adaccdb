"""The project's root folder, and the number of cores of this process."""

import os
from pathlib import Path


def project_root() -> Path:
    """The folder that holds conf/ and pipeline/, wherever the command was started."""
    return Path(__file__).resolve().parents[2]


def cpu_count() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
