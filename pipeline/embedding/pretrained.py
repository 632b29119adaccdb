"""Reader of pretrained word vectors: word2vec text, word2vec binary and GloVe text files, plain or compressed.

Files are read row by row, and only the rows of requested words are converted. gensim's reader instead builds a matrix
of all rows (2.4 GB for 2 million words of 300 dimensions), parses every number, and does not report which row of a
damaged file is wrong. The tests check that both readers agree on intact files.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import count, takewhile
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.data.text_file import open_bytes, readable
from pipeline.embedding.word_vectors import Vectors
from pipeline.runtime.errors import UserError, nearest
from pipeline.runtime.log import log

FORMATS = ("word2vec_text", "word2vec_binary", "glove")
BLOCK = 1 << 16
BOM = b"\xef\xbb\xbf"
SEPARATORS = {b" ": "spaces", b"\t": "tabs", b",": "commas", b";": "semicolons"}
# The masks of handles and links in this project, in GloVe's Twitter vectors, and in BERTweet's tokenizer.
MASKS = {b"@user": (b"<user>", b"@USER"), b"http": (b"<url>", b"HTTPURL")}
OTHER_FILES = {
    b"\x93NUMPY": "a numpy array without words",
    b"\xba\x16\x4f\x2f": "a fastText model: use its .vec file",
    b"\xff\xfe": "UTF-16 text: convert it to UTF-8",
}
REMARKS = {
    "repeated": "rows that repeat a word: {n}, such as {words}; the first row of each word counts",
    "zero": "words with a vector of zeros: {n}, such as {words}; they start at random, like words that the file lacks",
    "numbers": "words with blanks that end in a number: {n}, such as {words}; the last {dim} numbers are the vector",
    "not_utf8": "words that are not UTF-8: {n}, such as {words}; no word of the vocabulary equals them",
}
_HEADER = re.compile(rb"\s*(\d+)[ \t,;]+([1-9]\d*)\s*")
_NUMBER = re.compile(rb"\s*[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|nan|inf(?:inity)?)\s*", re.IGNORECASE)

Row = tuple[int, bytes, bytes | list[bytes]]  # its number, its word, and its values (b"": not requested)
Remarks = defaultdict[str, list[bytes]]  # the words of each remark, by key of REMARKS


class Layout(NamedTuple):
    """What the beginning of a file shows."""

    format: str
    dim: int
    header: tuple[int, int] | None  # numbers of rows and dimensions
    separator: bytes = b" "  # of SEPARATORS; a space or a tab stands for any number of both


def read_pretrained(path: Path, format: str, dim: int, words: Sequence[str]) -> Vectors:
    """Read the vectors of `words`, or of every word where `words` is empty, in the order of the file.

    A row is a word and its values, separated by spaces and tabs, or by commas or semicolons. The last `dim` fields are
    the values, the others the word, which may hold any other white space. The first row of a repeated word counts. A
    vector of zeros counts as absent: it holds nothing about its word, and would lower the spread of random rows. A
    mask that the file lacks, such as `@user`, gets the vector of the file's own mask (see MASKS). In rows of other
    words, values are counted but not parsed. Word counts are 0: the files hold none.

    `info` has the numbers of rows that were read, kept and repeated, and under `notes` a sentence for each guess.
    Compressed files are recognised by their content; `format` is `word2vec_text`, `word2vec_binary`, `glove` (no header
    line), or `auto` to detect it.

    Raises UserError for a file that is missing, a pickle or another container, of other dimensions, truncated, or with
    a value that is no finite number. The message names the file, and the row if there is one.
    """
    if format not in (*FORMATS, "auto"):
        raise UserError(f"embedding.format={format}: no such format{nearest(format, FORMATS)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file (embedding.path)")
    with readable(path), open_bytes(path) as stream:
        start = stream.read(BLOCK)
        layout = _layout(path, start if start.count(b"\n") > 2 else start + stream.readline(1 << 20), dim)
    if format not in ("auto", layout.format):  # text read as binary floats would give finite nonsense
        problem = f"embedding.format={format}, but the file looks like {layout.format}"
        raise UserError(f"{path}: {problem}: set embedding.format=auto")
    if layout.dim != dim:
        problem = f"its vectors have {layout.dim} dimensions, embedding.dim={dim}"
        raise UserError(f"{path}: {problem}: set embedding.dim={layout.dim}")
    with readable(path), open_bytes(path) as stream:
        return _select(path, stream, layout, words)


def _layout(path: Path, start: bytes, dim: int) -> Layout:
    """Detect the layout of a file that begins with `start`; refuse a file of certainly another format.

    `dim` decides where the rows allow several dimensions: without a header, `a 1 2` may be the word `a 1`.
    """
    expected = "expected a word2vec or GloVe file"
    if not start.strip():
        raise UserError(f"{path}: is empty, {expected}")
    if start[0] == 0x80 or path.suffix in (".kv", ".model", ".pkl", ".pickle"):
        raise UserError(f"{path}: is a pickle, which can run code when loaded; save it with save_word2vec_format first")
    for magic, name in OTHER_FILES.items():
        if start.startswith(magic):
            raise UserError(f"{path}: is {name}, {expected}")
    if b"\r" in start.rstrip() and b"\n" not in start:
        raise UserError(f"{path}: its lines end in carriage returns alone: convert them to newlines")
    first, _, rest = start.removeprefix(BOM).partition(b"\n")
    match = _HEADER.fullmatch(first)
    header = (int(match[1]), int(match[2])) if match else None
    lines = [line for line in (rest if header else start).split(b"\n") if line.strip()]
    blank = b"\t" if lines and lines[0].count(b"\t") > lines[0].count(b" ") else b" "
    readings = [(separator, *_count_numbers(lines, separator)) for separator in (blank, b",", b";")]
    separator, counts, _ = max(readings, key=lambda reading: reading[-1])
    if header is None and not counts[0]:
        raise UserError(f"{path}: line 1 is neither a word2vec header nor a word and its numbers, {expected}")
    if header and (not counts or counts[0] < header[1]):
        # Binary numbers soon hold control characters or invalid UTF-8. The block may end inside a character.
        control = any(byte < 32 and byte not in b"\t\n\r" for byte in rest)
        valid = len(rest.decode("utf-8", errors="ignore").encode())
        if control or valid < len(rest) - 3 * (len(start) >= BLOCK):
            return Layout("word2vec_binary", header[1], header)
    if not start.endswith(b"\n"):
        del counts[-1:]  # the last line may be incomplete
    dims = _dimensions(counts, header[1] if header else None) or {dim}
    return Layout("word2vec_text" if header else "glove", dim if dim in dims else min(dims), header, separator)


def _split(line: bytes, separator: bytes, dim: int = -1) -> list[bytes]:
    """Split a line into the word (empty where the line starts with a blank) and its last `dim` fields."""
    blank = separator in b" \t"
    word, *fields = (b"_" + line).rsplit(None if blank else separator, dim)
    word = word[1:].strip(b" \t")
    if not blank and len(word) > 1 and word[:1] == word[-1:] == b'"':
        word = word[1:-1].replace(b'""', b'"')
    return [word, *fields]


def _count_numbers(lines: Sequence[bytes], separator: bytes) -> tuple[list[int], int]:
    """Count the numbers at the end of each line after its first field, and the lines that have nothing else there."""
    counts, regular = [], 0
    for line in lines:
        _, *fields = _split(line, separator)
        counts.append(sum(1 for _ in takewhile(_NUMBER.fullmatch, reversed(fields))))
        regular += 0 < len(fields) == counts[-1]
    return counts, regular


def _dimensions(counts: Sequence[int], announced: int | None) -> set[int]:
    """The dimensions that the numbers at the end of lines allow: those of the header, unless the lines contradict it.

    A word that ends in numbers adds to its line's count, and a damaged row has too few: the dimensions are the smallest
    count that is at least a tenth as frequent as the most frequent one. A few lines prove neither: both are returned.
    """
    frequency = Counter(filter(None, counts))
    if not frequency:
        return set() if announced is None else {announced}
    (usual, lines), *_ = frequency.most_common()
    smallest = min(n for n, times in frequency.items() if 10 * times >= lines)
    if announced is not None and (announced in frequency or (len(counts) < 10 and announced < smallest)):
        return {announced}
    return {smallest, usual}


def _select(path: Path, stream: BinaryIO, layout: Layout, words: Sequence[str]) -> Vectors:
    """Convert the rows of `words`, or of all words; their values go to one bytearray."""
    vocabulary = {word.encode("utf-8", "surrogatepass") for word in words}
    requested = vocabulary | {theirs for ours in vocabulary & MASKS.keys() for theirs in MASKS[ours]}
    remarks: Remarks = defaultdict(list)
    binary = layout.format == "word2vec_binary"
    rows = _binary_rows(path, stream, layout) if binary else _text_rows(path, stream, layout, requested, remarks)
    selected: dict[bytes, int] = {}  # the row of each word in `values`
    values = bytearray()
    total = 0
    for number, word, row in rows:
        total += 1
        if not word.isascii() and word.decode("utf-8", "ignore").encode() != word:
            remarks["not_utf8"].append(word)
        if requested and word not in requested:
            continue
        if word in selected:
            remarks["repeated"].append(word)
            continue
        numbers = _numbers(path, f"{'row' if binary else 'line'} {number}", word, row)
        if numbers.any():
            selected[word] = len(selected)
            values += numbers.tobytes()
        else:
            remarks["zero"].append(word)
    if not total:
        raise UserError(f"{path}: has no row of a word and its vector: the file is truncated")
    remarks["zero"] = [word for word in dict.fromkeys(remarks["zero"]) if word not in selected]
    notes = _notes(path.name, layout, total, remarks)
    for ours in sorted(vocabulary & MASKS.keys() - selected.keys()):
        for theirs in [word for word in MASKS[ours] if word in selected][:1]:
            selected[ours] = selected[theirs]
            notes.append(f"{path.name}: no vector for {_quoted(ours)}: it starts with that of {_quoted(theirs)}")
    if vocabulary:
        selected = {word: row for word, row in selected.items() if word in vocabulary}
        if not selected:
            problem = f"none of the vocabulary's {len(vocabulary):,} words has a vector in its {total:,} rows"
            raise UserError(f"{path}: {problem}")
    for note in notes:
        log.info("note: %s", note)
    texts = [word.decode("utf-8", "backslashreplace") for word in selected]
    counted = {"rows": total, "kept": len(texts), "repeated": len(remarks["repeated"]), "zero": len(remarks["zero"])}
    info = {"file": path.name, "format": layout.format, **counted, "notes": notes}
    matrix = np.frombuffer(values, dtype=np.float32).reshape(-1, layout.dim)[list(selected.values())]
    return Vectors(texts, np.zeros(len(texts), dtype=np.int64), matrix, info)


def _notes(name: str, layout: Layout, rows: int, remarks: Remarks) -> list[str]:
    """Sentences on the layout, on a header that the rows contradict, and on the remarks."""
    notes = [f"{rows:,} rows, read as {layout.format} with {SEPARATORS[layout.separator]} between fields"]
    if layout.header not in (None, (rows, layout.dim)):
        notes.append("the header announces {:,} rows of {} dimensions".format(*layout.header))
        notes[-1] += f", the file has {rows:,} of {layout.dim}: all were read"
    for key, words in remarks.items():
        if words:
            notes.append(REMARKS[key].format(n=f"{len(words):,}", words=_quoted(*words[:3]), dim=layout.dim))
    return [f"{name}: {note}" for note in notes]


def _numbers(path: Path, position: str, word: bytes, row: bytes | list[bytes]) -> NDArray[np.float32]:
    try:
        numbers = np.frombuffer(row, "<f4") if isinstance(row, bytes) else np.array(row, dtype=np.float64)
        with np.errstate(over="ignore"):
            numbers = numbers.astype(np.float32)
    except ValueError as error:
        raise UserError(f"{path}: {position} ({_quoted(word)}) holds a value that is not a number ({error})") from error
    if not np.isfinite(numbers).all():
        raise UserError(f"{path}: {position} ({_quoted(word)}) holds a number that is not finite")
    return cast(NDArray[np.float32], numbers)


def _text_rows(
    path: Path, stream: BinaryIO, layout: Layout, requested: Collection[bytes], remarks: Remarks
) -> Iterator[Row]:
    """Yield the rows of a text file, each checked for its number of values."""
    _, dim, header, separator = layout
    blank = separator in b" \t"
    for number, line in enumerate(stream, start=1):
        if number == 1:
            line = line.removeprefix(BOM)
            if header:
                continue
        content = line.rstrip()
        word, _, row = content.partition(separator)
        word = word.strip(b" \t")
        regular = blank and row and row.count(separator) == dim - 1
        if regular and requested and word not in requested:
            yield number, word, b""
        elif content:
            values = row.split() if regular else []
            if len(values) != dim:
                word, *values = _split(content, separator, dim)
            parts = word.split()
            where = f"{path}: line {number} ({_quoted(word)}) has {len(values) + len(parts[1:])}"
            if not line.endswith(b"\n") and (len(values) < dim or not _NUMBER.fullmatch(values[-1])):
                raise UserError(f"{where} of {dim} values: the file is truncated")
            if len(values) < dim or len(parts) > max(dim, 20):  # such a long word is another row in the same line
                raise UserError(f"{where} values, expected {dim}")
            if parts[1:] and _NUMBER.fullmatch(parts[-1]):
                remarks["numbers"].append(word)
            yield number, word, values


def _binary_rows(path: Path, stream: BinaryIO, layout: Layout) -> Iterator[Row]:
    """Yield the rows of a binary file: a word, a space, `dim` little-endian float32, and often a newline."""
    stream.readline(BLOCK)
    size, announced = 4 * layout.dim, layout.header[0] if layout.header else 0
    buffer, start = b"", 0
    for number in count(1):
        space = buffer.find(b" ", start)
        while space < 0 or len(buffer) - space - 1 < size:
            block = stream.read(max(BLOCK, size))
            if not block and number > announced and not buffer[start:].strip():
                return
            if not block:
                raise UserError(f"{path}: ends inside row {number}, of {announced} rows: the file is truncated")
            buffer, start = buffer[start:] + block, 0
            if space < 0 and len(buffer) > 2 * max(BLOCK, size):
                raise UserError(f"{path}: row {number} has no end of its word: not a word2vec binary file")
            space = buffer.find(b" ")
        end = space + 1 + size
        yield number, buffer[start:space].lstrip(b"\n"), buffer[space + 1 : end]
        start = end


def _quoted(*words: bytes) -> str:
    return ", ".join(repr(word[:40].decode("utf-8", "backslashreplace")) for word in words)
