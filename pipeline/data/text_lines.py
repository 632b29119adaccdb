"""Reader of text files with one text per line, such as unlabelled tweets; it refuses tables."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePath

from pipeline.data.tables import SUFFIXES, parses
from pipeline.data.text_file import SURROGATE, content_name, detect_encoding, readable, text_file
from pipeline.runtime.errors import UserError

TABLES = (*(suffix for suffix in SUFFIXES if suffix != ".txt"), ".xlsx", ".xls", ".ods")


def text_lines(
    path: Path, encoding: str = "auto", key: str = "data.encoding", column: str = "text", notes: list[str] | None = None
) -> Iterator[str]:
    """The lines of a text file with one text per line, without line ends and blank lines.

    Lines with NUL bytes or damaged UTF-8 are left out; `notes` gets their number at the end. Raises UserError where the
    file cannot be read, has another encoding, or is a table, with a column `column` or by its name.
    """
    kind = "a table by its name" if is_table(path) else None
    with readable(path):
        file, left_out = text_file(path, encoding, key, check_all=False), 0
        for number, line in enumerate(file.lines(), 1):
            if number == 1 and (kind := kind or table_kind(line.rstrip("\r\n"), column)):
                raise UserError(f"{path}: {kind}, expected one text per line; write its texts alone to a .txt file")
            if "\0" in line or (not line.isascii() and SURROGATE.search(line)):
                if not left_out and encoding == "auto":
                    detect_encoding(path, key)
                left_out += 1
            elif not line.isspace():
                yield line.rstrip("\r\n")
    if left_out and notes is not None:
        reason = f"for NUL bytes, or bytes that are not {file.encoding.upper()}"
        notes.append(f"{path.name}: lines left out {reason}: {left_out:,}")


def is_table(path: Path) -> bool:
    """Whether a file is a table by its name, compressed or not; `.txt` is not."""
    return PurePath(content_name(path)).suffix.lower() in TABLES


def table_kind(line: str, column: str) -> str | None:
    """What a first line is where it is no text: a header with `column`, JSON, or a line in fastText's format.

    A header is only recognised where its fields are words of letters, digits, `_` and `-`.
    """
    fields = re.split(r"[,;|\t]", line.replace('"', ""))
    if line.startswith("__label__"):
        return "a line in fastText's format"
    if len(fields) > 1 and column in fields and all(re.fullmatch(r"[\w-]+", field) for field in fields):
        return "the header of a table"
    return "JSON" if line.startswith(("{", "[{")) and parses(line) else None
