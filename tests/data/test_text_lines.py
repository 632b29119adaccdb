import bz2
import gzip
import lzma
from pathlib import Path

import pytest

from pipeline.data.text_lines import is_table, text_lines
from pipeline.runtime.errors import UserError

CONTENT = "\ufefffirst ❤\r\n\n \nsecond\u2028still second\nlast"
LINES = ["first ❤", "second\u2028still second", "last"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le"])
def test_lines_with_text_in_every_compression(tmp_path: Path, encoding: str) -> None:
    content = CONTENT.encode(encoding)
    for suffix, compress in {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}.items():
        (tmp_path / f"t.txt{suffix}").write_bytes(compress(content))
        assert list(text_lines(tmp_path / f"t.txt{suffix}")) == LINES
    (tmp_path / "empty").write_bytes(b"")
    assert list(text_lines(tmp_path / "empty")) == []


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(UserError, match=f"{path.name}: cannot be read"):
            list(text_lines(path))


def test_another_encoding_is_named_and_reads_the_file(tmp_path: Path) -> None:
    lines = ["le café était très bon", "déjà vu à la plage", "fine"]
    (tmp_path / "latin.txt").write_bytes("\n".join(lines).encode("latin-1"))
    with pytest.raises(
        UserError, match=r"latin\.txt, line 1: byte 0xe9 is not UTF-8; .*cbow\.extra_encoding="
    ) as error:
        list(text_lines(tmp_path / "latin.txt", "auto", "cbow.extra_encoding"))
    encoding = str(error.value).partition("cbow.extra_encoding=")[2]
    assert list(text_lines(tmp_path / "latin.txt", encoding, "cbow.extra_encoding")) == lines
    with pytest.raises(UserError, match=r"line 1: byte 0xe9 is not valid in cbow\.extra_encoding=ascii"):
        list(text_lines(tmp_path / "latin.txt", "ascii", "cbow.extra_encoding"))


def test_damaged_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    notes: list[str] = []
    (tmp_path / "t.txt").write_bytes("é\n".encode() * 9 + b"caf\xe9\nnul\0\nlast\n")
    assert list(text_lines(tmp_path / "t.txt", notes=notes)) == ["é"] * 9 + ["last"]
    assert notes == ["t.txt: lines left out for NUL bytes, or bytes that are not UTF-8: 2"]
    (tmp_path / "u.txt").write_bytes("first\nlast".encode("utf-16") + b"x")
    assert list(text_lines(tmp_path / "u.txt", notes=notes)) == ["first"]
    assert notes[1:] == ["u.txt: lines left out for NUL bytes, or bytes that are not UTF-16: 1"]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("t.csv", "fine\n", "a table by its name"),
        ("t.jsonl.gz", "fine\n", "a table by its name"),
        ("t.txt", "id,tweet\r\n1,fine\n", "the header of a table"),
        ("t.txt", '{"tweet": "fine"}\n', "JSON"),
        ("t.txt", "__label__good fine\n", "a line in fastText's format"),
    ],
)
def test_a_table_is_not_read_as_texts(tmp_path: Path, name: str, content: str, kind: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    with pytest.raises(UserError, match=f"{name}: {kind}, expected one text per line; write its texts alone"):
        list(text_lines(tmp_path / name, column="tweet"))
    assert is_table(tmp_path / name) == (name != "t.txt")


def test_a_text_is_not_taken_for_a_header(tmp_path: Path) -> None:
    for line in ("tweet", "a,b", "tweet, please", "{tweet}", "one;two"):
        (tmp_path / "t.txt").write_text(line)
        assert list(text_lines(tmp_path / "t.txt", column="tweet")) == [line]


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_broken_gzip_files(tmp_path: Path, damage: str) -> None:
    content = bytearray(gzip.compress("\n".join(str(i * i) for i in range(100_000)).encode()))
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        content[-6] ^= 0xFF
    (tmp_path / "t.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"t\.gz: cannot be read"):
        list(text_lines(tmp_path / "t.gz"))
