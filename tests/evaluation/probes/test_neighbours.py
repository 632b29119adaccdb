import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.evaluation.probes import neighbours
from pipeline.evaluation.probes.neighbours import nearest_neighbours, neighbours_before_after


def vocabulary(n):
    return ["<pad>", "<unk>", *(f"w{i}" for i in range(2, n))]


def by_hand(matrix, words, query, k):
    """Every cosine, one at a time."""
    me = words.index(query)
    candidates = []
    for row in range(2, len(words)):
        norm = np.linalg.norm(matrix[row].astype(float)) * np.linalg.norm(matrix[me].astype(float))
        if row != me and norm > 0:
            candidates.append((-round(float(matrix[row].astype(float) @ matrix[me].astype(float)) / norm, 6), row))
    return [(words[row], pytest.approx(-cosine, abs=2e-6)) for cosine, row in sorted(candidates)[:k]]


def test_known_answer():
    words = ["<pad>", "<unk>", "east", "west", "north", "northeast", "zero", "far_east"]
    matrix = np.float32([[0, 0], [1, 0.1], [1, 0], [-2, 0], [0, 3], [1, 1], [0, 0], [50, 0]])
    assert nearest_neighbours(matrix, words, ["east", "nowhere", "zero", "east"], 3) == {
        "east": [("far_east", 1.0), ("northeast", 0.707107), ("north", 0.0)],
        "nowhere": [],
        "zero": [],
    }
    nearest = nearest_neighbours(matrix, words, ["east"], 9)["east"]
    assert [word for word, _ in nearest] == ["far_east", "northeast", "north", "west"]
    assert nearest_neighbours(matrix, words, [], 3) == {}
    assert nearest_neighbours(matrix, words, ["<unk>"], 1) == {"<unk>": []}


@settings(max_examples=60, deadline=None)
@given(
    matrix=arrays(np.float32, st.tuples(st.integers(3, 40), st.just(2)), elements=st.integers(-2, 2)),
    k=st.integers(1, 6),
)
def test_equals_a_search_by_hand_with_ties_and_in_blocks(matrix, k):
    words = vocabulary(len(matrix))
    for block_rows in (3, 1 << 14):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(neighbours, "BLOCK_ROWS", block_rows)
            for query in words[2:]:
                expected = by_hand(matrix, words, query, k) if matrix[words.index(query)].any() else []
                assert nearest_neighbours(matrix, words, [query], k) == {query: expected}


def test_blocks_and_other_queries_change_nothing(monkeypatch):
    matrix = np.random.default_rng(0).standard_normal((3000, 16)).astype(np.float32)
    words = vocabulary(3000)
    queries = ["w2", "w999", "w2999"]
    whole = nearest_neighbours(matrix, words, queries, 10)
    assert whole == {query: by_hand(matrix, words, query, 10) for query in queries}
    monkeypatch.setattr(neighbours, "BLOCK_ROWS", 64)
    assert nearest_neighbours(matrix, words, queries, 10) == whole
    assert {query: nearest_neighbours(matrix, words, [query], 10)[query] for query in queries} == whole


def test_before_and_after_side_by_side():
    words = ["<pad>", "<unk>", "good", "bad", "great"]
    initial = np.float32([[0, 0], [0, 0], [1, 0], [1, 0.1], [0, 1]])
    final = np.float32([[0, 0], [0, 0], [1, 0], [-1, 0], [2, 0]])
    assert neighbours_before_after(initial, final, words, ["good", "missing"], 2) == [
        {"word": "good", "rank": 1, "before": "bad", "before_cosine": 0.995037, "after": "great", "after_cosine": 1.0},
        {"word": "good", "rank": 2, "before": "great", "before_cosine": 0.0, "after": "bad", "after_cosine": -1.0},
        {"word": "missing", "rank": None, "before": None, "before_cosine": None, "after": None, "after_cosine": None},
    ]


def test_a_row_that_training_zeroed_has_no_neighbours_after():
    words = ["<pad>", "<unk>", "good", "bad"]
    initial = np.float32([[0, 0], [0, 0], [1, 0], [1, 1]])
    final = initial.copy()
    final[2] = 0
    rows = neighbours_before_after(initial, final, words, ["good"], 3)
    assert [(row["rank"], row["before"], row["after"]) for row in rows] == [(1, "bad", None)]
