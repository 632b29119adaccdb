"""Content of a report before rendering: a page of sections, made of paragraphs, tables, plots and other blocks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from pipeline.study.report.study_results import StudyWarning, Verdict

NUMBER = re.compile(r"[\[+\-−<×]*\s?\d[\d,.]*([ (,].*)?")
EMPTY_CELLS = {"", "-", "–", "—"}
MINUS = " − "  # between the variants of a difference, where the page may break the line
LONG, SHORT = 60, 34  # characters: from LONG on a cell needs room; a column of cells below SHORT does not wrap


@dataclass(frozen=True)
class Part:
    """Something other than a table.

    By kind, `content` is a paragraph (text), sentences (bullets), command lines (commands), a `Figure` (plot) or
    `StudyResults.words_map` (map).
    """

    kind: Literal["text", "bullets", "commands", "plot", "map"]
    content: Any


@dataclass(frozen=True)
class Table:
    """A table of display strings; the first column names the rows.

    shades : darkness from 0 to 10 of each cell after the first of its row.
    """

    caption: str
    columns: list[str]
    rows: list[list[str]]
    shades: list[list[int]] | None = None
    kind: ClassVar[Literal["table"]] = "table"

    @cached_property
    def numeric(self) -> list[bool]:
        """Per column: whether it holds numbers and nothing else."""
        filled = [[cell for cell in column if cell not in EMPTY_CELLS] for column in self._cells]
        return [bool(cells) and all(map(NUMBER.fullmatch, cells)) for cells in filled]

    @cached_property
    def long(self) -> list[bool]:
        """Per column: whether it holds sentences."""
        return [any(len(cell) >= LONG for cell in column) for column in self._cells]

    @cached_property
    def short(self) -> list[bool]:
        """Per column: whether all its cells, or both halves of a difference, fit on one line."""
        return [all(len(half) < SHORT for cell in column for half in cell.split(MINUS)) for column in self._cells]

    @cached_property
    def wide(self) -> bool:
        """Whether the table needs the whole width of the page."""
        return any(self.long) or len(self.columns) > 5

    @cached_property
    def grouped(self) -> bool:
        """Whether neighbouring rows have the same name."""
        return len({row[0] for row in self.rows}) < len(self.rows)

    @property
    def _cells(self) -> list[list[str]]:
        return [[row[index] for row in self.rows] for index in range(len(self.columns))]


def filled_table(caption: str, columns: list[str], rows: list[list[str]]) -> "list[Block]":
    """One table; none without rows."""
    return [Table(caption, columns, rows)] if rows else []


def table_of(caption: str, rows: Sequence[Mapping[str, str]]) -> "list[Block]":
    """One table with a column per key and a dash for missing cells; no table without rows."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return filled_table(caption, columns, [[row.get(key, "–") for key in columns] for row in rows])


@dataclass(frozen=True)
class Tables:
    """Small tables side by side where there is room."""

    tables: list[Table]
    kind: ClassVar[Literal["tables"]] = "tables"

    @property
    def roomy(self) -> bool:
        """Whether they have so many columns that at most two fit side by side."""
        return any(len(table.columns) > 3 for table in self.tables)


Block = Part | Table | Tables


@dataclass(frozen=True)
class Section:
    """A titled part of the report; `key` is its anchor in the page, `guide` says how to read it."""

    key: str
    title: str
    guide: str
    blocks: list[Block]


@dataclass(frozen=True)
class Page:
    """The whole report: its first screen (title, summary of the design, warnings, verdicts) and its sections."""

    title: str
    generated: bool
    summary: str
    warnings: list[StudyWarning]
    verdicts: list[Verdict]
    sections: list[Section]
