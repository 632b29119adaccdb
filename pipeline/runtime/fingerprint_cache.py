"""A cache of input files' fingerprints, so that a file of gigabytes is read once and not by every run.

A file counts as unchanged if its path, size, inode, modification time (mtime) and status-change time (ctime) are. No
program can set back the ctime. As in git's index, a file that changed less than two seconds before it was read is not
cached, because it may change again while its times stay the same.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.runtime.cached_folder import waiting_lock
from pipeline.runtime.files import file_fingerprint, fingerprint, members, read_json, write_json
from pipeline.runtime.log import log

MIN_BYTES = 16 << 20  # smaller inputs are read about as fast as a cache entry is written
MIN_AGE = 2_000_000_000  # nanoseconds; the coarsest clock of a file system, that of FAT
State = list[tuple[str, int, int, int, int]]


def cached_fingerprint(paths: Sequence[Path], cache: Path, *, refresh: bool = False) -> str:
    """`file_fingerprint` of files and folders, read only where they changed since they were last read, or to `refresh`.

    The folder `cache` keeps the fingerprints of large inputs.
    """
    state = _state(paths)
    if sum(size for _, size, *_ in state) < MIN_BYTES:
        return file_fingerprint(paths)
    names = [str(path.absolute()) for path in paths]
    entry = cache / f"{fingerprint(names)}.json"
    cache.mkdir(parents=True, exist_ok=True)
    with waiting_lock(cache / f".{entry.stem}.lock"):
        state = _state(paths)
        if (known := _lookup(entry, state)) and not refresh:
            return known
        log.info("reading %s, to fingerprint its content", ", ".join(names))
        started = time.time_ns()
        digest = file_fingerprint(paths)
        if _state(paths) == state and all(max(times) < started - MIN_AGE for _, _, _, *times in state):
            temporary = cache / f".{entry.stem}.tmp-{os.getpid()}"
            write_json(temporary, {"paths": names, "state": fingerprint(state), "fingerprint": digest})
            temporary.replace(entry)
    return digest


def _state(paths: Sequence[Path]) -> State:
    """Name, size in bytes, inode, mtime and ctime in nanoseconds of every file."""
    state = []
    for name, path in members(paths):
        with path.open("rb") as stream:  # NFS asks its server only when a file is opened
            status = os.fstat(stream.fileno())
        state.append((name, status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns))
    return state


def _lookup(entry: Path, state: State) -> str | None:
    """The cached fingerprint of files in this state; None where there is none or the entry is damaged."""
    try:
        content = read_json(entry)
        return str(content["fingerprint"]) if content["state"] == fingerprint(state) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
