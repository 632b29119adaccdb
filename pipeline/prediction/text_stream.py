"""Read texts in constant memory: the lines of a stream or text file, or the text column of a table."""

import codecs
from collections import deque
from collections.abc import Iterator, Sequence
from io import BufferedIOBase
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, cast

from pipeline.data.records import Layout, MissingColumnError, Record
from pipeline.data.tables import read_table
from pipeline.data.text_file import (
    BOMS,
    FIRST_BYTE,
    SURROGATE,
    codec_of,
    detect_encoding,
    open_bytes,
    readable,
    surrogates,
    unicode_name,
)
from pipeline.data.text_lines import table_kind
from pipeline.runtime.errors import UserError

BATCH = 256  # texts
BLOCK = 1 << 16  # bytes
MAX_TEXT = 1 << 20  # characters
USUAL_NAMES = ("text", "tweet", "content", "sentence", "review", "comment", "message")  # of a text column
SAMPLE = 1_000  # rows, which show whether a column is empty or missing


class Input(NamedTuple):
    """A text, or the problem of a row without a usable one; `where` names the row in messages.

    `columns` are the values of further columns of its row.
    """

    where: str
    text: str | None
    problem: str | None = None
    columns: tuple[Any, ...] = ()


def checked(where: str, text: object, columns: tuple[Any, ...] = (), encoding: str = "UTF-8") -> Input:
    """The text as an input, with a problem where it is missing, too long, or holds NUL or undecodable bytes."""
    if isinstance(text, int | float):
        text = str(text)
    if not isinstance(text, str):
        problem = f"holds {type(text).__name__}, expected text"
    elif len(text) > MAX_TEXT:
        problem = f"longer than {MAX_TEXT:,} characters"
    elif "\0" in text:
        problem = "holds NUL bytes, expected text"
    elif not text.isascii() and (surrogate := SURROGATE.search(text)):
        byte = ord(surrogate[0]) - FIRST_BYTE
        problem = f"byte {byte:#04x} is not {encoding}" if 0 <= byte < 256 else "holds half a surrogate pair"
    else:
        return Input(where, text, None, columns)
    return Input(where, None, problem, columns)


class TextLines:
    """The lines of a stream, each a text; an empty line is an empty text.

    Iteration yields batches of at most BATCH inputs as soon as their lines arrive, so that a slow source is answered
    line by line. A line that cannot be used is an input with a problem; `undecodable` counts those that are not UTF-8.
    `encoding=auto` becomes UTF-16 or UTF-32 where the first bytes show it, else UTF-8.
    """

    def __init__(self, stream: BufferedIOBase, name: str, encoding: str = "auto", column: str = "text") -> None:
        self.stream, self.name, self.encoding, self.column = stream, name, encoding, column
        self.lines = self.undecodable = 0

    def __iter__(self) -> Iterator[list[Input]]:
        """Yield the batches. Raises UserError where the first line is that of a table with the column `column`."""
        # `read1` returns the available bytes without waiting for more; none at the end.
        block = self.stream.read1(BLOCK)
        while block and any(mark.startswith(block) for mark in BOMS) and (more := self.stream.read1(BLOCK)):
            block += more
        if self.encoding == "auto":
            self.encoding = unicode_name(block) or "utf-8"
        decoder = codecs.getincrementaldecoder(codec_of(self.encoding, block))(surrogates.__name__)
        rest, ended = "", False
        while not ended:
            ended = not block
            *lines, rest = (rest + decoder.decode(block, ended)).split("\n")
            if ended and rest:  # without any line feed, carriage returns end the lines
                lines += rest.removesuffix("\r").split("\r") if not self.lines else [rest]
            if lines and not self.lines:
                lines[0] = lines[0].removeprefix("\ufeff")
                if kind := table_kind(lines[0].removesuffix("\r"), self.column):
                    self._raise(kind)
            for start in range(0, len(lines), BATCH):
                yield [self._input(line) for line in lines[start : start + BATCH]]
            rest = rest[: MAX_TEXT + 2]  # enough to see that the line is too long
            block = b"" if ended else self.stream.read1(BLOCK)

    def _raise(self, kind: str) -> NoReturn:
        column = self.column if kind.startswith("the header") else "text"
        by_column = ".txt" in self.name and kind != "JSON"
        remedy = f"--text-column={column}" if by_column else "--file with a name that ends in .csv, .txt or .jsonl"
        raise UserError(f"{self.name}, line 1: {kind}, expected one text per line; {remedy} reads it")

    def _input(self, line: str) -> Input:
        self.lines += 1
        item = checked(
            f"line {self.lines:,}", line.removesuffix("\r"), encoding=f"{self.encoding.upper()} (see --encoding)"
        )
        self.undecodable += item.problem is not None and self.encoding == "utf-8" and SURROGATE.search(line) is not None
        return item


def file_lines(path: Path, encoding: str, column: str, notes: list[str]) -> Iterator[list[Input]]:
    """The lines of a text file, compressed or not, as `TextLines` gives them; the path may be that of a pipe.

    `notes` gets the encoding that reads the file, where it is not UTF-8. Raises UserError for a file that cannot be
    read.
    """
    with readable(path), open_bytes(path) if path.is_file() else path.open("rb") as stream:
        lines = TextLines(cast(BufferedIOBase, stream), path.name, encoding, column)
        yield from lines
    if lines.undecodable and path.is_file():
        try:
            detect_encoding(path, "--encoding")
        except UserError as error:
            notes.append(str(error))


def table_rows(
    path: Path, text_column: str | None, columns: Sequence[str], layout: Layout, default: str, notes: list[str]
) -> Iterator[list[Input]]:
    """The rows of a table in batches, each with its text and the values of `columns`.

    text_column : if None, it is `default` where the table has it, else the only column with a usual name.
    layout, notes : as in `pipeline.data.tables.read_table`, whose errors are raised.
    """

    def read(column: str) -> Iterator[Record]:
        return read_table(path, {"--text-column": column} | {f"--columns={c}": c for c in columns}, layout, notes)

    column, first = text_column or default, list[Record]()
    try:
        records = read(column)
        first += islice(records, SAMPLE)
        values = [record.values for record in first if record.values]
        if not all(any(value is not None for value in cells) for cells in zip(*values, strict=True)):
            deque(records, 0)  # a JSON file shows at its end which columns it has
            records, first = read(column), []
    except MissingColumnError as missing:
        usual = [name for name in missing.names if len(missing.names) == 1 or name.lower() in USUAL_NAMES]
        if text_column is not None or missing.column != column or len(usual) != 1:
            raise
        records, first, column = read(usual[0]), [], usual[0]
        notes.append(f"{path.name}: read the texts of column {column!r}; --text-column chooses another")
    inputs = (_input(record, column) for record in chain(first, records))
    while batch := list(islice(inputs, BATCH)):
        yield batch


def _input(record: Record, column: str) -> Input:
    """A row of a table as an input."""
    where = f"row {record.number:,}" + (f" (line {record.line:,})" if record.line is not None else "")
    if record.values is None:
        return Input(where, None, record.problem)
    text, *columns = (None if value != value else value for value in record.values)  # NaN is no value
    if text is None or (isinstance(text, str) and not text.strip()):
        return Input(where, None, f"no text (column {column!r} is empty)", tuple(columns))
    return checked(where, text, tuple(columns))
