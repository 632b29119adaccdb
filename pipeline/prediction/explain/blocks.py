"""Building blocks of a lesson (paragraph, table, heat map, token chips), and formatting of words and numbers."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

MAX_ROWS = 20  # of a table
TOP = 12  # rows of a table that shows the strongest only
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@dataclass(frozen=True)
class Bar:
    """A bar for a value from 0 to 1, or from -1 to 1 if `signed`."""

    value: float
    signed: bool = False


@dataclass(frozen=True)
class Axis:
    """The header of a column of signed bars: the label left of zero and the label right of it."""

    left: str
    right: str


Cell = str | Bar


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text."""

    text: str
    kind: str = "paragraph"


@dataclass(frozen=True)
class Table:
    """Rows of cells. numeric : columns of numbers. omitted : number of rows left out. noun : what a row is."""

    columns: Sequence[str | Axis]
    rows: list[list[Cell]]
    numeric: tuple[int, ...] = ()
    omitted: int = 0
    noun: str = "token"
    kind: str = "table"


@dataclass(frozen=True)
class HeatMap:
    """Named rows of numbers as shades; shown on the HTML page only."""

    caption: str
    rows: list[tuple[str, list[float]]]
    kind: str = "heat_map"

    @property
    def largest(self) -> float:
        """The largest absolute value."""
        return max((abs(value) for _, values in self.rows for value in values), default=0.0) or 1.0


@dataclass(frozen=True)
class TokenChips:
    """Tokens in text order, each shaded by a number from -1 (`negative`) to 1 (`positive`); HTML page only."""

    positive: str
    negative: str
    chips: list[tuple[str, float]]
    kind: str = "token_chips"


Block = Paragraph | Table | HeatMap | TokenChips


@dataclass(frozen=True)
class Section:
    """A titled section; `key` is its anchor on the HTML page."""

    key: str
    title: str
    blocks: Sequence[Block]


def printable(text: str) -> str:
    """The text with control, format and other invisible characters as escapes, and line breaks and tabs as spaces.

    A text whose whole width is zero (a lone variation selector) is escaped as well.
    """
    escaped = "".join(
        " " if char in "\n\r\t" else _escaped(char) if unicodedata.category(char) in HIDDEN else char for char in text
    )
    return "".join(map(_escaped, escaped)) if escaped and width(escaped) == 0 else escaped


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def width(text: str) -> int:
    """Columns that a text takes in a terminal: two for wide characters and emoji, none for combining marks."""
    return sum(
        0 if unicodedata.category(char) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def truncated(text: str, columns: int) -> str:
    """The printable text, cut to a number of terminal columns."""
    text = printable(text)
    if width(text) <= columns:
        return text
    prefix, used = "", 1
    for char in text:
        used += width(char)
        if used > columns:
            break
        prefix += char
    return prefix + "…"


def token_label(token: str) -> str:
    """A token as tables show it."""
    return truncated(token, 24)


def enumeration(words: Sequence[str], limit: int) -> str:
    """`a, b, c and 4 more`."""
    more = len(words) - limit
    return ", ".join(printable(word) for word in words[:limit]) + (f" and {more:,} more" if more > 0 else "")


def counted(number: int, noun: str) -> str:
    """`1 token`, `2 tokens`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
