import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.evaluation.probes import drift as module
from pipeline.evaluation.probes.drift import drift


def test_known_angles():
    initial = np.float32([[0, 0], [1, 0], [0, 2], [3, 0], [1, 1], [0, 0]])
    final = np.float32([[0, 0], [0, 1], [0, -2], [6, 0], [1, 1], [1, 0]])
    touched = np.array([False, True, True, True, True, True])
    result = drift(initial, final, touched)
    assert result["mean"] == pytest.approx((1 + 2 + 0 + 0) / 4)  # the row that was zero has no angle
    assert result["max"] == pytest.approx(2)
    assert result["moved_rows"] == 4
    assert result["moved_untouched"] == 0
    assert result["relative_l2"] == pytest.approx(np.sqrt((2 + 16 + 9 + 1) / (1 + 4 + 9 + 2)))


def test_a_matrix_that_did_not_move_has_no_drift_at_all():
    matrix = np.random.default_rng(0).standard_normal((500, 33)).astype(np.float32)
    assert drift(matrix, matrix.copy(), np.ones(500, dtype=bool)) == {
        "mean": 0.0, "max": 0.0, "moved_rows": 0.0, "moved_untouched": 0.0, "relative_l2": 0.0
    }  # fmt: skip


def test_rows_that_moved_although_no_batch_read_them_are_counted():
    initial = np.ones((6, 2), dtype=np.float32)
    final = initial.copy()
    final[[1, 2, 5], 0] += np.float32(1e-7)
    result = drift(initial, final, np.array([True, True, False, True, True, False]))
    assert (result["moved_rows"], result["moved_untouched"]) == (3, 2)
    assert drift(initial, final, np.zeros(6, dtype=bool))["mean"] == 0


@pytest.mark.parametrize(("directions", "share"), [([[1.0, 1, 0]], 1.0), ([[1, 1, 0], [1, -1, 0]], 0.5)])
def test_share_along_the_first_direction(directions, share):
    generator = np.random.default_rng(0)
    amounts = np.linalg.qr(generator.standard_normal((50, len(directions))))[0]
    initial = generator.standard_normal((50, 3))
    result = drift(initial, initial + amounts @ np.array(directions), np.ones(50, dtype=bool))
    assert result["rank1_share"] == pytest.approx(share)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), rows=st.integers(1, 12), dim=st.integers(1, 5))
def test_equals_singular_values_and_invariants(data, rows, dim):
    matrices = arrays(np.float32, (rows, dim), elements=st.integers(-3, 3))
    initial, final = data.draw(matrices), data.draw(matrices)
    touched = data.draw(arrays(np.bool_, rows))
    result = drift(initial, final, touched)
    change = final.astype(float) - initial
    squares = np.linalg.svd(change, compute_uv=False) ** 2
    assert ("rank1_share" in result) == bool(change.any())
    if change.any():
        assert result["rank1_share"] == pytest.approx(squares[0] / squares.sum())
        assert 1 / min(rows, dim) - 1e-9 <= result["rank1_share"] <= 1
    assert ("relative_l2" in result) == bool(initial.any())
    if initial.any():
        assert result["relative_l2"] == pytest.approx(np.linalg.norm(change) / np.linalg.norm(initial))
    assert 0 <= result["mean"] <= result["max"] <= 2
    assert result["moved_rows"] == change.any(axis=1).sum()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_ROWS", 2)
        assert drift(initial, final, touched) == pytest.approx(result)


def test_matrices_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="do not match"):
        drift(np.zeros((3, 2)), np.zeros((3, 3)), np.zeros(3, dtype=bool))
