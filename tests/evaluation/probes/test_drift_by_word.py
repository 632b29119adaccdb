import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.evaluation.probes import drift as module
from pipeline.evaluation.probes.drift import (
    drift,
    drift_by_count,
    first_direction,
    labelled_counts,
    most_changed,
    row_changes,
)

WORDS = ["<pad>", "<unk>", "same", "half", "turned", "from_zero", "to_zero", "far", "unread"]
INITIAL = np.float32([[0, 0], [1, 0], [3, 4], [2, 0], [0, 2], [0, 0], [0, 5], [1, 0], [1, 1]])
FINAL = np.float32([[0, 0], [9, 9], [3, 4], [3, 0], [2, 0], [1, 0], [0, 0], [-2, 0], [1, 1]])
DRIFTS = [np.nan, 1 - 1 / np.sqrt(2), 0, 0, 1, np.nan, np.nan, 2, 0]
LENGTHS = [np.nan, np.sqrt(64 + 81), 0, 0.5, np.sqrt(2), np.nan, 1, 3, 0]


@pytest.mark.parametrize("block", [2, 1 << 14])
def test_known_changes_of_rows(block, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_ROWS", block)
    drifts, lengths = row_changes(INITIAL, FINAL)
    np.testing.assert_allclose(drifts, DRIFTS, rtol=1e-12)
    np.testing.assert_allclose(lengths, LENGTHS, rtol=1e-12)
    with pytest.raises(ValueError, match="do not match"):
        row_changes(INITIAL, FINAL[:, :1])


def test_known_bands():
    counts = np.array([50, 60, 0, 1, 2, 4, 19, 20, 100])
    touched = np.array([True, True, False, True, True, True, True, True, True])
    metrics, table = drift_by_count(INITIAL, FINAL, counts, touched)
    columns = ("counts", "rows", "touched", "mean_drift", "relative_l2")
    assert [tuple(row[column] for column in columns) for row in table] == [
        ("0", 1, 0, 0, 0),
        ("1", 1, 1, 0, 0.5),
        ("2-4", 2, 2, 1, pytest.approx(np.sqrt(2))),
        ("5-19", 1, 1, None, 1),
        ("20-99", 1, 1, 2, 3),
        ("100+", 1, 1, 0, 0),
    ]
    assert metrics["count_2_4/mean"] == metrics["count_2_4/rows"] / 2 == 1
    assert metrics["count_5_19/mean"] is None
    assert metrics["count_20_99/relative_l2"] == 3
    assert metrics["count_100_up/mean"] == metrics["count_0/relative_l2"] == 0
    assert len(metrics) == 18


@given(data=st.data(), rows=st.integers(3, 30))
def test_bands_hold_every_word_once_and_agree_with_the_whole(data, rows):
    matrices = arrays(np.float32, (rows, 3), elements=st.integers(-3, 3))
    initial, final = data.draw(matrices), data.draw(matrices)
    counts = data.draw(arrays(np.int64, rows, elements=st.sampled_from([0, 1, 2, 4, 5, 19, 20, 99, 100, 10**6])))
    initial[:2] = final[:2] = 0
    _, table = drift_by_count(initial, final, counts, counts > 0)
    assert sum(row["rows"] for row in table) == rows - 2
    assert [row["touched"] for row in table] == [0, *(row["rows"] for row in table[1:])]
    compared = initial.any(axis=1) & final.any(axis=1)
    bands = [counts == 0, counts == 1, (counts > 1) & (counts < 5), (counts > 4) & (counts < 20)]
    bands += [(counts > 19) & (counts < 100), counts > 99]
    for band, row in zip(bands, table, strict=True):
        if not (band & compared).any():
            assert row["mean_drift"] is None
        else:
            assert row["mean_drift"] == pytest.approx(drift(initial, final, band)["mean"])


def test_words_that_moved_most():
    counts = np.array([99, 99, 9, 9, 9, 9, 9, 9, 9])
    touched = np.array([True, True, True, True, True, True, True, True, False])
    rows = most_changed(INITIAL, FINAL, WORDS, counts, touched, 3, 9)
    assert [(row["rank"], row["word"], row["count"], row["drift"]) for row in rows] == [
        (1, "far", 9, 2),
        (2, "turned", 9, pytest.approx(1)),
        (3, "to_zero", 9, None),
    ]
    assert [row["relative_l2"] for row in rows] == pytest.approx([3, np.sqrt(2), 1])
    rows = most_changed(INITIAL, FINAL, WORDS, counts, touched, 99, 9)
    assert [row["word"] for row in rows] == ["far", "turned", "to_zero", "half"]
    assert most_changed(INITIAL, FINAL, WORDS, counts, touched, 99, 10) == []
    assert most_changed(INITIAL, INITIAL, WORDS, counts, touched, 99, 0) == []


def test_the_score_is_the_movement_along_the_planted_direction():
    generator = np.random.default_rng(0)
    planted = np.array([0.6, -0.8, 0, 0])
    amounts = generator.standard_normal(40)
    amounts[:2] = 0
    initial = generator.standard_normal((40, 4))
    final = initial + amounts[:, None] * planted
    words = [f"w{i}" for i in range(40)]
    counts, touched = np.ones(40, dtype=np.int64), np.ones(40, dtype=bool)
    across = np.array([0, 0, 1.0, 0])  # orthogonal, so the largest component is positive
    for direction, sign in ((None, -1), (planted, 1), (-7 * planted, -1), (across, -1)):
        if direction is across:
            initial[:, 2] = final[:, 2] = 0  # exactly orthogonal
        np.testing.assert_allclose(first_direction(initial, final, direction), sign * planted, atol=1e-9)
        rows = most_changed(initial, final, words, counts, touched, 40, 1, direction)
        assert len(rows) == 38
        for row in rows:
            id = int(row["word"][1:])
            assert row["score"] == pytest.approx(sign * amounts[id] / np.linalg.norm(initial[id]))
            assert abs(row["score"]) == pytest.approx(row["relative_l2"])


def test_the_first_direction_is_the_first_singular_vector(monkeypatch):
    generator = np.random.default_rng(0)
    initial, final = generator.standard_normal((2, 50, 6)).astype(np.float32)
    expected = np.linalg.svd(final.astype(float) - initial)[2][0]
    for block in (7, 1 << 14):
        monkeypatch.setattr(module, "BLOCK_ROWS", block)
        first = first_direction(initial, final)
        assert abs(first @ expected) == pytest.approx(1)
        assert first[np.abs(first).argmax()] > 0
        for direction in (expected, -expected):
            np.testing.assert_allclose(first_direction(initial, final, direction), direction, atol=1e-9)
    assert first_direction(initial, initial, expected).tolist() == [0] * 6


@given(
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=20),
    chosen=st.lists(st.integers(0, 10**6), max_size=30),
)
def test_counts_equal_a_count_by_hand(lengths, chosen):
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.random.default_rng(0).integers(0, 9, offsets[-1]).astype(np.int32)
    rows = np.array([row % len(lengths) for row in chosen], dtype=np.int64)
    expected = np.zeros(9, dtype=np.int64)
    for row in rows:
        for id in ids[offsets[row] : offsets[row + 1]]:
            expected[id] += 1
    counted = labelled_counts(ids, offsets, rows, 9)
    assert counted.dtype == np.int64
    assert counted.tolist() == expected.tolist()
