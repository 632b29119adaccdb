import bz2
import codecs
import gzip
import io
import lzma
import os
import threading
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.prediction import text_stream as module
from pipeline.prediction.text_stream import TextLines, file_lines
from pipeline.runtime.errors import UserError


class Trickle:
    """A stream that gives its bytes in pieces of given sizes."""

    def __init__(self, content, sizes):
        self.content, self.sizes = io.BytesIO(content), iter(sizes)

    def read1(self, size):
        return self.content.read(min(size, next(self.sizes, size)))


def all_lines(content, sizes=(), **options):
    """The text of each line, or the problem of one without a usable text."""
    inputs = [item for batch in TextLines(Trickle(content, sizes), "stdin", **options) for item in batch]
    assert [item.where for item in inputs] == [f"line {number}" for number in range(1, len(inputs) + 1)]
    assert all((item.text is None) != (item.problem is None) for item in inputs)
    return [item.text if item.problem is None else (item.problem,) for item in inputs]


def file_texts(path, encoding="auto"):
    notes = []
    return [item.text for batch in file_lines(path, encoding, "text", notes) for item in batch], notes


@given(st.lists(st.binary(max_size=12), max_size=9), st.lists(st.integers(1, 5)))
def test_lines_do_not_depend_on_the_block_sizes(parts, sizes):
    content = b"\n" + b"\n".join(parts)  # without a byte order mark, and with a line feed
    lines = content.split(b"\n")
    expected = []
    for line in lines if lines[-1] else lines[:-1]:
        line = line.removesuffix(b"\r")
        try:
            expected.append("NUL" if b"\0" in line else line.decode())
        except UnicodeDecodeError as error:
            expected.append(f"byte {line[error.start]:#04x} is not UTF-8 (see --encoding)")
    actual = [line if isinstance(line, str) else line[0] for line in all_lines(content, sizes, encoding="utf-8")]
    assert ["NUL" if line.startswith("holds NUL bytes") else line for line in actual] == expected


@given(
    st.lists(st.text(st.characters(exclude_characters="\n\r\0\ufeff", exclude_categories=["Cs"])), min_size=2),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "gb18030"]),
    st.sampled_from(["\n", "\r\n"]),
    st.lists(st.integers(1, 5)),
)
def test_texts_come_back_in_every_encoding(texts, encoding, line_end, sizes):
    texts = ["first", *texts, "last"]
    content = line_end.join(texts).encode(encoding)
    assert all_lines(content, sizes, encoding=encoding) == texts
    if encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        assert all_lines(content, sizes) == texts
    if encoding == "utf-16-le" and all(text.isascii() for text in texts):
        assert all_lines(content) == texts


def test_empty_lines_are_empty_texts_and_line_ends_do_not_count():
    assert all_lines(b"\xef\xbb\xbfone\r\n\n\xf0\x9f\x98\x80 two\nthree") == ["one", "", "😀 two", "three"]
    assert all_lines(b"") == []
    assert all_lines(b"\n") == [""]
    assert all_lines(codecs.BOM_UTF16_BE + "a\nb".encode("utf-16-be")) == ["a", "b"]
    assert all_lines(b"one\rtwo\r") == ["one", "two"]  # the line ends of old Macs
    assert all_lines(b"one\rtwo\nthree") == ["one\rtwo", "three"]


def test_a_batch_is_yielded_as_soon_as_its_lines_arrive():
    stream = TextLines(Trickle(b"a\nb\nc" + b"\nd" * 600, [3, 1, 5]), "stdin")
    batches = iter(stream)
    assert [item.text for item in next(batches)] == ["a"]
    assert [item.text for item in next(batches)] == ["b"]
    assert max(len(batch) for batch in batches) == 256
    assert stream.lines == 603


def test_a_bad_line_has_a_problem_and_the_others_are_texts():
    content = b"fine\n\xff\xfe\n\xef\xbf\xbd\nthe\0end\ncaf\xe9"
    stream = TextLines(io.BufferedReader(io.BytesIO(content)), "stdin")
    assert [(item.where, item.text, item.problem) for batch in stream for item in batch] == [
        ("line 1", "fine", None),
        ("line 2", None, "byte 0xff is not UTF-8 (see --encoding)"),
        ("line 3", "\ufffd", None),
        ("line 4", None, "holds NUL bytes, expected text"),
        ("line 5", None, "byte 0xe9 is not UTF-8 (see --encoding)"),
    ]
    assert stream.undecodable == 2
    assert all_lines("fine\nod".encode("utf-16") + b"d") == ["fine", ("byte 0x64 is not UTF-16 (see --encoding)",)]
    assert all_lines(b"caf\xe9\n\xa4", encoding="iso8859-15") == ["café", "€"]
    assert all_lines(b"ok\n\x81\n", encoding="cp1252") == ["ok", ("byte 0x81 is not CP1252 (see --encoding)",)]


class LongLine:
    """A stream of the line `a`, a line of `blocks` blocks, and the line `b`."""

    def __init__(self, blocks):
        self.blocks = iter([b"a\n", *[b"x" * module.BLOCK] * blocks, b"\nb\n"])

    def read1(self, size):
        return next(self.blocks, b"")


def test_a_line_without_end_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(module, "MAX_TEXT", 1000)
    too_long = ("longer than 1,000 characters",)
    assert all_lines(b"y" * 1000 + b"\r\n" + b"z" * 1001, [999, 1, 1]) == ["y" * 1000, too_long]
    tracemalloc.start()
    inputs = [item for batch in TextLines(LongLine(200), "stdin") for item in batch]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(item.text, item.problem) for item in inputs] == [("a", None), (None, too_long[0]), ("b", None)]
    assert peak < 10 * module.BLOCK


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"id,text\r", "the header of a table"),
        (b'"id";"text"', "the header of a table"),
        (b"text\tlabel", "the header of a table"),
        (b'{"text": "fine"}', "JSON"),
        (b'[{"text": "fine"}]', "JSON"),
        (b"__label__good fine", "a line in fastText's format"),
    ],
)
def test_a_table_is_not_read_as_texts(line, reason):
    with pytest.raises(UserError, match=f"stdin, line 1: {reason}, expected one text per line; --file with a name"):
        all_lines(line + b"\nfine\n")
    # as any other line, and in other words, it is a text
    assert all_lines(b"fine\n" + line) == ["fine", line.removesuffix(b"\r").decode()]


@pytest.mark.parametrize("line", ["text", "a,b", "text, please", "well, text me", "{text}", "[text,a]", "{", "text;"])
def test_a_text_is_not_taken_for_a_table(line):
    assert all_lines(line.encode()) == [line]


def zipped(content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("texts.txt", content)
    return stream.getvalue()


def test_files_may_be_compressed_and_are_named_when_they_cannot_be_read(tmp_path):
    (tmp_path / "plain.txt").write_text("one\ntwo\n")
    for suffix, compress in {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zip": zipped}.items():
        path = tmp_path / f"small.txt.{suffix}"
        path.write_bytes(compress("one\ntwo\n".encode("utf-16")))
        assert file_texts(path) == (["one", "two"], [])
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(b"one\ntwo\n")[:-4])
    assert file_texts(tmp_path / "plain.txt") == (["one", "two"], [])
    for name in ("cut.txt.gz", "absent.txt", "."):
        with pytest.raises(UserError, match="cannot be read"):
            file_texts(tmp_path / name)


def test_a_pipe_is_read_once_from_its_beginning(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    thread = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(b"one\ntwo\n"))
    thread.start()
    assert file_texts(tmp_path / "pipe") == (["one", "two"], [])
    thread.join()


def test_the_encoding_that_is_suggested_reads_the_file(tmp_path: Path):
    lines = ["le café était très bon", "déjà vu à la plage", "the bus was neat", "où est passé l'été ?"]
    (tmp_path / "french.txt").write_bytes("\n".join(lines).encode("cp1252"))
    texts, (note,) = file_texts(tmp_path / "french.txt")
    assert texts == [None, None, "the bus was neat", None]
    assert "line 1: byte 0xe9 is not UTF-8; the encoding may be" in note
    encoding = note.partition("--encoding=")[2].split()[0]
    assert file_texts(tmp_path / "french.txt", encoding) == (lines, [])
    # One damaged line among others in UTF-8 asks for no other encoding.
    (tmp_path / "damaged.txt").write_bytes("\n".join([*lines * 5, "caf"]).encode() + b"\xe9\n")
    assert file_texts(tmp_path / "damaged.txt") == ([*lines * 5, None], [])
