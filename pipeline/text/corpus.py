"""The corpus file that CBOW and PPMI read: its writer, size and fingerprint."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.text.parallel_tokenize import TokenBatch

CORPUS = "corpus.txt"


@dataclass(frozen=True)
class CorpusInfo:
    """Size of a corpus file.

    fingerprint : a digest of its content, 16 hexadecimal digits.
    sources : name, lines and tokens of each source, in the order of the file.
    """

    lines: int
    tokens: int
    fingerprint: str
    sources: list[tuple[str, int, int]]


class CorpusWriter:
    """Writes one tweet per line, tokens separated by one space (gensim's LineSentence); skips tweets without tokens.

    A context manager; `info` describes the file so far.
    """

    def __init__(self, path: Path) -> None:
        self._stream = path.open("wb")
        self._digest = hashlib.blake2b(digest_size=8)
        self._lines = self._tokens = 0
        self._sources: list[tuple[str, int, int]] = []

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

    def end_source(self, name: str) -> None:
        """Note that all lines since the last source are those of the source `name`."""
        lines = self._lines - sum(lines for _, lines, _ in self._sources)
        tokens = self._tokens - sum(tokens for _, _, tokens in self._sources)
        self._sources.append((name, lines, tokens))

    @property
    def info(self) -> CorpusInfo:
        """Size and fingerprint of the file."""
        return CorpusInfo(self._lines, self._tokens, self._digest.hexdigest(), self._sources)
