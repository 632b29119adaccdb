"""The expected best of k trials against every subset there is, and what must hold of it for any scores."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.study.statistics.expected_best import (
    bands,
    best_so_far,
    crossing,
    expected_best,
    expected_best_replaced,
    lead,
    subset_weights,
)

scores_of = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30)


class TestExpectedBest:
    @pytest.mark.parametrize("trials", [1, 2, 5, 8])
    def test_is_the_mean_over_all_subsets(self, trials: int):
        scores = np.round(np.random.default_rng(trials).normal(size=trials), 1)  # some are equal
        every = [np.mean([max(subset) for subset in combinations(scores, k)]) for k in range(1, trials + 1)]
        assert expected_best(scores) == pytest.approx(every, abs=1e-12)

    @pytest.mark.parametrize("trials", [1, 2, 4])
    def test_with_replacement_is_the_mean_over_all_sequences(self, trials: int):
        scores = np.random.default_rng(trials).normal(size=trials)
        every = [np.mean([max(drawn) for drawn in product(scores, repeat=k)]) for k in range(1, trials + 1)]
        assert expected_best_replaced(scores) == pytest.approx(every, abs=1e-12)

    @given(scores_of)
    def test_begins_at_the_mean_ends_at_the_best_and_never_falls(self, scores: list[float]):
        best = expected_best(scores)
        assert best[0] == pytest.approx(np.mean(scores), abs=1e-9)
        assert best[-1] == pytest.approx(max(scores), abs=1e-9)
        assert (np.diff(best) >= -1e-9).all()
        assert (expected_best_replaced(scores) <= best + 1e-9).all()

    @given(scores_of, st.randoms(use_true_random=False))
    def test_the_order_of_trials_plays_no_part(self, scores: list[float], random):
        shuffled = random.sample(scores, len(scores))
        assert expected_best(shuffled) == pytest.approx(expected_best(scores), abs=1e-9)
        assert best_so_far(scores)[-1] == max(scores)

    def test_many_trials_lose_no_digits(self):
        weights = subset_weights(2000)
        assert np.isfinite(weights).all()
        assert weights.sum(axis=1) == pytest.approx(1)
        # The largest of k uniform numbers is k / (k + 1) on average.
        assert expected_best(np.arange(1, 2001) / 2001)[[0, 9, 999]] == pytest.approx([1 / 2, 10 / 11, 1000 / 1001])

    def test_has_no_bias_where_draws_with_replacement_have_one(self):
        drawn = np.random.default_rng(0).uniform(size=(4000, 10))
        truth = np.arange(1, 11) / np.arange(2, 12)
        ours = np.mean([expected_best(scores) for scores in drawn], axis=0)
        theirs = np.mean([expected_best_replaced(scores) for scores in drawn], axis=0)
        assert ours == pytest.approx(truth, abs=0.005)
        assert theirs[4] < truth[4] - 0.02

    @pytest.mark.parametrize("scores", [[], [0.5, float("nan")], [[0.5]]])
    def test_refuses_what_are_no_scores(self, scores: list[float]):
        with pytest.raises(ValueError, match="one finite score per trial"):
            expected_best(scores)


class TestBands:
    def test_a_constant_lead_is_certain_though_each_score_is_not(self):
        first = np.random.default_rng(0).normal(size=12)
        scores = {"first": first, "second": first - 0.25}
        band = lead(scores, "first", "second", resamples=200)
        for values in (band.mean, band.low, band.high):
            assert values == pytest.approx(0.25)
        own = bands(scores, resamples=200)["first"]
        assert (own.high - own.low > 0.1).all()

    def test_of_one_trial_it_is_the_t_interval_of_the_mean(self):
        scores = np.random.default_rng(1).normal(size=30)
        band = bands({"a": scores}, resamples=4000)["a"]
        half = 2.045 * scores.std() / np.sqrt(30)
        assert (band.high - band.low)[0] / 2 == pytest.approx(half, rel=0.05)

    def test_is_the_same_every_time(self):
        scores = {"a": [0.1, 0.5, 0.3], "b": [0.2, 0.2, 0.9]}
        first, again = (lead(scores, "a", "b", resamples=100) for _ in range(2))
        assert (first.low == again.low).all()


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        ([0.1, 0.2, 0.3], None),
        ([-0.1, 0.0, 0.2], 2),
        ([-0.1, -0.1, 0.2], 3),
        ([0.1, -0.1, 0.1, -0.2], 4),
        ([0.3, -0.1, -0.1], 2),
        ([0.1, 0.0], None),
        ([-1e-15, 0.1], None),
    ],
)
def test_crossing(difference: list[float], expected: int | None):
    assert crossing(difference) == expected
