"""Folders that are whole or absent: renamed when complete, reused while the cache key is the same.

A stage writes into a temporary folder beside its target. The folder is renamed when its manifest is written, so an
interrupted stage leaves nothing that counts. A lock file lets two processes that want the same folder do the work once.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.runtime.files import read_json, write_json
from pipeline.runtime.log import log

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Stage:
    """A finished stage: its folder, the key that names its outcome, and its manifest."""

    folder: Path
    key: str
    manifest: dict[str, Any]

    @property
    def outcome(self) -> dict[str, Any]:
        """The facts about its files that the stage recorded."""
        outcome: dict[str, Any] = self.manifest["outcome"]
        return outcome

    @property
    def seconds(self) -> float:
        """Seconds the work took when it was done."""
        return float(self.manifest["seconds"])


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a whole stage folder, or None where there is none that can be read."""
    try:
        manifest = read_json(folder / MANIFEST)
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and "identity" in manifest else None


def file_sizes(folder: Path) -> dict[str, int]:
    """Size in bytes of every file below a folder, the manifest aside."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Hold a file lock; log a line when another process has it and this one must wait."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("waiting: another process is at work on %s", path.name.removeprefix(".").removesuffix(".lock"))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def ensure_folder(
    folder: Path, identity: Mapping[str, Any], work: Callable[[Path], Mapping[str, Any] | None], *, force: bool = False
) -> tuple[dict[str, Any], bool]:
    """Have `work` fill `folder`, unless it already holds the outcome of the same `identity`.

    `identity` is what determines the outcome (stage, configuration, fingerprints of the inputs, code, libraries).
    `work` fills the temporary folder it is given; what it returns is the manifest's `outcome`. With `force` it is done
    even when the outcome is there. Returns the manifest, and whether the folder was reused.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    wanted = json.loads(json.dumps(dict(identity), default=str))
    with waiting_lock(folder.parent / f".{folder.name}.lock"):
        manifest = read_manifest(folder)
        if manifest is not None and manifest["identity"] == wanted and not force:
            if manifest.get("files") == file_sizes(folder):
                return manifest, True
            log.info("%s: files are missing or cut short, doing the work again", folder.name)
        for left_over in folder.parent.glob(f".{folder.name}.tmp-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        temporary = folder.parent / f".{folder.name}.tmp-{os.getpid()}"
        temporary.mkdir()
        started = time.perf_counter()
        try:
            outcome = work(temporary)
            manifest = {
                "identity": wanted,
                "outcome": dict(outcome or {}),
                "files": file_sizes(temporary),
                "seconds": round(time.perf_counter() - started, 3),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            write_json(temporary / MANIFEST, manifest)
            manifest = read_json(temporary / MANIFEST)  # with the order of keys that every later reader sees
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        replaced = folder.parent / f".{folder.name}.tmp-replaced"
        if folder.exists():
            folder.rename(replaced)
        temporary.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)
        return manifest, False
