import json
from dataclasses import asdict

import numpy as np
import pytest

from pipeline.study.statistics.comparisons import Decision, compare_family, decide, paired_differences
from pipeline.study.statistics.intervals import combined_interval, superiority, t_interval
from pipeline.study.statistics.significance import equivalence_p

UP = np.array([0.031, 0.028, 0.035, 0.030, 0.026, 0.033, 0.029, 0.034, 0.027, 0.032])


def test_differences_are_first_minus_second_seed_by_seed():
    assert paired_differences([0.5, 0.7], [0.4, 0.8]) == pytest.approx([0.1, -0.1])
    with pytest.raises(ValueError, match="the same seeds, got 2 and 3"):
        paired_differences([0.5, 0.7], [0.4, 0.8, 0.9])


def test_a_family_by_hand():
    still = np.array([0.004, -0.003, 0.002, -0.004, 0.001, 0.000, -0.002, 0.003, -0.001, 0.001])
    result = compare_family({"up": UP, "down": -UP, "still": still}, {"up": 0.0, "down": 1e-6, "still": 0.002**2})
    assert [result[key].p for key in ("up", "down")] == [2 / 1024] * 2
    assert [result[key].holm_p for key in ("up", "down")] == [pytest.approx(6 / 1024)] * 2
    assert result["still"].holm_p == result["still"].p > 0.5
    assert [comparison.smallest_holm_p for comparison in result.values()] == pytest.approx([6 / 1024] * 3)
    assert [result[key].decision.verdict for key in ("up", "down", "still")] == ["higher", "lower", "equivalent"]
    assert result["up"].combined == result["up"].over_seeds == t_interval(UP)
    assert result["down"].combined == combined_interval(-UP, 1e-6)
    assert result["still"].superiority == superiority(still)
    single = equivalence_p(combined_interval(still, 0.002**2), 0.01)
    assert (result["still"].equivalence_p, result["still"].equivalence_holm_p) == (single, pytest.approx(3 * single))
    told = json.loads(json.dumps({key: asdict(comparison) for key, comparison in result.items()}, allow_nan=False))
    assert told["up"]["decision"] == {"verdict": "higher", "equivalent": False}


def test_five_seeds_are_too_few_for_any_claim_of_a_difference_but_not_of_equivalence():
    result = compare_family({"clear": UP[:5], "none": UP[:5] - UP[:5].mean()})
    assert result["clear"].p == result["clear"].smallest_p == 0.0625
    assert result["clear"].holm_p == 0.125
    assert result["clear"].decision == Decision("too few seeds", False)
    assert result["none"].decision == Decision("equivalent", True)


def test_seeds_and_tweets_must_both_support_a_difference():
    sure = compare_family({"pair": UP}, {"pair": 0.01**2})["pair"]
    assert sure.decision.verdict == "higher"
    few_tweets = compare_family({"pair": UP}, {"pair": 0.02**2})["pair"]
    assert few_tweets.p <= 0.05 < few_tweets.holm_p  # the seeds agree, the tweets may be luck
    assert few_tweets.combined.low < 0 < few_tweets.over_seeds.low
    assert few_tweets.decision == Decision("undecided", False)


def test_many_pairs_can_be_too_many_for_the_seeds():
    verdicts = {family: compare_family(dict.fromkeys(range(family), UP))[0].decision.verdict for family in (25, 26)}
    assert verdicts == {25: "higher", 26: "too few seeds"}  # 25 · 2/1024 < 0.05 < 26 · 2/1024


def test_a_difference_can_be_certain_and_below_the_smallest_effect():
    small = compare_family({"pair": UP / 10})["pair"]
    assert small.decision == Decision("higher", True)
    assert compare_family({"pair": UP / 10}, smallest_effect=0.003)["pair"].decision == Decision("higher", False)


def test_one_seed_decides_nothing():
    result = compare_family({"pair": [0.2]}, {"pair": 1e-6})["pair"]
    assert result.decision == Decision("too few seeds", False)
    assert (result.p, result.equivalence_p, result.equivalence_holm_p, result.combined.low) == (1.0, None, None, None)


def test_identical_variants_are_equivalent():
    assert compare_family({"pair": [0.0] * 6}, {"pair": 0.0})["pair"].decision == Decision("equivalent", True)
    assert compare_family({}) == {}


def test_the_verdict_follows_alpha():
    interval = combined_interval(UP, 0.0)
    assert decide(interval, 0.05, 0.002, None) == Decision("higher", False)
    assert decide(interval, 0.05, 0.002, 0.05) == Decision("higher", True)
    assert decide(interval, 0.051, 0.002, 0.051).verdict == "undecided"
    assert decide(interval, 0.051, 0.051, 0.051).verdict == "too few seeds"


def test_equivalence_is_claimed_after_correction_for_the_family():
    still = np.array([0.004, -0.003, 0.002, -0.004, 0.001, 0.000, -0.002, 0.003, -0.001, 0.001])
    variance = 0.0045**2  # a single equivalence p of 0.02
    alone = compare_family({"still": still}, {"still": variance})["still"]
    family = compare_family(dict.fromkeys(range(4), still), dict.fromkeys(range(4), variance))[0]
    assert 0.0125 < alone.equivalence_p == family.equivalence_p < 0.05
    assert alone.decision == Decision("equivalent", True)
    assert family.equivalence_holm_p == pytest.approx(4 * alone.equivalence_p)
    assert family.decision == Decision("undecided", False)
