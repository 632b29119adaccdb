"""The word vectors of a run as a word2vec file, as gensim reads it."""

import numpy as np
import pytest
from gensim.models import KeyedVectors
from hypothesis import given
from hypothesis import strategies as st

from pipeline.__main__ import main
from pipeline.embedding.pretrained import read_pretrained
from pipeline.prediction.trained_model import load_embedding, read_model
from pipeline.prediction.word2vec_file import without_blanks, write_word2vec


@pytest.fixture
def folder(make_run):
    return make_run("embedding=random_trainable", "model=mean")


@pytest.mark.parametrize(
    ("name", "flags", "binary"),
    [
        ("v.txt", (), False),
        ("v.vec.gz", (), False),
        ("v.bin", (), True),
        ("v.bin.gz", ("--initial",), True),
        ("v.w2v", ("--format", "binary"), True),
        ("v.txt", ("--initial",), False),
    ],
)
def test_gensim_loads_every_bit(folder, tmp_path, capsys, name, flags, binary):
    path = tmp_path / name
    assert main(["vectors", "--run", str(folder), "--to", str(path), *flags]) == 0
    trained = read_model(folder)
    initial, final = load_embedding(folder)
    matrix = initial if "--initial" in flags else final
    assert not np.array_equal(initial, final)
    vectors = KeyedVectors.load_word2vec_format(str(path), binary=binary)
    assert vectors.index_to_key == trained.words[2:]
    assert vectors.vectors.tobytes() == matrix[2:].tobytes()
    out = capsys.readouterr().out
    assert f"{len(trained.words) - 2:,} words, {matrix.shape[1]} dimensions" in out
    assert "left out: padding (<pad>) and the unknown word (<unk>)" in out
    load = out.splitlines()[-1].removeprefix("load it: ")
    scope: dict = {}
    exec(load, scope)
    assert scope["vectors"].vectors.tobytes() == matrix[2:].tobytes()
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


@pytest.mark.parametrize("binary", [True, False])
def test_words_with_blanks_load(tmp_path, binary):
    words = ["555 1234", "555_1234", "a\tb", " ", "new\u2028line", "😀", "555\u00a01234", "#x", "12"]
    vectors = np.random.default_rng(0).normal(size=(len(words), 3)).astype(np.float32)
    vectors[0] = [np.float32(1e-45), -0.0, np.finfo(np.float32).max]
    names = without_blanks(words)
    assert names == ["555_1234_", "555_1234", "a_b", "_", "new_line", "😀", "555_1234__", "#x", "12"]
    path = tmp_path / "v"
    write_word2vec(path, names, vectors, binary=binary)
    loaded = KeyedVectors.load_word2vec_format(str(path), binary=binary)
    assert loaded.index_to_key == names
    assert loaded.vectors.tobytes() == vectors.tobytes()
    ours = read_pretrained(path, "auto", 3, names)
    assert (ours.words, ours.vectors.tobytes()) == (names, vectors.tobytes())


@given(
    words=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), min_size=1, max_size=6, unique=True),
    binary=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_words_read_back(tmp_path_factory, words, binary, seed):
    names = without_blanks(words)
    vectors = np.random.default_rng(seed).normal(size=(len(words), 3)).astype(np.float32)
    path = tmp_path_factory.mktemp("words") / "v"
    write_word2vec(path, names, vectors, binary=binary)
    loaded = KeyedVectors.load_word2vec_format(str(path), binary=binary)
    ours = read_pretrained(path, "auto", 3, [])
    assert ours.words == loaded.index_to_key == names
    assert ours.vectors.tobytes() == loaded.vectors.tobytes() == vectors.tobytes()
    assert read_pretrained(path, "auto", 3, names).words == names


def test_an_existing_file_is_replaced_only_by_a_whole_one(tmp_path, monkeypatch):
    path = tmp_path / "v.txt"
    path.write_text("before")
    with pytest.raises(ValueError, match="shorter"):
        write_word2vec(path, ["a", "b"], np.zeros((1, 2), np.float32), binary=False)
    assert [file.name for file in tmp_path.iterdir()] == ["v.txt"]
    assert path.read_text() == "before"
    write_word2vec(path, ["a"], np.zeros((1, 2), np.float32), binary=False)
    assert path.read_text() == "1 2\na 0 0\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--to", "v.npy"], "--to v.npy: expected a name that ends in .txt, .vec, .bin (or add --format)"),
        (["--to", "absent/v.txt"], "--to absent/v.txt: there is no folder absent"),
        (["--to", "."], "--to .: expected a name"),
        (["--to", "v.txt", "--run", "absent"], "--run absent: no such folder, and no run in"),
        (["--to", "v.txt", "--fromat", "text"], "unknown option --fromat; did you mean '--format'?"),
        ([], "the following arguments are required: --to; see python -m pipeline vectors --help"),
    ],
)
def test_what_is_wrong_is_one_line_and_code_two(tmp_path, monkeypatch, capsys, arguments, line):
    monkeypatch.chdir(tmp_path)
    assert main(["vectors", "--root", str(tmp_path), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
