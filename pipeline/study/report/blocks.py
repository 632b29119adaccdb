"""What the report is made of, before it becomes HTML or markdown: sections of a few kinds of block."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from pipeline.study.report.figures.all import Figure
from pipeline.study.report.study_results import StudyWarning, Verdict

NUMBER = re.compile(r"[\[+\-−<×]*\s?\d[\d,.]*([ (,].*)?")
NOTHING = {"", "-", "–", "—"}
LONG, SHORT = 60, 34  # characters: a cell of LONG needs room, a column whose cells are all below SHORT is never broken


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    items: list[str]
    kind: ClassVar[str] = "points"


@dataclass(frozen=True)
class Table:
    """A table of display strings; the first column names the rows.

    shades : per cell after the first, from 0 to 10: how dark it is drawn.
    """

    caption: str
    columns: list[str]
    rows: list[list[str]]
    shades: list[list[int]] | None = None
    kind: ClassVar[str] = "table"

    @cached_property
    def numeric(self) -> list[bool]:
        """Per column: whether all that stands in it are numbers (and some do)."""
        return [self._all_numbers([row[place] for row in self.rows]) for place in range(len(self.columns))]

    @cached_property
    def long(self) -> list[bool]:
        """Per column: whether it holds sentences."""
        return [any(len(row[place]) >= LONG for row in self.rows) for place in range(len(self.columns))]

    @cached_property
    def short(self) -> list[bool]:
        """Per column: whether all its cells fit on one line."""
        return [all(len(row[place]) < SHORT for row in self.rows) for place in range(len(self.columns))]

    @cached_property
    def wide(self) -> bool:
        """Whether it needs the whole width of the page."""
        return any(self.long) or len(self.columns) > 5

    @cached_property
    def grouped(self) -> bool:
        """Whether neighbouring rows have the same name."""
        return len({row[0] for row in self.rows}) < len(self.rows)

    @staticmethod
    def _all_numbers(cells: list[str]) -> bool:
        filled = [cell for cell in cells if cell not in NOTHING]
        return bool(filled) and all(NUMBER.fullmatch(cell) for cell in filled)


def table_of(caption: str, rows: Sequence[Mapping[str, str]]) -> "list[Block]":
    """The table of rows of display strings, a column per key, a dash where a row lacks one; none without rows."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return [Table(caption, columns, [[row.get(key, "–") for key in columns] for row in rows])] if rows else []


@dataclass(frozen=True)
class Tables:
    """Small tables that stand side by side where there is room."""

    tables: list[Table]
    kind: ClassVar[str] = "tables"

    @property
    def roomy(self) -> bool:
        """Whether they have so many columns that at most two fit side by side."""
        return any(len(table.columns) > 3 for table in self.tables)


@dataclass(frozen=True)
class Plot:
    """A figure."""

    figure: Figure
    kind: ClassVar[str] = "plot"


@dataclass(frozen=True)
class Commands:
    """Command lines to copy."""

    lines: list[str]
    kind: ClassVar[str] = "commands"


@dataclass(frozen=True)
class WordMap:
    """The interactive map of words: the findings' `words_map`."""

    data: dict[str, Any]
    kind: ClassVar[str] = "map"


Block = Text | Points | Table | Tables | Plot | Commands | WordMap


@dataclass(frozen=True)
class Section:
    """A titled part of the report; `key` is its address in the page, `guide` one sentence on how to read it."""

    key: str
    title: str
    guide: str
    blocks: list[Block]


@dataclass(frozen=True)
class Page:
    """The whole report: what its first screen says, and its sections."""

    title: str
    generated: bool
    ran: str
    warnings: list[StudyWarning]
    verdicts: list[Verdict]
    sections: list[Section]
