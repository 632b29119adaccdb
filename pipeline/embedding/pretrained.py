"""Reader of pretrained word vectors: word2vec text, word2vec binary and GloVe text files, plain or gzipped.

Files are read row by row, and only the rows of requested words are converted. gensim's reader instead builds a matrix
of all rows (2.4 GB for 2 million words of 300 dimensions), parses every number, and does not report which row of a
damaged file is wrong. The tests check that both readers agree on intact files.
"""

import gzip
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.embedding.word_vectors import Vectors
from pipeline.runtime.errors import UserError, nearest
from pipeline.runtime.log import log

FORMATS = ("word2vec_text", "word2vec_binary", "glove")
BLOCK = 1 << 16
Row = tuple[bytes, bytes]  # a word, and its values in the encoding of the file


def read_pretrained(path: Path, format: str, dim: int, words: Sequence[str]) -> Vectors:
    """Read the vectors of `words`, or of every word where `words` is empty, in the order of the file.

    The first row of a repeated word counts. In rows of other words, values are counted but not parsed. Word counts are
    0: the files hold none. `info` has the numbers of rows that were read, kept and repeated. Gzip is recognised by its
    content; `format` is `word2vec_text`, `word2vec_binary`, `glove` (no header line), or `auto` to detect it.

    Raises UserError for a file that is missing, a pickle or another container, of other dimensions, truncated, or with
    a value that is no finite number. The message names the file, and the row if there is one.
    """
    if format not in (*FORMATS, "auto"):
        raise UserError(f"embedding.format={format}: no such format{nearest(format, FORMATS)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file (embedding.path)")
    try:
        with _open(path) as stream:
            detected = _detect(path, stream.read(BLOCK))
        if format not in ("auto", detected):  # text read as binary floats would give finite nonsense
            raise UserError(f"{path}: embedding.format={format}, but the file looks like {detected}")
        with _open(path) as stream:
            binary, header = detected == "word2vec_binary", detected == "word2vec_text"
            rows = _binary_rows(path, stream, dim) if binary else _text_rows(path, stream, dim, header=header)
            return _select(path, detected, dim, words, rows)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: damaged or truncated gzip file ({error})") from error


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path)) if zipped else path.open("rb")


def _detect(path: Path, start: bytes) -> str:
    """Detect the format of a file that begins with `start`; refuse a file that has certainly none of the three."""
    expected = "expected a word2vec or GloVe file"
    if not start.strip():
        raise UserError(f"{path}: is empty, {expected}")
    if start[0] == 0x80 or path.suffix in (".kv", ".model", ".pkl", ".pickle"):
        raise UserError(f"{path}: is a pickle, which can run code when loaded; save it with save_word2vec_format first")
    for magic, name in ((b"\x93NUMPY", "a numpy array without words"), (b"PK\x03\x04", "a zip archive: unpack it")):
        if start.startswith(magic):
            raise UserError(f"{path}: is {name}, {expected}")
    first, _, rest = start.partition(b"\n")
    fields = first.split()
    if len(fields) == 2 and all(field.isdigit() for field in fields):
        # Binary numbers soon hold control characters or invalid UTF-8; text never does. The block may end inside a
        # character, which does not make it binary.
        control = any(byte < 32 and byte not in b"\t\n\r" for byte in rest)
        valid = len(rest.decode("utf-8", errors="ignore").encode()) > len(rest) - 4
        return "word2vec_text" if valid and not control else "word2vec_binary"
    if len(fields) < 2 or not _is_number(fields[-1]):
        raise UserError(f"{path}: line 1 is neither a word2vec header nor a word and its numbers, {expected}")
    return "glove"


def _select(path: Path, format: str, dim: int, words: Sequence[str], rows: Iterator[Row]) -> Vectors:
    """Convert the rows of `words`; their values go to a bytearray, which becomes the matrix without a copy."""
    requested = {word.encode("utf-8", "surrogatepass") for word in words}
    selected: dict[bytes, None] = {}
    values = bytearray()
    repeated = number = 0
    first_line = 2 if format == "word2vec_text" else 1
    for number, (word, row) in enumerate(rows, start=1):
        if requested and word not in requested:
            continue
        if word in selected:
            repeated += 1
            continue
        position = f"row {number}" if format == "word2vec_binary" else f"line {number - 1 + first_line}"
        values += _numbers(path, position, word, row, binary=format == "word2vec_binary").tobytes()
        selected[word] = None
    if repeated:
        log.info("%s: %d rows repeat a word; the first row of each word counts", path.name, repeated)
    if requested and not selected:
        raise UserError(f"{path}: none of the vocabulary's {len(requested):,} words is in its {number:,} rows")
    texts = [word.decode("utf-8", "replace") for word in selected]
    if len(set(texts)) < len(texts):
        raise UserError(f"{path}: holds words that are not UTF-8 and cannot be distinguished")
    info = {"file": path.name, "format": format, "rows": number, "kept": len(texts), "repeated": repeated}
    matrix = np.frombuffer(values, dtype=np.float32).reshape(len(texts), dim)
    return Vectors(texts, np.zeros(len(texts), dtype=np.int64), matrix, info)


def _numbers(path: Path, position: str, word: bytes, row: bytes, *, binary: bool) -> NDArray[np.float32]:
    try:
        numbers = np.frombuffer(row, dtype="<f4") if binary else np.array(row.split(b" "), dtype=np.float64)
        with np.errstate(over="ignore"):
            numbers = numbers.astype(np.float32)
    except ValueError as error:
        raise UserError(f"{path}: {position} ({_quoted(word)}) holds a value that is not a number ({error})") from error
    if not np.isfinite(numbers).all():
        raise UserError(f"{path}: {position} ({_quoted(word)}) holds a number that is not finite")
    return cast(NDArray[np.float32], numbers)


def _text_rows(path: Path, stream: IO[bytes], dim: int, *, header: bool) -> Iterator[Row]:
    """Yield the rows of a text file, each checked for its number of values."""
    expected = _header(path, stream, dim) if header else math.inf
    n_rows = 0
    for line in stream:
        if n_rows == expected:
            return
        n_rows += 1
        word, _, row = line.rstrip().partition(b" ")
        count = row.count(b" ") + 1 if row else 0
        if count != dim:
            where = f"{path}: line {n_rows + header} ({_quoted(word)})"
            if n_rows == 1 and not header:
                raise _wrong_dimensions(path, count, dim)
            if count < dim and not line.endswith(b"\n"):
                raise UserError(f"{where} has {count} of {dim} values: the file is truncated")
            # Published GloVe files hold a few words with spaces (". . ."); no token of a vocabulary has one.
            if count < dim or header or _is_number(row.split(b" ", 1)[0]):
                raise UserError(f"{where} has {count} values, expected {dim}")
            row = row.split(b" ", count - dim)[-1]
            word = line.rstrip()[: -len(row) - 1]
        yield word, row
    if header and n_rows < expected:
        raise UserError(f"{path}: ends after {n_rows} of {expected} rows: the file is truncated")


def _binary_rows(path: Path, stream: IO[bytes], dim: int) -> Iterator[Row]:
    """Yield the rows of a binary file: a word, a space, `dim` little-endian float32, and often a newline."""
    expected = _header(path, stream, dim)
    size = 4 * dim
    buffer, start = b"", 0
    for n_rows in range(expected):
        space = buffer.find(b" ", start)
        while space < 0 or len(buffer) - space - 1 < size:
            block = stream.read(max(BLOCK, size))
            if not block:
                raise UserError(f"{path}: ends after {n_rows} of {expected} rows: the file is truncated")
            buffer, start = buffer[start:] + block, 0
            if space < 0 and len(buffer) > 2 * max(BLOCK, size):
                raise UserError(f"{path}: row {n_rows + 1} has no end of its word: not a word2vec binary file")
            space = buffer.find(b" ")
        end = space + 1 + size
        yield buffer[start:space].lstrip(b"\n"), buffer[space + 1 : end]
        start = end


def _header(path: Path, stream: IO[bytes], dim: int) -> int:
    """Read the header, check its dimensions, and return its number of rows."""
    n_rows, file_dim = map(int, stream.readline(BLOCK).split())
    if file_dim != dim:
        raise _wrong_dimensions(path, file_dim, dim)
    return n_rows


def _wrong_dimensions(path: Path, file_dim: int, dim: int) -> UserError:
    message = f"its vectors have {file_dim} dimensions, embedding.dim={dim}: set embedding.dim={file_dim}"
    return UserError(f"{path}: {message}")


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _quoted(word: bytes) -> str:
    return repr(word[:40].decode("utf-8", "replace"))
