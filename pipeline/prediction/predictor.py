"""From raw texts to labels, probabilities, and the words that carried the decision."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import UNK, TextConfig
from pipeline.prediction.trained_model import encode, word_ids
from pipeline.text.batch_encoder import BatchEncoder
from pipeline.text.presets import Preset, build_tokenizer

FloatArray = NDArray[np.float32]
Ids = Sequence[Sequence[int]]
FlatIds = NDArray[np.int32]
Offsets = NDArray[np.int64]

# Texts that are encoded and scored together. More need more memory, which a new process is slow to get.
CALL_TEXTS = 1 << 13
# Padded tokens of one forward pass: with 200 dimensions, rows of some 25 MB.
PASS_TOKENS = 1 << 15
# A text of more tokens is left out piece by piece, so that the cost of explaining it grows in a straight line.
PIECES = 128
EXACT = "exact"


class Scorer(ABC):
    """What turns token ids into logits."""

    @abstractmethod
    def logits(self, ids: Ids) -> FloatArray:
        """Logits (B, C) of texts given as token ids; a text may be empty."""

    def flat_logits(self, ids: FlatIds, offsets: Offsets) -> FloatArray:
        """`logits` of texts end to end: text i is `ids[offsets[i]:offsets[i + 1]]`."""
        return self.logits([text.tolist() for text in np.split(ids, offsets[1:-1])])

    def token_scores(self, ids: Sequence[int]) -> tuple[FloatArray, FloatArray] | None:
        """Scores (T, C) of tokens and a bias (C,), where the mean of the scores plus the bias is the logits.

        None where the encoder is no mean of its tokens.
        """
        return None


@dataclass(frozen=True)
class Words:
    """Which tokens carried a decision.

    method : `exact` for the mean encoder, whose logits are a sum over tokens; otherwise what was left out at once.
    against : the label with the second highest probability. margin : logit of the label minus logit of that one.
    bias : the part of the margin that is there without any token (None unless exact).
    contributions : each token, or piece of the text, in order, and its part of the margin. Exact ones and the bias sum
        to the margin; the others are what the margin loses without the token, and need not.
    unknown : distinct tokens outside the vocabulary, which all share one row.
    """

    method: str
    against: str
    margin: float
    bias: float | None
    contributions: list[tuple[str, float]]
    unknown: list[str]


@dataclass(frozen=True)
class Prediction:
    """What the model says about one text; `probabilities` (C,) in the order of the labels."""

    label: str
    probabilities: NDArray[np.float64]
    words: Words | None


class Predictor:
    """A trained model at work.

    Parameters
    ----------
    labels : the C label names.
    text : how texts become tokens.
    words : the vocabulary, by id.
    scorer : how ids become logits.
    """

    def __init__(self, labels: Sequence[str], text: TextConfig, words: Sequence[str], scorer: Scorer) -> None:
        self.labels = list(labels)
        self.text = text
        self.scorer = scorer
        self._id_of = word_ids(words)
        self._encoding = Lock()

    @cached_property
    def tokenizer(self) -> Preset:
        """The run's own tokenizer."""
        return build_tokenizer(self.text)

    @cached_property
    def _encoder(self) -> BatchEncoder:
        known = self._id_of.get
        return BatchEncoder(self.tokenizer, lambda token: known(token, UNK))

    def ids(self, texts: Sequence[str]) -> tuple[FlatIds, Offsets]:
        """Token ids of all texts end to end, and where each begins (N + 1); pieces of text seen before are known.

        A text that cannot be tokenized in time is a UserError.
        """
        with self._encoding:  # a server asks from several threads
            return self._encoder.encode(texts)

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Class probabilities (N, C)."""
        found = [np.zeros((0, len(self.labels)))]
        for start in range(0, len(texts), CALL_TEXTS):
            found.append(softmax(self.scorer.flat_logits(*self.ids(texts[start : start + CALL_TEXTS]))))
        return np.concatenate(found)

    def predict(self, texts: Sequence[str], *, words: bool = True) -> list[Prediction]:
        """Label, probabilities and, with `words`, what carried the decision, of each text."""
        if not texts:
            return []
        if not words:
            found = self.probabilities(texts)
            return [
                Prediction(self.labels[label], row, None) for label, row in zip(found.argmax(1), found, strict=True)
            ]
        tokens = [self.tokenizer(text) for text in texts]
        ids = [encode(found, self._id_of) for found in tokens]
        logits_BC = self.scorer.logits(ids)
        return [
            Prediction(
                self.labels[int(logits_C.argmax())],
                probabilities_C,
                self._words(tokens[row], ids[row], logits_C),
            )
            for row, (logits_C, probabilities_C) in enumerate(zip(logits_BC, softmax(logits_BC), strict=True))
        ]

    def _words(self, tokens: list[str], ids: list[int], logits_C: FloatArray) -> Words:
        order = np.argsort(-logits_C, kind="stable")
        label, against = int(order[0]), int(order[min(1, len(order) - 1)])
        margin = float(logits_C[label]) - float(logits_C[against])
        unknown = list(dict.fromkeys(token for token in tokens if token not in self._id_of))
        method, bias = EXACT, None
        if (found := self.scorer.token_scores(ids)) is not None:
            scores_TC, bias_C = found
            bias = float(bias_C[label] - bias_C[against])
            shares_T = (scores_TC[:, label] - scores_TC[:, against]) / max(len(ids), 1)
            contributions = list(zip(tokens, shares_T.tolist(), strict=True))
        else:
            size = -(-len(ids) // PIECES) or 1
            method = "leave one token out" if size == 1 else f"leave {size} neighbouring tokens out"
            starts = range(0, len(ids), size)
            without_BC = self.scorer.logits([ids[:start] + ids[start + size :] for start in starts])
            lost_B = margin - (without_BC[:, label].astype(np.float64) - without_BC[:, against])
            pieces = (" ".join(tokens[start : start + size]) for start in starts)
            contributions = list(zip(pieces, lost_B.tolist(), strict=True))
        return Words(method, self.labels[against], margin, bias, contributions, unknown)


def softmax(logits_BC: FloatArray) -> NDArray[np.float64]:
    """Probabilities (B, C) of logits."""
    logits = logits_BC.astype(np.float64)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = odds / odds.sum(axis=1, keepdims=True)
    return probabilities


def passes(ids: Ids) -> Iterator[list[int]]:
    """Group texts (row numbers) by length, so that a pass holds at most PASS_TOKENS padded tokens, or one text."""
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    group: list[int] = []
    for row in order:
        # Lengths rise, so this text is as long as the padded pass would be.
        if group and (len(group) + 1) * max(len(ids[row]), 1) > PASS_TOKENS:
            yield group
            group = []
        group.append(row)
    if group:
        yield group
