"""Reader of tables as people have them: CSV, TSV, JSON, JSONL, fastText and Parquet files, compressed or not.

CSV is read with Python's `csv` module instead of the CSV builder of `datasets`. That builder pads short rows, stops at
long ones, takes texts such as `NA` for missing ones and reports no row numbers. Here each bad row is reported and the
others are used.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pipeline.data.delimited import delimited_table
from pipeline.data.dialect import SAMPLE_LINES
from pipeline.data.records import Layout, Record, check_columns
from pipeline.data.text_file import TextFile, content_name, open_bytes, readable, text_file
from pipeline.runtime.errors import UserError, one_line

TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
SUFFIXES = (*TEXT_SUFFIXES, *JSON_SUFFIXES, ".parquet")
FASTTEXT_LABEL = re.compile(r"(?<!\S)__label__([^\s,]+),?\s?")
PARQUET_BATCH = 10_000
JSON_SAMPLE = 10_000  # objects whose keys are the columns of a JSON file
LAYOUT_KEYS = ("encoding", "delimiter", "quoting", "header")
RECORDS = "pandas writes one object per line with to_json(path, orient='records', lines=True)"


def read_table(path: Path, columns: Mapping[str, str], layout: Layout, notes: list[str]) -> Iterator[Record]:
    """The rows of a file with the values of `columns`, which maps the option that messages name to a column.

    `notes` gets a sentence for each detected property that differs from the default of files of this name. Raises
    UserError where the file cannot be read, lacks a column, or has two of that name.
    """
    with readable(path):
        yield from open_table(path, columns, layout, notes)


def open_table(path: Path, columns: Mapping[str, str], layout: Layout, notes: list[str]) -> Iterator[Record]:
    """The rows of `read_table`, not read yet; the columns are checked at once (of a JSON file, at its end)."""
    try:
        return open_as(path, columns, layout, notes)
    except UserError:
        configured = [f"{layout.prefix}{key}" for key in LAYOUT_KEYS if getattr(layout, key) != "auto"]
        if not configured:
            raise
        try:
            open_as(path, columns, Layout(prefix=layout.prefix), [])
        except UserError:
            pass
        else:
            values = " ".join(f"{key}={getattr(layout, key.removeprefix(layout.prefix))}" for key in configured)
            others = " ".join(f"{key}=auto" for key in configured)
            raise UserError(f"{path}: with {values} it has no {columns_text(columns)}; with {others} it has") from None
        raise


def columns_text(columns: Mapping[str, str]) -> str:
    """The columns with their keys, for a message."""
    return " and ".join(f"column {column!r} ({key})" for key, column in columns.items())


def open_as(path: Path, columns: Mapping[str, str], layout: Layout, notes: list[str]) -> Iterator[Record]:
    """The rows by exactly this layout."""
    suffix = Path(content_name(path)).suffix.lower()
    if suffix not in SUFFIXES:
        hint = "; save the sheet as CSV" if suffix in (".xlsx", ".xls", ".ods") else ""
        raise UserError(f"{path}: expected a file ending in {', '.join(SUFFIXES)}, found {suffix!r}{hint}")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty")
    if suffix == ".parquet":
        return read_parquet(path, columns)
    file = text_file(path, layout.encoding, f"{layout.prefix}encoding")
    head = list(islice(file.lines(), SAMPLE_LINES))
    start = next((line.lstrip() for line in head if line.strip()), None)
    if start is None:
        raise UserError(f"{path}: the file holds nothing but blank lines")
    detected = {} if layout.encoding != "auto" or file.encoding == "utf-8" else {"encoding": file.encoding}
    if suffix in JSON_SUFFIXES or start.startswith(('{"', '[{"')):
        records = read_json(file, columns, start, alone=sum(map(bool, map(str.strip, head))) == 1)
    elif FASTTEXT_LABEL.match(start):
        check_columns(path, ["text", "label"], columns)
        records = read_fasttext(file, columns)
    else:
        table = delimited_table(file, head, columns, layout, tabbed=suffix != ".csv")
        detected |= table.detected
        records = table.records(columns, notes)
    if detected:
        settings = " ".join(f"{layout.prefix}{key}={value}" for key, value in detected.items())
        notes.append(f"{path.name}: read with {settings} (detected)")
    if file.invalid_lines:
        notes.append(f"{path.name}: bytes that are not UTF-8 in {file.invalid_lines:,} lines")
    return records


def read_fasttext(file: TextFile, columns: Mapping[str, str]) -> Iterator[Record]:
    """Lines of fastText's format: `__label__` and the label before or after the text."""
    lines = ((line, text.rstrip("\r\n")) for line, text in enumerate(file.lines(), 1) if text.strip())
    for number, (line, text) in enumerate(lines, 1):
        labels = FASTTEXT_LABEL.findall(text)
        if len(labels) == 1:
            row = {"text": FASTTEXT_LABEL.sub("", text), "label": labels[0]}
            yield Record(number, line, tuple(row[column] for column in columns.values()))
        else:
            yield Record(number, line, None, f"{len(labels)} labels (__label__…), expected one")


def read_json(file: TextFile, columns: Mapping[str, str], start: str, *, alone: bool) -> Iterator[Record]:
    """A list of JSON objects, or one object per line; the row number counts the lines that are not blank.

    `start` is the first line that is not blank, `alone` whether it is the only one. A single object that lacks the
    columns and holds one list stands for this list.
    """
    path = file.path
    try:
        with file.open() as stream:
            whole = json.load(stream) if alone or start.startswith("[") or not parses(start) else None
    except (ValueError, RecursionError) as error:
        if start.startswith("["):
            raise UserError(f"{path}: not JSON ({one_line(error)}); expected a list of objects") from None
        whole = None
    if isinstance(whole, dict):
        lists = [value for value in whole.values() if isinstance(value, list)]
        whole = lists[0] if len(lists) == 1 and not set(columns.values()) <= whole.keys() else [whole]
    if whole is not None and not isinstance(whole, list):
        raise UserError(f"{path}: found {json.dumps(whole)[:40]}, expected a list of objects or one object per line")
    rows = enumerated(whole) if whole is not None else parsed_lines(file)
    head = list(islice(rows, JSON_SAMPLE))
    names = dict.fromkeys(name for _, value in head if isinstance(value, dict) for name in value)
    if names:
        check_columns(path, list(names), columns)
    for number, (line, value) in enumerate(chain(head, rows), 1):
        if isinstance(value, ValueError | RecursionError):
            yield Record(number, line, None, f"not JSON ({one_line(value)}); expected an object")
        elif not isinstance(value, dict):
            yield Record(number, line, None, f"found {json.dumps(value)[:40]}, expected a JSON object")
        else:
            values = tuple(value.get(column) for column in columns.values())
            if number == 1 and len(values) > 0 and all(isinstance(cell, dict | list) for cell in values):
                raise UserError(f"{path}: the first object holds whole columns, expected one object per row; {RECORDS}")
            yield Record(number, line, values)


def enumerated(values: Iterable[Any]) -> Iterator[tuple[int | None, Any]]:
    """The values of a list, which have no lines."""
    return ((None, value) for value in values)


def parsed_lines(file: TextFile) -> Iterator[tuple[int | None, Any]]:
    """Line number and value of each line that is not blank; the error where a line is not JSON."""
    for number, line in enumerate(file.lines(), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, error


def parses(line: str) -> bool:
    """Whether a line is JSON by itself."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def read_parquet(path: Path, columns: Mapping[str, str]) -> Iterator[Record]:
    """Rows of a Parquet file; the library is loaded for such a file only."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_bytes(path) as stream, pq.ParquetFile(stream) as file:
            check_columns(path, file.schema_arrow.names, columns)
            start = 1
            for batch in file.iter_batches(PARQUET_BATCH, columns=list(dict.fromkeys(columns.values()))):
                cells = [batch.column(name).to_pylist() for name in columns.values()]
                for number, values in enumerate(zip(*cells, strict=True), start):
                    yield Record(number, None, values)
                start += len(batch)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({one_line(error)})") from None
