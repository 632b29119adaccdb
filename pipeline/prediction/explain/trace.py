"""What happens to one text, as plain data: tokens, rows, shapes, the lookup as a product, encoder, decision, steps.

Shapes: T tokens, V rows of the vocabulary, D dimensions of a row as the encoder reads it, F features, C labels.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.classifier.batch import Bags, take
from pipeline.classifier.model import Classifier, CnnEncoder, GruEncoder, MeanEncoder, MeanMaxEncoder
from pipeline.config.schema import UNK, EmbeddingConfig
from pipeline.prediction.explain.attribution import Decision, Window, decide, windows_of
from pipeline.prediction.explain.model import Trained, trainer_of
from pipeline.prediction.explain.training_step import Step, one_step
from pipeline.text.clean import clean
from pipeline.text.presets import build_tokenizer

FIRST = 32  # dimensions told of a row
CHUNK = 64  # tokens whose one-hot rows (V numbers each) are held in memory at once


@dataclass(frozen=True)
class Token:
    """One token and the row it takes.

    row : the word whose row it is: the token itself or `<unk>`. count : how often the training text has that word
    (of `<unk>`: all words without a row). norm : L2 length of the row. moved : its L2 distance to where it started,
    relative to its length there; None where that was zero. values : its first dimensions.
    """

    token: str
    id: int
    row: str
    known: bool
    count: int
    norm: float
    moved: float | None
    values: list[float]


@dataclass(frozen=True)
class Shape:
    """A tensor on the way: what it is, its shape in symbols and in numbers, and how it came about."""

    name: str
    symbols: str
    shape: list[int]
    how: str


@dataclass(frozen=True)
class OneHot:
    """The lookup done as a matrix product: shapes, the largest difference to the lookup, and what each costs."""

    one_hot_TV: list[int]
    matrix_VD: list[int]
    product_TD: list[int]
    largest_difference: float
    multiplications: int
    numbers_copied: int


@dataclass(frozen=True)
class State:
    """The GRU after one token: length of its hidden state, first numbers of it, and what the head would say now."""

    token: str
    norm: float
    values: list[float]
    probabilities: list[float]


@dataclass(frozen=True)
class Inside:
    """What the encoder made: its features, and what can be seen of how.

    feature_norm, features : L2 length and first numbers. fused_difference : `mean` alone: the largest difference
    between the mean of looked-up rows and what the program does instead, which never makes them.
    maxima : `meanmax`: in how many dimensions each token has the maximum. windows, silent : `cnn`: the windows that
    won maxima, and the filters without a positive one. states : `gru`: one per token.
    """

    encoder: str
    feature_norm: float
    features: list[float]
    fused_difference: float | None = None
    maxima: list[int] | None = None
    windows: list[Window] | None = None
    silent: int | None = None
    states: list[State] | None = None


@dataclass(frozen=True)
class Walk:
    """One text on its way through a trained classifier. `steps`: the run's own variant, then one for contrast."""

    run: str
    title: str
    variant: str
    generated: bool
    tokenizer: str
    vocabulary: int
    dim: int
    label_names: list[str]
    text: str
    cleaned: str
    tokens: list[Token]
    cut: int
    common_words: list[str]
    shapes: list[Shape]
    one_hot: OneHot
    inside: Inside
    decision: Decision
    steps: list[Step]


@contextmanager
def as_many_threads(trained: Trained) -> Iterator[None]:
    """Compute with as many threads as the run; small tensors on many threads of a busy machine take minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(trained.train.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def walk(trained: Trained, text: str, label: int | None = None) -> Walk:
    """Follow `text` through the classifier, then train one step on it.

    label : index of the label to train on; None: the one the classifier finds second most likely, so that the step has
        something to change.
    """
    with as_many_threads(trained):
        return _walk(trained, text, label)


def _walk(trained: Trained, text: str, label: int | None) -> Walk:
    cleaned = text if trained.text.tokenizer == "course" else clean(text)
    words, cut = _tokens(trained, text)
    ids = trained.vocabulary.encode(words)
    trainer = trainer_of(trained, ids, 0)
    model, bags = trainer.model, take(trainer.task.train, torch.tensor([0]))
    model.requires_grad_(False)
    shapes = _shapes(model, bags)
    decision = decide(model, ids)
    learned = decision.runner_up if label is None else label
    other = EmbeddingConfig(
        init=trained.embedding.init,
        trainable=not trained.embedding.trainable,
        multichannel=False,
        projected=False,
        anchor=0.0,
        dim=trained.final_VE.shape[1],
    )
    return Walk(
        run=trained.name,
        title=trained.title,
        variant=trained.variant,
        generated=trained.generated,
        tokenizer=trained.text.tokenizer,
        vocabulary=len(trained.vocabulary),
        dim=trained.final_VE.shape[1],
        label_names=trained.label_names,
        text=text,
        cleaned=cleaned,
        tokens=[_token(trained, word, id) for word, id in zip(words, ids, strict=True)],
        cut=cut,
        common_words=_common_words(trained),
        shapes=shapes,
        one_hot=one_hot_product(model.embedding.matrix(), bags.ids.long()),
        inside=_inside(model, bags, words, decision),
        decision=decision,
        steps=[one_step(trained, words, ids, learned, variant) for variant in (None, other)],
    )


def one_hot_product(matrix_VD: Tensor, ids_T: Tensor) -> OneHot:
    """Take the rows of `ids_T` by multiplying with one-hot rows, some tokens at a time, and compare with the lookup."""
    (rows, dim), tokens = matrix_VD.shape, len(ids_T)
    largest, product = 0.0, torch.zeros(0, dim)
    for chunk in torch.split(ids_T, CHUNK) if tokens else ():
        product = F.one_hot(chunk, rows).to(matrix_VD.dtype) @ matrix_VD
        largest = max(largest, float((product - F.embedding(chunk, matrix_VD)).abs().max()))
    return OneHot([tokens, rows], [rows, dim], [tokens, product.shape[1]], largest, tokens * rows * dim, tokens * dim)


def _tokens(trained: Trained, text: str) -> tuple[list[str], int]:
    """The tokens that the run reads, and how many more the text has."""
    words = build_tokenizer(replace(trained.text, max_tokens=None))(text)
    read = words[: trained.text.max_tokens]
    return read, len(words) - len(read)


def _common_words(trained: Trained, number: int = 8) -> list[str]:
    """The most frequent longer words of the training text."""
    words, counts = trained.vocabulary.words, trained.vocabulary.counts
    ranked = sorted(range(UNK + 1, len(words)), key=lambda id: -counts[id])
    return [words[id] for id in ranked if words[id].isalpha() and len(words[id]) > 4][:number]


def _token(trained: Trained, word: str, id: int) -> Token:
    before, after = trained.initial_VE[id].astype(np.float64), trained.final_VE[id].astype(np.float64)
    length = float(np.linalg.norm(before))
    return Token(
        token=word,
        id=id,
        row=trained.vocabulary.words[id],
        known=id != UNK,
        count=int(trained.vocabulary.counts[id]),
        norm=float(np.linalg.norm(after)),
        moved=float(np.linalg.norm(after - before)) / length if length else None,
        values=[float(value) for value in after[:FIRST]],
    )


def _shapes(model: Classifier, bags: Bags) -> list[Shape]:
    """The tensors on the way, as they come out of the model's own parts; dropout is off outside training."""
    ids_BT, _ = bags.padded()
    ids_BT = ids_BT[:, : int(bags.lengths_B[0])]
    found = [
        Shape("ids", "(1, T)", list(ids_BT.shape), "an id for each token"),
        Shape("rows", "(1, T, D)", list(model.embedding.look_up(ids_BT).shape), "each id replaced by its row"),
    ]
    encoder = model.encoder
    if isinstance(encoder, CnnEncoder):
        for width, convolution in zip(encoder.widths, encoder.convolutions, strict=True):
            rows_BDT = model.embedding.look_up(bags.padded()[0]).transpose(1, 2)
            windows = convolution(F.pad(rows_BDT, (0, width - 1)))
            how = f"{windows.shape[1]} filters over {width} tokens at a time"
            found.append(Shape("windows", f"(1, {windows.shape[1]}, T)", list(windows.shape), how))
    if isinstance(encoder, GruEncoder):
        states = encoder.states(model.embedding, bags)
        found.append(Shape("states", "(1, T, F)", list(states.shape), "a hidden state after each token"))
    features_BF = encoder(model.embedding, bags)
    logits_BC = model.head(features_BF)
    how = {
        "MeanEncoder": "the mean over the tokens",
        "MeanMaxEncoder": "mean and maximum over the tokens",
        "CnnEncoder": "each filter's largest value",
        "GruEncoder": "the hidden state after the last token",
    }[type(encoder).__name__]
    return [
        *found,
        Shape("features", "(1, F)", list(features_BF.shape), how),
        Shape("logits", "(1, C)", list(logits_BC.shape), "features × weights + bias, per label"),
        Shape("probabilities", "(1, C)", list(logits_BC.softmax(1).shape), "softmax: positive, and together 1"),
    ]


def _inside(model: Classifier, bags: Bags, words: list[str], decision: Decision) -> Inside:
    encoder = model.encoder
    features_F = encoder(model.embedding, bags)[0]
    names = {MeanEncoder: "mean", MeanMaxEncoder: "meanmax", CnnEncoder: "cnn", GruEncoder: "gru"}
    made = Inside(names[type(encoder)], float(features_F.norm()), features_F[:FIRST].tolist())
    if not words:
        return made
    rows_TD = model.embedding.look_up(bags.ids[None])[0]
    if isinstance(encoder, MeanEncoder):
        difference = float((rows_TD.mean(0) - features_F).abs().max())
        return replace(made, fused_difference=difference)
    if isinstance(encoder, MeanMaxEncoder):
        return replace(made, maxima=torch.bincount(rows_TD.argmax(0), minlength=len(words)).tolist())
    if isinstance(encoder, CnnEncoder):
        windows, silent = windows_of(model, encoder, bags, decision)
        return replace(made, windows=windows, silent=silent)
    states_TF = encoder.states(model.embedding, bags)[0]
    said_TC = model.head(states_TF).softmax(1)
    states = [
        State(word, float(state.norm()), state[:FIRST].tolist(), said.tolist())
        for word, state, said in zip(words, states_TF, said_TC, strict=True)
    ]
    return replace(made, states=states)
