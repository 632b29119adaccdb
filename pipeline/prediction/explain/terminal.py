"""Render a page as plain text for a terminal: at most as many columns, no colour, suitable for a pipe."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from pipeline.prediction.explain.printable import truncated, width

if TYPE_CHECKING:
    from pipeline.prediction.explain.trace import Trace

COLUMNS = 80
BAR_COLUMNS = 9  # of a bar on each side of its axis
GAP = "  "


def lesson_text(trace: "Trace") -> str:
    """The lesson's page as text."""
    from pipeline.prediction.explain.lesson import lesson_page

    return page_text(lesson_page(trace))


def print_text(text: str) -> None:
    """Print text; a terminal that lacks a character shows a question mark."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), end="", flush=True)


def page_text(page: str, columns: int = COLUMNS) -> str:
    """The headings, paragraphs, items and tables of a page in well-formed XML, in lines of at most `columns`.

    Text in `pre` stays as it is.
    """
    lines: list[str] = []
    for element in ElementTree.fromstring(page).iter():
        text = "".join(element.itertext())
        if element.get("class") == "item":
            first, *others = _wrapped(text, columns - len(GAP))
            lines += [f"– {first}", *(GAP + line for line in others)]
        elif element.tag in ("h1", "p"):
            lines += ["", *_wrapped(text, columns)]
        elif element.tag == "pre":
            lines.append(text)
        elif element.tag == "h2":
            lines += ["", "", text, "─" * width(text)]
        elif element.tag == "h3":
            lines += ["", text, "─" * columns]
        elif element.tag == "dl":
            lines.append("")
            lines += [f"{GAP}{name.text:<7} {truncated(value.text or '', columns - 10)}" for name, value in element]
        elif element.tag == "table":
            lines += ["", *_table(element, columns)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _wrapped(text: str, columns: int) -> list[str]:
    """Lines of a paragraph; a word longer than a line is broken."""
    lines = [""]
    for word in text.split():
        for piece in _pieces(word, columns):
            if lines[-1] and width(lines[-1]) + 1 + width(piece) > columns:
                lines.append("")
            lines[-1] += f" {piece}" if lines[-1] else piece
    return lines


def _pieces(word: str, columns: int) -> Iterator[str]:
    while width(word) > columns:
        size = next(size for size in range(len(word), 0, -1) if width(word[:size]) <= columns)
        yield word[:size]
        word = word[size:]
    yield word


def _table(table: Element, columns: int) -> list[str]:
    header, *rows = [list(row) for row in table.iter("tr")]
    # Of signed bars, the labels of the header decide where their axis stands.
    left_labels = [cell[0].text or "" for cell in header if len(cell)]
    left_columns = max([BAR_COLUMNS, *(width(label) + 1 for label in left_labels)])
    cells = [[_cell_text(cell, left_columns, bool(left_labels)) for cell in row] for row in [header, *rows]]
    numeric = [cell.get("class") == "number" for cell in header]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    excess = sum(widths) + len(GAP) * len(widths) - columns
    if excess > 0:  # the widest column of text becomes narrower
        text_columns = [column for column, cell in enumerate(header) if cell.text and not numeric[column]]
        widest = max(text_columns, key=widths.__getitem__)
        widths[widest] = max(8, widths[widest] - excess)
    lines = []
    for row in cells:
        wrapped = [
            _wrapped(cell, size) if width(cell) > size else [cell] for cell, size in zip(row, widths, strict=True)
        ]
        for number in range(max(map(len, wrapped))):
            line = [
                _aligned(cell[number] if number < len(cell) else "", size, right)
                for cell, size, right in zip(wrapped, widths, numeric, strict=True)
            ]
            lines.append(GAP + GAP.join(line))
        if len(lines) == 1:
            lines.append(GAP + GAP.join("─" * size for size in widths))
    return lines


def _aligned(cell: str, size: int, right: bool) -> str:
    blank = " " * (size - width(cell))
    return blank + cell if right else cell + blank


def _cell_text(cell: Element, left_columns: int, signed: bool) -> str:
    """A cell as text; the axis of signed bars stands after `left_columns` columns."""
    bar = cell.find("svg")
    if bar is not None:
        value = float(bar.get("data-value", 0))
        if not signed:
            return "█" * round(value * 2 * BAR_COLUMNS)
        blocks = "█" * round(abs(value) * BAR_COLUMNS)
        return f"{blocks:>{left_columns}}│" if value < 0 else f"{'':>{left_columns}}│{blocks}"
    if len(cell):
        left, right = (label.text or "" for label in cell)
        return f"{_aligned(left, left_columns - 1, right=True)} │ {right}"
    return cell.text or ""
