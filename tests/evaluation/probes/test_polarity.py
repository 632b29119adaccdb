import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from pipeline.evaluation.auc import area_under_curve, held_out_auc
from pipeline.evaluation.probes import polarity as module
from pipeline.evaluation.probes.polarity import (
    fit_separation,
    neighbour_agreement,
    opinion_rows,
    polarity,
)


@pytest.fixture(autouse=True)
def one_thread():
    """As in a run: more threads only slow down matrices of this size."""
    with threadpool_limits(1):
        yield


def lexicon(positive, negative):
    """Made-up words, the positive first, then each word's row: 2, 3, …"""
    opinions = {f"p{i}": 1 for i in range(positive)} | {f"n{i}": 0 for i in range(negative)}
    return opinions, {word: row for row, word in enumerate(opinions, start=2)}


def random_rows(n, dim=20, seed=0):
    matrix = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    matrix[0] = 0
    return matrix


def probe(initial, final, opinions, id_of, touched):
    return polarity(initial, final, opinions, id_of.get, touched)


def half_seen(n):
    return np.arange(n) % 2 == 0


def test_polarity_as_a_coordinate_is_found_in_both_groups_and_only_where_it_is():
    opinions, id_of = lexicon(80, 120)
    initial = random_rows(202)
    final = initial.copy()
    final[2:82, 0], final[82:, 0] = 30, -30
    metrics, table = probe(initial, final, opinions, id_of, half_seen(202))
    for group in ("seen", "unseen"):
        assert (metrics[f"{group}/positive"], metrics[f"{group}/negative"]) == (40, 60)
        assert metrics[f"{group}/auc"] == metrics[f"{group}/neighbours"] == 1
        assert metrics[f"{group}/auc_before"] == pytest.approx(0.5, abs=0.15)
        assert metrics[f"{group}/neighbours_before"] == pytest.approx(0.5, abs=0.06)
    assert metrics["coverage"] == 1
    assert metrics["neighbours_chance"] == pytest.approx((79 / 199 + 119 / 199) / 2)
    assert [row["words"] for row in table] == ["seen", "unseen"]
    for row in table:
        assert row["before_low"] < 0.5 < row["before_high"] < row["low"] < 1 == row["high"]


def test_polarity_in_seen_rows_alone_does_not_show_in_unseen_ones():
    opinions, id_of = lexicon(150, 150)
    initial, seen = random_rows(302), half_seen(302)
    signs = np.where(np.arange(302) < 152, 1, -1)
    final = initial.copy()
    final[seen, 0] += 30 * signs[seen]
    metrics, table = probe(initial, final, opinions, id_of, seen)
    assert metrics["seen/auc"] > 0.999
    assert table[1]["low"] < 0.5 < table[1]["high"]
    assert metrics["seen/neighbours"] > 0.9
    assert metrics["unseen/neighbours"] == pytest.approx(0.5, abs=0.06)


def test_unseen_words_are_judged_by_the_classifier_of_seen_words():
    opinions, id_of = lexicon(100, 100)
    final, seen = random_rows(202), half_seen(202)
    signs = np.where(np.arange(202) < 102, 1, -1)
    final[:, 0] = 30 * signs * np.where(seen, 1, -1)
    metrics, _ = probe(final, final, opinions, id_of, seen)
    assert (metrics["seen/auc"], metrics["unseen/auc"]) == (1, 0)


def test_neither_unequal_numbers_nor_hubs_change_the_chance_level():
    opinions, id_of = lexicon(40, 360)
    scores = []
    for seed in range(20):
        matrix = random_rows(402, dim=12, seed=seed)
        matrix[100:110, 1:] = 0  # hubs: near to every row with a large first coordinate
        matrix[2:, 0] += 2
        metrics, _ = probe(matrix, matrix, opinions, id_of, np.ones(402, dtype=bool))
        scores.append((metrics["seen/neighbours"], metrics["seen/auc"]))
    neighbours, areas = np.transpose(scores)
    assert neighbours.mean() == pytest.approx(metrics["neighbours_chance"], abs=0.01)
    assert areas.mean() == pytest.approx(0.5, abs=4 * areas.std() / np.sqrt(20))


def test_held_out_words_are_held_out():
    """With more dimensions than words, a classifier is always right on its training words."""
    unit = random_rows(80, dim=90)[1:]
    positive = np.arange(79) % 2 == 0
    assert area_under_curve(fit_separation(unit, positive)(unit), positive) > 0.95
    assert held_out_auc(unit, positive, fit_separation) == pytest.approx(0.5, abs=0.2)


def test_vector_lengths_do_not_matter_and_two_calls_agree():
    opinions, id_of = lexicon(50, 50)
    matrix, seen = random_rows(102), half_seen(102)
    lengths = np.exp(np.random.default_rng(1).standard_normal((102, 1))).astype(np.float32)
    once, _ = probe(matrix, matrix, opinions, id_of, seen)
    assert once == probe(matrix, matrix, opinions, id_of, seen)[0]
    assert once == pytest.approx(probe(matrix * lengths, matrix * 7, opinions, id_of, seen)[0])


@pytest.mark.parametrize(("seen_positive", "unseen_positive"), [(9, 9), (9, 10), (10, 9), (10, 10)])
def test_too_few_words_of_a_polarity_give_no_number(seen_positive, unseen_positive):
    positive = seen_positive + unseen_positive
    opinions, id_of = lexicon(positive, 40)
    matrix = random_rows(positive + 42)
    rows = np.arange(positive + 42)
    seen = (rows < 2 + seen_positive) | (rows >= positive + 22)
    metrics, table = probe(matrix, matrix, opinions, id_of, seen)
    fitted, judged = seen_positive == 10, unseen_positive == 10
    for side in ("", "_before"):
        assert (metrics[f"seen/neighbours{side}"] is not None) == fitted
        assert (metrics[f"unseen/neighbours{side}"] is not None) == judged
        assert (metrics[f"seen/auc{side}"] is not None) == fitted
        assert (metrics[f"unseen/auc{side}"] is not None) == (fitted and judged)
    assert [row["low"] is not None for row in table] == [fitted, fitted and judged]


def test_no_words_at_all():
    metrics, table = probe(random_rows(5), random_rows(5), {}, {}, np.ones(5, dtype=bool))
    assert metrics["coverage"] == 0
    assert metrics["neighbours_chance"] is metrics["seen/auc"] is metrics["unseen/neighbours"] is None
    assert [row["positive"] for row in table] == [0, 0]


def test_tokens_count_once_or_not_at_all_where_words_disagree():
    opinions = {"Happy": 1, "happily": 1, "sad": 0, "sadness": 0, "odd": 0, "oddly": 1, "absent": 1, "two words": 0}
    id_of = {"happ": 7, "sad": 3, "odd": 4}
    ids, positive = opinion_rows(
        opinions, lambda word: next((id for token, id in id_of.items() if word.lower().startswith(token)), None)
    )
    assert (ids.tolist(), positive.tolist()) == ([3, 7], [False, True])


def test_rows_of_zeros_do_not_count():
    opinions, id_of = lexicon(60, 60)
    matrix = random_rows(122)
    matrix[2:12] = 0
    metrics, _ = probe(matrix, matrix, opinions, id_of, np.ones(122, dtype=bool))
    assert (metrics["seen/positive"], metrics["seen/negative"], metrics["coverage"]) == (50, 60, 110 / 120)


@pytest.mark.parametrize("block", [3, 1024])
def test_neighbours_equal_a_search_by_hand(block, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_QUERIES", block)
    unit = random_rows(41, dim=4)[1:]
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    positive = np.random.default_rng(1).random(40) < 0.3
    expected = []
    for row in range(40):
        others = sorted((o for o in range(40) if o != row), key=lambda o: -float(unit[row] @ unit[o]))
        expected.append(np.mean([positive[o] == positive[row] for o in others[:10]]))
    np.testing.assert_allclose(neighbour_agreement(unit, positive), expected)


def test_interval_of_cross_validated_words_covers_chance():
    opinions, id_of = lexicon(40, 60)
    covered = 0
    for seed in range(150):
        matrix = random_rows(102, dim=15, seed=seed)
        _, (row, _) = probe(matrix, matrix, opinions, id_of, np.ones(102, dtype=bool))
        covered += row["low"] <= 0.5 <= row["high"]
    assert covered / 150 >= 0.92
