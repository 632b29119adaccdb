"""Reads and writes the project's own JSON and CSV files; fingerprints of values and files."""

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


def write_json(path: Path, value: Any) -> None:
    """Write `value` as sorted, indented UTF-8 JSON with a final newline: equal values give equal bytes."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file written by `write_json`."""
    return json.loads(path.read_text("utf-8"))


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is written under a temporary name and renamed at the end: `path` is whole or untouched."""
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            yield file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a UTF-8 CSV file with a header, every cell as text."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one mapping with dotted keys; lists and empty mappings stay whole."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
    return flat


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
            hashlib.file_digest(stream, lambda: digest)
    return digest.hexdigest()


def members(paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Files, and all files below folders in the order of their names; each with its name relative to its parent."""
    for path in paths:
        for member in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
            yield str(member.relative_to(path.parent)), member
