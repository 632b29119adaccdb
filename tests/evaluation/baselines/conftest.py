from collections.abc import Callable

import numpy as np
import pytest

from pipeline.evaluation.baselines.data import BaselineData, Split

WORDS = (("bad", "awful", "sad"), ("plain", "usual", "table"), ("good", "nice", "happy"))
FILLER = ("day", "the", "coffee", "bus", "and", "tweet", "monday")


def _split(rng: np.random.Generator, size: int, classes: tuple[int, ...]) -> Split:
    """Tweets of three filler words and one or two words of their class; in one tweet in ten, of another class."""
    labels = rng.integers(len(classes), size=size)
    tokens = []
    for label in labels:
        evidence = rng.integers(len(classes)) if rng.random() < 0.1 else label
        words = [*rng.choice(FILLER, 3), *rng.choice(WORDS[classes[evidence]], rng.integers(1, 3))]
        tokens.append(" ".join(rng.permutation(words)))
    return Split(tokens, tokens, labels.astype(np.int64))


@pytest.fixture(scope="session")
def generated() -> Callable[[int], BaselineData]:
    """Data of two or three classes with indicative words: 240 training, 90 validation, 120 test tweets."""

    def data(classes: int) -> BaselineData:
        rng = np.random.default_rng(7)
        kinds = (0, 2) if classes == 2 else (0, 1, 2)
        names = ["negative", "neutral", "positive"]
        train, validation, test = (_split(rng, size, kinds) for size in (240, 90, 120))
        return BaselineData(train, validation, test, [names[i] for i in kinds])

    return data
