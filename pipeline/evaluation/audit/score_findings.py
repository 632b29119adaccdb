"""Findings of a run's scores: test below the most frequent label or at chance, validation far above test."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pipeline.evaluation.audit.findings import Finding, make_finding

Counts = npt.NDArray[np.integer]  # (C, C), true labels as rows
Intervals = Mapping[str, tuple[float, float]]  # by score: `accuracy`, `macro_recall`
NOTABLE_DROP = 0.05  # of macro recall from validation to test
# A model learned class shares alone if it predicts the most frequent label for this share of test tweets, where that
# label is this many times as frequent as the average one.
MAJORITY_PREDICTED, NOTABLE_MAJORITY = 0.9, 1.2


def score_findings(
    confusions: Mapping[str, Counts],
    intervals: Mapping[str, Intervals],
    label_names: list[str],
    chosen_epoch: int | None = None,
) -> list[Finding]:
    """The warnings of the counts and 95 % intervals of `test` and, if there is one, `validation`."""
    test, of_test = confusions["test"], intervals["test"]
    tweets, predicted = test.sum(axis=1), test.sum(axis=0)
    if np.count_nonzero(tweets) < 2:
        return []
    label, total = int(tweets.argmax()), int(tweets.sum())
    accuracy, majority, recall = int(test.trace()) / total, int(tweets[label]) / total, macro_recall(test)
    listed = _drop(confusions, intervals)
    values = {"label": label_names[label], "chosen_epoch": chosen_epoch, "drops": bool(listed)}
    if accuracy < majority:
        low, high = of_test["accuracy"]
        scores = {"accuracy": accuracy, "majority": majority, "low": low, "high": high}
        listed.append(make_finding("below_majority", **values, **scores))
    (low, high), chance = of_test["macro_recall"], 1 / np.count_nonzero(tweets)
    if low <= chance:
        unequal = majority >= NOTABLE_MAJORITY * chance
        values["predicts_majority"] = bool(unequal and predicted[label] >= MAJORITY_PREDICTED * total)
        scores = {"recall": recall, "chance": chance, "low": low, "high": high}
        listed.append(make_finding("at_chance", **values, **scores))
    return listed


def macro_recall(counts: Counts) -> float:
    """Mean recall of the classes that occur."""
    tweets = counts.sum(axis=1)
    return float((counts.diagonal()[tweets > 0] / tweets[tweets > 0]).mean())


def _drop(confusions: Mapping[str, Counts], intervals: Mapping[str, Intervals]) -> list[Finding]:
    """Validation above test by a notable difference of macro recall, beyond the sampling error of both.

    The interval of the difference is Zou and Donner's (2008), from the intervals of the two scores.
    """
    test, validation = (confusions.get(split, np.zeros((0, 0), np.int64)) for split in ("test", "validation"))
    if not np.array_equal(test.any(axis=1), validation.any(axis=1)):  # recalls of other classes
        return []
    scores = {"validation": macro_recall(validation), "test": macro_recall(test)}
    (low, high), (test_low, test_high) = (intervals[split]["macro_recall"] for split in scores)
    drop = scores["validation"] - scores["test"]
    ends = {
        "low": drop - float(np.hypot(scores["validation"] - low, test_high - scores["test"])),
        "high": drop + float(np.hypot(high - scores["validation"], scores["test"] - test_low)),
    }
    if drop < NOTABLE_DROP or ends["low"] <= 0:
        return []
    points = {name: 100 * value for name, value in ends.items()}
    return [make_finding("validation_above_test", **scores, **points, drop=100 * drop, drops=True)]
