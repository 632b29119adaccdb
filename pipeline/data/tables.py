"""Reader of tables as people have them: CSV, TSV, JSON, JSONL, fastText and Parquet files, compressed or not.

CSV is read with Python's `csv` module instead of the CSV builder of `datasets`. That builder pads short rows, stops at
long ones, takes texts such as `NA` for missing ones and reports no row numbers. Here each bad row is reported and the
others are used.
"""

import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.config.schema import DELIMITERS
from pipeline.data.dialect import Dialect, Quoting, column_name, detect_delimiter, detect_quoting, split_records
from pipeline.data.text_file import TextFile, content_name, open_bytes, readable, text_file
from pipeline.runtime.errors import UserError, nearest, one_line

TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
SUFFIXES = (*TEXT_SUFFIXES, *JSON_SUFFIXES, ".parquet")
FASTTEXT_LABEL = re.compile(r"(?<!\S)__label__(\S+)\s?")
SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)  # Excel's own first line
SAMPLE_LINES = 200
PARQUET_BATCH = 10_000
JSON_SAMPLE = 10_000  # objects whose keys are the columns of a JSON file
MAX_LABELS = 20  # different values in the sample of a column that is suggested as the label column
RECORDS = "pandas writes one object per line with to_json(path, orient='records', lines=True)"


class Record(NamedTuple):
    """One row: its values in the order of the requested columns, or a problem.

    `number` counts the rows from 1; `line` is the first line of the row in its file, None where it has no lines.
    """

    number: int
    line: int | None
    values: tuple[Any, ...] | None
    problem: str | None = None


@dataclass(frozen=True)
class Layout:
    """How to read a text file; `auto` detects. `prefix` and the name of a field make the option in messages."""

    encoding: str = "auto"
    delimiter: str = "auto"
    quoting: str = "auto"
    header: str = "auto"
    prefix: str = "data."


def read_table(path: Path, columns: Mapping[str, str], layout: Layout, notes: list[str]) -> Iterator[Record]:
    """The rows of a file with the values of `columns`, which maps the option that messages name to a column.

    `notes` gets a sentence for each detected property that differs from the default of files of this name. Raises
    UserError where the file cannot be read, lacks a column, or has two of that name.
    """
    with readable(path):
        yield from open_table(path, columns, layout, notes)


def open_table(path: Path, columns: Mapping[str, str], layout: Layout, notes: list[str]) -> Iterator[Record]:
    """The rows of `read_table`, not read yet; the columns are checked at once (of a long JSON file, at its end)."""
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
    if suffix in JSON_SUFFIXES:
        records = read_json(file, columns, start)
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


def check_columns(
    path: Path | str, names: Sequence[str], columns: Mapping[str, str], suggestion: Callable[[], str] = lambda: ""
) -> None:
    """Refuse a table that lacks one of `columns` or has two of that name; `suggestion` may end the message."""
    for key, column in columns.items():
        if column not in names:
            hint = nearest(column, names)
            hint = hint if hint.startswith("; did you mean") else suggestion()
            raise UserError(f"{path}: no column {column!r} ({key}); columns: {', '.join(shortened(names))}{hint}")
        if names.count(column) > 1:
            raise UserError(f"{path}: {names.count(column)} columns are called {column!r} ({key}), expected one")


def shortened(names: Iterable[object]) -> list[str]:
    """Names for a message: at most 20, of at most 40 characters each."""
    texts = [text if len(text) <= 40 else f"{text[:39]}…" for text in map(str, names)]
    return [*texts[:20], *([f"and {len(texts) - 20} more"] if len(texts) > 20 else [])]


@dataclass(frozen=True)
class DelimitedTable:
    """A delimited text file whose columns are known; the first `skipped` lines come before its first record."""

    file: TextFile
    delimiter: str
    quoting: str  # as configured
    header: bool
    skipped: int
    names: list[str]
    tabbed: bool  # whether files of this name usually have tabs and no quoting
    detected: dict[str, str]

    def lines(self) -> Iterator[str]:
        """The lines from the first record on."""
        return islice(self.file.lines(), self.skipped, None)

    def records(self, columns: Mapping[str, str], notes: list[str]) -> Iterator[Record]:
        """The rows with the values of `columns`; `notes` gets the detected quoting, and what is doubtful about it."""
        indices = [self.names.index(column) for column in columns.values()]
        label = next((self.names.index(column) for key, column in columns.items() if "label" in key), None)
        dialect, evidence = detect_quoting(self.lines, self.delimiter, label, self.quoting, tabbed=self.tabbed)
        width, name = len(self.names), self.file.path.name
        reading, other = ("text", "double") if dialect.quoting == "none" else ("quoting", "none")
        if evidence is Quoting.UNCERTAIN:
            notes.append(f"{name}: quotes around whole fields are read as {reading}; data.quoting={other} differs")
        elif evidence is Quoting.CERTAIN and self.quoting == "auto" and (reading == "text") != self.tabbed:
            notes.append(f"{name}: quotes are read as {reading}, with data.quoting={dialect.quoting} (detected)")
        rows = split_records(self.lines(), dialect, self.skipped + 1)
        if self.header:
            next(rows)
        for number, row in enumerate(rows, 1):
            if row.problem is not None:
                yield Record(number, row.line, None, f"{row.problem}; expected quotes in pairs, or data.quoting=none")
            elif len(row.values) != width:
                count = "1 field" if len(row.values) == 1 else f"{len(row.values)} fields"
                expected = f"expected {width} ({', '.join(shortened(self.names))})"
                yield Record(number, row.line, None, f"{count}, {expected}")
            else:
                if row.lines > 2 and (swallowed := self.rows_inside(row.values)):
                    notes.append(
                        f"{name}, row {number} (line {row.line}): a quoted text holds {swallowed} lines that look like "
                        "rows; data.quoting=none reads them as rows"
                    )
                yield Record(number, row.line, tuple(row.values[index] for index in indices))

    def rows_inside(self, values: Sequence[str]) -> int:
        """The number of lines inside quoted texts that look like rows, where a row has three fields or more."""
        lines = [line for value in values for line in value.split("\n")[1:-1]]
        return sum(len(values) > 2 and line.count(self.delimiter) == len(values) - 1 for line in lines)


def delimited_table(
    file: TextFile, head: Sequence[str], columns: Mapping[str, str], layout: Layout, *, tabbed: bool
) -> DelimitedTable:
    """Determine delimiter and header of a file that begins with the lines `head`; check its columns."""
    detected: dict[str, str] = {}
    usual = "\t" if tabbed else ","
    excel = SEPARATOR_LINE.fullmatch(head[0])
    skipped = int(excel is not None)
    if layout.delimiter != "auto":
        delimiter = DELIMITERS.get(layout.delimiter, layout.delimiter)
    else:
        delimiter = excel[1] if excel else detect_delimiter(head, list(columns.values()), usual)
        if delimiter != usual:
            detected["delimiter"] = next((name for name, value in DELIMITERS.items() if value == delimiter), delimiter)
    sample = Dialect(delimiter, "double" if layout.quoting == "auto" else layout.quoting, skip_blanks=True)
    rows = [row.values for row in split_records(head[skipped:], sample)]
    names = [column_name(value) for value in rows[0]] if rows else []
    header = layout.header == "true"
    if layout.header == "auto":
        header = set(columns.values()) <= set(names) or not all(map(str.isdigit, columns.values()))
        detected |= {} if header else {"header": "false"}
    if not header:
        names = [str(position) for position in range(len(names))]
    check_columns(file.path, names, columns, lambda: suggested_columns(rows, names, columns, layout))
    return DelimitedTable(file, delimiter, layout.quoting, header, skipped, names, tabbed, detected)


def suggested_columns(
    rows: Sequence[Sequence[str]], names: Sequence[str], columns: Mapping[str, str], layout: Layout
) -> str:
    """The end of the message about a missing column: the columns that look like text and label, if any do.

    The text column has the longest values. The label column has the fewest different values, at least two. Where line 1
    holds one of its values, the file has no header.
    """
    body = [row for row in rows[1:] if len(row) == len(names)]
    if len(body) < 2 or len(names) < 2:
        return ""
    cells = list(zip(*body, strict=True))
    text = max(range(len(names)), key=lambda column: sum(map(len, cells[column])))
    counts = {column: len(set(values)) for column, values in enumerate(cells) if column != text}
    label = min(
        (column for column in counts if 2 <= counts[column] <= MAX_LABELS), key=counts.__getitem__, default=None
    )
    guesses = {f"{layout.prefix}text_column": text, f"{layout.prefix}label_column": label}
    no_header = layout.header != "false" and label is not None and rows[0][label] in cells[label]
    settings = [f"{layout.prefix}header=false"] if no_header else []
    for key, column in columns.items():
        guess = guesses.get(key)
        if guess is not None and (no_header or column not in names):
            settings.append(f"{key}={shlex.quote(str(guess) if no_header else names[guess])}")
    reason = "line 1 looks like a row, " if no_header else ""
    return f"; {reason}try {' '.join(settings)}" if settings else ""


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


def read_json(file: TextFile, columns: Mapping[str, str], start: str) -> Iterator[Record]:
    """A list of JSON objects, or one object per line; the row number counts the lines that are not blank.

    `start` is the first line that is not blank. A single object with one list in it stands for this list.
    """
    path = file.path
    try:
        with file.open() as stream:
            whole = json.load(stream) if start.startswith("[") or not parses(start) else None
    except (ValueError, RecursionError) as error:
        if start.startswith("["):
            raise UserError(f"{path}: not JSON ({one_line(error)}); expected a list of objects") from None
        whole = None
    if isinstance(whole, dict):
        lists = [value for value in whole.values() if isinstance(value, list)]
        if len(lists) != 1:
            raise UserError(f"{path}: one JSON object, expected a list of objects or one object per line; {RECORDS}")
        whole = lists[0]
    rows = enumerated(whole) if whole is not None else parsed_lines(file)
    names: dict[str, None] = {}
    number = 0
    for number, (line, value) in enumerate(rows, 1):
        if isinstance(value, ValueError | RecursionError):
            yield Record(number, line, None, f"not JSON ({one_line(value)}); expected an object")
        elif not isinstance(value, dict):
            yield Record(number, line, None, f"found {json.dumps(value)[:40]}, expected a JSON object")
        else:
            if number <= JSON_SAMPLE:
                names |= dict.fromkeys(value)
            values = tuple(value.get(column) for column in columns.values())
            if number == 1 and len(values) > 0 and all(isinstance(cell, dict | list) for cell in values):
                raise UserError(f"{path}: the first object holds whole columns, expected one object per row; {RECORDS}")
            yield Record(number, line, values)
    if names:
        check_columns(path, list(names), columns)


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
