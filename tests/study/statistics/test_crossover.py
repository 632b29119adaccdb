import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.study.statistics.crossover import Crossover, crossover
from pipeline.study.statistics.intervals import combined_interval

BUDGETS = [100, 1000, 10_000]


def of_lead(lead_SB, budgets=BUDGETS, **options):
    lead_SB = np.asarray(lead_SB, dtype=float)
    return crossover(budgets, np.full(lead_SB.shape, 0.5), 0.5 + lead_SB, **options)


def test_the_estimate_is_on_a_line_in_log_labels():
    result = of_lead([[0.10, 0.04, -0.04], [0.12, 0.06, -0.06]])
    assert result.kind == "reached"
    assert result.estimate == pytest.approx(1000 * 10**0.5)  # mean 0.05 to -0.05: half way from 10³ to 10⁴


def test_seeds_that_agree_give_the_point():
    result = of_lead([[0.02, 0.01, -0.03]] * 4)
    assert (result.low, result.estimate, result.high) == pytest.approx((1000 * 10**0.25,) * 3)
    assert result.certain


def test_the_ends_are_where_the_bounds_of_the_lead_are_zero():
    rng = np.random.default_rng(0)
    lead = np.array([0.10, 0.03, -0.05]) + rng.normal(0, 0.01, (5, 3))
    tweets = np.array([1e-5, 4e-5, 9e-5])
    result = of_lead(lead, tweet_variances_B=tweets)
    assert 100 < result.low < result.estimate < result.high < 10_000
    assert result.certain
    for labels, bound in ((result.low, "low"), (result.high, "high"), (result.estimate, "mean")):
        position = np.log10(labels) - 2
        left = int(position)
        share = position - left
        lead_S = (1 - share) * lead[:, left] + share * lead[:, left + 1]
        variance = ((1 - share) * tweets[left] ** 0.5 + share * tweets[left + 1] ** 0.5) ** 2
        assert getattr(combined_interval(lead_S, variance), bound) == pytest.approx(0, abs=1e-9)


def test_not_reached():
    certain = of_lead([[0.10, 0.08, 0.05], [0.11, 0.08, 0.06], [0.10, 0.09, 0.05]])
    assert certain == Crossover("not reached", None, None, None, True)
    perhaps = of_lead([[0.10, 0.08, 0.02], [0.11, 0.08, -0.01], [0.10, 0.09, 0.01]])
    assert (perhaps.kind, perhaps.estimate, perhaps.high, perhaps.certain) == ("not reached", None, None, False)
    assert 1000 < perhaps.low < 10_000


def test_a_lead_that_returns_at_the_end_is_not_reached_although_it_was_gone_between():
    result = of_lead([[0.05, -0.05, 0.05], [0.06, -0.05, 0.05], [0.05, -0.06, 0.05]])
    assert result == Crossover("not reached", None, None, None, True)
    back_and_gone = of_lead([[-0.05, 0.05, -0.05], [-0.06, 0.05, -0.05], [-0.05, 0.06, -0.05]])
    assert back_and_gone.kind == "reached"
    assert (back_and_gone.low, back_and_gone.certain) == (100.0, False)
    assert 1000 < back_and_gone.estimate < back_and_gone.high < 10_000


def test_ahead_from_the_start():
    certain = of_lead([[-0.05, -0.05, -0.06], [-0.06, -0.05, -0.05]] * 3)
    assert certain == Crossover("ahead from the start", None, 100.0, 100.0, True)
    perhaps = of_lead([[0.02, -0.05, -0.06], [-0.03, -0.05, -0.05]])
    assert (perhaps.kind, perhaps.low, perhaps.certain) == ("ahead from the start", 100.0, False)
    assert of_lead(np.zeros((3, 3))) == Crossover("ahead from the start", None, 100.0, None, False)


def test_the_upper_end_can_lie_beyond_the_budgets():
    result = of_lead([[0.10, 0.02, -0.03], [0.11, 0.03, 0.01], [0.10, 0.02, -0.02]])
    assert (result.kind, result.high, result.certain) == ("reached", None, False)
    assert result.low < result.estimate < 10_000


def test_a_single_seed_has_an_estimate_only_and_one_budget_no_curve():
    assert of_lead([[0.02, 0.01, -0.03]]) == Crossover("reached", pytest.approx(1000 * 10**0.25), None, None, False)
    assert of_lead([[0.02], [0.03], [0.02]], [500]) == Crossover("not reached", None, None, None, True)
    assert of_lead([[-0.2], [-0.3], [-0.2]], [500]) == Crossover("ahead from the start", None, 500.0, 500.0, True)


def test_tweets_widen_the_interval():
    lead = np.array([[0.10, 0.04, -0.05], [0.11, 0.04, -0.04], [0.10, 0.05, -0.05], [0.10, 0.04, -0.05]])
    narrow, wide = of_lead(lead), of_lead(lead, tweet_variances_B=[1e-4] * 3)
    assert narrow.estimate == wide.estimate
    assert wide.low < narrow.low < narrow.high < wide.high
    assert json.loads(json.dumps(asdict(wide), allow_nan=False))["kind"] == "reached"


CURVES = st.integers(2, 5).flatmap(
    lambda knots: st.lists(st.lists(st.integers(-30, 30), min_size=knots, max_size=knots), min_size=2, max_size=5)
)


@given(CURVES)
def test_the_interval_holds_the_estimate_and_lies_within_the_budgets(hits):
    lead = np.array(hits) / 500
    budgets = 100 * 3 ** np.arange(lead.shape[1])
    result = of_lead(lead, budgets)
    for end in (result.low, result.estimate, result.high):
        assert end is None or budgets[0] - 1e-6 <= end <= budgets[-1] + 1e-6
    if result.estimate is not None:
        assert result.low is not None
        assert result.low <= result.estimate + 1e-6
        assert result.high is None or result.estimate <= result.high + 1e-6
    mean = lead.mean(axis=0)
    assume(np.abs(mean).min() > 1e-9)
    kinds = {True: "not reached", False: "reached" if (mean > 0).any() else "ahead from the start"}
    assert result.kind == kinds[bool(mean[-1] > 0)]
    again = of_lead(lead[::-1] * 7, budgets * 10)
    assert (again.kind, again.certain) == (result.kind, result.certain)
    for end, scaled in zip(
        (result.low, result.estimate, result.high), (again.low, again.estimate, again.high), strict=True
    ):
        assert (end is None and scaled is None) or scaled == pytest.approx(10 * end, rel=1e-6)


@pytest.mark.parametrize(
    ("budgets", "shape", "message"),
    [
        ([100, 100], (3, 2), "increasing"),
        ([0, 100], (3, 2), "increasing"),
        ([], (3, 0), "increasing"),
        ([100, 200], (3, 3), r"expected scores \(S, 2\)"),
        ([100, 200], (2,), r"expected scores \(S, 2\)"),
        ([100, 200], (0, 2), "one finite number per seed"),
    ],
)
def test_what_does_not_fit_is_refused(budgets, shape, message):
    with pytest.raises(ValueError, match=message):
        crossover(budgets, np.zeros(shape), np.zeros(shape))


def test_missing_runs_are_refused():
    with pytest.raises(ValueError, match="finite"):
        of_lead([[0.1, float("nan"), 0.0], [0.1, 0.0, 0.0]])
