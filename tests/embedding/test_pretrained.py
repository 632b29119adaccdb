import gzip
import logging
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors
from gensim.test.utils import datapath
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.embedding.pretrained import read_pretrained
from pipeline.runtime.errors import UserError

WORDS = ["good", "bad", "ünï", "😀", ":)", "8"]
MATRIX = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)


def text_row(word, values):
    return f"{word} {' '.join(repr(float(v)) for v in values)}"


def glove_text(words=WORDS, matrix=MATRIX):
    return "".join(text_row(*row) + "\n" for row in zip(words, matrix, strict=True)).encode()


def as_glove(path):
    path.write_bytes(glove_text())


def as_word2vec_text(path):
    path.write_bytes(b"6 3\n" + glove_text())


def as_word2vec_binary(path):
    keyed = KeyedVectors(3)
    keyed.add_vectors(WORDS, MATRIX)
    keyed.save_word2vec_format(str(path), binary=True)


def as_original_binary(path):
    """As the original C program writes it: a newline after each vector."""
    rows = (w.encode() + b" " + v.tobytes() + b"\n" for w, v in zip(WORDS, MATRIX, strict=True))
    path.write_bytes(b"6 3\n" + b"".join(rows))


WRITERS = {
    "glove": as_glove,
    "word2vec_text": as_word2vec_text,
    "word2vec_binary": as_word2vec_binary,
    "original_binary": as_original_binary,
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("layout", WRITERS)
def test_every_format_gives_the_same_vectors(tmp_path, layout, named, zipped):
    path = tmp_path / "vectors.bin"
    WRITERS[layout](path)
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    form = layout.replace("original", "word2vec")
    everything = read_pretrained(path, form if named else "auto", 3, [])
    assert everything.words == WORDS
    np.testing.assert_array_equal(everything.vectors, MATRIX)
    assert everything.vectors.dtype == np.float32
    assert everything.counts.tolist() == [0] * 6
    assert everything.info == {"file": "vectors.bin", "format": form, "rows": 6, "kept": 6, "repeated": 0}

    some = read_pretrained(path, "auto", 3, ["8", "absent", "bad", "<pad>"])
    assert some.words == ["bad", "8"]
    np.testing.assert_array_equal(some.vectors, MATRIX[[1, 5]])
    assert (some.info["rows"], some.info["kept"]) == (6, 2)

    with pytest.raises(UserError, match=r"vectors\.bin: none of the vocabulary's 1 words is in its 6 rows"):
        read_pretrained(path, "auto", 3, ["absent"])


@pytest.mark.parametrize(
    ("name", "form", "dim"),
    [
        ("test_glove.txt", "glove", 50),
        ("word2vec_pre_kv_c", "word2vec_text", 10),
        ("lee_fasttext.vec", "word2vec_text", 10),
        ("euclidean_vectors.bin", "word2vec_binary", 10),
    ],
)
def test_files_that_come_with_gensim_read_as_gensim_reads_them(name, form, dim, tmp_path):
    path = with_header = Path(datapath(name))
    if form == "glove":  # gensim reads it with no_header=True too, but then leaves the file open
        with_header = tmp_path / "glove.txt"
        with_header.write_bytes(b"%d %d\n" % (len(path.read_bytes().splitlines()), dim) + path.read_bytes())
    theirs = KeyedVectors.load_word2vec_format(str(with_header), binary=form == "word2vec_binary", datatype=np.float32)
    ours = read_pretrained(path, "auto", dim, [])
    assert ours.info["format"] == form
    assert ours.words == theirs.index_to_key
    np.testing.assert_array_equal(ours.vectors, theirs.vectors)


@settings(max_examples=40, deadline=None)
@given(
    numbers=st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 2), min_size=1, max_size=5),
    form=st.sampled_from(["{!r}", "{:.5g}", "{:e}", "{:.12f}"]),
)
def test_numbers_are_rounded_as_gensim_rounds_them(tmp_path_factory, numbers, form):
    path = tmp_path_factory.mktemp("numbers") / "v.txt"
    lines = [f"w{i} " + " ".join(form.format(x) for x in row) for i, row in enumerate(numbers)]
    path.write_text("\n".join([f"{len(lines)} 2", *lines]) + "\n")
    theirs = KeyedVectors.load_word2vec_format(str(path), datatype=np.float32)
    np.testing.assert_array_equal(read_pretrained(path, "auto", 2, []).vectors, theirs.vectors)


def test_the_first_of_two_rows_of_a_word_counts(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    path = tmp_path / "v.txt"
    path.write_text("a 1 2\nb 3 4\na 5 6\nb 7 8\nc 9 9\n")
    ours = read_pretrained(path, "glove", 2, ["a", "c"])
    assert ours.words == ["a", "c"]
    assert ours.vectors.tolist() == [[1, 2], [9, 9]]
    assert ours.info["repeated"] == 1
    assert "1 rows repeat a word" in caplog.text


def test_layouts_found_in_the_wild(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(
        b"a 1 2 \r\nb 3 4\r\n. . . 5 6\r\nc 7 8"
    )  # trailing space, CRLF, word with spaces, no last newline
    ours = read_pretrained(path, "auto", 2, [])
    assert ours.words == ["a", "b", ". . .", "c"]
    assert ours.vectors.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]


def test_a_binary_row_may_be_longer_than_a_block(tmp_path):
    path = tmp_path / "v.bin"
    matrix = np.random.default_rng(1).standard_normal((3, 20_000)).astype(np.float32)
    keyed = KeyedVectors(20_000)
    keyed.add_vectors(["a", "b", "c"], matrix)
    keyed.save_word2vec_format(str(path), binary=True)
    np.testing.assert_array_equal(read_pretrained(path, "auto", 20_000, []).vectors, matrix)


@pytest.mark.parametrize("binary", [False, True])
def test_memory_is_that_of_the_rows_kept(tmp_path, binary):
    path = tmp_path / "v.txt"
    keyed = KeyedVectors(50)
    keyed.add_vectors([f"w{i}" for i in range(10_000)], np.ones((10_000, 50), dtype=np.float32))
    keyed.save_word2vec_format(str(path), binary=binary)
    tracemalloc.start()
    ours = read_pretrained(path, "auto", 50, ["w7", "w9999"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ours.words == ["w7", "w9999"]
    assert peak < 500_000  # all rows are 2,000,000 bytes


@pytest.mark.parametrize("layout", ["glove", "word2vec_text", "word2vec_binary"])
def test_no_cut_inside_a_row_passes(tmp_path, layout):
    """Every proper beginning is refused, but for a cut between GloVe rows or inside a last number: nothing shows it."""
    whole = tmp_path / "whole"
    WRITERS[layout](whole)
    content = whole.read_bytes()
    path = tmp_path / "cut"
    for length in range(len(content) - (0 if layout == "word2vec_binary" else 1)):
        path.write_bytes(content[:length])
        last_row = content[:length].rpartition(b"\n")[2]
        undetectable = (
            layout != "word2vec_binary" and last_row.rstrip().count(b" ") == 3 and not last_row.endswith(b"-")
        )
        if layout == "word2vec_text":
            undetectable &= content[:length].count(b"\n") == 6
        between_rows = layout == "glove" and not last_row and length > 0
        if undetectable or between_rows:
            continue
        with pytest.raises(UserError, match="cut"):
            read_pretrained(path, layout, 3, [])


def gzip_cut(path):
    as_glove(path)
    path.write_bytes(gzip.compress(path.read_bytes())[:-20])


def gzip_broken(path):
    as_glove(path)
    zipped = bytearray(gzip.compress(path.read_bytes()))
    zipped[20:40] = bytes(20)
    path.write_bytes(zipped)


def content(data):
    return lambda path: path.write_bytes(data)


def numpy_file(path):
    with path.open("wb") as stream:
        np.save(stream, MATRIX)


def zip_file(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("glove.txt", glove_text())


def binary_infinite(path):
    path.write_bytes(b"2 2\na " + np.float32([1, 2]).tobytes() + b"b " + np.float32([1, np.inf]).tobytes())


@pytest.mark.parametrize(
    ("name", "write", "form", "expected"),
    [
        ("v.txt", lambda path: None, "auto", ["no such file"]),
        ("v.txt", content(b""), "auto", ["is empty"]),
        ("v.txt", content(b"\n\n"), "auto", ["is empty"]),
        ("v.txt", as_glove, "golve", ["did you mean 'glove'?"]),
        ("v.bin", content(pickle.dumps({"a": MATRIX})), "auto", ["is a pickle"]),
        ("v.bin", content(pickle.dumps({"a": MATRIX})), "word2vec_binary", ["is a pickle"]),
        ("v.kv", as_word2vec_text, "auto", ["is a pickle"]),
        ("v.model", content(pickle.dumps([], protocol=0)), "auto", ["is a pickle"]),
        ("v.npy", numpy_file, "auto", ["numpy array"]),
        ("v.zip", zip_file, "auto", ["zip archive: unpack it"]),
        ("v.html", content(b"<html>\n<body>404 not found</body>"), "auto", ["line 1 is neither"]),
        ("v.txt.gz", gzip_cut, "auto", ["truncated gzip"]),
        ("v.txt.gz", gzip_broken, "auto", ["damaged"]),
        ("v.txt", as_glove, "word2vec_text", ["embedding.format=word2vec_text", "looks like glove"]),
        ("v.txt", as_word2vec_text, "glove", ["looks like word2vec_text"]),
        ("v.txt", as_word2vec_text, "word2vec_binary", ["looks like word2vec_text"]),
        ("v.txt", content(b"a 1 2\nb 3 4\n"), "auto", ["2 dimensions", "embedding.dim=3", "set embedding.dim=2"]),
        ("v.txt", content(b"1 2\nb 3 4\n"), "auto", ["2 dimensions", "embedding.dim=3", "set embedding.dim=2"]),
        ("v.txt", content(b"1 2\nb \0\0\0\0\0\0\0\0"), "auto", ["2 dimensions", "set embedding.dim=2"]),
        ("v.txt", content(b"3 3\na 1 2 3\nb 1 2 3\n"), "auto", ["ends after 2 of 3 rows: the file is truncated"]),
        ("v.txt", content(b"a 1 2 3\nb 1 2"), "auto", ["line 2 ('b') has 2 of 3 values: the file is truncated"]),
        ("v.txt", content(b"a 1 2 3\nb 1 2\nc 1 2 3\n"), "auto", ["line 2 ('b') has 2 values, expected 3"]),
        ("v.txt", content(b"a 1 2 3\nb 1 2 3 4\nc 1 2 3\n"), "auto", ["line 2 ('b') has 4 values, expected 3"]),
        ("v.txt", content(b"2 3\na 1 2 3\nb x 1 2 3\n"), "auto", ["line 3 ('b') has 4 values, expected 3"]),
        ("v.txt", content(b"a 1 2 3\nb 1 zwei 3\n"), "auto", ["line 2 ('b')", "not a number", "zwei"]),
        ("v.txt", content(b"2 3\na 1 2 3\nb 1  3\n"), "auto", ["line 3 ('b')", "not a number"]),
        ("v.txt", content(b"a 1 2 3\nb 1 nan 3\n"), "auto", ["line 2 ('b')", "not finite"]),
        ("v.txt", content(b"a 1 2 3\nb 1 1e39 3\n"), "auto", ["line 2 ('b')", "not finite"]),
        ("v.txt", content(b"a 1 2 3\n\nb 1 2 3\n"), "auto", ["line 2 ('') has 0 values"]),
    ],
)
def test_unusable_files_are_one_line(tmp_path, name, write, form, expected):
    path = tmp_path / name
    write(path)
    with pytest.raises(UserError) as caught:
        read_pretrained(path, form, 3, [])
    message = str(caught.value)
    assert all(text in message for text in expected), message
    assert "\n" not in message
    assert str(path) in message or form == "golve"


def test_a_binary_number_that_is_not_finite_names_its_row(tmp_path):
    path = tmp_path / "v.bin"
    binary_infinite(path)
    with pytest.raises(UserError, match=r"row 2 \('b'\) holds a number that is not finite"):
        read_pretrained(path, "auto", 2, [])
    assert read_pretrained(path, "auto", 2, ["a"]).vectors.tolist() == [[1, 2]]
