"""Reader of delimited text files (CSV, TSV) with detected or configured delimiter, quoting and header."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from pipeline.config.schema import DELIMITERS
from pipeline.data.dialect import Dialect, Quoting, column_name, detect_delimiter, detect_quoting, split_records
from pipeline.data.records import Layout, Record, check_columns, shortened
from pipeline.data.text_file import TextFile

SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)  # Excel's own first line
MAX_LABELS = 20  # different values in the sample of a column that is suggested as the label column


@dataclass(frozen=True)
class DelimitedTable:
    """A delimited text file whose columns are known; the first `skipped` lines come before its first record."""

    file: TextFile
    delimiter: str
    quoting: str  # as configured
    key: str  # of the quoting, in messages
    header: bool
    skipped: int
    names: list[str]
    tabbed: bool  # whether files of this name usually have tabs and no quoting
    detected: dict[str, str]

    @property
    def usual_quoting(self) -> str:
        """The quoting that needs no mention."""
        return "none" if self.tabbed else "double"

    def lines(self) -> Iterator[str]:
        """The lines from the first record on."""
        return islice(self.file.lines(), self.skipped, None)

    def records(self, columns: Mapping[str, str], notes: list[str]) -> Iterator[Record]:
        """The rows with the values of `columns`; `notes` gets the detected quoting, and what is doubtful about it."""
        indices = [self.names.index(column) for column in columns.values()]
        label = next((self.names.index(column) for key, column in columns.items() if "label" in key), None)
        dialect, evidence = detect_quoting(self.lines, self.delimiter, label, self.quoting, tabbed=self.tabbed)
        width, name = len(self.names), self.file.path.name
        if self.quoting == "auto" and evidence is Quoting.UNCERTAIN:
            notes.append(f"{name}: read with {self.key}={dialect.quoting}; rows allow double, backslash and none")
        elif evidence is Quoting.CERTAIN and self.quoting == "auto" and dialect.quoting != self.usual_quoting:
            notes.append(f"{name}: read with {self.key}={dialect.quoting} (detected)")
        rows = split_records(self.lines(), dialect, self.skipped + 1)
        if self.header:
            next(rows)
        first = self.names[indices[0]]
        for number, row in enumerate(rows, 1):
            if row.problem is not None:
                yield Record(number, row.line, None, f"{row.problem}; expected quotes in pairs, or {self.key}=none")
            elif len(row.values) != width:
                count = "1 field" if len(row.values) == 1 else f"{len(row.values)} fields"
                expected = f"expected {width} ({', '.join(shortened(self.names))})"
                yield Record(number, row.line, None, f"{count}, {expected}")
            elif self.header and row.values[indices[0]].strip().endswith(first) and self.is_header(row.values):
                yield Record(number, row.line, None, "the header once more; expected a text and a label")
            else:
                if row.lines > 2 and (swallowed := self.rows_inside(row.values)):
                    notes.append(
                        f"{name}, row {number} (line {row.line}): a quoted text holds {swallowed} lines that look like "
                        f"rows; {self.key}=none reads them as rows"
                    )
                yield Record(number, row.line, tuple(row.values[index] for index in indices))

    def is_header(self, values: Sequence[str]) -> bool:
        """Whether a row repeats the header, as in files that were written one after the other."""
        return list(map(column_name, values)) == self.names

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
    widths = {len(row) for row in rows[1:]}
    if header and widths == {len(names) + 1}:  # R names its rows in a column without a name; others end rows in a comma
        names = [*names, ""] if all(row[-1] == "" for row in rows[1:]) else ["", *names]
        header, skipped = False, skipped + 1
    elif header and names[-1] == "" and widths == {len(names) - 1}:
        names, header, skipped = names[:-1], False, skipped + 1
    check_columns(file.path, names, columns, lambda: suggested_columns(rows, names, columns, layout))
    key = f"{layout.prefix}quoting"
    return DelimitedTable(file, delimiter, layout.quoting, key, header, skipped, names, tabbed, detected)


def suggested_columns(
    rows: Sequence[Sequence[str]], names: Sequence[str], columns: Mapping[str, str], layout: Layout
) -> str:
    """The end of the message about a missing column: the columns that look like text and label, if any do.

    The text column has the longest values. The label column has the fewest different values, at least two. Where line 1
    holds one of its values, the file has no header.
    """
    from pipeline.config.overrides import override_text  # loads Hydra, which `predict` does not need

    body = [row for row in rows[1:] if len(row) == len(names)]
    if len(body) < 2 or len(names) < 2:
        return ""
    cells = list(zip(*body, strict=True))
    text = max(range(len(names)), key=lambda column: sum(map(len, cells[column])))
    counts = {column: len(set(values)) for column, values in enumerate(cells) if column != text}
    label = min(
        (column for column in counts if 2 <= counts[column] <= MAX_LABELS), key=counts.__getitem__, default=None
    )
    guesses = {"text_column": text, "label_column": label}
    numbered = any(name and name.replace(".", "").isdigit() for name in rows[0])  # no column is called 1
    repeated = label is not None and rows[0][label] in cells[label]
    no_header = layout.header != "false" and (numbered or repeated)
    settings = [f"{layout.prefix}header=false"] if no_header else []
    for key, column in columns.items():
        guess = guesses.get(key.removeprefix(layout.prefix).replace("-", "_"))
        if guess is not None and (no_header or column not in names):
            column = str(guess) if no_header else names[guess]
            settings.append(shlex.quote(override_text(key, column) if key.startswith("data.") else f"{key}={column}"))
    reason = "line 1 looks like a row, " if no_header else ""
    return f"; {reason}try {' '.join(settings)}" if settings else ""
