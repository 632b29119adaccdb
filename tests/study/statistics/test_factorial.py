import numpy as np
import pytest

from pipeline.study.statistics.bootstrap import resample_tweets
from pipeline.study.statistics.factorial import factorial_effects
from pipeline.study.statistics.intervals import combined_interval, t_interval
from pipeline.study.statistics.significance import sign_flip_p

CELLS = ("random_frozen", "random_trainable", "cbow_frozen", "cbow_finetuned")


def test_effects_by_hand():
    effects = factorial_effects([0.40, 0.42], [0.60, 0.60], [0.58, 0.60], [0.64, 0.66])
    assert effects["init"].over_seeds.mean == pytest.approx(((0.18 + 0.04) / 2 + (0.18 + 0.06) / 2) / 2)
    assert effects["training"].over_seeds.mean == pytest.approx(((0.20 + 0.06) / 2 + (0.18 + 0.06) / 2) / 2)
    assert effects["interaction"].over_seeds.mean == pytest.approx(((0.06 - 0.20) + (0.06 - 0.18)) / 2)
    assert effects["interaction"].over_seeds.sd == pytest.approx(0.02 / 2**0.5)
    assert effects["init"].p == 0.5


def test_effects_equal_the_coefficients_of_a_regression():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.4, 0.8, (4, 8))
    init, training = np.array([-0.5, -0.5, 0.5, 0.5]), np.array([-0.5, 0.5, -0.5, 0.5])
    design = np.stack([np.ones(4), init, training, init * training], axis=1).repeat(8, axis=0)
    coefficients = np.linalg.lstsq(design, scores.ravel(), rcond=None)[0]
    effects = factorial_effects(*scores)
    means = [effects[name].over_seeds.mean for name in ("init", "training", "interaction")]
    assert means == pytest.approx(coefficients[1:])
    per_seed = scores.T @ (2 * init * training * 2)
    assert effects["interaction"].over_seeds == t_interval(per_seed)
    assert effects["interaction"].p == sign_flip_p(per_seed)
    assert effects["interaction"].combined == effects["interaction"].over_seeds


def test_tweets_widen_by_the_variance_of_the_contrast():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 300)
    predictions = {
        (cell, 100): np.where(rng.random((3, 300)) < right, labels, 1 - labels)
        for cell, right in zip(CELLS, (0.5, 0.7, 0.8, 0.9), strict=True)
    }
    tweets = resample_tweets(labels, predictions, "accuracy", resamples=20_000)
    scores = [(predicted == labels).mean(axis=1) for predicted in predictions.values()]
    effects = factorial_effects(*scores, tweets=tweets, columns=[(cell, 100) for cell in CELLS])
    per_tweet = [(predicted == labels).mean(axis=0) for predicted in predictions.values()]
    contrast = per_tweet[0] - per_tweet[1] - per_tweet[2] + per_tweet[3]
    expected = combined_interval(scores[0] - scores[1] - scores[2] + scores[3], contrast.var() / 300)
    assert effects["interaction"].combined.se == pytest.approx(expected.se, rel=0.03)
    assert effects["interaction"].combined.se > effects["interaction"].over_seeds.se
    main = (per_tweet[1] - per_tweet[0] + per_tweet[3] - per_tweet[2]) / 2
    widened = effects["training"].combined.se ** 2 - effects["training"].over_seeds.se ** 2
    assert widened == pytest.approx(main.var() / 300, rel=0.05)


def test_four_variants_of_the_same_seeds_are_needed():
    with pytest.raises(ValueError, match=r"the same seeds in all four variants, got \[2, 2, 3, 2\]"):
        factorial_effects([0.1, 0.2], [0.1, 0.2], [0.1, 0.2, 0.3], [0.1, 0.2])
    tweets = resample_tweets(np.array([0, 1]), {cell: np.array([[0, 1]]) for cell in CELLS}, "accuracy")
    with pytest.raises(ValueError, match="zip"):
        factorial_effects([0.1], [0.1], [0.1], [0.1], tweets=tweets, columns=CELLS[:3])
