import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from pipeline.tracking.score_intervals import macro_recall_interval, wilson


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_statsmodels(hits_n):
    hits, n = hits_n
    assert wilson(hits, n) == pytest.approx(proportion_confint(hits, n, method="wilson"), abs=1e-12)


def test_wilson_rejects_invalid_counts():
    for hits, n in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="must"):
            wilson(hits, n)


@given(st.lists(st.lists(st.integers(0, 50), min_size=3, max_size=3), min_size=3, max_size=3))
def test_macro_recall_lies_inside_and_one_class_gives_wilson(rows):
    confusion = np.array(rows)
    totals = confusion.sum(axis=1)
    occurring = totals > 0
    if not occurring.any():
        with pytest.raises(ValueError, match="empty"):
            macro_recall_interval(confusion)
        return
    recall = (np.diag(confusion)[occurring] / totals[occurring]).mean()
    low, high = macro_recall_interval(confusion)
    assert 0 <= low <= recall + 1e-12
    assert recall - 1e-12 <= high <= 1
    assert low < high
    if occurring.sum() == 1:
        label = int(occurring.argmax())
        assert (low, high) == pytest.approx(wilson(int(confusion[label, label]), int(totals[label])))


@pytest.mark.parametrize("recalls", [(0.7, 0.5, 0.9), (0.97, 0.99, 0.6)])
def test_the_interval_of_macro_recall_covers_the_truth_in_95_percent(recalls):
    rng = np.random.default_rng(0)
    sizes, repetitions = np.array([60, 200, 35]), 4000
    hits = rng.binomial(sizes, recalls, size=(repetitions, 3))
    covered = 0
    for row in hits:
        confusion = np.diag(row)
        confusion[:, 0] += sizes - row
        confusion[0] = [row[0], sizes[0] - row[0], 0]
        low, high = macro_recall_interval(confusion)
        covered += low <= np.mean(recalls) <= high
    assert 0.935 <= covered / repetitions <= 0.97
