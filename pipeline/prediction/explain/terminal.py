"""The lesson for a terminal: 80 columns, no colour, fit for a pipe."""

from collections.abc import Iterator

from pipeline.prediction.explain.blocks import Axis, Cell, Table, Words, counted, short, width
from pipeline.prediction.explain.lesson import Lesson

COLUMNS = 80
HALF = 9  # columns of a bar on each side of its axis
GAP = "  "


def lesson_text(lesson: Lesson) -> str:
    """All of it as lines of at most 80 columns, ending in a line break."""
    lines = ["", *_wrapped(lesson.title), ""]
    lines += [f"  {name:<7} {line}" for name, value in lesson.facts for line in [short(value, COLUMNS - 10)]]
    lines += ["", *_wrapped(f"It says: {lesson.answer}.")]
    for number, section in enumerate(lesson.sections, 1):
        title = f"{number}  {section.title}"
        lines += ["", "", title, "─" * width(title)]
        for block in section.blocks:
            if isinstance(block, Words):
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
    half = max([HALF, *(width(column.left) + 3 for column in table.columns if isinstance(column, Axis))])
    cells = [[_drawn(cell, half) for cell in row] for row in [table.columns, *table.rows]]
    widths = [max(width(row[place]) for row in cells) for place in range(len(table.columns))]
    over = sum(widths) + len(GAP) * len(widths) - COLUMNS
    if over > 0:  # the widest column of words gives way
        words = [
            place for place, column in enumerate(table.columns) if _is_words(column) and place not in table.numeric
        ]
        widest = max(words, key=widths.__getitem__)
        widths[widest] = max(8, widths[widest] - over)
    lines = []
    for row in cells:
        broken = [
            _wrapped(cell, size) if width(cell) > size else [cell] for cell, size in zip(row, widths, strict=True)
        ]
        for part in range(max(map(len, broken))):
            line = [
                _aligned(cell[part] if part < len(cell) else "", widths[place], place in table.numeric)
                for place, cell in enumerate(broken)
            ]
            lines.append(GAP + GAP.join(line))
        if len(lines) == 1:
            lines.append(GAP + GAP.join("─" * size for size in widths))
    if table.more > 0:
        lines.append(f"{GAP}… and {counted(table.more, f'more {table.omitted}')}")
    return lines


def _is_words(column: str | Axis) -> bool:
    return isinstance(column, str) and column != ""


def _aligned(cell: str, size: int, right: bool) -> str:
    blank = " " * (size - width(cell))
    return blank + cell if right else cell + blank


def _drawn(cell: Cell | Axis, half: int) -> str:
    """A cell as text; `half` columns stand left of the axis of signed bars."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, Axis):
        return f"← {cell.left} ".rjust(half - width(cell.left) + len(cell.left)) + f"│ {cell.right} →"
    if not cell.signed:
        return "█" * round(cell.value * 2 * HALF)
    full = "█" * round(abs(cell.value) * HALF)
    return f"{full:>{half}}│" if cell.value < 0 else f"{'':>{half}}│{full}"
