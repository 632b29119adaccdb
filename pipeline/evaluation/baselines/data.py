"""What a baseline is given, and what fitting one leaves.

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
    """The tweets of one split.

    Attributes
    ----------
    texts : what a method that reads plain text sees, N; never an emoticon that the tokens lack.
    tokens : the project's tokens of each tweet, one space between them, N; empty for a tweet without tokens.
    labels : true classes, (N,).
    """

    texts: Sequence[str]
    tokens: Sequence[str]
    labels: IntArray


@dataclass(frozen=True, eq=False)
class BaselineData:
    """The splits of a prepared data set and the names of its C classes; `validation` is None where there is none."""

    train: Split
    validation: Split | None
    test: Split
    label_names: Sequence[str]


@dataclass(frozen=True, eq=False)
class Training:
    """The labelled tweets of one budget and seed: tokens (N), labels (N,), the number of classes C, the seed."""

    tokens: list[str]
    labels: IntArray
    classes: int
    seed: int


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted baseline: probabilities of a split's tweets (N, C), and how many numbers were fitted for that.

    `decides_only` marks a method that names a class and gives no probability: its rows are one-hot.
    """

    probabilities: Callable[[Split], FloatArray]
    parameters: int
    notes: tuple[str, ...] = ()
    decides_only: bool = False


def read_data(folder: Path, label_names: Sequence[str], text: TextConfig) -> BaselineData:
    """Read the splits that the stage `prepare` left in `folder`, tokenized as `text` says.

    Plain texts are the cleaned tweets. Where `text.emoticons` is not `keep` they are the joined tokens instead (lower
    case, handles and links masked), so that no baseline sees an emoticon that the variants do not.
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
