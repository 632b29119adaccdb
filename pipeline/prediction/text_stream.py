"""Read texts from a byte stream or file, one per line, in batches and constant memory."""

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path

from pipeline.runtime.errors import UserError, one_line

BATCH = 256  # texts
BLOCK = 1 << 16  # bytes
MAX_LINE = 1 << 20  # bytes
BOM = b"\xef\xbb\xbf"


class TextLines:
    """The lines of a stream, each a text; an empty line is an empty text.

    Iteration yields batches of at most BATCH texts as soon as their lines arrive, so that a slow source is answered
    line by line. Bytes that are not UTF-8 become U+FFFD; `undecodable` counts the lines with such bytes.
    """

    def __init__(self, stream: BufferedIOBase, name: str) -> None:
        self.stream = stream
        self.name = name
        self.lines = 0
        self.undecodable = 0

    def __iter__(self) -> Iterator[list[str]]:
        """Yield the batches. Raises UserError at a line with NUL bytes or with more than MAX_LINE bytes."""
        rest = b""
        # `read1` returns the available bytes without waiting for more; none at the end.
        block = self.stream.read1(BLOCK).removeprefix(BOM)
        while block:
            *lines, rest = (rest + block).split(b"\n")
            for start in range(0, len(lines), BATCH):
                yield [self._text(line) for line in lines[start : start + BATCH]]
            if len(rest) > MAX_LINE:
                self._raise(f"longer than {MAX_LINE:,} bytes", self.lines + 1)
            block = self.stream.read1(BLOCK)
        if rest:
            yield [self._text(rest)]

    def _text(self, line: bytes) -> str:
        self.lines += 1
        if b"\0" in line:
            self._raise("holds NUL bytes", self.lines)
        text = line.removesuffix(b"\r").decode("utf-8", "replace")
        if "\ufffd" in text and b"\xef\xbf\xbd" not in line:
            self.undecodable += 1
        return text

    def _raise(self, problem: str, line: int) -> None:
        raise UserError(f"{self.name}, line {line:,}: {problem}; expected text in UTF-8, one per line")


def file_batches(path: Path) -> Iterator[list[str]]:
    """The texts of a plain or `.gz` file in batches; a file that cannot be read is a UserError."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            yield from TextLines(stream, path.name)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise UserError(f"--file {path}: cannot be read ({reason})") from error
