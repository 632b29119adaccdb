import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data import label_budget as budget
from pipeline.data.label_budget import budget_rows, stratified_order
from pipeline.runtime.errors import UserError

labels_of_rows = st.lists(st.integers(-3, 9), min_size=1, max_size=120).map(np.array)
skewed = st.lists(st.integers(1, 60), min_size=2, max_size=12).map(lambda n: np.repeat(np.arange(len(n)), n))
seeds = st.integers(0, 2**32)


def furthest_from_share(labels: np.ndarray, order: np.ndarray) -> float:
    classes, counts = np.unique(labels, return_counts=True)
    held = np.cumsum(labels[order][:, None] == classes, axis=0)
    expected = np.arange(1, len(labels) + 1)[:, None] * counts / len(labels)
    return float(np.abs(held - expected).max())


@given(labels_of_rows | skewed, seeds)
def test_every_prefix_holds_each_class_in_proportion(labels, seed):
    order = stratified_order(labels, seed)
    assert sorted(order.tolist()) == list(range(len(labels)))
    assert furthest_from_share(labels, order) < 1


def test_one_large_class_among_many_small_ones():
    labels = np.repeat(np.arange(101), [1000] + [10] * 100)
    assert furthest_from_share(labels, stratified_order(labels, 0)) < 1


def test_halves_of_two_equal_classes_are_exact():
    labels = np.repeat([0, 1], 4000)
    assert np.bincount(labels[stratified_order(labels, 3)[:800]]).tolist() == [400, 400]


def test_seeds_draw_different_rows_and_rows_of_all_places():
    labels = np.repeat([0, 1], 500)
    first, second = stratified_order(labels, 0)[:100], stratified_order(labels, 1)[:100]
    assert set(first) != set(second)
    assert (stratified_order(labels, 0)[:100] == first).all()
    assert first.min() < 100 < 400 < np.sort(first)[49]


def test_ties_between_classes_are_broken_by_the_seed():
    labels = np.arange(10)
    assert len({int(stratified_order(labels, seed)[0]) for seed in range(50)}) > 5


@given(labels_of_rows, seeds, st.data())
def test_budgets_are_nested(labels, seed, data):
    large = data.draw(st.integers(1, len(labels)))
    small = data.draw(st.integers(1, large))
    rows = budget_rows(labels, large, seed)
    assert len(rows) == large
    assert (np.diff(rows) > 0).all()
    assert set(budget_rows(labels, small, seed)) <= set(rows) <= set(budget_rows(labels, None, seed))


def test_no_budget_is_every_row():
    assert budget_rows(np.array([1, 0, 1]), None, 0).tolist() == [0, 1, 2]
    assert budget_rows(np.array([1, 0, 1]), 3, 0).tolist() == [0, 1, 2]


def test_a_budget_above_the_training_split_names_both_numbers():
    with pytest.raises(UserError, match=r"data\.label_budget=4 .* 3 rows"):
        budget_rows(np.array([1, 0, 1]), 4, 0)


def test_a_budget_without_a_class_is_logged(caplog):
    with caplog.at_level(logging.WARNING):
        budget_rows(np.array([0] * 99 + [1]), 2, 0)
    assert "data.label_budget=2 holds no training row of class 1" in caplog.text


@pytest.mark.parametrize("counts", [(50, 50), (3, 90, 7), (1,) * 40, (500, 1, 1)])
def test_the_order_does_not_depend_on_the_slices_it_is_made_in(counts, monkeypatch):
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
    whole = stratified_order(labels, 5)
    for size in (1, 7, 64):
        monkeypatch.setattr(budget, "SLICE", size)
        assert (stratified_order(labels.astype(np.int8), 5) == whole).all()


def test_the_order_of_published_results_stays():
    labels = np.array([0, 1, 1, 0, 2, 1, 0, 1, 1, 2, 0, 1])
    assert stratified_order(labels, 3).tolist() == [11, 10, 7, 4, 2, 0, 1, 6, 5, 9, 8, 3]
