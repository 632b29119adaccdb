"""Text for CBOW: the corpus file that gensim reads, and unlabelled lines from elsewhere, one text each."""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.runtime.errors import UserError

if TYPE_CHECKING:
    from pipeline.text.parallel_tokenize import Tokens

CORPUS = "corpus.txt"


@dataclass(frozen=True)
class CorpusInfo:
    """What a corpus file holds; `fingerprint` is 16 hexadecimal digits of its content."""

    lines: int
    tokens: int
    fingerprint: str


class CorpusWriter:
    """Writes one tweet per line, tokens apart by one space (gensim's LineSentence), skipping tweets without tokens.

    A context manager; `info` tells what was written so far.
    """

    def __init__(self, path: Path) -> None:
        self._stream = path.open("wb")
        self._digest = hashlib.blake2b(digest_size=8)
        self._lines = self._tokens = 0

    def __enter__(self) -> "CorpusWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, tokens: "Tokens") -> None:
        """Append the tweets of a batch, whose `lines` were asked for."""
        if tokens.lines is None:
            raise ValueError("a batch without its lines cannot be written: tokenize it with_lines")
        self._lines += tokens.lines.count(b"\n")
        self._tokens += len(tokens.ids)
        self._digest.update(tokens.lines)
        self._stream.write(tokens.lines)

    @property
    def info(self) -> CorpusInfo:
        """What the file holds."""
        return CorpusInfo(self._lines, self._tokens, self._digest.hexdigest())


def read_lines(path: Path) -> Iterator[str]:
    """Read the lines of a UTF-8 text file (`.gz`: compressed), without line ends, byte order mark and blank lines.

    A missing file is a UserError at once. Bytes that are not UTF-8 and a broken gzip file are one when they are
    reached, with the line.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no file"
        raise UserError(f"{path}: found {found}; expected a text file with one text per line (.gz if compressed)")
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
