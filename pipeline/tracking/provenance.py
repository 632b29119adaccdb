"""Provenance of a run: git commit, machine and library versions."""

import os
import platform
import re
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from pipeline.runtime.paths import cpu_count

NO_GIT = "no git"
LIBRARIES = (  # whose release can change a result
    *("torch", "gensim", "numpy", "scipy", "nltk", "datasets", "scikit-learn", "regex", "statsmodels"),
    *("vaderSentiment", "floret"),
)


def environment(root: Path, device: str = "cpu") -> dict[str, Any]:
    """Describe the code at `root`, the machine and the library versions, as JSON values.

    `device` names the device that the run was trained on. `git_dirty` is None without git. A repository around the
    project whose top folder is not `root` does not count.
    """
    sha, dirty = _git_state(root)
    versions, cpu = {}, None
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    with suppress(OSError):
        cpu = re.search(r"(?m)^model name.*?:[ \t]*(.*\S)", Path("/proc/cpuinfo").read_text("utf-8", "replace"))
    return {
        "git_sha": sha,
        "git_dirty": dirty,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu[1] if cpu else platform.processor() or platform.machine(),
        "cores": cpu_count(),
        "device": device,
        "libraries": versions,
    }


def _git_state(root: Path) -> tuple[str, bool | None]:
    output = _git(root, "rev-parse", "--show-toplevel", "HEAD")
    top, _, sha = (output or "").strip().partition("\n")
    if not sha or Path(top).resolve() != root.resolve():
        return NO_GIT, None
    changes = _git(root, "status", "--porcelain")
    return sha, None if changes is None else bool(changes.strip())


def _git(root: Path, *arguments: str) -> str | None:
    """Output of a git command, None where it fails. It takes no lock, so concurrent runs do not block each other."""
    command, env = ["git", "-C", str(root), *arguments], os.environ | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
