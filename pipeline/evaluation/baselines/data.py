"""Input and output types of the baselines, and the reader of prepared splits as texts, tokens and labels.

Shapes: `N` tweets of a split, `C` classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import TextConfig
from pipeline.data.arrow import read_texts
from pipeline.text.clean import clean
from pipeline.text.encoded_split import EncodedSplit
from pipeline.text.presets import build_tokenizer

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Split:
    """The N tweets of one split."""

    texts: Sequence[str]  # plain texts, without emoticons that the tokens lack
    tokens: Sequence[str]  # of each tweet, joined by spaces; empty for a tweet without tokens
    labels: IntArray  # true classes, (N,)


@dataclass(frozen=True, eq=False)
class BaselineData:
    """The splits of a prepared data set and the names of its C classes; `validation` may be None."""

    train: Split
    validation: Split | None
    test: Split
    label_names: Sequence[str]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The labelled tweets of one budget and seed: tokens (N), labels (N,), number of classes C, seed."""

    tokens: list[str]
    labels: IntArray
    classes: int
    seed: int


@dataclass(frozen=True, eq=False)
class FittedBaseline:
    """A fitted baseline: a function from a split to probabilities (N, C), and its number of fitted parameters.

    `one_hot` marks a method that predicts a class without a probability.
    """

    probabilities: Callable[[Split], FloatArray]
    parameters: int
    notes: tuple[str, ...] = ()
    one_hot: bool = False


def read_data(folder: Path, label_names: Sequence[str], text: TextConfig) -> BaselineData:
    """Read the splits that the stage `prepare` wrote to `folder`, tokenized according to `text`.

    Plain texts are the cleaned tweets. If `text.emoticons` is not `keep`, they are the joined tokens instead (lower
    case, handles and links masked), so that no baseline reads an emoticon that the variants do not.
    """
    tokenizer = build_tokenizer(text)

    def split(name: str) -> Split:
        labels = np.asarray(EncodedSplit.open(folder, name).labels, dtype=np.int64)
        texts, tokens = [], []
        for tweet in read_texts(folder, name):
            tokens.append(" ".join(tokenizer(tweet)))
            texts.append(clean(tweet) if text.emoticons == "keep" else tokens[-1])
        return Split(texts, tokens, labels)

    validation = split("validation") if (folder / "validation.arrow").exists() else None
    return BaselineData(split("train"), validation, split("test"), label_names)
