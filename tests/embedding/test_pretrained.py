import bz2
import gzip
import io
import logging
import lzma
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

from pipeline.embedding.pretrained import MASKS, read_pretrained
from pipeline.runtime.errors import UserError
from pipeline.text.presets import HANDLE, LINK

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


def zip_compress(content):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("vectors", content)
    return archive.getvalue()


@pytest.mark.parametrize("zipped", [None, gzip.compress, bz2.compress, lzma.compress, zip_compress])
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("layout", WRITERS)
def test_every_format_gives_the_same_vectors(tmp_path, layout, named, zipped):
    path = tmp_path / "vectors.bin"
    WRITERS[layout](path)
    if zipped:
        path.write_bytes(zipped(path.read_bytes()))
    form = layout.replace("original", "word2vec")
    everything = read_pretrained(path, form if named else "auto", 3, [])
    assert everything.words == WORDS
    np.testing.assert_array_equal(everything.vectors, MATRIX)
    assert everything.vectors.dtype == np.float32
    assert everything.counts.tolist() == [0] * 6
    notes = [f"vectors.bin: 6 rows, read as {form} with spaces between fields"]
    counted = {"rows": 6, "kept": 6, "repeated": 0, "zero": 0}
    assert everything.info == {"file": "vectors.bin", "format": form, **counted, "notes": notes}

    some = read_pretrained(path, "auto", 3, ["8", "absent", "bad", "<pad>"])
    assert some.words == ["bad", "8"]
    np.testing.assert_array_equal(some.vectors, MATRIX[[1, 5]])
    assert (some.info["rows"], some.info["kept"]) == (6, 2)

    with pytest.raises(UserError, match=r"vectors\.bin: none of the vocabulary's 1 words has a vector in its 6 rows"):
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
    numbers=st.lists(st.tuples(st.floats(1, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=5),
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
    note = "v.txt: rows that repeat a word: 1, such as 'a'; the first row of each word counts"
    assert ours.info["notes"][1:] == [note]
    assert f"note: {note}" in caplog.text


@pytest.mark.parametrize("header", [b"", b"4 3\n", b"4\t3\r\n", b"\xef\xbb\xbf4 3 \n"])
@pytest.mark.parametrize(
    "rows",
    [
        b"at 24 7 1 2 3\r\n. . . 4 5 6\r\n24 7 8 9\r\nd -1 .5 2e-1",  # CRLF, no last newline
        b"at 24 7\t1\t2\t3\n. . .\t4\t5\t6\n24\t7\t8\t9\nd\t-1\t.5\t2e-1\n",
        b"at 24 7\t1 2 3\n. . .\t4 5 6\n24\t7 8 9\nd\t-1 .5 2e-1\n",
        b"at 24 7  1 2 3 \n. . .  4 5 6 \n24  7 8 9 \n\nd  -1 .5 2e-1 \t\n",  # trailing blanks, an empty line
        b" at 24 7 1   2  3\n. . .   4 5 6\n 24   7 8 9\n  d  -1 .5 2e-1\n",  # aligned
        b"at 24 7,1,2,3\n. . .,4,5,6\n24,7,8,9\nd,-1,.5,2e-1\n",
        b'"at 24 7"; 1; 2; 3\n. . .; 4; 5; 6\n24; 7; 8; 9\nd; -1; .5; 2e-1\n',
    ],
)
def test_the_last_fields_are_the_values_whatever_separates_them(tmp_path, rows, header):
    path = tmp_path / "v.txt"
    path.write_bytes(header + rows)
    ours = read_pretrained(path, "auto", 3, [])
    assert ours.words == ["at 24 7", ". . .", "24", "d"]
    np.testing.assert_array_equal(ours.vectors, np.float32([[1, 2, 3], [4, 5, 6], [7, 8, 9], [-1, 0.5, 0.2]]))
    assert ours.info["notes"][1:] == [
        "v.txt: words with blanks that end in a number: 1, such as 'at 24 7'; the last 3 numbers are the vector"
    ]
    some = read_pretrained(path, "auto", 3, ["24", "at", "."])  # none of the words is the beginning of another
    assert (some.words, some.vectors.tolist()) == (["24"], [[7, 8, 9]])


def test_other_white_space_belongs_to_the_word(tmp_path):
    """gensim ends a word or a line at some of these characters, as they are white space in Unicode."""
    words = ["\x85", "\xa0", "a\x85b", "a\xa0b", "a\u2028", "\u3000", "\x1cb", "\ufeff", "a\x0bb", "\x0c"]
    matrix = np.arange(1, 31, dtype=np.float32).reshape(10, 3)
    path = tmp_path / "v.txt"
    for header in (b"10 3\n", b""):
        path.write_bytes(header + glove_text(words, matrix))
        for requested in ([], words):
            ours = read_pretrained(path, "auto", 3, requested)
            assert (ours.words, ours.vectors.tolist()) == (words, matrix.tolist())


BLANK_WORDS = st.lists(
    st.text(st.sampled_from("ab7.,;\"'\x85\xa0\u2028😀é"), min_size=1, max_size=3), min_size=1, max_size=3
).map(" ".join)
TABLES = st.lists(
    st.tuples(BLANK_WORDS, st.lists(st.floats(-99, 99, width=32), min_size=2, max_size=2).filter(any)),
    max_size=7, unique_by=lambda row: row[0],
)  # fmt: skip


@settings(max_examples=300)
@given(
    table=TABLES,
    separators=st.sampled_from(["  ", "\t\t", "\t ", (" ", "  "), ("  ", " "), ("\t ", " "), ",,", ";;"]),
    announced=st.sampled_from([None, 0, -2, 2]),
    ends=st.sampled_from(["\n", "\r\n", " \n", "\t\r\n", "\n\n"]),
    last_end=st.booleans(),
    bom=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    compress=st.sampled_from([bytes, gzip.compress]),
)
def test_random_tables_read_back_equal(tmp_path_factory, table, separators, announced, ends, last_end, bom, compress):
    # Without a header, the first row has to show the dimensions: all other words may end in numbers.
    table = [("the", [0.5, -1.0]), *((word, row) for word, row in table if word != "the")]
    first, other = separators
    quoted = '"{}"' if first in ",;" else "{}"
    double = '""' if first in ",;" else '"'
    lines = [first.join([quoted.format(word.replace('"', double)), other.join(map(repr, row))]) for word, row in table]
    text = ends.join(lines) + (ends if last_end else "")
    header = "" if announced is None else f"{max(1, len(table) + announced)}{first}2{ends}"
    path = tmp_path_factory.mktemp("table") / "v"
    path.write_bytes(compress(bom + (header + text).encode()))
    ours = read_pretrained(path, "auto", 2, [])
    assert ours.words == [word for word, _ in table]
    np.testing.assert_array_equal(ours.vectors, np.array([row for _, row in table], np.float32))
    mismatch = [note for note in ours.info["notes"] if "the header announces" in note]
    assert len(mismatch) == (announced is not None and max(1, len(table) + announced) != len(table))
    tokens = [word for word, _ in table if " " not in word]  # words without a blank can be in a vocabulary
    assert read_pretrained(path, "auto", 2, tokens).words == tokens


@pytest.mark.parametrize("announced", [1, 2, 5, 1_000])
def test_a_header_with_another_number_of_rows_is_noted_and_all_rows_are_read(tmp_path, caplog, announced):
    caplog.set_level(logging.INFO)
    path = tmp_path / "v.txt"
    path.write_bytes(b"%d 3\n" % announced + glove_text()[: glove_text().index(b":)")])
    ours = read_pretrained(path, "auto", 3, [])
    assert (ours.words, ours.vectors.tolist()) == (WORDS[:4], MATRIX[:4].tolist())
    note = f"v.txt: the header announces {announced:,} rows of 3 dimensions, the file has 4 of 3: all were read"
    assert note in ours.info["notes"]
    assert f"note: {note}" in caplog.text


def test_a_binary_header_with_too_few_rows(tmp_path):
    path = tmp_path / "v.bin"
    as_original_binary(path)
    path.write_bytes(path.read_bytes().replace(b"6 3", b"4 3", 1))
    ours = read_pretrained(path, "auto", 3, [])
    assert (ours.words, ours.vectors.tolist()) == (WORDS, MATRIX.tolist())
    assert "announces 4 rows of 3 dimensions, the file has 6 of 3" in ours.info["notes"][1]


def test_a_header_with_other_dimensions_than_all_rows(tmp_path):
    path = tmp_path / "v.txt"
    for announced in (2, 4):
        path.write_bytes(b"12 %d\n" % announced + glove_text() + glove_text(map(str.upper, WORDS)))
        with pytest.raises(UserError, match=r"its vectors have 3 dimensions, .*: set embedding.dim=3"):
            read_pretrained(path, "auto", announced, [])
        ours = read_pretrained(path, "auto", 3, ["good"])
        assert ours.vectors.tolist() == MATRIX[:1].tolist()
        assert f"the header announces 12 rows of {announced} dimensions, the file has 12 of 3" in ours.info["notes"][1]


def test_the_dimensions_of_a_header_decide_where_every_word_ends_in_a_number(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"2 2\nat 24 7 1 2\nin 5 2 3 4\n")
    ours = read_pretrained(path, "auto", 2, [])
    assert (ours.words, ours.vectors.tolist()) == (["at 24 7", "in 5 2"], [[1, 2], [3, 4]])


def test_vectors_of_zeros_count_as_absent(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    path = tmp_path / "v.txt"
    path.write_text("a 0 0\nb 1 2\nc 0.0 -0\nd 0 0\nb 0 0\nd 3 4\n")
    ours = read_pretrained(path, "auto", 2, ["a", "b", "c", "d"])
    assert (ours.words, ours.vectors.tolist()) == (["b", "d"], [[1, 2], [3, 4]])  # d has a second row
    assert (ours.info["zero"], ours.info["repeated"]) == (2, 1)
    note = "words with a vector of zeros: 2, such as 'a', 'c'; they start at random, like words that the file lacks"
    assert f"v.txt: {note}" in ours.info["notes"]
    assert note in caplog.text
    assert read_pretrained(path, "auto", 2, ["b", "d"]).info["zero"] == 0  # zeros of other words are no matter
    with pytest.raises(UserError, match="none of the vocabulary's 2 words has a vector in its 6 rows"):
        read_pretrained(path, "auto", 2, ["a", "c"])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("<user> 1 2\n<url> 3 4\n<hashtag> 5 6\nyay 7 8\n", {"@user": [1, 2], "http": [3, 4], "yay": [7, 8]}),
        ("HTTPURL 1 2\n@USER 3 4\nyay 7 8\n", {"@user": [3, 4], "http": [1, 2], "yay": [7, 8]}),
        ("@USER 9 9\n<user> 1 2\nhttp 3 4\n<url> 5 6\n", {"@user": [1, 2], "http": [3, 4]}),
        ("<user> 1 2\n@user 0 0\nyay 7 8\n", {"@user": [1, 2], "yay": [7, 8]}),
        ("<url> 1 2\n", {"http": [1, 2]}),
    ],
)
def test_masks_of_other_files_stand_for_ours(tmp_path, caplog, rows, expected):
    caplog.set_level(logging.INFO)
    assert {word.decode() for word in MASKS} == {HANDLE, LINK}
    path = tmp_path / "v.txt"
    path.write_text(rows)
    ours = read_pretrained(path, "auto", 2, ["@user", "http", "yay", "boo"])
    assert dict(zip(ours.words, ours.vectors.tolist(), strict=True)) == expected
    for mask in ("@user", "http"):
        mapped = mask in expected and f"{mask} " not in rows.replace("@user 0", "")
        assert (f"note: v.txt: no vector for '{mask}': it starts with that of" in caplog.text) == mapped
    if "yay" in expected:  # without masks in the vocabulary, those of the file are no words
        assert read_pretrained(path, "auto", 2, ["yay"]).words == ["yay"]


def test_words_that_are_not_utf8_are_counted(tmp_path):
    path = tmp_path / "v.txt"
    for header in (b"", b"3 2\n"):
        path.write_bytes(header + b"caf\xe9 1 2\nna\xefve 3 4\nb 5 6\n")
        ours = read_pretrained(path, "auto", 2, ["café", "b"])
        assert ours.words == ["b"]
        note = r"words that are not UTF-8: 2, such as 'caf\\xe9', 'na\\xefve'; no word of the vocabulary equals them"
        assert f"v.txt: {note}" in ours.info["notes"]
        assert read_pretrained(path, "auto", 2, []).words == [r"caf\xe9", r"na\xefve", "b"]


@pytest.mark.parametrize("layout", [*WRITERS, "tabs", "tab_word", "commas", "numbers"])
def test_advice_leads_on(tmp_path, layout):
    path = tmp_path / "v.txt"
    if layout in WRITERS:
        WRITERS[layout](path)
    else:
        text = glove_text()
        other = {
            "tabs": text.replace(b" ", b"\t"),
            "tab_word": b"".join(line.replace(b" ", b"\t", 1) for line in text.splitlines(keepends=True)),
            "commas": text.replace(b" ", b","),
            "numbers": b"at 24 7 1 2 3\nin 5 4 5 6\n" + text,
        }
        path.write_bytes(other[layout])
    with pytest.raises(UserError) as caught:
        read_pretrained(path, "auto", 200, WORDS)
    assert str(caught.value).endswith("its vectors have 3 dimensions, embedding.dim=200: set embedding.dim=3")
    for form in ("glove", "word2vec_text", "word2vec_binary"):
        try:
            ours = read_pretrained(path, form, 3, WORDS)
        except UserError as error:
            assert str(error).endswith("set embedding.format=auto")  # noqa: PT017 - one format of three is right
            ours = read_pretrained(path, "auto", 3, WORDS)
        assert (ours.words, ours.vectors.tolist()) == (WORDS, MATRIX.tolist())


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
    matrix = np.random.default_rng(0).standard_normal((20_000, 50)).astype(np.float32)
    keyed.add_vectors([f"w{i}" for i in range(20_000)], matrix)
    keyed.save_word2vec_format(str(path), binary=binary)
    tracemalloc.start()
    ours = read_pretrained(path, "auto", 50, ["w7", "w9999"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ours.words == ["w7", "w9999"]
    assert peak < 1_000_000  # all rows are 4,000,000 bytes


@pytest.mark.parametrize("layout", ["glove", "word2vec_text", "word2vec_binary"])
def test_no_cut_inside_a_row_passes(tmp_path, layout):
    """Every beginning is refused, except for cuts that only a header shows: between rows, or inside a last number."""
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
        newlines = content[:length].count(b"\n") - (layout == "word2vec_text")
        between_rows = layout != "word2vec_binary" and not last_row and newlines > 0
        if not undetectable and not between_rows:
            with pytest.raises(UserError, match=r"truncated|is empty|line 1 is neither|looks like"):
                read_pretrained(path, layout, 3, [])
        elif layout == "word2vec_text":
            notes = read_pretrained(path, layout, 3, []).info["notes"]
            rows = len(content[:length].splitlines()) - 1
            assert rows == 6 or f"announces 6 rows of 3 dimensions, the file has {rows} of 3" in notes[1]


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
        archive.writestr("glove.50.txt", glove_text())
        archive.writestr("glove.100.txt", glove_text())


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
        ("v.zip", zip_file, "auto", ["holds 2 files, expected one; unpack it"]),
        ("v.html", content(b"<html>\n<body>404 not found</body>"), "auto", ["line 1 is neither"]),
        ("v.txt.gz", gzip_cut, "auto", ["is it damaged or truncated?"]),
        ("v.txt.gz", gzip_broken, "auto", ["damaged"]),
        ("v.txt", as_glove, "word2vec_text", ["embedding.format=word2vec_text", "looks like glove"]),
        ("v.txt", as_word2vec_text, "glove", ["looks like word2vec_text"]),
        ("v.txt", as_word2vec_text, "word2vec_binary", ["looks like word2vec_text"]),
        ("v.txt", content(b"a 1 2\nb 3 4\n"), "auto", ["2 dimensions", "embedding.dim=3", "set embedding.dim=2"]),
        ("v.txt", content(b"1 2\nb 3 4\n"), "auto", ["2 dimensions", "embedding.dim=3", "set embedding.dim=2"]),
        ("v.txt", content(b"1 2\nb \0\0\0\0\0\0\0\0"), "auto", ["2 dimensions", "set embedding.dim=2"]),
        ("v.txt", content(b"3 3\na 1 2 3\nb 1 2"), "auto", ["line 3 ('b') has 2 of 3 values: the file is truncated"]),
        ("v.txt", content(b"3 3\n"), "auto", ["no row", "the file is truncated"]),
        ("v.txt", content(b"a 1 2 3\nb 1 2"), "auto", ["line 2 ('b') has 2 of 3 values: the file is truncated"]),
        ("v.txt", content(b"a 1 2 3\nb 1 2\nc 1 2 3\n"), "auto", ["line 2 ('b') has 2 values, expected 3"]),
        ("v.txt", content(b"a 1 2 3\nb 1 zwei 3\n"), "auto", ["line 2 ('b')", "not a number", "zwei"]),
        ("v.txt", content(b"2 3\na 1 2 3\nb 1  3\n"), "auto", ["line 3 ('b') has 2 values, expected 3"]),
        ("v.txt", content(b"a 1 2 3\nb 1 nan 3\n"), "auto", ["line 2 ('b')", "not finite"]),
        ("v.txt", content(b"a 1 2 3\nb 1 1e39 3\n"), "auto", ["line 2 ('b')", "not finite"]),
        ("v.txt", content(b"a 1 2 3\n\nb 1 2\n"), "auto", ["line 3 ('b') has 2 values, expected 3"]),
        ("v.txt", content(b"a 1 2 3\n 1 2\n"), "auto", ["line 2 ('') has 2 values, expected 3"]),
        ("v.txt", content(b"a 1 2 3\nb" + b" 1 2 3 b" * 7 + b" 4 5 6\n"), "auto", ["line 2 ('b 1 2", "has 31 values"]),
        ("v.txt", content(b"a 1 2 3\rb 1 2 3\r"), "auto", ["carriage returns alone"]),
        ("v.txt", content(b"a\t0,1\t0,2\t0,3\n"), "auto", ["line 1 is neither"]),
        ("v.bin", content(b"\xba\x16\x4f\x2f" + bytes(99)), "auto", ["a fastText model: use its .vec file"]),
        ("v.txt", content("a 1 2 3\n".encode("utf-16")), "auto", ["UTF-16 text: convert it to UTF-8"]),
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
