"""What readers of tables share: a row or its problem, the layout of a text file, and the check of the columns."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.runtime.errors import UserError, nearest


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


class MissingColumnError(UserError):
    """A table lacks `column`; `names` are the columns that it has."""

    def __init__(self, message: str, column: str, names: Sequence[str]):
        super().__init__(message)
        self.column, self.names = column, names


def check_columns(
    path: Path | str, names: Sequence[str], columns: Mapping[str, str], suggestion: Callable[[], str] = lambda: ""
) -> None:
    """Refuse a table that lacks one of `columns` or has two of that name; `suggestion` may end the message."""
    for key, column in columns.items():
        if column not in names:
            hint = nearest(column, names)
            hint = hint if hint.startswith("; did you mean") else suggestion()
            message = f"{path}: no column {column!r} ({key}); columns: {', '.join(shortened(names))}{hint}"
            raise MissingColumnError(message, column, names)
        if names.count(column) > 1:
            raise UserError(f"{path}: {names.count(column)} columns are called {column!r} ({key}), expected one")


def shortened(names: Iterable[object]) -> list[str]:
    """Names for a message: at most 20, of at most 40 characters each."""
    texts = [text if len(text) <= 40 else f"{text[:39]}…" for text in map(str, names)]
    return [*texts[:20], *([f"and {len(texts) - 20} more"] if len(texts) > 20 else [])]
