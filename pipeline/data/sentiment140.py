"""Sentiment140: label codes, and the original CSV files, which have no header and latin-1 bytes."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from pipeline.config.schema import DataConfig
from pipeline.data.clean_rows import Row
from pipeline.data.text_file import content_name, is_valid, text_file
from pipeline.runtime.errors import UserError

NAMES = ("negative", "positive")
# The original codes are 0, 2 (neutral) and 4; reduced copies have 0 and 1. No code is ambiguous.
CODES: dict[object, str | None] = {0: "negative", 1: "positive", 4: "positive"}
CODES |= {str(code): name for code, name in CODES.items()}
NEUTRAL = (2, "2")
LABEL_COLUMNS = ("sentiment", "label", "target", "polarity")
ORIGINAL_FILES = {"train": "training*.csv*", "test": "testdata*.csv*"}
ORIGINAL_COLUMNS = 6  # label, id, date, query, user, text


def original_files(path: Path) -> dict[str, Path]:
    """The CSV files of the original archive by split: `path` itself, or those in this folder, empty without any."""
    if path.is_file():
        return {"train": path}
    files = {split: sorted(path.glob(pattern)) for split, pattern in ORIGINAL_FILES.items()}
    for split, matches in files.items():
        if len(matches) > 1:
            raise UserError(f"{path}: expected one {split} file, found {', '.join(file.name for file in matches)}")
    return {split: matches[0] for split, matches in files.items() if matches} if files["train"] else {}


def file_config(path: Path, config: DataConfig, notes: list[str]) -> DataConfig:
    """The keys that read `path`: those of the original layout where its first line has it, or else `config`."""
    if Path(content_name(path)).suffix.lower() != ".csv":
        return config
    encoding = config.encoding
    if encoding == "auto":
        encoding = "utf-8" if is_valid(path, "utf-8") else "latin-1"
    fields = next(csv.reader(islice(text_file(path, encoding).lines(), 1)), [])
    if len(fields) != ORIGINAL_COLUMNS or not (fields[0] in CODES or fields[0] in NEUTRAL):
        return config
    notes.append(f"{path.name}: read as {encoding}, without a header, label in column 0 and text in column 5")
    return replace(
        config,
        text_column="5",
        label_column="0",
        header="false",
        delimiter="comma",
        quoting="double" if config.quoting == "auto" else config.quoting,
        encoding=encoding,
    )


def polar_rows(rows: Iterable[Row], name: str, notes: list[str]) -> Iterator[Row]:
    """Rows without the neutral ones, which a note counts."""
    neutral = 0
    for row in rows:
        if row.label in NEUTRAL:
            neutral += 1
        else:
            yield row
    if neutral:
        notes.append(f"{name}: {neutral} neutral rows (label 2) left out")
