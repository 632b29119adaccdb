"""PPMI vectors: hand-worked information, a dense reference, and what the vectors are for."""

import hashlib
import os
import random
import subprocess
import sys
from math import log as ln

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.schema import PpmiConfig
from pipeline.embedding import ppmi
from pipeline.embedding.ppmi import co_occurrences, largest_singular, positive_information, train_ppmi
from pipeline.embedding.word_vectors import Vectors
from pipeline.runtime.errors import UserError


def config(window=2, min_count=1, smoothing=1.0, shift=1.0, eigenvalue_power=0.5):
    return PpmiConfig(window, min_count, smoothing, shift, eigenvalue_power)


def write(path, texts):
    path.write_text("".join(" ".join(text) + "\n" for text in texts), "utf-8")
    return path


def train(path, dim=2, **changes):
    return train_ppmi(path, config(**changes), dim, corpus_fingerprint="f00d")


def dense_pairs(texts, words, window):
    """The definition, word by word: every word within the window of every word counts window - distance + 1."""
    pairs = np.zeros((len(words), len(words)))
    for text in texts:
        rows = [words.index(word) for word in text if word in words]
        for position, row in enumerate(rows):
            for other in range(max(0, position - window), min(len(rows), position + window + 1)):
                if other != position:
                    pairs[row, rows[other]] += window - abs(other - position) + 1
    return pairs


def dense_information(pairs, smoothing, shift):
    joint = pairs / pairs.sum()
    word = joint.sum(1)
    context = pairs.sum(0) ** smoothing / (pairs.sum(0) ** smoothing).sum()
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(joint / np.outer(word, context)) - np.log(shift), 0)


def test_pairs_and_information_by_hand(tmp_path):
    path = write(tmp_path / "corpus.txt", ["aba", "cd"])
    rows = {word: row for row, word in enumerate("abcd")}
    pairs = co_occurrences(path, rows, 2)
    # a b: 2 · 2 (twice at distance 1), a a: 1 each way (distance 2), c d: 2; the sum over both directions is 14.
    assert pairs.toarray().tolist() == [[2, 4, 0, 0], [4, 0, 0, 0], [0, 0, 0, 2], [0, 0, 2, 0]]
    information = positive_information(pairs, 1.0, 1.0).toarray()
    assert information[0, 0] == 0  # ln(2 · 14 / 6²) is below 0
    assert information[0, 1] == information[1, 0] == pytest.approx(ln(4 * 14 / (6 * 4)))
    assert information[2, 3] == information[3, 2] == pytest.approx(ln(2 * 14 / (2 * 2)))
    assert np.count_nonzero(information) == 4
    shifted = positive_information(pairs, 1.0, 3.0).toarray()
    assert shifted[2, 3] == pytest.approx(ln(2 * 14 / (2 * 2)) - ln(3))
    assert np.count_nonzero(shifted) == 2
    smoothed = positive_information(pairs, 0.5, 1.0).toarray()
    total = 6**0.5 + 4**0.5 + 2 * 2**0.5
    assert smoothed[2, 3] == pytest.approx(ln((2 / 2) * total / 2**0.5))
    assert smoothed[0, 1] == pytest.approx(ln((4 / 6) * total / 4**0.5))
    assert smoothed[1, 0] == pytest.approx(ln((4 / 4) * total / 6**0.5))


def test_windows_reach_across_rare_words_but_not_across_texts(tmp_path):
    path = write(tmp_path / "corpus.txt", [["a", "rare", "b"], ["b"], ["a"]])
    pairs = co_occurrences(path, {"a": 0, "b": 1}, 1).toarray()
    assert pairs.tolist() == [[0, 1], [1, 0]]


@st.composite
def corpora(draw):
    seed, words = draw(st.integers(0, 10**6)), draw(st.integers(3, 9))
    generator = random.Random(seed)
    return [generator.choices("abcdefghi"[:words], k=generator.randint(1, 9)) for _ in range(generator.randint(2, 30))]


@settings(max_examples=40)
@given(corpora(), st.integers(1, 6), st.sampled_from([0.0, 0.75, 1.0]), st.sampled_from([1.0, 2.0]), st.integers(1, 25))
def test_equal_to_the_dense_definition(tmp_path_factory, texts, window, smoothing, shift, block):
    path = write(tmp_path_factory.mktemp("ppmi") / "corpus.txt", texts)
    words = sorted({word for text in texts for word in text})
    rows = {word: row for row, word in enumerate(words)}
    pairs = dense_pairs(texts, words, window)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ppmi, "BLOCK", block)
        counted = co_occurrences(path, rows, window)
    assert np.array_equal(counted.toarray(), pairs)
    co_occurring = pairs.sum(1) > 0  # a word without neighbours has no co-occurrence probability
    if co_occurring.any():
        expected = dense_information(pairs[np.ix_(co_occurring, co_occurring)], smoothing, shift)
        information = positive_information(counted, smoothing, shift).toarray()
        assert np.allclose(information[np.ix_(co_occurring, co_occurring)], expected, atol=1e-12)
        assert not information[~co_occurring].any()
        assert not information[:, ~co_occurring].any()


def random_texts(seed=0, lines=400, words=60):
    generator = random.Random(seed)
    return [[f"w{int(words * generator.random() ** 2)}" for _ in range(8)] for _ in range(lines)]


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("dense", [0, 1000])
def test_rows_are_the_truncated_decomposition(tmp_path, monkeypatch, power, dense):
    texts = random_texts()
    path = write(tmp_path / "corpus.txt", texts)
    monkeypatch.setattr(ppmi, "MAX_DENSE_WORDS", dense)  # 0: ARPACK
    vectors = train(path, 5, window=3, smoothing=0.75, eigenvalue_power=power)
    information = dense_information(dense_pairs(texts, vectors.words, 3), 0.75, 1.0)
    left, singular, _ = np.linalg.svd(information)
    expected = left[:, :5] * singular[:5] ** power
    assert np.allclose(np.abs(vectors.vectors), np.abs(expected), atol=1e-5)
    assert np.allclose(vectors.vectors @ vectors.vectors.T, expected @ expected.T, atol=1e-5)
    largest = np.abs(vectors.vectors).argmax(axis=0)
    assert (vectors.vectors[largest, np.arange(5)] > 0).all()
    assert vectors.info["singular_values"] == pytest.approx([singular[0], singular[4]])


def test_words_counts_and_what_is_recorded(tmp_path):
    path = write(tmp_path / "corpus.txt", [["b", "a", "c"], ["c", "b", "rare"], ["a", "b"], ["lonely"], ["lonely"]])
    vectors = train(path, 2, min_count=2)
    assert vectors.words == ["b", "a", "c"]
    assert vectors.counts.tolist() == [3, 2, 2]
    assert (vectors.vectors.shape, vectors.vectors.dtype) == ((3, 2), np.float32)
    assert vectors.info["reproducible"] is True
    assert vectors.info["corpus"] == {"fingerprint": "f00d", "lines": 5, "tokens": 10}
    assert vectors.info["knobs"] == {
        "window": 2, "min_count": 2, "smoothing": 1.0, "shift": 1.0, "eigenvalue_power": 0.5, "dim": 2
    }  # fmt: skip
    assert (vectors.info["words"], vectors.info["words_without_vector"]) == (3, 1)
    vectors.save(tmp_path)
    assert Vectors.load(tmp_path).vectors.tobytes() == vectors.vectors.tobytes()


def test_beyond_the_rank_there_is_nothing():
    two = np.outer(np.arange(1, 7), np.arange(1, 7)) + np.outer([1, -1] * 3, [1, 1, -1] * 2)
    left, singular = largest_singular(ppmi.sparse.csr_array(two.astype(float)), 4)
    assert np.allclose(singular[:2], np.linalg.svd(two)[1][:2])
    assert (singular[:2] > 1).all()
    assert not singular[2:].any()
    assert not left[:, 2:].any()
    assert np.allclose(left[:, :2].T @ left[:, :2], np.eye(2))


@pytest.mark.parametrize("power", [0.0, 0.5])
def test_words_used_alike_come_out_near_and_others_do_not(tmp_path, power):
    generator = random.Random(1)
    topics = {"sea": ["wave", "ship", "salt"], "land": ["tree", "hill", "road"]}
    texts = []
    for _ in range(600):
        topic = generator.choice(list(topics))
        texts.append([f"{topic}{generator.randint(1, 2)}", *generator.choices(topics[topic], k=3), "the"])
        generator.shuffle(texts[-1])
    vectors = train(write(tmp_path / "corpus.txt", texts), 4, window=4, eigenvalue_power=power)
    rows = vectors.vectors / np.linalg.norm(vectors.vectors, axis=1, keepdims=True)

    def cosine(one, two):
        return rows[vectors.index[one]] @ rows[vectors.index[two]]

    assert cosine("sea1", "sea2") > 0.9
    assert cosine("land1", "land2") > 0.9
    assert abs(cosine("sea1", "land1")) < 0.2


CHILD = """
import hashlib, sys
from pathlib import Path
from pipeline.embedding.ppmi import train_ppmi
from pipeline.config.schema import PpmiConfig
vectors = train_ppmi(Path(sys.argv[1]), PpmiConfig(3, 1, 0.75, 1.0, 0.5), 60, corpus_fingerprint="")
print(hashlib.sha256(vectors.vectors.tobytes()).hexdigest())
"""


def test_the_same_bits_whatever_ran_before_and_however_many_threads(tmp_path):
    path = write(tmp_path / "corpus.txt", random_texts(seed=2, lines=4000, words=1300))
    np.random.seed(7)  # a state that a library could draw from
    here = train_ppmi(path, PpmiConfig(3, 1, 0.75, 1.0, 0.5), 60, corpus_fingerprint="")
    assert here.info["words"] > ppmi.MAX_DENSE_WORDS
    elsewhere = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "3", "OMP_NUM_THREADS": "3"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert elsewhere.stdout.strip() == hashlib.sha256(here.vectors.tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("texts", "dim", "changes", "expected"),
    [
        ([], 3, {}, ["embedding.dim=3 need 4 words", "0 of the 0 words in 0 tokens"]),
        ([["a", "b", "c"]], 3, {}, ["need 4 words", "3 of the 3 words in 3 tokens reach ppmi.min_count=1"]),
        ([["a", "b", "c", "d"], ["a", "b"]], 2, {"min_count": 2}, ["2 of the 4 words in 6 tokens", "min_count=2"]),
        ([["a"], ["b"], ["c"]], 2, {}, ["no two words co-occur"]),
        ([["a", "b"], ["c", "d"]], 2, {"shift": 100.0}, ["lower ppmi.shift=100"]),
    ],
)
def test_too_little_text_is_refused_in_one_line(tmp_path, texts, dim, changes, expected):
    with pytest.raises(UserError) as caught:
        train(write(tmp_path / "corpus.txt", texts), dim, **changes)
    assert "\n" not in str(caught.value)
    assert all(text in str(caught.value) for text in expected), str(caught.value)
