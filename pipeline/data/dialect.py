"""The dialect of a delimited text file: delimiter, quoting and header, set by keys or detected and checked.

Detection is a check, not a guess by frequency: a file is read in every candidate dialect, and the one is chosen in
which most rows have the fields of the header. csv.Sniffer looks at the first rows only: it takes letters for delimiters
in tweets, and never says that a file has no quoting.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice
from typing import NamedTuple

DETECTED = (",", "\t", ";", "|")  # a blank is never detected: every text has some
MAX_FIELD_SIZE = 10_000_000  # characters; Python's own limit of 131,072 would refuse a whole file for one long text
MAX_RECORD_LINES = 1_000  # a quoted field over more lines is taken for one that is never closed
THROUGHOUT = 0.9  # of the lines of a file whose writer quotes every text
SAMPLE_LINES = 200
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

    Where a record breaks the rules of quoting, or spans lines and has a stray quote or not as many fields as the first
    one, its first line alone is a record with a problem. The next record begins on the line after it, so that a stray
    quote swallows no rows.
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
    quoted = quoted_field(dialect.delimiter)
    escape = protected(dialect.delimiter) if dialect.quoting == "backslash" else None

    def consumed() -> Iterator[str]:
        while len(record) < MAX_RECORD_LINES:
            line = pending.pop() if pending else next(source, None)
            if line is None:
                return
            record.append(line)
            if dialect.skip_blanks:
                line = quoted.sub(lambda match: match[0].strip(" "), line)
            yield escape(line) if escape else line

    number, width = first_line, 0
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
                width = width or len(values)
                stray = len(record) > 1 and not escape and '"' in quoted.sub("", "".join(record))
                if stray or (len(values) != width and len(record) > 1):
                    raise csv.Error("a quoted field is never closed, or the record has too many or too few fields")
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
    UNCERTAIN = "quotes around fields, or backslashes, may be text"


def detect_quoting(
    read_lines: Callable[[], Iterator[str]], delimiter: str, label_column: int | None, quoting: str, *, tabbed: bool
) -> tuple[Dialect, Quoting]:
    """The quoting in which most records have as many fields as the first one.

    Equally good readings differ in the number of labels, then of records. If those are equal too, quotes around whole
    fields count as quoting where the file keeps the rules of a writer that quotes, see `QuotedLines`.

    read_lines : opens the file once more. quoting : as in `data.quoting`; unless `auto`, it is the result.
    tabbed : whether quoting is unusual in files of this name.
    """
    plain, quoted, escaped = (Dialect(delimiter, quoting) for quoting in ("none", "double", "backslash"))
    if quoting in ("backslash", "none"):
        return Dialect(delimiter, quoting), Quoting.CERTAIN
    if quoting == "double":  # the first lines show whether blanks stand before quotes
        head = list(islice(read_lines(), SAMPLE_LINES))
        of_head = QuotedLines.of(head, delimiter)
        return replace(quoted, skip_blanks=of_head.spaced > of_head.stray), Quoting.CERTAIN
    lines = QuotedLines.of(read_lines(), delimiter)
    if not lines.any_quote and not lines.any_backslash:
        return plain, Quoting.UNUSED
    text_quotes, by_rule = lines.any_quote, lines.by_rule
    escapes = escaped_characters(read_lines(), delimiter) if lines.any_backslash else set[str]()
    if '"' in escapes or (escapes - {"\\"} and not text_quotes):
        candidates = [escaped, quoted, plain]
    elif by_rule or (by_rule is None and not tabbed) or (escapes and text_quotes):
        candidates = [quoted, escaped, plain]
    else:
        candidates = [plain, quoted, escaped]
    blanks = replace(quoted, skip_blanks=True)
    candidates = [blanks, *candidates] if lines.spaced > lines.stray else [*candidates, blanks]
    readings: dict[Dialect, Reading] = {}
    for candidate in candidates:
        good = any(reading.bad_records == 0 for reading in readings.values())
        hopeless = {plain: lines.quoting + lines.ragged > 0, blanks: True}.get(candidate, False)
        if candidate is escaped and not lines.any_backslash:
            continue
        if not (good and hopeless):
            counted = lines.quoting if candidate is plain else 0
            readings[candidate] = assess(split_records(read_lines(), candidate), label_column, counted)
    best = min(readings, key=readings.__getitem__)
    if best is plain and text_quotes and readings.get(escaped) == readings[plain] and readings[quoted].bad_records:
        best = escaped  # every field that begins with a quote ends with one, if \" inside it is no end
    tie = list(readings.values()).count(readings[best]) > 1 and (by_rule is None or bool(escapes))
    uncertain = tie or (best is plain and lines.quoting > 0)
    return best, Quoting.UNCERTAIN if uncertain else Quoting.CERTAIN


def quoted_field(delimiter: str) -> re.Pattern[str]:
    """A pattern of one field in quotes, with its content as the group."""
    end = re.escape(delimiter)
    return re.compile(rf'(?:^|(?<={end})) *"((?:[^"]|"")*)" *(?={end}|[\r\n]*$)')


class QuotedLines(NamedTuple):
    """Counts of lines by their quotes; only fields that end on their line count as quoted."""

    any_quote: bool  # at the beginning of a field
    any_backslash: bool
    quoting: int  # lines with a field that needs its quotes, or all lines where nearly every one has a quoted field
    stray: int  # lines with a quote that is neither around a field nor doubled inside it
    ragged: int  # lines with another number of delimiters than the first
    spaced: int  # lines with a blank between a delimiter and a quoted field
    needless: bool  # whether fields are quoted that need no quotes, in a file that quotes just some fields

    @property
    def by_rule(self) -> bool | None:
        """Whether a writer that quotes has written the file; None where a person may have written quotes as text."""
        return False if self.stray > self.quoting else None if self.needless else True

    @classmethod
    def of(cls, lines: Iterable[str], delimiter: str) -> "QuotedLines":
        """Count the lines of a file."""
        quoted = quoted_field(delimiter)
        total = any_quote = any_backslash = needed = with_quoted = stray = ragged = delimiters = spaced = 0
        for line in lines:
            delimiters = delimiters if total else line.count(delimiter)
            ragged += line.count(delimiter) != delimiters
            total += 1
            any_backslash |= "\\" in line
            if '"' not in line:
                continue
            any_quote |= line[0] == '"' or f'{delimiter}"' in line or f'{delimiter} "' in line
            fields = quoted.findall(line)
            with_quoted += bool(fields)
            spaced += bool(fields) and f'{delimiter} "' in line
            needed += any(delimiter in field or '""' in field for field in fields)
            stray += '"' in (quoted.sub("", line) if fields else line)
        throughout = with_quoted >= THROUGHOUT * total
        quoting = with_quoted if throughout else needed
        needless = with_quoted > needed and not throughout
        return cls(
            bool(any_quote), bool(any_backslash), quoting if quoting >= stray else 0, stray, ragged, spaced, needless
        )


def assess(records: Iterator[Fields], label_column: int | None, bad: int) -> Reading:
    """Read all records and count what speaks against the dialect, besides `bad` lines counted before."""
    width, good, labels = 0, 0, set[str]()
    for record in records:
        width = width or len(record.values)
        if record.problem is not None or len(record.values) != width:
            bad += 1
            continue
        good += 1
        if label_column is not None and label_column < width and len(labels) < MAX_LABELS:
            labels.add(record.values[label_column].strip())
    return Reading(bad, len(labels), -good)


def escaped_characters(lines: Iterable[str], delimiter: str) -> set[str]:
    """The characters that stand behind backslashes, if a writer that escapes can have written them all.

    Empty where a backslash stands before any other character, or a quote inside a field has none.
    """
    pattern, characters = re.compile(rf'\\(["\\{re.escape(delimiter)}])'), set[str]()
    for line in lines:
        if "\\" in line or '"' in line:
            characters |= {*pattern.findall(line)}
            rest = pattern.sub("", line)
            if "\\" in rest or any('"' in field.strip("\r\n")[1:-1] for field in rest.split(delimiter)):
                return set()
    return characters
