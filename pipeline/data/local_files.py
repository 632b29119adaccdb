"""CSV, TSV, JSONL and Parquet reader for local files (`data=files`).

CSV is read with Python's `csv` module instead of the CSV builder of `datasets`. That builder pads short rows, stops at
long ones and reports no row numbers; here each bad row is reported and the others are used.
"""

import csv
import json
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.schema import DataConfig
from pipeline.data.arrow import in_batches
from pipeline.data.clean_rows import BATCH, Row, Source, SourceSplit, did_you_mean, numbered_rows, quoted
from pipeline.runtime.errors import UserError, one_line

SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
CHECKED_ROWS = 100
END_MARK = "\0end of file"
MAX_FIELD_SIZE = 10_000_000  # characters; Python's own limit of 131,072 would refuse a whole file for one long text


def open_files(config: DataConfig) -> Source:
    """`data.path` as one file, or as a folder with train.*, and optionally validation.*, test.* and unlabelled.txt.

    Raises UserError where the path is absent or of an unknown kind, or where the folder has no training file or two
    files for one split.
    """
    path = data_path(config)
    texts = path / "unlabelled.txt"
    unlabelled = line_batches(texts) if texts.is_file() else None
    files = split_files(path) if path.is_dir() else {"train": path}
    splits = {split: read_file(file, config.text_column, config.label_column) for split, file in files.items()}
    return Source(splits, unlabelled=unlabelled)


def data_path(config: DataConfig) -> Path:
    """`data.path`, which must exist."""
    if not config.path:
        raise UserError(f"data.path is not set; data={config.source} reads the file or folder it names")
    path = Path(config.path).expanduser().absolute()
    if not path.exists():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UserError(f"data.path: no file or folder {path}{did_you_mean(path.name, siblings)}")
    return path


def split_files(folder: Path) -> dict[str, Path]:
    """The file of each split in `folder`."""
    files: dict[str, Path] = {}
    for split, names in SPLIT_NAMES.items():
        matches = sorted(p for p in folder.iterdir() if p.stem.lower() in names and p.suffix.lower() in READERS)
        if len(matches) > 1:
            raise UserError(f"{folder}: expected one {split} file, found {', '.join(p.name for p in matches)}")
        if matches:
            files[split] = matches[0]
    if "train" not in files:
        raise UserError(f"{folder}: no file train.* ending in {', '.join(READERS)}")
    return files


def read_file(path: Path, text_column: str, label_column: str) -> SourceSplit:
    """The rows of one file, read lazily: an unreadable file raises a UserError when its rows are read."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: expected a file ending in {', '.join(READERS)}, found {path.suffix!r}")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty")
    return SourceSplit(path.name, reader(path, text_column, label_column), text_column, label_column)


def check_file(path: Path, config: DataConfig) -> None:
    """Refuse a file that cannot be read, or lacks the text or label column; the first rows are read."""
    deque(islice(read_file(path, config.text_column, config.label_column).rows, CHECKED_ROWS), maxlen=0)


def check_columns(path: Path | str, columns: list[str], text_column: str, label_column: str) -> None:
    """Refuse a table that lacks the text or label column, or has two of that name."""
    for key, column in (("data.text_column", text_column), ("data.label_column", label_column)):
        if column not in columns:
            hint = did_you_mean(column, columns)
            raise UserError(f"{path}: no column {column!r} ({key}); columns: {', '.join(columns)}{hint}")
        if columns.count(column) > 1:
            raise UserError(f"{path}: {columns.count(column)} columns are called {column!r} ({key}), expected one")


def decoded_lines(path: Path, file: IO[str]) -> Iterator[str]:
    """The lines of a text file; bytes that are not UTF-8 are a UserError that names the line."""
    try:
        yield from file
    except UnicodeDecodeError:
        with path.open("rb") as raw:
            for number, line in enumerate(raw, 1):
                try:
                    line.decode()
                except UnicodeDecodeError as error:
                    raise UserError(
                        f"{path}, line {number}: byte {line[error.start]:#04x} is not UTF-8; save the file as UTF-8"
                    ) from None
        raise


def read_csv(path: Path, text_column: str, label_column: str, delimiter: str = ",") -> Iterator[Row]:
    """Rows of a table with a header; fields in double quotes may hold delimiters, newlines and doubled quotes."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        # The end mark shows whether the parser was inside a quoted field when the file ended.
        csv.field_size_limit(MAX_FIELD_SIZE)
        reader = csv.reader(chain(decoded_lines(path, file), [END_MARK]), delimiter=delimiter)
        number, line = 0, 1
        columns: list[str] | None = None
        try:
            for fields in reader:
                start, line = line, reader.line_num + 1
                if fields == [END_MARK]:
                    break
                if fields and fields[-1].endswith(END_MARK):
                    raise UserError(f"{path}, row {number + 1} (line {start}): a quoted field is never closed")
                if not fields or (len(fields) == 1 and not fields[0].strip()):
                    continue
                if columns is None:
                    columns = fields
                    check_columns(path, columns, text_column, label_column)
                    text_index, label_index = columns.index(text_column), columns.index(label_column)
                    continue
                number += 1
                if len(fields) != len(columns):
                    count = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
                    yield Row(number, None, None, start, f"{count}, expected {len(columns)} ({', '.join(columns)})")
                else:
                    yield Row(number, fields[text_index], fields[label_index], start)
        except csv.Error as error:
            raise UserError(f"{path}, row {number + 1} (line {line}): {error}; is a quote left open?") from None
    if columns is None:
        raise UserError(f"{path}: the file holds nothing but blank lines")


def read_jsonl(path: Path, text_column: str, label_column: str) -> Iterator[Row]:
    """One JSON object per line; the row number counts the lines that are not blank."""
    columns: dict[str, None] = {}
    number = 0
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for line_number, line in enumerate(decoded_lines(path, file), 1):
            if not line.strip():
                continue
            number += 1
            if number == 1 and line.lstrip().startswith("["):
                raise UserError(f"{path}: a JSON list; expected one object per line (JSONL)")
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield Row(number, None, None, line_number, f"not JSON ({one_line(error)}); expected an object")
                continue
            if not isinstance(value, dict):
                yield Row(number, None, None, line_number, f"found {quoted(value)}, expected a JSON object")
                continue
            if len(columns) < BATCH:
                columns.update(dict.fromkeys(value))
            yield Row(number, value.get(text_column), value.get(label_column), line_number)
    if columns:
        check_columns(path, list(columns), text_column, label_column)
    if not number:
        raise UserError(f"{path}: the file holds nothing but blank lines")


def read_parquet(path: Path, text_column: str, label_column: str) -> Iterator[Row]:
    """Rows of a Parquet file."""
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            check_columns(path, file.schema_arrow.names, text_column, label_column)
            batches = file.iter_batches(BATCH, columns=[text_column, label_column])
            columns = ([batch.column(name).to_pylist() for name in (text_column, label_column)] for batch in batches)
            yield from numbered_rows(pair for texts, labels in columns for pair in zip(texts, labels, strict=True))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({one_line(error)})") from None


def line_batches(path: Path) -> Iterator[list[str]]:
    """The lines of a text file that are not blank, in batches."""
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        lines = (line.rstrip("\r\n") for line in decoded_lines(path, file))
        yield from in_batches((line for line in lines if line.strip()), BATCH)


READERS: dict[str, Callable[[Path, str, str], Iterator[Row]]] = {
    ".csv": read_csv,
    ".tsv": partial(read_csv, delimiter="\t"),
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_jsonl,
    ".parquet": read_parquet,
}
