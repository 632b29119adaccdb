import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.study.statistics.intervals import combined_interval, superiority, t_interval

SCORES = st.lists(st.integers(0, 1000).map(lambda hits: hits / 1000), min_size=2, max_size=12)


@given(SCORES.filter(lambda values: len(set(values)) > 1), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_t_interval_equals_scipy(values, level):
    interval = t_interval(values, level)
    expected = stats.ttest_1samp(values, 0).confidence_interval(level)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert (interval.mean, interval.sd) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert interval.n == len(values)
    assert interval.df == pytest.approx(len(values) - 1)


def test_one_seed_has_a_mean_and_nothing_else():
    interval = combined_interval([0.7], 1e-4)
    assert asdict(interval) == {
        "mean": 0.7, "sd": None, "se": None, "df": None, "low": None, "high": None, "n": 1,
    }  # fmt: skip


def test_equal_values_have_no_width():
    interval = t_interval([0.5] * 4)
    assert (interval.low, interval.mean, interval.high, interval.sd) == (0.5, 0.5, 0.5, 0.0)


def test_combined_interval_by_hand():
    # Seeds 0.50, 0.52, 0.54: sd 0.02, variance of the mean 0.0004/3. Tweets twice as much: 0.0008/3.
    interval = combined_interval([0.50, 0.52, 0.54], 0.0008 / 3)
    assert interval.se == pytest.approx(0.02)
    assert interval.df == pytest.approx(2 * 3**2)  # (1 + 2)² / (1² / 2)
    assert interval.high - interval.mean == pytest.approx(2.10092 * 0.02, rel=1e-5)  # t table, 18 degrees of freedom


def test_welch_satterthwaite_is_the_two_sample_formula_with_one_sample_known():
    rng = np.random.default_rng(0)
    values, many = rng.normal(size=6), rng.normal(size=2_000_000)
    welch = stats.ttest_ind(values, many, equal_var=False)
    ours = combined_interval(values - many.mean(), many.var(ddof=1) / len(many))
    assert ours.df == pytest.approx(welch.df, rel=1e-5)
    assert ours.mean / ours.se == pytest.approx(welch.statistic, rel=1e-9)


def test_without_seed_variance_the_interval_is_normal_and_json_holds_it():
    interval = combined_interval([0.25, 0.25, 0.25], 0.01**2)
    assert interval.high == pytest.approx(0.25 + 1.959964 * 0.01)
    assert interval.df is None
    assert json.loads(json.dumps(asdict(interval), allow_nan=False))["n"] == 3


@given(SCORES, st.floats(0, 0.01), st.floats(0, 0.01))
def test_more_tweet_variance_never_narrows_the_standard_error_and_frees_degrees(values, one, other):
    less, more = (combined_interval(values, variance) for variance in sorted((one, other)))
    assert less.se <= more.se
    assert less.low <= less.mean <= less.high
    assert more.df is None or (less.df is not None and less.df <= more.df * (1 + 1e-9))


@pytest.mark.parametrize("values", [[], [[0.1, 0.2]], [0.1, float("nan")], [0.1, float("inf")]])
def test_what_are_no_seeds_is_refused(values):
    with pytest.raises(ValueError, match="one finite number per seed"):
        t_interval(values)


@pytest.mark.parametrize("variance", [-1e-9, float("nan"), float("inf")])
def test_what_is_no_variance_is_refused(variance):
    with pytest.raises(ValueError, match="a variance is"):
        combined_interval([0.1, 0.2], variance)


@given(st.lists(st.sampled_from([-0.1, 0.1]), min_size=1, max_size=20))
def test_superiority_without_ties_equals_scipys_exact_interval(differences):
    share = superiority(differences)
    wins = sum(difference > 0 for difference in differences)
    expected = stats.binomtest(wins, len(differences)).proportion_ci(0.95, method="exact")
    assert (share.share, share.n) == (wins / len(differences), len(differences))
    assert (share.low, share.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_superiority_counts_ties_half_and_is_open_at_the_boundary():
    assert superiority([0.1, 0.0, 0.0, -0.1]).share == 0.5
    assert superiority([0.2, 0.0]).share == 0.75
    always = superiority([0.1] * 5)
    assert (always.share, always.high) == (1.0, 1.0)
    assert always.low == pytest.approx(0.025 ** (1 / 5))
    never = superiority([-0.1] * 5)
    assert (never.low, never.high) == pytest.approx((0.0, 1 - always.low))
