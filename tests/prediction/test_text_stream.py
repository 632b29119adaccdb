import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.prediction import text_stream as module
from pipeline.prediction.text_stream import TextLines, file_batches
from pipeline.runtime.errors import UserError


class Trickle:
    """A stream that gives its bytes in pieces of given sizes."""

    def __init__(self, content, sizes):
        self.content, self.sizes = io.BytesIO(content), iter(sizes)

    def read1(self, size):
        return self.content.read(min(size, next(self.sizes, size)))


def all_lines(content, sizes=()):
    return [text for batch in TextLines(Trickle(content, sizes), "stdin") for text in batch]


@given(
    st.binary(max_size=80).filter(lambda b: b"\0" not in b and not b.startswith(b"\xef")), st.lists(st.integers(1, 5))
)
def test_lines_do_not_depend_on_the_block_sizes(content, sizes):
    whole = content.split(b"\n")
    expected = [line.removesuffix(b"\r").decode("utf-8", "replace") for line in (whole if whole[-1] else whole[:-1])]
    assert all_lines(content, sizes) == expected


def test_empty_lines_are_empty_texts_and_line_ends_do_not_count():
    assert all_lines(b"\xef\xbb\xbfone\r\n\n\xf0\x9f\x98\x80 two\nthree") == ["one", "", "😀 two", "three"]
    assert all_lines(b"") == []
    assert all_lines(b"\n") == [""]


def test_a_batch_is_yielded_as_soon_as_its_lines_arrive():
    stream = TextLines(Trickle(b"a\nb\nc" + b"\nd" * 600, [3, 1, 5]), "stdin")
    batches = iter(stream)
    assert next(batches) == ["a"]
    assert next(batches) == ["b"]
    assert max(len(batch) for batch in batches) == 256
    assert stream.lines == 603


def test_bytes_that_are_not_utf8_are_counted_and_nul_bytes_rejected():
    stream = TextLines(io.BufferedReader(io.BytesIO(b"fine\n\xff\xfe\n\xef\xbf\xbd\n")), "stdin")
    assert [text for batch in stream for text in batch] == ["fine", "\ufffd\ufffd", "\ufffd"]
    assert stream.undecodable == 1
    with pytest.raises(UserError, match="stdin, line 2: holds NUL bytes; expected text in UTF-8"):
        all_lines(b"fine\n\x89PNG\0\0\n")


def test_a_line_without_end_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(module, "MAX_LINE", 1000)
    with pytest.raises(UserError, match="line 2: longer than 1,000 bytes"):
        all_lines(b"a\n" + b"x" * 200_000)


def test_files_may_be_compressed_and_are_named_when_they_cannot_be_read(tmp_path):
    (tmp_path / "plain.txt").write_text("one\ntwo\n")
    (tmp_path / "small.txt.gz").write_bytes(gzip.compress(b"one\ntwo\n"))
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(b"one\ntwo\n")[:-4])
    (tmp_path / "not.txt.gz").write_bytes(b"one\ntwo\n")
    for name in ("plain.txt", "small.txt.gz"):
        assert list(file_batches(tmp_path / name)) == [["one", "two"]]
    for name in ("cut.txt.gz", "not.txt.gz", "absent.txt", "."):
        with pytest.raises(UserError, match="cannot be read"):
            list(file_batches(tmp_path / name))
