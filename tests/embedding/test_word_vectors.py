import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pipeline.embedding.word_vectors import Vectors
from pipeline.runtime.errors import UserError


def example():
    matrix = np.arange(6, dtype=np.float32).reshape(3, 2) / 7
    return Vectors(["good", "ünï", "😀"], np.array([5, 3, 0]), matrix, {"knobs": {"seed": 0}, "loss_per_word": [None]})


def test_what_is_saved_is_loaded(tmp_path):
    example().save(tmp_path)
    loaded = Vectors.load(tmp_path)
    assert loaded.words == ["good", "ünï", "😀"]
    assert loaded.counts.tolist() == [5, 3, 0]
    assert loaded.counts.dtype == np.int64
    assert loaded.vectors.tobytes() == example().vectors.tobytes()
    assert loaded.info == example().info
    assert (loaded.dim, loaded.index["😀"]) == (2, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["vectors.json", "vectors.safetensors"]


def test_a_matrix_that_is_a_view_is_saved_in_row_order(tmp_path):
    matrix = np.arange(12, dtype=np.float32).reshape(2, 6)[:, ::2].T
    Vectors(["a", "b", "c"], np.zeros(3, dtype=np.int64), matrix, {}).save(tmp_path)
    assert load_file(tmp_path / "vectors.safetensors")["vectors"].tolist() == [[0, 6], [2, 8], [4, 10]]


def drop_matrix(folder):
    (folder / "vectors.safetensors").unlink()


def cut_matrix(folder):
    path = folder / "vectors.safetensors"
    path.write_bytes(path.read_bytes()[:-4])


def shorten_matrix(folder):
    save_file({"vectors": np.zeros((2, 2), dtype=np.float32)}, folder / "vectors.safetensors")


def widen_matrix(folder):
    save_file({"vectors": np.zeros((3, 2), dtype=np.float64)}, folder / "vectors.safetensors")


def rename_matrix(folder):
    save_file({"weights": np.zeros((3, 2), dtype=np.float32)}, folder / "vectors.safetensors")


def break_words(folder):
    (folder / "vectors.json").write_text("{")


def drop_counts(folder):
    content = json.loads((folder / "vectors.json").read_text("utf-8"))
    del content["counts"]
    (folder / "vectors.json").write_text(json.dumps(content))


def repeat_a_word(folder):
    content = json.loads((folder / "vectors.json").read_text("utf-8"))
    content["words"][2] = "good"
    (folder / "vectors.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "file", "expected"),
    [
        (drop_matrix, "vectors.safetensors", "no such file"),
        (cut_matrix, "vectors.safetensors", "not a safetensors file"),
        (shorten_matrix, "vectors.json", "3 words and 3 counts"),
        (widen_matrix, "vectors.safetensors", "float64"),
        (rename_matrix, "vectors.safetensors", "tensor 'vectors'"),
        (break_words, "vectors.json", "not JSON"),
        (drop_counts, "vectors.json", "counts"),
        (repeat_a_word, "vectors.json", "1 of 3 words are repeated"),
    ],
)
def test_damaged_files_are_named(tmp_path, damage, file, expected):
    example().save(tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError) as caught:
        Vectors.load(tmp_path)
    assert str(tmp_path / file) in str(caught.value)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
