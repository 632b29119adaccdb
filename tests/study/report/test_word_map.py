import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from pipeline.study.report.word_map import WORDS_ON_MAP, project, word_map

RNG = np.random.default_rng(0)


def vocabulary(words):
    names = ["<pad>", "<unk>", *(f"w{row}" for row in range(words))]
    counts = [0, 7, *range(words, 0, -1)]
    return names, counts


def matrices(rows, dim=4):
    return RNG.normal(size=(rows, dim)).astype(np.float32), RNG.normal(size=(rows, dim)).astype(np.float32)


def test_requested_words_then_opinion_words_then_others():
    names, counts = vocabulary(10)
    counts[names.index("w8")] = 0  # a word without an occurrence is on the map only on request
    before, after = matrices(12)
    opinions = {"w3": 0, "w5": 1, "absent": 1}
    result = word_map(names, counts, opinions, ["w6", "<unk>", "nosuch", "w3"], {"v": (before, after)})
    assert result["words"] == ["w6", "w3", "w5", "w0", "w1", "w2", "w4", "w7", "w9"]
    assert result["counts"] == [4, 7, 5, 10, 9, 8, 6, 3, 1]
    assert result["polarity"] == [0, -1, 1, 0, 0, 0, 0, 0, 0]
    rows = [names.index(word) for word in result["words"]]
    expected = project(before[rows], after[rows])
    assert result["variants"] == {"v": {"before": expected[0], "after": expected[1]}}


def test_three_hundred_words_two_thirds_of_them_opinion_words():
    names, counts = vocabulary(900)
    result = word_map(names, counts, {f"w{row}": row % 2 for row in range(400)}, [], {"v": matrices(902)})
    assert len(result["words"]) == WORDS_ON_MAP
    assert [word for word in result["words"] if result["polarity"][result["words"].index(word)]] == names[2:202]
    assert result["words"][200:] == names[402:502]


def test_more_words_requested_than_the_map_holds():
    names, counts = vocabulary(500)
    result = word_map(names, counts, {}, names[2:402], {"v": matrices(502)})
    assert result["words"] == names[2:302]
    assert len(result["variants"]["v"]["after"]) == 300


def test_too_few_words_give_no_map():
    names, counts = vocabulary(2)
    assert word_map(names, counts, {}, [], {"v": matrices(4)}) == {}


def test_coordinates_are_the_principal_components_of_unit_rows():
    before, after = matrices(40, 6)
    both = np.concatenate([before, after]).astype(np.float64)
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    expected = PCA(2, svd_solver="full").fit_transform(both)
    result = np.concatenate(project(before, after))
    for axis in range(2):
        sign = np.sign(result[:, axis] @ expected[:, axis])
        np.testing.assert_allclose(result[:, axis], sign * expected[:, axis], atol=6e-5)


def test_only_a_change_of_direction_moves_a_word():
    before, _ = matrices(20)
    first, second = project(before, before * 3)
    assert first == second
    moved = before.copy()
    moved[7] = -moved[7]
    first, second = project(before, moved)
    assert [row for row in range(20) if first[row] != second[row]] == [7]


@settings(max_examples=30)
@given(dim=st.integers(1, 5), rows=st.integers(1, 6), zero=st.booleans())
def test_any_shape_gives_two_finite_coordinates(dim, rows, zero):
    generator = np.random.default_rng(rows)
    before = np.zeros((rows, dim)) if zero else generator.normal(size=(rows, dim))
    for side in project(before, before + 1):
        assert np.shape(side) == (rows, 2)
        assert np.isfinite(side).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_sign_of_an_axis_is_fixed(seed):
    """A mirrored matrix, whose components differ in sign alone, is shown mirrored, the same every time."""
    before = np.random.default_rng(seed).normal(size=(9, 3))
    again = np.array(project(before.copy(), before.copy())[0])
    np.testing.assert_array_equal(np.array(project(before, before)[0]), again)
    np.testing.assert_allclose(np.array(project(-before, -before)[0]), -again, atol=1.1e-4)
