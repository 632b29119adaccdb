import numpy as np
import pytest

from pipeline.study.statistics.factorial import CONTRASTS, factorial_effects


def test_effects_by_hand():
    effects = factorial_effects([[0.40, 0.42], [0.60, 0.60], [0.58, 0.60], [0.64, 0.66]])
    assert effects["init"] == pytest.approx([(0.18 + 0.04) / 2, (0.18 + 0.06) / 2])
    assert effects["training"] == pytest.approx([(0.20 + 0.06) / 2, (0.18 + 0.06) / 2])
    assert effects["interaction"] == pytest.approx([0.06 - 0.20, 0.06 - 0.18])


def test_effects_equal_the_coefficients_of_a_regression():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.4, 0.8, (4, 8))
    init, training = np.array([-0.5, -0.5, 0.5, 0.5]), np.array([-0.5, 0.5, -0.5, 0.5])
    design = np.stack([np.ones(4), init, training, init * training], axis=1).repeat(8, axis=0)
    coefficients = np.linalg.lstsq(design, scores.ravel(), rcond=None)[0]
    effects = factorial_effects(scores)
    assert [effects[name].mean() for name in CONTRASTS] == pytest.approx(coefficients[1:])
    assert effects["interaction"] == pytest.approx(scores.T @ (2 * init * training * 2))


def test_four_variants_of_the_same_seeds_are_needed():
    with pytest.raises(ValueError, match=r"the same seeds in all four variants, got \[2, 2, 3, 2\]"):
        factorial_effects([[0.1, 0.2], [0.1, 0.2], [0.1, 0.2, 0.3], [0.1, 0.2]])
