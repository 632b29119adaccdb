"""Predict labels and probabilities of raw texts, and the contribution of each token to a decision."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import SPECIALS, UNK, TextConfig
from pipeline.runtime.errors import UserError
from pipeline.text.batch_encoder import BatchEncoder
from pipeline.text.presets import Preset, build_tokenizer
from pipeline.text.word_parts import WordParts

FloatArray = NDArray[np.float32]
Ids = Sequence[Sequence[int]]
FlatIds = NDArray[np.int32]
Offsets = NDArray[np.int64]

# Texts that are encoded and scored together. More need more memory, which a new process is slow to get.
CHUNK_TEXTS = 1 << 13
# Padded tokens of one forward pass: with 200 dimensions, word vectors of some 25 MB.
BATCH_TOKENS = 1 << 15
# Longer texts are split into so many spans, each left out as a whole: the cost stays linear in the number of tokens.
MAX_SPANS = 128
MAX_UNKNOWN_WORDS = 1 << 17  # whose parts are in memory
EXACT = "exact"


class Scorer(ABC):
    """A back end that computes logits from token ids."""

    @abstractmethod
    def logits(self, ids: Ids) -> FloatArray:
        """Logits (B, C) of texts given as token ids; a text may be empty."""

    def flat_logits(self, ids: FlatIds, offsets: Offsets) -> FloatArray:
        """`logits` of concatenated texts: text i is `ids[offsets[i]:offsets[i + 1]]`."""
        return self.logits([text.tolist() for text in np.split(ids, offsets[1:-1])])

    def token_scores(self, ids: Sequence[int]) -> tuple[FloatArray, FloatArray] | None:
        """Scores (T, C) of tokens and a bias (C,): the logits are the mean of the scores plus the bias.

        None if the encoder does not average its tokens.
        """
        return None

    def attention(self, ids: Sequence[int]) -> FloatArray | None:
        """Attention weights (T,) of the tokens of a text; None if the encoder has no attention."""
        return None


@dataclass(frozen=True)
class Explanation:
    """How much each token contributed to a decision.

    method : `exact` for the mean encoder, whose logits are a sum over tokens; otherwise leave-one-out.
    against : label with the second highest probability. margin : logit of the label minus logit of `against`.
    bias : part of the margin that needs no token (None unless exact).
    contributions : each token or span in order, with its part of the margin. Exact ones and the bias sum to the margin.
        Otherwise it is the loss of margin when the token is left out, and the sum is not the margin.
    unknown : distinct tokens outside the vocabulary, which share one word vector.
    attention : the attention weight of each token or span (None for an encoder without attention).
    """

    method: str
    against: str
    margin: float
    bias: float | None
    contributions: list[tuple[str, float]]
    unknown: list[str]
    attention: list[float] | None = None


@dataclass(frozen=True)
class Prediction:
    """Label of one text, `probabilities` (C,) in the order of the labels, and an explanation if it was requested."""

    label: str
    probabilities: NDArray[np.float64]
    explanation: Explanation | None


class Predictor:
    """Tokenizer (with settings `text`), vocabulary (words by id) and back end of a trained model with C labels."""

    def __init__(self, labels: Sequence[str], text: TextConfig, words: Sequence[str], scorer: Scorer) -> None:
        self.labels = list(labels)
        self.text = text
        self.scorer = scorer
        # Without the special ids: a token spelled like `<pad>` or `<unk>` is an unknown word.
        self._id_of = {word: id for id, word in enumerate(words[SPECIALS:], SPECIALS)}
        self._words = list(words)
        self._encoder_lock = Lock()

    @cached_property
    def tokenizer(self) -> Preset:
        """The tokenizer of the run."""
        return build_tokenizer(self.text)

    @cached_property
    def _parts(self) -> WordParts:
        return WordParts(self._words, self._id_of, self.text.unknown)

    @cached_property
    def _encoder(self) -> BatchEncoder:
        return BatchEncoder(self.tokenizer, self._parts.id_of)

    def tokens(self, text: str) -> list[str]:
        """The tokens of a text as the model reads them: unknown words as their parts, if it was trained so."""
        return [part for token in self.tokenizer(text) for part in self._parts(token)]

    def ids(self, texts: Sequence[str]) -> tuple[FlatIds, Offsets]:
        """Concatenated token ids of all texts, and the offset (N + 1) of each; ids of repeated pieces are cached.

        A text whose tokenization exceeds the time limit is a UserError.
        """
        with self._encoder_lock:  # a server calls from several threads
            if len(self._parts) > MAX_UNKNOWN_WORDS:
                del self._parts, self._encoder
            return self._parts.expand(*self._encoder.encode(texts))

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Class probabilities (N, C)."""
        chunks = [np.zeros((0, len(self.labels)))]
        for start in range(0, len(texts), CHUNK_TEXTS):
            chunks.append(softmax(self.scorer.flat_logits(*self.ids(texts[start : start + CHUNK_TEXTS]))))
        return np.concatenate(chunks)

    def predict(self, texts: Sequence[str], *, explain: bool = True) -> list[Prediction]:
        """Label and probabilities of each text and, with `explain`, the contribution of its tokens."""
        if not explain:
            probabilities_NC = self.probabilities(texts)
            return [Prediction(self.labels[row_C.argmax()], row_C, None) for row_C in probabilities_NC]
        tokens = [self.tokens(text) for text in texts]
        ids = [[self._id_of.get(token, UNK) for token in text] for text in tokens]
        logits_NC = self.scorer.logits(ids)
        explanations = map(self._explanation, tokens, ids, logits_NC)
        rows = zip(logits_NC.argmax(axis=1), softmax(logits_NC), explanations, strict=True)
        return [Prediction(self.labels[label], row_C, explanation) for label, row_C, explanation in rows]

    def unknown(self, tokens: Sequence[str]) -> list[str]:
        """The distinct tokens that are not in the vocabulary."""
        return list(dict.fromkeys(token for token in tokens if token not in self._id_of))

    def predict_each(self, texts: Sequence[str], *, explain: bool = True) -> list[Prediction | str]:
        """As `predict`, but a text that cannot be tokenized in time has the error's message for a prediction."""
        self.tokenizer  # noqa: B018  # its own error concerns all texts
        try:
            return list(self.predict(texts, explain=explain))
        except UserError as error:
            if len(texts) == 1:
                return [str(error)]
            return [prediction for text in texts for prediction in self.predict_each([text], explain=explain)]

    def _explanation(self, tokens: list[str], ids: list[int], logits_C: FloatArray) -> Explanation:
        order = np.argsort(-logits_C, kind="stable")
        label, against = int(order[0]), int(order[min(1, len(order) - 1)])
        margin = float(logits_C[label]) - float(logits_C[against])
        unknown = self.unknown(tokens)
        if (token_scores := self.scorer.token_scores(ids)) is not None:
            scores_TC, bias_C = token_scores
            bias = float(bias_C[label] - bias_C[against])
            contributions_T = (scores_TC[:, label] - scores_TC[:, against]) / max(len(ids), 1)
            contributions = list(zip(tokens, contributions_T.tolist(), strict=True))
            return Explanation(EXACT, self.labels[against], margin, bias, contributions, unknown)
        spans = left_out_spans(len(ids))
        without_BC = self.scorer.logits([ids[: span.start] + ids[span.stop :] for span in spans]).astype(np.float64)
        contributions = [
            (" ".join(tokens[span]), margin - float(logits[label] - logits[against]))
            for span, logits in zip(spans, without_BC, strict=True)
        ]
        weights_T = self.scorer.attention(ids)
        attention = None if weights_T is None else [float(weights_T[span].sum()) for span in spans]
        method = left_out_method("token", spans)
        return Explanation(method, self.labels[against], margin, None, contributions, unknown, attention)


def left_out_spans(pieces: int) -> list[slice]:
    """The spans of a text of so many pieces that are left out in turn: single pieces, or neighbours in a long text."""
    size = -(-pieces // MAX_SPANS) or 1
    return [slice(start, start + size) for start in range(0, pieces, size)]


def left_out_method(piece: str, spans: Sequence[slice]) -> str:
    """`Explanation.method` of spans of pieces that are left out."""
    size = spans[0].stop - spans[0].start if spans else 1
    return f"leave one {piece} out" if size == 1 else f"leave {size} neighbouring {piece}s out"


def softmax(logits_BC: FloatArray) -> NDArray[np.float64]:
    """Probabilities (B, C) of logits."""
    logits = logits_BC.astype(np.float64)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def length_batches(ids: Ids) -> Iterator[list[int]]:
    """Row numbers of texts grouped by length: a batch holds at most BATCH_TOKENS padded tokens, or one text."""
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    batch: list[int] = []
    for row in order:
        # Texts are sorted by length, so this one sets the padded length.
        if batch and (len(batch) + 1) * max(len(ids[row]), 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
