"""Make any text printable: escapes for invisible characters, width in terminal columns, truncation."""

import unicodedata
from collections.abc import Sequence
from itertools import accumulate

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # Unicode categories of invisible characters


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
    fitting = sum(used < columns for used in accumulate(map(width, text)))
    return text[:fitting] + "…"


def token_label(token: str) -> str:
    """A token as tables show it."""
    return truncated(token, 24)


def enumeration(words: Sequence[str], limit: int) -> str:
    """`a, b, c and 4 more`."""
    omitted = len(words) - limit
    return ", ".join(printable(word) for word in words[:limit]) + (f" and {omitted:,} more" if omitted > 0 else "")


def counted(number: int, noun: str) -> str:
    """`1 token`, `2 tokens`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
