"""What a lesson is made of, and how words and numbers are written in it."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

MANY = 20  # tokens, rows or labels in a table
STRONGEST = 12  # of more than these, the ones shown by strength


@dataclass(frozen=True)
class Bar:
    """A share from 0 to 1, or `signed` from -1 to 1, drawn."""

    value: float
    signed: bool = False


@dataclass(frozen=True)
class Axis:
    """The head of a column of signed bars: what stands left of zero, and right of it."""

    left: str
    right: str


Cell = str | Bar


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    text: str
    kind: str = "words"


@dataclass(frozen=True)
class Table:
    """Rows of cells. numeric : columns of numbers. more : how many rows were left out, where above 0; of what."""

    columns: Sequence[str | Axis]
    rows: list[list[Cell]]
    numeric: tuple[int, ...] = ()
    more: int = 0
    omitted: str = "token"
    kind: str = "table"


@dataclass(frozen=True)
class Heat:
    """Numbers as shades, a line of them for each name; drawn on the page alone."""

    caption: str
    lines: list[tuple[str, list[float]]]
    kind: str = "heat"

    @property
    def largest(self) -> float:
        """The largest absolute value."""
        return max((abs(value) for _, values in self.lines for value in values), default=0.0) or 1.0


@dataclass(frozen=True)
class Chips:
    """The tokens one after another, each with a number from -1 (`second`) to 1 (`first`) as its shade; page alone."""

    first: str
    second: str
    chips: list[tuple[str, float]]
    kind: str = "chips"


Block = Words | Table | Heat | Chips


@dataclass(frozen=True)
class Section:
    """A titled part; `key` is its address on the page."""

    key: str
    title: str
    blocks: Sequence[Block]


def visible(text: str) -> str:
    """The text with whatever steers a terminal or cannot be seen spelled out: controls, format characters, surrogates.

    Line breaks and tabs become blanks; a text of zero width as a whole (a lone selector) is spelled out as well.
    """
    spelled = "".join(
        " " if char in "\n\r\t" else _spelled(char) if unicodedata.category(char) in HIDDEN else char for char in text
    )
    return "".join(map(_spelled, spelled)) if spelled and width(spelled) == 0 else spelled


HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _spelled(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def width(text: str) -> int:
    """Columns that a text takes in a terminal: two for wide characters and emoji, none for combining marks."""
    return sum(
        0 if unicodedata.category(char) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def short(text: str, columns: int) -> str:
    """The visible text, cut to a number of terminal columns."""
    text = visible(text)
    if width(text) <= columns:
        return text
    kept, used = "", 1
    for char in text:
        used += width(char)
        if used > columns:
            break
        kept += char
    return kept + "…"


def name_of(word: str) -> str:
    """A token as a table names it."""
    return short(word, 24)


def listed(words: Sequence[str], most: int) -> str:
    """`a, b, c and 4 more`."""
    more = len(words) - most
    return ", ".join(visible(word) for word in words[:most]) + (f" and {more:,} more" if more > 0 else "")


def counted(number: int, noun: str) -> str:
    """`1 token`, `2 tokens`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
