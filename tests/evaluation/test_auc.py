import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from pipeline.evaluation.auc import area_under_curve, auc_interval


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2).filter(lambda x: len({p for _, p in x}) == 2))
def test_area_equals_scikit_learns_with_ties(scored):
    scores, positive = np.array([s for s, _ in scored], float), np.array([p for _, p in scored])
    assert area_under_curve(scores, positive) == pytest.approx(roc_auc_score(positive, scores))


@given(auc=st.floats(0, 1), m=st.integers(10, 2000), n=st.integers(10, 2000))
def test_interval_of_an_area_is_within_bounds_symmetric_and_open(auc, m, n):
    low, high = auc_interval(auc, m, n)
    assert 0 <= low <= auc <= high <= 1
    assert high - low > 1e-4
    assert auc_interval(1 - auc, m, n) == pytest.approx((1 - high, 1 - low), abs=1e-6)
    narrow = auc_interval(auc, 4 * m, 4 * n)
    assert narrow[1] - narrow[0] < high - low


@pytest.mark.parametrize(("shift", "m", "n"), [(0.0, 60, 90), (1.2, 60, 90), (2.5, 30, 40), (1.2, 15, 300)])
def test_interval_of_an_area_covers_the_truth(shift, m, n):
    truth = norm.cdf(shift / np.sqrt(2))
    rng = np.random.default_rng(0)
    positive = np.arange(m + n) < m
    covered = 0
    for _ in range(400):
        auc = area_under_curve(rng.standard_normal(m + n) + shift * positive, positive)
        low, high = auc_interval(auc, m, n)
        covered += low <= truth <= high
    assert covered / 400 >= 0.925
