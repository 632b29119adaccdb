"""Trace one text through a classifier as plain data: tokens, vectors, shapes, encoder, decision, training step.

Shapes: T tokens, V words in the vocabulary, D dimensions of a word vector in the encoder, F features, C labels.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.classifier.batch import Bags, take
from pipeline.classifier.model import Classifier, CnnEncoder, GruEncoder, MeanEncoder, MeanMaxEncoder
from pipeline.config.schema import UNK, EmbeddingConfig
from pipeline.prediction.explain.attribution import Decision, Window, attribute_decision, window_contributions
from pipeline.prediction.explain.model import TrainedRun, single_tweet_trainer
from pipeline.prediction.explain.training_step import TrainingStep, training_step
from pipeline.prediction.torch_model import torch_threads
from pipeline.text.clean import clean
from pipeline.text.presets import build_tokenizer

FIRST = 32  # dimensions of a vector in the trace
CHUNK = 64  # tokens whose one-hot vectors (V numbers each) are in memory at once
POOLING = {
    "mean": "mean over the tokens",
    "meanmax": "mean and maximum over the tokens",
    "cnn": "maximum of each filter",
    "gru": "hidden state after the last token",
}


@dataclass(frozen=True)
class Token:
    """One token and its word vector.

    word : the vocabulary word of its id: the token itself or `<unk>`. count : occurrences of that word in the training
    text (of `<unk>`: of all words outside the vocabulary). norm : L2 norm of the word vector. relative_change : L2
    distance from the initial to the trained vector, divided by the norm of the initial one; None where that is zero.
    values : the first dimensions of the vector.
    """

    token: str
    id: int
    word: str
    known: bool
    count: int
    norm: float
    relative_change: float | None
    values: list[float]


@dataclass(frozen=True)
class TensorShape:
    """A tensor of the forward pass: its name, its shape in symbols and numbers, and how it is computed."""

    name: str
    symbols: str
    shape: list[int]
    computation: str


@dataclass(frozen=True)
class OneHotProduct:
    """The look-up as a matrix product: shapes, largest difference from the look-up, and the cost of both."""

    one_hot_TV: list[int]
    matrix_VD: list[int]
    product_TD: list[int]
    largest_difference: float
    multiplications: int
    numbers_copied: int


@dataclass(frozen=True)
class GruState:
    """Hidden state after one token: its norm, its first dimensions, and the probabilities if the text ended here."""

    token: str
    norm: float
    values: list[float]
    probabilities: list[float]


@dataclass(frozen=True)
class EncoderTrace:
    """The encoder's features, and intermediate results that depend on the encoder.

    name : `mean`, `meanmax`, `cnn` or `gru`. feature_norm, features : L2 norm and first dimensions of the features.
    fused_difference : of `mean`: largest difference between the mean of the looked-up vectors and the fused operation
    that the classifier uses. maxima : of `meanmax`: number of dimensions in which each token has the maximum.
    windows, inactive_filters : of `cnn`: windows with a filter's maximum, and number of filters without a positive one.
    states : of `gru`: one per token.
    """

    name: str
    feature_norm: float
    features: list[float]
    fused_difference: float | None = None
    maxima: list[int] | None = None
    windows: list[Window] | None = None
    inactive_filters: int | None = None
    states: list[GruState] | None = None


@dataclass(frozen=True)
class Trace:
    """One text's way through a trained classifier.

    cleaned : the text after cleaning. truncated : number of tokens beyond `text.max_tokens`. common_words : frequent
    words of the vocabulary. steps : a training step with the run's variant, then one with a contrasting variant.
    """

    run: str
    title: str
    variant: str
    generated: bool
    tokenizer: str
    vocabulary_size: int
    dim: int
    label_names: list[str]
    text: str
    cleaned: str
    tokens: list[Token]
    truncated: int
    common_words: list[str]
    shapes: list[TensorShape]
    one_hot: OneHotProduct
    encoder: EncoderTrace
    decision: Decision
    steps: list[TrainingStep]


def trace_text(trained: TrainedRun, text: str, label: int | None = None) -> Trace:
    """Trace `text` through the forward pass, then run one training step on it.

    label : index of the label to train on; None: the second most probable label, which the model gets wrong.
    """
    with torch_threads(trained.train.threads):
        return _trace(trained, text, label)


def _trace(trained: TrainedRun, text: str, label: int | None) -> Trace:
    tokens, truncated = _tokens(trained, text)
    ids = trained.vocabulary.encode(tokens)
    trainer = single_tweet_trainer(trained, ids, 0)
    model, bags = trainer.model, take(trainer.task.train, torch.tensor([0]))
    model.requires_grad_(False)
    decision = attribute_decision(model, ids)
    target = decision.runner_up if label is None else label
    contrast = EmbeddingConfig(
        init=trained.embedding.init,
        trainable=not trained.embedding.trainable,
        multichannel=False,
        projected=False,
        anchor=0.0,
        dim=trained.final_VE.shape[1],
    )
    return Trace(
        run=trained.name,
        title=trained.title,
        variant=trained.variant,
        generated=trained.generated,
        tokenizer=trained.text.tokenizer,
        vocabulary_size=len(trained.vocabulary),
        dim=trained.final_VE.shape[1],
        label_names=trained.label_names,
        text=text,
        cleaned=text if trained.text.tokenizer == "course" else clean(text),
        tokens=[_token(trained, token, id) for token, id in zip(tokens, ids, strict=True)],
        truncated=truncated,
        common_words=_common_words(trained),
        shapes=_shapes(model, bags, trained.model.encoder),
        one_hot=one_hot_product(model.embedding.matrix(), bags.ids.long()),
        encoder=_encoder(model, bags, trained.model.encoder, tokens, decision),
        decision=decision,
        steps=[training_step(trained, tokens, ids, target, embedding) for embedding in (None, contrast)],
    )


def one_hot_product(matrix_VD: Tensor, ids_T: Tensor) -> OneHotProduct:
    """Multiply the one-hot vectors of `ids_T` with the embedding matrix, in chunks, and compare with the look-up."""
    (words, dim), tokens = matrix_VD.shape, len(ids_T)
    largest, product = 0.0, torch.zeros(0, dim)
    for chunk in torch.split(ids_T, CHUNK) if tokens else ():
        product = F.one_hot(chunk, words).to(matrix_VD.dtype) @ matrix_VD
        largest = max(largest, float((product - F.embedding(chunk, matrix_VD)).abs().max()))
    shapes = [tokens, words], [words, dim], [tokens, product.shape[1]]
    return OneHotProduct(*shapes, largest, tokens * words * dim, tokens * dim)


def _tokens(trained: TrainedRun, text: str) -> tuple[list[str], int]:
    """The tokens that the run reads, and the number of tokens after them."""
    tokens = build_tokenizer(replace(trained.text, max_tokens=None))(text)
    first = tokens[: trained.text.max_tokens]
    return first, len(tokens) - len(first)


def _common_words(trained: TrainedRun, number: int = 8) -> list[str]:
    """The most frequent words of at least five letters in the training text."""
    words, counts = trained.vocabulary.words, trained.vocabulary.counts
    ranked = sorted(range(UNK + 1, len(words)), key=lambda id: -counts[id])
    return [words[id] for id in ranked if words[id].isalpha() and len(words[id]) > 4][:number]


def _token(trained: TrainedRun, token: str, id: int) -> Token:
    before, after = trained.initial_VE[id].astype(np.float64), trained.final_VE[id].astype(np.float64)
    initial_norm = float(np.linalg.norm(before))
    return Token(
        token=token,
        id=id,
        word=trained.vocabulary.words[id],
        known=id != UNK,
        count=int(trained.vocabulary.counts[id]),
        norm=float(np.linalg.norm(after)),
        relative_change=float(np.linalg.norm(after - before)) / initial_norm if initial_norm else None,
        values=[float(value) for value in after[:FIRST]],
    )


def _shapes(model: Classifier, bags: Bags, encoder_name: str) -> list[TensorShape]:
    """Shapes of the tensors of the forward pass, computed by the model's own layers; dropout is off."""
    ids_BT, _ = bags.padded()
    ids_BT = ids_BT[:, : int(bags.lengths_B[0])]
    shapes = [
        TensorShape("token ids", "(1, T)", list(ids_BT.shape), "position of each token in the vocabulary"),
        TensorShape("word vectors", "(1, T, D)", list(model.embedding.look_up(ids_BT).shape), "look-up of each id"),
    ]
    encoder = model.encoder
    if isinstance(encoder, CnnEncoder):
        for width, convolution in zip(encoder.widths, encoder.convolutions, strict=True):
            rows_BDT = model.embedding.look_up(bags.padded()[0]).transpose(1, 2)
            windows = convolution(F.pad(rows_BDT, (0, width - 1)))
            computation = f"{windows.shape[1]} filters over windows of {width} tokens"
            shapes.append(TensorShape("windows", f"(1, {windows.shape[1]}, T)", list(windows.shape), computation))
    if isinstance(encoder, GruEncoder):
        states = encoder.states(model.embedding, bags)
        shapes.append(TensorShape("states", "(1, T, F)", list(states.shape), "hidden state after each token"))
    features_BF = encoder(model.embedding, bags)
    logits_BC = model.head(features_BF)
    return [
        *shapes,
        TensorShape("features", "(1, F)", list(features_BF.shape), POOLING[encoder_name]),
        TensorShape("logits", "(1, C)", list(logits_BC.shape), "features × weights + bias"),
        TensorShape("probabilities", "(1, C)", list(logits_BC.softmax(1).shape), "softmax of the logits"),
    ]


def _encoder(model: Classifier, bags: Bags, name: str, tokens: list[str], decision: Decision) -> EncoderTrace:
    encoder = model.encoder
    features_F = encoder(model.embedding, bags)[0]
    trace = EncoderTrace(name, float(features_F.norm()), features_F[:FIRST].tolist())
    if not tokens:
        return trace
    rows_TD = model.embedding.look_up(bags.ids[None])[0]
    if isinstance(encoder, MeanEncoder):
        return replace(trace, fused_difference=float((rows_TD.mean(0) - features_F).abs().max()))
    if isinstance(encoder, MeanMaxEncoder):
        return replace(trace, maxima=torch.bincount(rows_TD.argmax(0), minlength=len(tokens)).tolist())
    if isinstance(encoder, CnnEncoder):
        windows, inactive = window_contributions(model, encoder, bags, decision)
        return replace(trace, windows=windows, inactive_filters=inactive)
    states_TF = encoder.states(model.embedding, bags)[0]
    probabilities_TC = model.head(states_TF).softmax(1)
    states = [
        GruState(token, float(state.norm()), state[:FIRST].tolist(), probabilities.tolist())
        for token, state, probabilities in zip(tokens, states_TF, probabilities_TC, strict=True)
    ]
    return replace(trace, states=states)
