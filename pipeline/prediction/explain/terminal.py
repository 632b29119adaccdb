"""Render a lesson as plain text for a terminal: 80 columns, no colour, suitable for a pipe."""

from collections.abc import Iterator

from pipeline.prediction.explain.blocks import Axis, Cell, Paragraph, Table, counted, truncated, width
from pipeline.prediction.explain.lesson import Lesson

COLUMNS = 80
BAR_COLUMNS = 9  # of a bar on each side of its axis
GAP = "  "


def lesson_text(lesson: Lesson) -> str:
    """The lesson as lines of at most 80 columns, ending in a line break."""
    lines = ["", *_wrapped(lesson.title), ""]
    lines += [f"  {name:<7} {truncated(value, COLUMNS - 10)}" for name, value in lesson.facts]
    lines += ["", *_wrapped(f"Prediction: {lesson.prediction}.")]
    for number, section in enumerate(lesson.sections, 1):
        title = f"{number}  {section.title}"
        lines += ["", "", title, "─" * width(title)]
        for block in section.blocks:
            if isinstance(block, Paragraph):
                lines += ["", *_wrapped(block.text)]
            elif isinstance(block, Table):
                lines += ["", *_table(block)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _wrapped(text: str, columns: int = COLUMNS) -> list[str]:
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


def _table(table: Table) -> list[str]:
    left_columns = max([BAR_COLUMNS, *(width(column.left) + 3 for column in table.columns if isinstance(column, Axis))])
    cells = [[_cell_text(cell, left_columns) for cell in row] for row in [table.columns, *table.rows]]
    widths = [max(width(row[column]) for row in cells) for column in range(len(table.columns))]
    excess = sum(widths) + len(GAP) * len(widths) - COLUMNS
    if excess > 0:  # the widest column of text becomes narrower
        text_columns = [
            column for column, name in enumerate(table.columns) if _has_name(name) and column not in table.numeric
        ]
        widest = max(text_columns, key=widths.__getitem__)
        widths[widest] = max(8, widths[widest] - excess)
    lines = []
    for row in cells:
        wrapped = [
            _wrapped(cell, size) if width(cell) > size else [cell] for cell, size in zip(row, widths, strict=True)
        ]
        for number in range(max(map(len, wrapped))):
            line = [
                _aligned(cell[number] if number < len(cell) else "", widths[column], column in table.numeric)
                for column, cell in enumerate(wrapped)
            ]
            lines.append(GAP + GAP.join(line))
        if len(lines) == 1:
            lines.append(GAP + GAP.join("─" * size for size in widths))
    if table.omitted > 0:
        lines.append(f"{GAP}… and {counted(table.omitted, f'more {table.noun}')}")
    return lines


def _has_name(column: str | Axis) -> bool:
    return isinstance(column, str) and column != ""


def _aligned(cell: str, size: int, right: bool) -> str:
    blank = " " * (size - width(cell))
    return blank + cell if right else cell + blank


def _cell_text(cell: Cell | Axis, left_columns: int) -> str:
    """A cell as text; the axis of signed bars stands after `left_columns` columns."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, Axis):
        return f"← {cell.left} ".rjust(left_columns - width(cell.left) + len(cell.left)) + f"│ {cell.right} →"
    if not cell.signed:
        return "█" * round(cell.value * 2 * BAR_COLUMNS)
    bar = "█" * round(abs(cell.value) * BAR_COLUMNS)
    return f"{bar:>{left_columns}}│" if cell.value < 0 else f"{'':>{left_columns}}│{bar}"
