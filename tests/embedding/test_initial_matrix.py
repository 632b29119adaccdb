import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.embedding.initial_matrix import coverage, initial_matrix
from pipeline.embedding.word_vectors import Vectors
from pipeline.runtime.errors import UserError


def vectors_of(words, dim, seed=1):
    generator = np.random.default_rng(seed)
    scale, shift = np.linspace(0.1, 3, dim), np.linspace(-2, 2, dim)
    rows = (generator.standard_normal((len(words), dim)) * scale + shift).astype(np.float32)
    return Vectors(list(words), np.ones(len(words), dtype=np.int64), rows, {})


def vocabulary(n):
    return ["<pad>", "<unk>", *(f"w{i}" for i in range(n))]


def test_rows_by_hand():
    vectors = Vectors(["b", "<unk>", "<pad>"], np.zeros(3, dtype=np.int64), np.float32([[1, 2], [8, 8], [9, 9]]), {})
    matrix, known = initial_matrix(["<pad>", "<unk>", "a", "b"], vectors, 2, np.random.default_rng(5))
    drawn = np.random.default_rng(5).standard_normal((4, 2), dtype=np.float32) / np.float32(np.sqrt(2))
    assert known.tolist() == [False, False, False, True]
    assert matrix.tolist() == [[0, 0], drawn[1].tolist(), drawn[2].tolist(), [1, 2]]
    assert matrix.dtype == np.float32


def test_without_vectors_rows_have_length_one():
    matrix, known = initial_matrix(vocabulary(20_000), None, 50, np.random.default_rng(0))
    assert not known.any()
    assert not matrix[0].any()
    assert matrix[1:].std() == pytest.approx(1 / np.sqrt(50), rel=0.01)
    assert matrix[1:].mean() == pytest.approx(0, abs=1e-3)
    assert matrix[1].any()


def test_rows_that_vectors_lack_have_the_moments_of_known_rows_in_each_dimension():
    words = vocabulary(20_000)
    vectors = vectors_of(words[2:5002], 8)
    matrix, known = initial_matrix(words, vectors, 8, np.random.default_rng(0))
    assert known.sum() == 5000
    np.testing.assert_array_equal(matrix[known], vectors.vectors)
    missing = matrix[5002:]
    np.testing.assert_allclose(missing.std(axis=0), vectors.vectors.std(axis=0), rtol=0.05)
    np.testing.assert_allclose(missing.mean(axis=0), vectors.vectors.mean(axis=0), atol=0.08)


def test_words_outside_the_vocabulary_do_not_set_the_spread():
    words = vocabulary(6)
    known = vectors_of(words[2:5], 4)
    far = Vectors([*known.words, "x"], np.zeros(4, dtype=np.int64), np.vstack([known.vectors, np.full(4, 1e6)]), {})
    expected, _ = initial_matrix(words, known, 4, np.random.default_rng(2))
    np.testing.assert_array_equal(initial_matrix(words, far, 4, np.random.default_rng(2))[0], expected)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(0, 12), dim=st.integers(1, 5), seed=st.integers(0, 99), chosen=st.sets(st.integers(0, 11)))
def test_known_rows_do_not_shift_the_draw_of_others(n, dim, seed, chosen):
    words = vocabulary(n)
    here = [words[i + 2] for i in sorted(chosen) if i < n]
    vectors = vectors_of(here, dim) if here else None
    rng, rng_without_vectors = np.random.default_rng(seed), np.random.default_rng(seed)
    matrix, known = initial_matrix(words, vectors, dim, rng)
    plain, _ = initial_matrix(words, None, dim, rng_without_vectors)
    assert rng.bit_generator.state == rng_without_vectors.bit_generator.state
    assert matrix.shape == (n + 2, dim)
    assert [w for w, k in zip(words, known, strict=True) if k] == here
    assert not matrix[0].any()
    for word, row in zip(words, matrix, strict=True):
        if word in here:
            assert row.tolist() == vectors.vectors[vectors.index[word]].tolist()
    free = ~known
    free[0] = False
    mean, std = np.zeros(dim), np.full(dim, 1 / np.sqrt(dim))
    if len(here) > 1:
        mean, std = vectors.vectors.mean(axis=0), vectors.vectors.std(axis=0)
    np.testing.assert_allclose(matrix[free], plain[free] * np.sqrt(dim) * std + mean, atol=1e-4)


def test_the_dimension_must_be_that_of_the_vectors():
    with pytest.raises(UserError, match=r"embedding\.dim=5, but the vectors have 4 dimensions: set embedding\.dim=4$"):
        initial_matrix(vocabulary(3), vectors_of(["w1"], 4), 5, np.random.default_rng(0))


@pytest.mark.parametrize("scale", [None, 0.3])
def test_shuffled_vectors_are_the_same_rows_at_other_words(scale):
    words, vectors = vocabulary(60), vectors_of([f"w{i}" for i in range(0, 60, 2)], 4)
    plain, known = initial_matrix(words, vectors, 4, np.random.default_rng(0), scale)
    shuffled, known_too = initial_matrix(words, vectors, 4, np.random.default_rng(0), scale, shuffled=True)
    assert known.tolist() == known_too.tolist()
    assert known.sum() == 30
    np.testing.assert_array_equal(shuffled[~known], plain[~known])  # padding, UNK and words without a vector
    assert sorted(map(tuple, shuffled[known])) == sorted(map(tuple, plain[known]))
    assert (shuffled[known] == plain[known]).all(axis=1).mean() < 0.2
    other, _ = initial_matrix(words, vectors, 4, np.random.default_rng(1), scale, shuffled=True)
    assert (other[known] != shuffled[known]).any()


def test_vectors_without_a_known_word_are_as_none():
    matrix, known = initial_matrix(vocabulary(3), vectors_of(["x", "y"], 4), 4, np.random.default_rng(0))
    assert not known.any()
    np.testing.assert_array_equal(matrix, initial_matrix(vocabulary(3), None, 4, np.random.default_rng(0))[0])


def test_coverage_is_of_the_training_text():
    counts = np.array([0, 10, 6, 3, 1, 0])  # ten tokens of four words without a row; a word of unlabelled text alone
    known = np.array([False, False, True, False, True, True])
    assert coverage(counts, known, 4) == {"coverage/types": 2 / 7, "coverage/tokens": 7 / 20}
    assert coverage(np.zeros(2, int), known[:2], 0) == {"coverage/types": 0.0, "coverage/tokens": 0.0}
    with pytest.raises(ValueError, match="differ in length"):
        coverage(counts[:2], known, 0)


@pytest.mark.parametrize("vectors", [None, vectors_of(["w1", "w2", "w3"], 4)])
def test_one_factor_brings_the_matrix_to_a_scale(vectors):
    plain, _ = initial_matrix(vocabulary(40), vectors, 4, np.random.default_rng(0))
    scaled, _ = initial_matrix(vocabulary(40), vectors, 4, np.random.default_rng(0), 0.3)
    assert scaled[1:].std() == pytest.approx(0.3, rel=1e-5)
    assert not scaled[0].any()
    np.testing.assert_allclose(scaled, plain * (0.3 / plain[1:].std()), rtol=1e-5)
