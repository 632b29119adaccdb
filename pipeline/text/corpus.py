"""The corpus file that CBOW and PPMI read, and a reader of text files with one text per line."""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.runtime.errors import UserError

if TYPE_CHECKING:
    from pipeline.text.parallel_tokenize import TokenBatch

CORPUS = "corpus.txt"


@dataclass(frozen=True)
class CorpusInfo:
    """Size of a corpus file; `fingerprint` is a digest of its content, 16 hexadecimal digits."""

    lines: int
    tokens: int
    fingerprint: str


class CorpusWriter:
    """Writes one tweet per line, tokens separated by one space (gensim's LineSentence); skips tweets without tokens.

    A context manager; `info` describes the file so far.
    """

    def __init__(self, path: Path) -> None:
        self._stream = path.open("wb")
        self._digest = hashlib.blake2b(digest_size=8)
        self._lines = self._tokens = 0

    def __enter__(self) -> "CorpusWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, batch: "TokenBatch") -> None:
        """Append the tweets of a batch that was tokenized `with_lines`."""
        if batch.lines is None:
            raise ValueError("a batch without its lines cannot be written: tokenize it with_lines")
        self._lines += batch.lines.count(b"\n")
        self._tokens += len(batch.ids)
        self._digest.update(batch.lines)
        self._stream.write(batch.lines)

    @property
    def info(self) -> CorpusInfo:
        """Size and fingerprint of the file."""
        return CorpusInfo(self._lines, self._tokens, self._digest.hexdigest())


def read_lines(path: Path) -> Iterator[str]:
    """Read the lines of a UTF-8 text file (`.gz`: compressed), without line ends, byte order mark and blank lines.

    Raises UserError: for a missing file immediately; for bytes that are not UTF-8 and for a broken gzip file when they
    are reached, with the line number.
    """
    if not path.is_file():
        actual = "a folder" if path.is_dir() else "no file"
        raise UserError(f"{path}: found {actual}; expected a text file with one text per line (.gz if compressed)")
    return _lines(path)


def _lines(path: Path) -> Iterator[str]:
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            for number, raw in enumerate(stream, 1):
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                if line and not line.isspace():
                    yield line
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise UserError(f"{path}, line {number}: byte 0x{byte:02x} is not UTF-8; expected UTF-8 text") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}, after line {number}: broken gzip file ({error})") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
