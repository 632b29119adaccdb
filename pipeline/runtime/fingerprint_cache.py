"""Fingerprints of input files, remembered, so that a file of gigabytes is read once and not by every run.

That a file is still the one that was read is taken from its path, size, inode and times: of its last change (mtime)
and of the last change of any of these (ctime), which no program can set back. As in git's index, a file that was
changed less than two seconds before it was read is not remembered, because it may change again without its times
moving.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.runtime.cached_folder import waiting_lock
from pipeline.runtime.files import file_fingerprint, fingerprint, members, read_json, write_json
from pipeline.runtime.log import log

WORTH = 16 << 20  # bytes; less is read in about the time that remembering takes
SETTLED = 2_000_000_000  # nanoseconds; the coarsest clock of a file system, that of FAT
State = list[tuple[str, int, int, int, int]]


def known_fingerprint(paths: Sequence[Path], memory: Path, *, afresh: bool = False) -> str:
    """`file_fingerprint` of files and folders, without reading them where they are as they were when they were read.

    Parameters
    ----------
    memory : the folder in which the fingerprints of large inputs are kept.
    afresh : read them in any case.
    """
    state = _state(paths)
    if sum(size for _, size, *_ in state) < WORTH:
        return file_fingerprint(paths)
    names = [str(path.absolute()) for path in paths]
    note = memory / f"{fingerprint(names)}.json"
    if (known := _recalled(note, state)) and not afresh:
        return known
    memory.mkdir(parents=True, exist_ok=True)
    with waiting_lock(memory / f".{note.stem}.lock"):
        state = _state(paths)
        if (known := _recalled(note, state)) and not afresh:
            return known
        log.info("reading %s, to know whether it is what was read before", ", ".join(names))
        started = time.time_ns()
        found = file_fingerprint(paths)
        if _state(paths) == state and all(max(times) < started - SETTLED for _, _, _, *times in state):
            temporary = memory / f".{note.stem}.tmp-{os.getpid()}"
            write_json(temporary, {"paths": names, "state": fingerprint(state), "fingerprint": found})
            temporary.replace(note)
    return found


def _state(paths: Sequence[Path]) -> State:
    """Name, size in bytes, inode, mtime and ctime in nanoseconds of every file."""
    found = []
    for name, path in members(paths):
        with path.open("rb") as stream:  # NFS asks its server when a file is opened, and otherwise remembers
            is_now = os.fstat(stream.fileno())
        found.append((name, is_now.st_size, is_now.st_ino, is_now.st_mtime_ns, is_now.st_ctime_ns))
    return found


def _recalled(note: Path, state: State) -> str | None:
    """The fingerprint that was noted of files in this state."""
    try:
        noted = read_json(note)
        return str(noted["fingerprint"]) if noted["state"] == fingerprint(state) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
