"""Folders that are either whole or absent: the cache of every stage and the record of every run.

A stage writes into a temporary folder beside its place and the folder is renamed when its manifest is written, so an
interrupted stage leaves nothing that counts. A lock file lets two processes that want the same folder do the work once.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.runtime.log import log

MANIFEST = "manifest.json"
LIBRARIES = (
    *("torch", "gensim", "numpy", "scipy", "nltk", "datasets", "scikit-learn", "regex", "datasketch", "statsmodels"),
    *("vaderSentiment", "floret"),
)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as sorted, indented UTF-8 JSON with a final newline: equal values give equal bytes."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file written by `write_json`."""
    return json.loads(path.read_text("utf-8"))


def fingerprint(value: Any) -> str:
    """16 hexadecimal digits that name a JSON-like value, independent of key order."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def file_fingerprint(paths: Iterable[Path]) -> str:
    """16 hexadecimal digits of the names and contents of files; folders count with all files below them."""
    digest = hashlib.blake2b(digest_size=8)
    for name, path in members(paths):
        digest.update(name.encode() + b"\0")
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def members(paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Files, and all files below folders in the order of their names; each with its name as seen from beside it."""
    for path in paths:
        for member in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
            yield str(member.relative_to(path.parent)), member


def library_versions() -> dict[str, str]:
    """Versions of the libraries whose release can move a result; an optional one that is absent is left out."""
    found = {}
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a whole stage folder, or None where there is none that can be read."""
    try:
        manifest = read_json(folder / MANIFEST)
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and "identity" in manifest else None


@dataclass(frozen=True)
class Stage:
    """A finished stage: its folder, the key that names its outcome, and its manifest."""

    folder: Path
    key: str
    manifest: dict[str, Any]

    @property
    def outcome(self) -> dict[str, Any]:
        """What the stage had to say about its files."""
        outcome: dict[str, Any] = self.manifest["outcome"]
        return outcome

    @property
    def seconds(self) -> float:
        """Seconds the work took when it was done."""
        return float(self.manifest["seconds"])


def file_sizes(folder: Path) -> dict[str, int]:
    """Size in bytes of every file below a folder, the manifest aside."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Hold a file lock; say so when another process has it and this one must wait."""
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

    Parameters
    ----------
    folder : where the outcome belongs.
    identity : what determines the outcome (stage, configuration, fingerprints of the inputs).
    work : fills the temporary folder it is given; what it returns is added to the manifest under `outcome`.
    force : do the work even when the outcome is there.

    Returns
    -------
    The manifest, and whether the folder was reused.
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
                "versions": library_versions(),
                "seconds": round(time.perf_counter() - started, 3),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            write_json(temporary / MANIFEST, manifest)
            manifest = read_json(temporary / MANIFEST)  # the same, order of keys included, as who reuses it will see
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        if folder.exists():
            replaced = folder.parent / f".{folder.name}.tmp-replaced"
            folder.rename(replaced)
            temporary.rename(folder)
            shutil.rmtree(replaced, ignore_errors=True)
        else:
            temporary.rename(folder)
        return manifest, False
