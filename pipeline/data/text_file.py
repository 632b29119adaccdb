"""Text files as streams: decompression, and detection of the character encoding."""

import bz2
import codecs
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, BinaryIO, NamedTuple, TextIO, cast

from pipeline.runtime.errors import UserError, one_line

COMPRESSED: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
ZIP = b"PK\x03\x04"
COMPRESSION_SUFFIXES = (".gz", ".bz2", ".xz", ".zip")
BOMS = {  # UTF-32 first: its little-endian mark begins with that of UTF-16
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
SAMPLE = 1 << 16  # bytes that the detection of an encoding without invalid bytes looks at
BLOCK = 1 << 20
FIRST_BYTE = 0xDC00  # added to a byte that cannot be decoded: the lone surrogate that stands for it, as in PEP 383
SURROGATE = re.compile("[\ud800-\udfff]")
WESTERN = frozenset("äöüÄÖÜßéèêëÉÈÊàâáãåÀÁÂÃÅçÇñÑòóôõÒÓÔÕìíîïÍÎùúûÙÚÛæøÆØœŒÿ¡¿£€°«»“”„‘’‚–—…·•©®™ªº½¼²§´\xa0")


def surrogates(error: UnicodeError) -> tuple[str, int]:
    """Replace each byte that cannot be decoded by a lone surrogate, in any encoding; a codec error handler."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(FIRST_BYTE + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(surrogates.__name__, surrogates)


class Encoding(NamedTuple):
    """The encoding of a file, and the number of its lines that are not valid in it."""

    name: str
    invalid_lines: int = 0


@dataclass(frozen=True)
class TextFile:
    r"""A text file whose encoding is known.

    `newline` is "\n", or "\r" where the file has no other line end. Lines that are not valid in the `encoding` hold
    lone surrogates instead of their invalid bytes.
    """

    path: Path
    encoding: str
    invalid_lines: int
    codec: str
    newline: str

    def open(self) -> TextIO:
        """The text without its byte order mark; lines keep their ends."""
        return io.TextIOWrapper(open_bytes(self.path), self.codec, surrogates.__name__, newline=self.newline)

    def lines(self) -> Iterator[str]:
        """The lines with their ends, from the beginning of the file."""
        with self.open() as file:
            yield from file


def open_bytes(path: Path) -> BinaryIO:
    """The content of a file, decompressed where its first bytes are those of gzip, bzip2, xz or zip.

    Raises UserError for a zip archive that does not hold exactly one file.
    """
    with path.open("rb") as file:
        start = file.read(6)
    if start.startswith(ZIP):
        with zipfile.ZipFile(path) as archive:
            return cast(BinaryIO, archive.open(zip_member(archive)))
    opener = next((opener for magic, opener in COMPRESSED.items() if start.startswith(magic)), None)
    return cast(BinaryIO, opener(path)) if opener else path.open("rb")


def zip_member(archive: zipfile.ZipFile) -> str:
    """The name of the only file in a zip archive; macOS adds a folder of metadata, which does not count."""
    names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if len(names) != 1:
        raise UserError(f"{archive.filename}: holds {len(names)} files, expected one; unpack it")
    return names[0]


def content_name(path: Path) -> str:
    """The name of a file without the suffix of its compression; for a zip archive that of the file in it."""
    if path.suffix.lower() not in COMPRESSION_SUFFIXES:
        return path.name
    if path.suffix.lower() == ".zip" and path.is_file() and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return PurePath(zip_member(archive)).name
    return path.stem


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the errors of opening and decompressing `path` into a UserError of one line."""
    try:
        yield
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise UserError(f"{path}: cannot be read ({reason}); is it damaged or truncated?") from None


def text_file(path: Path, encoding: str = "auto", key: str = "data.encoding", *, check_all: bool = True) -> TextFile:
    """The file with its encoding, detected for `auto`, see `detect_encoding`; `key` is the option that messages name.

    Raises UserError where the file cannot be read, or holds bytes that are not valid in the encoding. Without
    `check_all`, the encoding follows from the first bytes alone, and invalid ones after them are no error.
    """
    with readable(path):
        with open_bytes(path) as file:
            start = file.read(SAMPLE)
        name, invalid = encoding, 0
        if encoding == "auto":
            name, invalid = detect_encoding(path, key) if check_all else Encoding(unicode_name(start) or "utf-8")
        codec = codec_of(name, start)
        if encoding != "auto":
            check_bytes(path, codec, f"{key}={encoding}", key)
        head = codecs.getincrementaldecoder(codec)("replace").decode(start)
        newline = "\r" if "\r" in head.rstrip("\r") and "\n" not in head else "\n"
        return TextFile(path, name, invalid, codec, newline)


def codec_of(encoding: str, start: bytes) -> str:
    """The codec that reads a file of this encoding from its first bytes on, with or without a byte order mark."""
    family = next(
        (bom for mark, bom in BOMS.items() if start.startswith(mark) and same_family(bom, encoding)), encoding
    )
    name = codecs.lookup(family).name
    if name in ("utf-16", "utf-32") and not start.startswith(tuple(BOMS)):
        return without_mark(start) or f"{name}-le"
    return "utf-8-sig" if name == "utf-8" else name


def same_family(first: str, second: str) -> bool:
    """Whether both names are of UTF-8, of UTF-16 or of UTF-32, whatever the order of the bytes."""
    return codecs.lookup(first).name[:6].rstrip("-") == codecs.lookup(second).name[:6].rstrip("-")


def check_bytes(path: Path, codec: str, setting: str, key: str) -> None:
    """Raise UserError that names the first line of the file with bytes that are not valid in `codec`."""
    decoder = codecs.getincrementaldecoder(codec)()
    lines, block = 0, b" "
    with open_bytes(path) as file:
        while block:
            block = file.read(BLOCK)
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                line, byte = lines + error.object.count(b"\n", 0, error.start) + 1, error.object[error.start]
                raise UserError(
                    f"{path}, line {line}: byte {byte:#04x} is not valid in {setting}; {key}=auto detects UTF-8 and "
                    "UTF-16, and suggests another encoding"
                ) from None
            lines += block.count(b"\n")


def detect_encoding(path: Path, key: str = "data.encoding") -> Encoding:
    """UTF-8, UTF-16 or UTF-32 by the byte order mark, by NUL bytes, or because all bytes are valid in it.

    A file is damaged UTF-8 where at least half of its non-ASCII lines are valid. Any other 8-bit encoding is never
    certain: it is a UserError that suggests the encoding which charset-normalizer holds for most likely.
    """
    with open_bytes(path) as file:
        start = file.read(SAMPLE)
        if name := unicode_name(start):
            return Encoding(name)
        decoder = codecs.getincrementaldecoder("utf-8")()
        block = start
        try:
            while block:
                decoder.decode(block)
                block = file.read(BLOCK)
            decoder.decode(b"", final=True)
            return Encoding("utf-8")
        except UnicodeDecodeError:
            return invalid_utf8(path, key)


def unicode_name(start: bytes) -> str | None:
    """The encoding whose byte order mark a file begins with, or UTF-16 without one."""
    return next((name for mark, name in BOMS.items() if start.startswith(mark)), None) or without_mark(start)


def without_mark(start: bytes) -> str | None:
    """UTF-16 where every other byte of the first text is NUL, as in Latin script without a byte order mark."""
    even, odd = start[0::2].count(0), start[1::2].count(0)
    half = len(start) / 2
    if max(even, odd) < 0.4 * half or min(even, odd) > 0.05 * half:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def invalid_utf8(path: Path, key: str) -> Encoding:
    """Whether a file is damaged UTF-8; otherwise a UserError with the likely encoding."""
    valid, invalid, first = 0, list[bytes](), ""
    count = 0
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            if line.isascii():
                continue
            try:
                line.decode()
                valid += 1
            except UnicodeDecodeError as error:
                count += 1
                first = first or f"{path}, line {number}: byte {line[error.start]:#04x} is not UTF-8"
                if len(invalid) < 2000:
                    invalid.append(line)
    if count <= valid:
        return Encoding("utf-8", count)
    raise UserError(f"{first}; the encoding may be {key}={likely_encoding(path, b''.join(invalid))}")


def likely_encoding(path: Path, sample: bytes) -> str:
    """The 8-bit or multibyte encoding in which `sample` is most likely written, and the whole file valid."""
    from charset_normalizer import from_bytes

    names = [match.encoding for match in from_bytes(sample)]
    # Short samples mislead the detection: text whose letters are all Western European in cp1252 is in cp1252.
    if not {char for char in sample.decode("cp1252", "replace") if char > "\x7f"} - WESTERN:
        names.insert(0, "cp1252")
    return next((name for name in names if is_valid(path, name)), "latin-1")


def is_valid(path: Path, encoding: str) -> bool:
    """Whether all bytes of the file are valid in `encoding`."""
    try:
        check_bytes(path, encoding, encoding, "")
    except UserError:
        return False
    return True
