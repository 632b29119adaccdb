import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from pipeline.study.statistics.intervals import combined_interval, t_interval
from pipeline.study.statistics.significance import (
    equivalence_p,
    holm,
    mcnemar,
    sign_flip_p,
    smallest_holm_p,
    smallest_p,
)


@pytest.fixture(autouse=True, scope="module")
def _no_collection():
    """Statsmodels collects garbage at every Holm correction, which takes all the time that it takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "collect", lambda *_: 0)
        yield


HITS = st.lists(st.integers(-40, 40), min_size=2, max_size=9)


@given(HITS)
def test_sign_flips_equal_scipys_exact_permutation_test(hits):
    differences = np.array(hits) / 7  # with ties between sums that floats break
    expected = stats.permutation_test(
        (np.array(hits, dtype=float),), np.sum, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_p(differences) == pytest.approx(expected.pvalue)


def test_sign_flips_by_hand():
    assert sign_flip_p([0.01] * 5) == 0.0625  # only all plus and all minus
    assert sign_flip_p([0.03, 0.02, -0.01]) == 0.5  # ±4 and ±6 of eight sums
    assert sign_flip_p([0.1, 0.2, -0.3]) == 1.0  # 0.1 + 0.2 - 0.3 is not 0 in floats
    assert sign_flip_p([0.3, 0.2, 0.1, 0.0]) == 0.25  # a zero leaves 2 of 2³
    assert sign_flip_p([0.0, 0.0]) == 1.0
    assert sign_flip_p([0.4]) == 1.0


@given(HITS, st.integers(1, 5))
def test_direction_order_and_scale_change_no_p(hits, scale):
    p = sign_flip_p(hits)
    assert p == sign_flip_p([-value for value in hits]) == sign_flip_p([value * scale for value in hits][::-1])
    assert smallest_p(len(hits)) <= p <= 1


def test_random_flips_take_over_above_twenty_seeds():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.3, 1, 21)
    # exact p of 21 values by the same sums, written out
    sums = np.array([0.0])
    for value in differences:
        sums = np.concatenate([sums + value, sums - value])
    exact = np.mean(np.abs(sums) >= abs(differences.sum()) - 1e-9)
    assert sign_flip_p(differences) == pytest.approx(exact, abs=5 * np.sqrt(exact * (1 - exact) / 99_999))
    assert sign_flip_p(differences) == sign_flip_p(differences)
    assert sign_flip_p(np.full(60, 0.1)) == smallest_p(60) == 1e-5
    assert sign_flip_p(np.zeros(25)) == 1.0
    assert sign_flip_p(np.full(20, 0.1)) == smallest_p(20) == 2**-19


def test_smallest_p_of_a_family():
    assert [smallest_p(seeds) for seeds in (1, 2, 5, 10)] == [1.0, 0.5, 0.0625, 2 / 1024]
    assert smallest_holm_p([5]) == [0.0625]
    assert smallest_holm_p([10] * 20) == pytest.approx([20 * 2 / 1024] * 20)
    assert smallest_holm_p([5] * 20) == [1.0] * 20
    # the pair with few seeds comes last in Holm's order and is not multiplied
    assert smallest_holm_p([10, 5, 10]) == pytest.approx([3 * 2 / 1024, 0.0625, 3 * 2 / 1024])
    with pytest.raises(ValueError, match="at least one seed"):
        smallest_p(0)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1) | st.sampled_from([0.01, 0.02]), min_size=1, max_size=12))
def test_holm_equals_statsmodels(p_values):
    assert holm(p_values) == multipletests(p_values, method="holm")[1].tolist()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_nor_passes_bonferroni(p_values):
    for p, corrected in zip(p_values, holm(p_values), strict=True):
        assert p - 1e-12 <= corrected <= min(1, p * len(p_values)) + 1e-12


@given(st.lists(st.integers(-50, 50), min_size=3, max_size=12).filter(lambda hits: len(set(hits)) > 1))
def test_equivalence_equals_statsmodels(hits):
    differences = np.array(hits) / 1000
    expected = DescrStatsW(differences).ttost_mean(-0.01, 0.01)[0]
    assert equivalence_p(t_interval(differences), 0.01) == pytest.approx(expected, abs=1e-12)


def test_equivalence_with_tweets_and_at_the_edges():
    flat = [0.004] * 4
    assert equivalence_p(combined_interval(flat, 0.003**2), 0.01) == pytest.approx(stats.norm.sf(2))
    assert equivalence_p(combined_interval(flat, 0.0), 0.01) == 0.0
    assert equivalence_p(combined_interval(flat, 0.0), 0.004) == 1.0
    assert equivalence_p(t_interval([0.004]), 0.01) is None
    with pytest.raises(ValueError, match="above 0"):
        equivalence_p(t_interval(flat), 0)


def test_mcnemar_counts_and_is_the_binomial_test():
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    first = np.array([0, 1, 2, 0, 1, 2, 0, 0, 0, 1])  # right on the first seven
    second = np.array([0, 2, 0, 1, 2, 0, 0, 1, 0, 2])  # right on tweets 0, 6 and 7
    result = mcnemar(labels, first, second)
    assert (result.only_first, result.only_second) == (5, 1)
    assert result.p == pytest.approx(stats.binomtest(1, 6).pvalue)
    assert mcnemar(labels, second, first) == type(result)(1, 5, result.p)
    assert mcnemar(labels, first, first).p == 1.0


def test_mcnemar_of_many_tweets_agrees_with_the_normal_approximation():
    labels = np.zeros(10_000, int)
    first, second = np.zeros(10_000, int), np.zeros(10_000, int)
    first[:500], second[500:1100] = 1, 1
    result = mcnemar(labels, first, second)
    assert (result.only_first, result.only_second) == (600, 500)
    assert result.p == pytest.approx(stats.chi2.sf(99**2 / 1100, 1), rel=0.02)
    with pytest.raises(ValueError, match="three arrays"):
        mcnemar(labels, first, second[:5])
