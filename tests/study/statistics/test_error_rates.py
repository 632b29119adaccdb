"""Coverage and error rates of the study's statistics, by simulation: the truth is known, the answers are counted.

A rate of 0.95 counted over 2,000 repetitions has a standard error of 0.005; bounds are three of them away.
"""

import numpy as np
import pytest
from scipy.stats import multinomial, norm

from pipeline.study.statistics.bootstrap import resample_tweets
from pipeline.study.statistics.comparisons import compare_family
from pipeline.study.statistics.crossover import crossover
from pipeline.study.statistics.intervals import combined_interval, superiority, t_interval
from pipeline.study.statistics.significance import equivalence_p, holm, sign_flip_p


def three_errors(rate, repetitions):
    return 3 * np.sqrt(rate * (1 - rate) / repetitions)


def test_five_seeds_need_a_t_interval_for_a_bootstrap_covers_too_little():
    rng = np.random.default_rng(0)
    seeds_RS = rng.normal(0.6, 0.02, (2000, 5))
    intervals = [t_interval(values) for values in seeds_RS]
    covered = np.mean([interval.low <= 0.6 <= interval.high for interval in intervals])
    assert covered == pytest.approx(0.95, abs=three_errors(0.95, 2000))
    means_RB = seeds_RS[:, rng.integers(5, size=(1000, 5))].mean(axis=2)
    low_R, high_R = np.quantile(means_RB, [0.025, 0.975], axis=1)
    assert 0.79 < np.mean((low_R <= 0.6) & (high_R >= 0.6)) < 0.88


@pytest.mark.parametrize("shape", ["normal", "heavy tails", "discrete with ties"])
def test_sign_flips_err_no_more_often_than_alpha(shape):
    rng = np.random.default_rng(1)
    draws = {
        "normal": rng.normal(size=(4000, 8)),
        "heavy tails": rng.standard_cauchy(size=(4000, 8)),
        "discrete with ties": rng.integers(-2, 3, size=(4000, 8)) / 1000,
    }[shape]
    p = np.array([sign_flip_p(differences) for differences in draws])
    for alpha in (0.01, 0.05, 0.2):
        assert np.mean(p <= alpha) <= alpha + three_errors(alpha, 4000)
    if shape != "discrete with ties":  # the test is exact: 12 of 256 outcomes have a p of at most 0.05
        assert np.mean(p <= 0.05) == pytest.approx(12 / 256, abs=three_errors(12 / 256, 4000))


def test_holm_keeps_false_claims_in_a_family_rare_where_single_tests_do_not():
    rng = np.random.default_rng(2)
    families = rng.normal(size=(1000, 6, 10)) + 0.7 * rng.normal(size=(1000, 1, 10))  # pairs share variants
    families[:, 0] += 5  # one difference is real; the other five are not
    p = np.array([[sign_flip_p(differences) for differences in family] for family in families])
    corrected = np.array([holm(row) for row in p])
    assert (corrected[:, 0] <= 0.05).mean() > 0.95
    assert (corrected[:, 1:] <= 0.05).any(axis=1).mean() <= 0.05 + three_errors(0.05, 1000)
    assert (p[:, 1:] <= 0.05).any(axis=1).mean() > 0.1


@pytest.mark.parametrize("seeds", [3, 5, 12])
def test_superiority_covers_at_least_what_it_says_with_and_without_ties(seeds):
    """Not simulated but summed over all outcomes (wins, ties, losses), for a grid of their probabilities."""
    outcomes = [(wins, ties, seeds - wins - ties) for wins in range(seeds + 1) for ties in range(seeds + 1 - wins)]
    shares = [superiority(np.repeat([1.0, 0.0, -1.0], outcome)) for outcome in outcomes]
    low, high = np.array([(share.low - 1e-12, share.high + 1e-12) for share in shares]).T
    for win in np.linspace(0, 1, 21):
        for tie in np.linspace(0, 1 - win, 21):
            truth = win + tie / 2
            probability = multinomial.pmf(outcomes, seeds, [win, tie, max(0.0, 1 - win - tie)])
            assert probability[(low <= truth) & (truth <= high)].sum() >= 0.95, (win, tie)


def simulated(rng, labels, ease, seed_effects, skill_C, own=1.5):
    """Predictions (S, N) of a variant whose chance to be right depends on the tweet, the class, the seed.

    `ease` (N,) is shared by all variants, `own` is the spread of what only this variant finds easy.
    """
    tweet_N = ease + own * rng.normal(size=len(labels)) + np.asarray(skill_C)[labels]
    right_SN = rng.random((len(seed_effects), len(labels))) < norm.cdf(tweet_N + seed_effects[:, None])
    return np.where(right_SN, labels, (labels + 1) % 3)


def true_recall(skill_C, seed_sd, own=1.5):
    """Mean over classes of the chance to be right, over all tweets and seeds."""
    return float(np.mean(norm.cdf(np.asarray(skill_C) / np.sqrt(1 + 1 + own**2 + seed_sd**2))))


def recalls(predicted_SN, labels):
    return np.mean([(predicted_SN == labels)[:, labels == c].mean(axis=1) for c in range(3)], axis=0)


@pytest.mark.parametrize("seed_sd", [0.02, 0.3])
def test_combined_interval_covers_other_seeds_and_other_tweets(seed_sd):
    repetitions, seeds, tweets = 700, 5, 400
    rng = np.random.default_rng(4)
    skills = {"a": (0.9, 0.3, 0.6), "b": (0.7, 0.2, 0.4)}
    truth = {name: true_recall(skill, seed_sd) for name, skill in skills.items()}
    hits = dict.fromkeys(("score", "difference", "score over seeds alone", "difference over seeds alone"), 0)
    for _ in range(repetitions):
        labels = rng.choice(3, size=tweets, p=[0.5, 0.3, 0.2])
        ease, common = rng.normal(size=tweets), rng.normal(size=seeds)
        predictions = {}
        for name, skill in skills.items():
            effects = seed_sd * (0.6 * common + 0.8 * rng.normal(size=seeds))
            predictions[name] = simulated(rng, labels, ease, effects, skill)
        resampled = resample_tweets(labels, predictions, "macro_recall", resamples=200)
        scores = {name: recalls(predicted, labels) for name, predicted in predictions.items()}
        for name, values, variance, true in (
            ("score", scores["a"], resampled.variance("a"), truth["a"]),
            (
                "difference",
                scores["a"] - scores["b"],
                resampled.difference_variance("a", "b"),
                truth["a"] - truth["b"],
            ),
        ):
            combined, over_seeds = combined_interval(values, variance), t_interval(values)
            hits[name] += combined.low <= true <= combined.high
            hits[f"{name} over seeds alone"] += over_seeds.low <= true <= over_seeds.high
    for name in ("score", "difference"):
        assert 0.95 - three_errors(0.95, repetitions) <= hits[name] / repetitions <= 0.99, hits
        if seed_sd < 0.1:  # where tweets matter most, seeds alone promise too much
            assert hits[f"{name} over seeds alone"] / repetitions < 0.88, hits


@pytest.mark.parametrize("tweet_sd", [0.0, 0.003])
def test_equivalence_is_claimed_wrongly_at_most_at_alpha_and_found_where_it_is(tweet_sd):
    rng = np.random.default_rng(5)
    claimed = {}
    for true in (0.01, -0.01, 0.0):
        differences = true + rng.normal(0, 0.006, (1500, 10)) + tweet_sd * rng.normal(size=(1500, 1))
        p = [equivalence_p(combined_interval(values, tweet_sd**2), 0.01) for values in differences]
        claimed[true] = np.mean(np.array(p) <= 0.05)
    assert claimed[0.01] <= 0.05 + three_errors(0.05, 1500)
    assert claimed[-0.01] <= 0.05 + three_errors(0.05, 1500)
    assert claimed[0.01] > 0.02
    assert claimed[0.0] > 0.7


def test_a_family_of_differences_of_the_smallest_effect_is_seldom_called_equivalent():
    """25 true differences of exactly 1 point: after Holm's correction a family rarely has any false equivalence."""
    generator, repetitions, pairs, seed_sd, tweet_sd = np.random.default_rng(9), 400, 25, 0.006, 0.0015
    any_corrected, any_single = 0, 0
    for _ in range(repetitions):
        luck = 0.01 * generator.choice([-1, 1], pairs) + generator.normal(0, tweet_sd, pairs)
        result = compare_family(
            {pair: luck[pair] + generator.normal(0, seed_sd, 12) for pair in range(pairs)},
            dict.fromkeys(range(pairs), tweet_sd**2),
        ).values()
        any_corrected += any(comparison.decision.equivalent for comparison in result)
        any_single += any(comparison.equivalence_p <= 0.05 for comparison in result)
    assert any_corrected / repetitions <= 0.06
    assert any_single / repetitions > 0.4


def test_verdicts_on_planted_truths():
    """One family of four: no difference twice (measured well, measured badly), one of 3 points, one of -3 points."""
    rng = np.random.default_rng(6)
    repetitions = 300
    planted = {"zero": 0.0, "zero, noisy": 0.0, "higher": 0.03, "lower": -0.03}
    seed_sd = {"zero": 0.004, "zero, noisy": 0.04, "higher": 0.01, "lower": 0.01}
    variances = dict.fromkeys(planted, 0.002**2)
    verdicts = {key: [] for key in planted}
    for _ in range(repetitions):
        differences = {key: planted[key] + 0.002 * rng.normal() + rng.normal(0, seed_sd[key], 10) for key in planted}
        for key, comparison in compare_family(differences, variances).items():
            verdicts[key].append(comparison.decision.verdict)
    share = {key: {name: told.count(name) / repetitions for name in set(told)} for key, told in verdicts.items()}
    for key in ("zero", "zero, noisy"):
        different = share[key].get("higher", 0) + share[key].get("lower", 0)
        assert different <= 0.05, share
    assert share["zero"]["equivalent"] >= 0.8
    assert share["zero, noisy"]["undecided"] >= 0.9
    assert share["zero, noisy"].get("equivalent", 0) <= 0.05
    assert share["higher"]["higher"] >= 0.95
    assert share["lower"]["lower"] >= 0.95


@pytest.mark.parametrize(("crossing", "tweet_sd"), [(2000, 0.0), (1000, 0.01), (500, 0.0)])
def test_the_crossover_interval_covers(crossing, tweet_sd):
    """Leads that fall by 4 points per factor of ten; seeds differ in height, slope, and from budget to budget."""
    rng = np.random.default_rng(7)
    budgets = np.array([100, 300, 1000, 3000, 10_000])
    repetitions, seeds = 500, 6
    covered, over_seeds_alone = 0, 0
    for _ in range(repetitions):
        slope_S = -0.04 + rng.normal(0, 0.008, seeds)
        lead = slope_S[:, None] * np.log10(budgets / crossing) + rng.normal(0, 0.01, (seeds, 1))
        lead += rng.normal(0, 0.01, lead.shape) + tweet_sd * rng.normal()
        wide = crossover(budgets, np.zeros_like(lead), lead, np.full(5, tweet_sd**2))
        narrow = crossover(budgets, np.zeros_like(lead), lead)
        for result in (wide, narrow):
            low = np.inf if result.low is None else 0 if result.low == 100 else result.low
            hit = low <= crossing <= (np.inf if result.high is None else result.high)
            covered += hit and result is wide
            over_seeds_alone += hit and result is narrow
    assert 0.95 - three_errors(0.95, repetitions) <= covered / repetitions < 1
    if tweet_sd:
        assert over_seeds_alone / repetitions < 0.85


def test_a_crossover_far_beyond_the_budgets_is_seldom_called_reached():
    rng = np.random.default_rng(8)
    budgets = np.array([100, 1000, 10_000])
    certain = 0
    for _ in range(300):
        lead = -0.04 * np.log10(budgets / 300_000) + rng.normal(0, 0.02, (6, 3))
        result = crossover(budgets, np.zeros_like(lead), lead)
        assert result.kind == "not reached"
        certain += result.certain
    assert certain / 300 > 0.9


def test_a_family_of_zeros_is_seldom_called_different_on_other_tweets():
    """Twenty true zeros, each moved by its seeds and, more, by the luck of the test tweets that all seeds share."""
    generator, repetitions, pairs, seed_sd, tweet_sd = np.random.default_rng(5), 200, 20, 0.002, 0.006
    false = 0
    for _ in range(repetitions):
        luck = generator.normal(0, tweet_sd, pairs)
        result = compare_family(
            {pair: luck[pair] + generator.normal(0, seed_sd, 10) for pair in range(pairs)},
            dict.fromkeys(range(pairs), tweet_sd**2),
        )
        false += any(comparison.decision.verdict in ("higher", "lower") for comparison in result.values())
    assert false / repetitions <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repetitions)
