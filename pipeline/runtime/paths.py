"""The project's root folder, its scripts as a user calls them, and the number of cores of this process."""

import os
import shlex
import shutil
import sys
from pathlib import Path


def project_root() -> Path:
    """The folder that holds conf/ and pipeline/, wherever the command was started."""
    return Path(__file__).resolve().parents[2]


def script(name: str) -> str:
    """A script of the project as a shell reads it: from the current directory if that is the project, else absolute."""
    return f"./scripts/{name}" if project_root() == Path.cwd() else shlex.quote(str(project_root() / "scripts" / name))


def python() -> str:
    """The running Python as a shell calls it: by name if that finds the same one."""
    return "python" if shutil.which("python") == sys.executable else shlex.quote(sys.executable)


def cpu_count() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
