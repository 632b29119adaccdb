"""Trace one text through a classifier as plain data: tokens, vectors, shapes, encoder, decision, training step.

Shapes: T tokens, V words in the vocabulary, D dimensions of a word vector in the encoder, F features, C labels.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.classifier.batch import Bags, take
from pipeline.classifier.device import torch_threads
from pipeline.classifier.model import BiGruEncoder, Classifier, CnnEncoder, GruEncoder, MeanEncoder, MeanMaxEncoder
from pipeline.config.schema import UNK
from pipeline.config.variants import variant_name
from pipeline.prediction.explain.attribution import Decision, attribute_decision, window_contributions
from pipeline.prediction.explain.model import TrainedRun, single_tweet_trainer
from pipeline.prediction.explain.training_step import training_step
from pipeline.text.clean import clean
from pipeline.text.presets import build_tokenizer
from pipeline.text.word_parts import WordParts

FIRST = 32  # dimensions of a vector in the trace
CHUNK = 64  # tokens whose one-hot vectors (V numbers each) are in memory at once
POOLING = {
    "mean": "mean over the tokens",
    "meanmax": "mean and maximum over the tokens",
    "cnn": "maximum of each filter",
    "gru": "hidden state after the last token",
    "bigru": "mean of the states, weighted by attention",
}


@dataclass(frozen=True)
class Trace:
    """One text's way through a trained classifier; the dictionaries are described with the functions that make them.

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
    tokens: list[dict[str, Any]]
    truncated: int
    common_words: list[str]
    shapes: list[dict[str, Any]]
    one_hot: dict[str, Any]
    encoder: dict[str, Any]
    decision: Decision
    steps: list[dict[str, Any]]


def trace_text(trained: TrainedRun, text: str, label: int | None = None) -> Trace:
    """Trace `text` through the forward pass, then run one training step on it.

    label : index of the label to train on; None: the second most probable label, which the model gets wrong.
    """
    with torch_threads(trained.train.threads):
        all_tokens = build_tokenizer(replace(trained.text, max_tokens=None))(text)
        parts = WordParts(trained.vocabulary.words, trained.vocabulary.id_of, trained.text.unknown)
        read = all_tokens[: trained.text.max_tokens]
        tokens = [part for token in read for part in parts(token)]
        ids = trained.vocabulary.encode(tokens)
        trainer = single_tweet_trainer(trained, ids, 0)
        model, bags = trainer.model, take(trainer.task.train, torch.tensor([0]))
        model.requires_grad_(False)
        decision = attribute_decision(model, ids)
        target, dim = decision.runner_up if label is None else label, trained.final_VE.shape[1]
        trains = any(trainable for _, trainable in trained.embedding.tables)
        contrast = replace(trained.embedding, trainable=not trains, projected=False, anchor=0.0)
        return Trace(
            run=trained.name,
            title=trained.title,
            variant=variant_name(trained.embedding),
            generated=trained.generated,
            tokenizer=trained.text.tokenizer,
            vocabulary_size=len(trained.vocabulary),
            dim=dim,
            label_names=trained.label_names,
            text=text,
            cleaned=text if trained.text.tokenizer == "course" else clean(text),
            tokens=[_token(trained, token, id) for token, id in zip(tokens, ids, strict=True)],
            truncated=len(all_tokens) - len(read),
            common_words=_common_words(trained),
            shapes=_shapes(model, bags, trained.model.encoder),
            one_hot=one_hot_product(model.embedding.matrix(), bags.ids.long()),
            encoder=_encoder(model, bags, trained.model.encoder, tokens, decision),
            decision=decision,
            steps=[training_step(trained, tokens, ids, target, embedding) for embedding in (None, contrast)],
        )


def one_hot_product(matrix_VD: Tensor, ids_T: Tensor) -> dict[str, Any]:
    """Multiply the one-hot vectors of `ids_T` with the embedding matrix, in chunks, and compare with the look-up.

    Returns shapes, the largest difference from the look-up, and the cost of both ways.
    """
    (words, dim), tokens = matrix_VD.shape, len(ids_T)
    largest, product = 0.0, torch.zeros(0, dim)
    for chunk in torch.split(ids_T, CHUNK) if tokens else ():
        product = F.one_hot(chunk, words).to(matrix_VD.dtype) @ matrix_VD
        largest = max(largest, float((product - F.embedding(chunk, matrix_VD)).abs().max()))
    return {
        "one_hot_TV": [tokens, words],
        "matrix_VD": [words, dim],
        "product_TD": [tokens, product.shape[1]],
        "largest_difference": largest,
        "multiplications": tokens * words * dim,
        "numbers_copied": tokens * dim,
    }


def _common_words(trained: TrainedRun) -> list[str]:
    words, counts = trained.vocabulary.words, trained.vocabulary.counts
    ranked = sorted(range(UNK + 1, len(words)), key=lambda id: -counts[id])
    return [words[id] for id in ranked if words[id].isalpha() and len(words[id]) > 4][:8]


def _token(trained: TrainedRun, token: str, id: int) -> dict[str, Any]:
    """One token and its word vector.

    word : the vocabulary word of its id: the token itself or `<unk>`. count : occurrences of that word in the training
    text (of `<unk>`: of all words outside the vocabulary). norm : L2 norm of the word vector. relative_change : L2
    distance from the initial to the trained vector, divided by the norm of the initial one; None where that is zero.
    values : the first dimensions of the vector.
    """
    before, after = trained.initial_VE[id].astype(np.float64), trained.final_VE[id].astype(np.float64)
    initial_norm = float(np.linalg.norm(before))
    return {
        "token": token,
        "id": id,
        "word": trained.vocabulary.words[id],
        "known": id != UNK,
        "count": int(trained.vocabulary.counts[id]),
        "norm": float(np.linalg.norm(after)),
        "relative_change": float(np.linalg.norm(after - before)) / initial_norm if initial_norm else None,
        "values": after[:FIRST].tolist(),
    }


def _shapes(model: Classifier, bags: Bags, encoder_name: str) -> list[dict[str, Any]]:
    """The tensors of the forward pass: name, shape in symbols and numbers, and how the model's own layers compute it.

    Dropout is off.
    """
    shapes: list[dict[str, Any]] = []

    def add(name: str, symbols: str, tensor: Tensor, computation: str) -> None:
        shapes.append({"name": name, "symbols": symbols, "shape": list(tensor.shape), "computation": computation})

    padded_BT, encoder = bags.padded()[0], model.encoder
    ids_BT = padded_BT[:, : int(bags.lengths_B[0])]
    add("token ids", "(1, T)", ids_BT, "position of each token in the vocabulary")
    add("word vectors", "(1, T, D)", model.embedding.look_up(ids_BT), "look-up of each id")
    if isinstance(encoder, CnnEncoder):
        rows_BDT = model.embedding.look_up(padded_BT).transpose(1, 2)
        for width, convolution in zip(encoder.widths, encoder.convolutions, strict=True):
            windows = convolution(F.pad(rows_BDT, (0, width - 1)))
            filters = windows.shape[1]
            add("windows", f"(1, {filters}, T)", windows, f"{filters} filters over windows of {width} tokens")
    if isinstance(encoder, GruEncoder):
        states_1TF = encoder.states(model.embedding, bags)[0][None]
        add("states", "(1, T, F)", states_1TF[:, : ids_BT.shape[1]], "hidden state after each token")
    features_BF = encoder(model.embedding, bags)
    logits_BC = model.head(features_BF)
    add("features", "(1, F)", features_BF, POOLING[encoder_name])
    add("logits", "(1, C)", logits_BC, "features × weights + bias")
    add("probabilities", "(1, C)", logits_BC.softmax(1), "softmax of the logits")
    return shapes


def _encoder(model: Classifier, bags: Bags, name: str, tokens: list[str], decision: Decision) -> dict[str, Any]:
    """The encoder's features, and intermediate results that depend on the encoder (None for the others).

    name : of the encoder. feature_norm, features : L2 norm and first dimensions of the features.
    fused_difference : of `mean`: largest difference between the mean of the looked-up vectors and the fused operation
    that the classifier uses. maxima : of `meanmax`: number of dimensions in which each token has the maximum.
    windows, inactive_filters : of `cnn`: windows with a filter's maximum, and number of filters without a positive one.
    states : of `gru`: after each token the hidden state's norm and first dimensions, and the probabilities if the text
    ended here. attention : of `bigru`: the weight of each token; their sum is 1.
    """
    encoder = model.encoder
    features_F = encoder(model.embedding, bags)[0]
    trace = {"name": name, "feature_norm": float(features_F.norm()), "features": features_F[:FIRST].tolist()}
    trace |= dict.fromkeys(("fused_difference", "maxima", "windows", "inactive_filters", "states", "attention"))
    if not tokens:
        return trace
    rows_TD = model.embedding.look_up(bags.ids[None])[0]
    if isinstance(encoder, MeanEncoder):
        trace["fused_difference"] = float((rows_TD.mean(0) - features_F).abs().max())
    elif isinstance(encoder, MeanMaxEncoder):
        trace["maxima"] = torch.bincount(rows_TD.argmax(0), minlength=len(tokens)).tolist()
    elif isinstance(encoder, CnnEncoder):
        trace["windows"], trace["inactive_filters"] = window_contributions(model, encoder, bags, decision)
    elif isinstance(encoder, BiGruEncoder):
        trace["attention"] = encoder.attend(model.embedding, bags)[1][0].tolist()
    else:
        states_TF = encoder.states(model.embedding, bags)[0]  # of one tweet, in the order of its tokens
        trace["states"] = [
            {"token": token, "norm": float(state_F.norm()), "values": state_F[:FIRST].tolist(), "probabilities": after}
            for token, state_F, after in zip(tokens, states_TF, model.head(states_TF).softmax(1).tolist(), strict=True)
        ]
    return trace
