"""How often the band of the expected best holds the truth: what its docstring and the report say of it."""

import numpy as np
import pytest

from pipeline.study.statistics.expected_best import bands, subset_weights

TRIALS, SEARCHES, RESAMPLES = 20, 300, 200


@pytest.fixture(scope="module")
def searches() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(SEARCHES, TRIALS))


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """The mean largest of k standard normal numbers."""
    drawn = np.random.default_rng(1).normal(size=(50_000, TRIALS))
    return np.maximum.accumulate(drawn, axis=1).mean(axis=0)


def test_the_band_covers_what_it_is_said_to(searches: np.ndarray, truth: np.ndarray):
    result = [bands({"a": scores}, RESAMPLES)["a"] for scores in searches]
    covered = np.mean([(band.low <= truth) & (truth <= band.high) for band in result], axis=0)
    assert covered[0] > 0.92
    assert (covered[: TRIALS // 2] > 0.76).all()  # 0.81 in the long run at half
    assert covered[-1] > 0.69  # 0.75


def test_a_percentile_interval_would_not(searches: np.ndarray, truth: np.ndarray):
    drawn = np.random.default_rng(2).integers(0, TRIALS, (RESAMPLES, TRIALS))
    weights = subset_weights(TRIALS).T
    covered = np.zeros(TRIALS)
    for scores in searches:
        low, high = np.quantile(np.sort(scores[drawn], axis=1) @ weights, [0.025, 0.975], axis=0)
        covered += (low <= truth) & (truth <= high)
    assert covered[TRIALS // 2 - 1] / SEARCHES < 0.8
    assert covered[-1] / SEARCHES < 0.6
