"""Warnings of scores, on counts whose scores are known."""

import numpy as np
import pytest

from pipeline.evaluation.audit.score_findings import macro_recall, score_findings
from pipeline.tracking.score_intervals import score_intervals, wilson

NAMES = ["no", "yes"]


def codes(test, validation=None, names=NAMES):
    confusions = {"test": np.array(test)} | ({} if validation is None else {"validation": np.array(validation)})
    intervals = {split: score_intervals(counts) for split, counts in confusions.items()}
    return {finding.code: finding for finding in score_findings(confusions, intervals, names, 3)}


def test_a_good_model_has_no_warnings():
    assert codes([[90, 10], [10, 90]], [[95, 5], [5, 95]]) == {}
    assert codes([[90, 10], [10, 90]]) == {}


def test_macro_recall_is_over_the_classes_that_occur():
    assert macro_recall(np.array([[3, 1, 0], [0, 0, 0], [1, 1, 2]])) == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_accuracy_below_the_majority_though_recall_is_above_chance():
    """Hate speech on TweetEval: 1,718 of 2,970 are no hate speech, yet 0.4997 of the predictions are right."""
    found = codes([[380, 1338], [148, 1104]])
    assert list(found) == ["below_majority"]
    low, high = wilson(1484, 2970)
    assert found["below_majority"].text == (
        f"Accuracy on test is 0.500 (95 % interval {low:.3f} to {high:.3f}), below 0.578, which always predicting “no” "
        "gives."
    )


def test_the_share_itself_is_not_below():
    found = codes([[60, 0], [40, 0]])
    assert list(found) == ["at_chance"]
    assert found["at_chance"].values["predicts_majority"]
    assert "Macro recall on test is 0.500" in found["at_chance"].text
    assert "not above 0.500, which one label" in found["at_chance"].text
    assert not codes([[50, 0], [50, 0]])["at_chance"].values["predicts_majority"], "the classes are equally frequent"
    assert not codes([[30, 30], [20, 20]])["at_chance"].values["predicts_majority"], "both labels are predicted"


def test_at_chance_counts_the_classes_of_the_test_split():
    assert "at_chance" in codes([[20, 10, 0], [0, 0, 0], [15, 15, 0]], names=["a", "b", "c"])
    assert "not above 0.500" in codes([[8, 8, 0], [0, 0, 0], [8, 0, 8]], names=["a", "b", "c"])["at_chance"].text
    assert codes([[20, 10, 10], [10, 20, 10], [10, 10, 20]], names=["a", "b", "c"]) == {}


def test_validation_far_above_test():
    found = codes([[380, 1338], [148, 1104]], [[420, 153], [110, 317]])
    assert list(found) == ["validation_above_test", "below_majority"]
    values = found["validation_above_test"].values
    validation, test = (420 / 573 + 317 / 427) / 2, (380 / 1718 + 1104 / 1252) / 2
    assert (values["validation"], values["test"]) == (pytest.approx(validation), pytest.approx(test))
    assert values["drop"] == pytest.approx(100 * (validation - test))
    # The normal approximation of the interval of a difference, which Zou and Donner's is close to at these sizes.
    shares = [(420 / 573, 573), (317 / 427, 427), (380 / 1718, 1718), (1104 / 1252, 1252)]
    half = 100 * 1.96 * np.sqrt(sum(p * (1 - p) / n for p, n in shares)) / 2
    assert values["low"] == pytest.approx(values["drop"] - half, abs=0.2)
    assert values["high"] == pytest.approx(values["drop"] + half, abs=0.2)
    assert found["below_majority"].values["drops"]


@pytest.mark.parametrize(
    ("test", "validation"),
    [
        ([[860, 140], [140, 860]], [[900, 100], [100, 900]]),  # 4 points: beyond the sampling error, not notable
        ([[7, 3], [3, 7]], [[9, 1], [1, 9]]),  # 20 points of 20 tweets: within the sampling error
        ([[90, 10, 0], [30, 70, 0], [0, 0, 0]], [[95, 5, 0], [5, 95, 0], [0, 0, 90]]),  # other classes
    ],
)
def test_a_drop_that_is_small_or_may_be_chance(test, validation):
    assert "validation_above_test" not in codes(test, validation, ["a", "b", "c"])


@pytest.mark.parametrize("test", [[[0, 0], [0, 0]], [[5, 1], [0, 0]]])
def test_nothing_is_said_of_no_tweets_or_of_one_class(test):
    assert codes(test, [[5, 0], [0, 5]]) == {}
