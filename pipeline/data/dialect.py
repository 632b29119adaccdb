"""The dialect of a delimited text file: delimiter, quoting and header, set by keys or detected and checked.

Detection is a check, not a guess by frequency: a file is read in every candidate dialect, and the one is chosen in
which most rows have the fields of the header. csv.Sniffer looks at the first rows only: it takes letters for delimiters
in tweets, and never says that a file has no quoting.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

DETECTED = (",", "\t", ";", "|")  # a blank is never detected: every text has some
MAX_FIELD_SIZE = 10_000_000  # characters; Python's own limit of 131,072 would refuse a whole file for one long text
MAX_RECORD_LINES = 1_000  # a quoted field over more lines is taken for one that is never closed
MAX_LABELS = 1_000  # different values of the label column that are counted
ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class Dialect:
    """How lines become fields: `quoting` is `double`, `backslash` or `none`, as in `data.quoting`."""

    delimiter: str
    quoting: str
    skip_blanks: bool = False  # blanks after a delimiter do not count, so that a quote may follow them


class Fields(NamedTuple):
    """The fields of one record; `line` is its first line, `lines` their number. `problem` says why there are none."""

    line: int
    lines: int
    values: list[str]
    problem: str | None = None


def split_records(lines: Iterable[str], dialect: Dialect, first_line: int = 1) -> Iterator[Fields]:
    """The records of a file; blank lines are no records.

    Where a record breaks the rules of quoting, its first line alone is a record with a problem, and the next record
    begins on the line after it: one stray quote does not swallow the rows that follow.
    """
    if dialect.quoting == "none":
        for number, line in enumerate(lines, first_line):
            content = line.rstrip("\r\n")
            if content.strip(" "):
                yield Fields(number, 1, content.split(dialect.delimiter))
        return
    csv.field_size_limit(MAX_FIELD_SIZE)
    source, pending = iter(lines), list[str]()
    record: list[str] = []  # the lines of the current record, to be read again after an error
    escape = protected(dialect.delimiter) if dialect.quoting == "backslash" else None

    def consumed() -> Iterator[str]:
        while len(record) < MAX_RECORD_LINES:
            line = pending.pop() if pending else next(source, None)
            if line is None:
                return
            record.append(line)
            yield escape(line) if escape else line

    number = first_line
    while True:
        reader = csv.reader(
            consumed(),
            delimiter=dialect.delimiter,
            skipinitialspace=dialect.skip_blanks,
            escapechar="\\" if escape else None,
            strict=True,
        )
        try:
            for values in reader:
                if values and (len(values) > 1 or values[0].strip()):
                    yield Fields(number, len(record), values)
                number += len(record)
                record.clear()
            if not record:
                return
            raise csv.Error("it has too many lines")
        except csv.Error as error:
            first = record[0]
            pending += reversed(record[1:])
            record.clear()
            yield Fields(number, 1, first.rstrip("\r\n").split(dialect.delimiter), quoting_problem(error))
            number += 1


def quoting_problem(error: csv.Error) -> str:
    """The message of Python's csv module in the words of a user."""
    text = str(error)
    if "unexpected end" in text or "too many lines" in text:
        return "a quoted field is never closed"
    return "text follows a closing quote" if "expected after" in text else text


def protected(delimiter: str) -> Callable[[str], str]:
    r"""A function that doubles every backslash of a line that escapes nothing: `\n` and `C:\x` keep theirs."""
    escaped = {'"', "\\", delimiter, "\n", "\r"}

    def protect(line: str) -> str:
        if "\\" not in line:
            return line
        return ESCAPE.sub(lambda match: match[0] if match[1] in escaped else f"\\{match[0]}", line)

    return protect


def detect_delimiter(lines: Sequence[str], columns: Iterable[str], preferred: str) -> str:
    """The delimiter that gives the first line all of `columns`, or else most lines an equal number of fields.

    lines : the first lines of the file. preferred : the delimiter of files of this name, which is the result where no
    other is better.
    """
    candidates = [preferred, *(delimiter for delimiter in DETECTED if delimiter != preferred)]
    shares = []
    for delimiter in candidates:
        rows = [fields.values for fields in split_records(lines, Dialect(delimiter, "double", skip_blanks=True))]
        if rows and set(columns) <= {column_name(value) for value in rows[0]}:
            return delimiter
        width = len(rows[0]) if rows else 1
        shares.append(sum(len(row) == width for row in rows) / len(rows) if width > 1 else 0.0)
    return candidates[shares.index(max(shares))]


def column_name(value: str) -> str:
    """A cell of the header without quotes, blanks and byte order mark around it."""
    return value.strip().strip("\ufeff\u200b").strip().strip('"').strip()


class Reading(NamedTuple):
    """What a file looks like in one dialect; the smaller, the likelier."""

    bad_records: int  # with another number of fields than the first, or against the rules of quoting
    labels: int  # different values in the label column
    lost_records: int  # minus the number of good records


class Quoting(Enum):
    """How certain the detected quoting is."""

    UNUSED = "no field begins with a quote, and no backslash occurs"
    CERTAIN = "the rows decide"
    UNCERTAIN = "quotes around whole fields may be text"


def detect_quoting(
    read_lines: Callable[[], Iterator[str]], delimiter: str, label_column: int | None, quoting: str, *, tabbed: bool
) -> tuple[Dialect, Quoting]:
    """The quoting in which most records have as many fields as the first one.

    Equally good readings differ in the number of labels, then of records. If those are equal too, quotes around whole
    fields count as quoting where the file keeps the rules of a writer that quotes, see `quoted_by_rule`.

    read_lines : opens the file once more. quoting : as in `data.quoting`; unless `auto`, it is the result.
    tabbed : whether quoting is unusual in files of this name.
    """
    plain, quoted = Dialect(delimiter, "none"), Dialect(delimiter, "double")
    text_quotes = any(starts_quoted(line, delimiter) for line in read_lines())
    if not text_quotes and not any("\\" in line for line in read_lines()):
        return plain, Quoting.UNUSED
    by_rule = quoted_by_rule(read_lines(), delimiter) if text_quotes else False
    candidates = [quoted, Dialect(delimiter, "backslash"), Dialect(delimiter, "double", skip_blanks=True)]
    candidates.insert(2 if by_rule or (by_rule is None and not tabbed) else 0, plain)
    candidates = [candidate for candidate in candidates if quoting in ("auto", candidate.quoting)]
    readings = [assess(split_records(read_lines(), candidate), label_column) for candidate in candidates]
    best = readings.index(min(readings))
    uncertain = by_rule is None and readings.count(readings[best]) > 1
    return candidates[best], Quoting.UNCERTAIN if uncertain else Quoting.CERTAIN


def starts_quoted(line: str, delimiter: str) -> bool:
    """Whether a field of the line begins with a quote."""
    return '"' in line and (line[0] == '"' or f'{delimiter}"' in line or f'{delimiter} "' in line)


def assess(records: Iterator[Fields], label_column: int | None) -> Reading:
    """Read all records and count what speaks against the dialect."""
    bad, width, good, labels = 0, 0, 0, set[str]()
    for record in records:
        width = width or len(record.values)
        if record.problem is not None or len(record.values) != width:
            bad += 1
            continue
        good += 1
        if label_column is not None and label_column < width and len(labels) < MAX_LABELS:
            labels.add(record.values[label_column].strip())
    return Reading(bad, len(labels), -good)


def quoted_by_rule(lines: Iterator[str], delimiter: str) -> bool | None:
    """Whether a writer that quotes has written these lines, given that each of them is one record.

    Such a writer quotes every field of a column, or just the fields that need it. A field with quotes that is not in
    quotes speaks against it. None where fields are in quotes that need none: a person may have written them.
    """
    needless = False
    columns: dict[int, bool] = {}  # whether all fields of a column are in quotes
    for line in lines:
        for column, field in enumerate(line.rstrip("\r\n").split(delimiter)):
            in_quotes = len(field) > 1 and field[0] == field[-1] == '"'
            columns[column] = columns.get(column, True) and in_quotes
            if '"' in field and not in_quotes:
                return False
            needless = needless or (in_quotes and '""' not in field[1:-1] and '\\"' not in field)
    return None if needless and not any(columns.values()) else True
