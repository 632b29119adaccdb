import numpy as np
import pytest

from pipeline.evaluation.baselines.data import Split
from pipeline.evaluation.baselines.vader import polarity_classes, vader


def decide(names: list[str], texts: list[str]) -> list[str]:
    probabilities = vader(names).probabilities(Split(texts, ["not read"] * len(texts), np.zeros(len(texts), np.int64)))
    assert probabilities.dtype == np.float32
    assert set(probabilities.ravel().tolist()) == {0.0, 1.0}
    assert probabilities.sum(axis=1).tolist() == [1.0] * len(texts)
    return [names[id] for id in probabilities.argmax(axis=1)]


# Compound scores by the published rule: s / sqrt(s * s + 15) of the summed ratings, good 1.9, bad -2.5, pressure -1.2.
TEXTS = ["good", "not good", "bad", "a table", "", ":(", "GOOD but bad"]


def test_three_classes() -> None:
    expected = ["positive", "negative", "negative", "neutral", "neutral", "negative", "negative"]
    assert decide(["negative", "neutral", "positive"], TEXTS) == expected
    assert decide(["positive", "negative", "neutral"], TEXTS) == expected


def test_two_classes_take_the_sign_and_zero_is_positive() -> None:
    expected = ["pos", "neg", "neg", "pos", "pos", "neg", "neg"]
    assert decide(["neg", "pos"], TEXTS) == expected
    assert decide(["pos", "neg"], TEXTS) == expected


@pytest.mark.parametrize(("score", "three", "two"), [
    (0.05, "positive", "positive"), (0.0499, "neutral", "positive"), (-0.0499, "neutral", "negative"),
    (-0.05, "negative", "negative"), (0.0, "neutral", "positive"),
])  # fmt: skip
def test_thresholds(monkeypatch: pytest.MonkeyPatch, score: float, three: str, two: str) -> None:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    monkeypatch.setattr(SentimentIntensityAnalyzer, "polarity_scores", lambda self, text: {"compound": score})
    assert set(decide(["negative", "neutral", "positive"], ["any", "other"])) == {three}
    assert set(decide(["negative", "positive"], ["any", "other"])) == {two}


def test_capitals_of_the_plain_text_are_read() -> None:
    """A capital word among others adds 0.733 to its 1.9: enough to outweigh the -2.5 of `bad`."""
    assert decide(["negative", "positive"], ["good bad", "GOOD bad"]) == ["negative", "positive"]


def test_nothing_is_fitted_and_no_probability_claimed() -> None:
    model = vader(["negative", "positive"])
    assert (model.parameters, model.one_hot) == (0, True)


@pytest.mark.parametrize(("names", "classes"), [
    (["negative", "neutral", "positive"], {-1: 0, 0: 1, 1: 2}),
    (["Positive", " NEG "], {1: 0, -1: 1}),
    (["negative", "neutral"], None),
    (["pos", "positive"], None),
    (["neg", "pos", "positive"], None),
    (["negative", "positive", "mixed"], None),
    (["anger", "joy"], None),
])  # fmt: skip
def test_label_names_it_can_tell(names: list[str], classes: dict[int, int] | None) -> None:
    assert polarity_classes(names) == classes
    if classes is None:
        with pytest.raises(ValueError, match="not names of polarities"):
            vader(names)
