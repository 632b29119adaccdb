"""Why the classifier decides as it does: the lead of the likeliest label over the next, and each word's part in it.

The lead is the difference of two logits, so a head that is linear in features splits it exactly wherever the encoder
says which word a feature came from.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.classifier.batch import Bags, Texts, take
from pipeline.classifier.model import Classifier, CnnEncoder, MeanEncoder, MeanMaxEncoder

LEFT_OUT = 256  # tokens that are left out one at a time: the work grows with their square
BATCH_TOKENS = 1 << 15


@dataclass(frozen=True)
class Decision:
    """Logits and probabilities by label, the two likeliest labels, and where the lead between their logits comes from.

    exact : whether the tokens' shares and the bias sum to the lead (`mean`, `meanmax`); otherwise (`cnn`, `gru`) a
    share is what the lead loses when the token is left out, and these need not sum to anything.
    shares : one per token, in units of a logit; None for tokens beyond the first 256 that were not tried.
    """

    logits: list[float]
    probabilities: list[float]
    predicted: int
    runner_up: int
    lead: float
    bias: float
    exact: bool
    shares: list[float | None]


@dataclass(frozen=True)
class Window:
    """A window of `width` tokens from token `start` on: the filters whose maximum it is, and their part of the lead."""

    width: int
    start: int
    maxima: int
    share: float


def decide(model: Classifier, ids: list[int]) -> Decision:
    """Classify one tweet, dropout off, and take the lead apart."""
    logits_C = model(_bags([ids]))[0]
    order = logits_C.argsort(descending=True, stable=True)
    first, second = int(order[0]), int(order[1])
    lead = float(logits_C[first] - logits_C[second])
    weights_F = model.head.weight[first] - model.head.weight[second]
    encoder = model.encoder
    exact = isinstance(encoder, MeanEncoder | MeanMaxEncoder)
    shares = _exact(model, ids, weights_F) if exact else _left_out(model, ids, first, second, lead)
    return Decision(
        logits=logits_C.tolist(),
        probabilities=logits_C.softmax(0).tolist(),
        predicted=first,
        runner_up=second,
        lead=lead,
        bias=float(model.head.bias[first] - model.head.bias[second]),
        exact=exact,
        shares=shares,
    )


def windows_of(model: Classifier, encoder: CnnEncoder, bags: Bags, decision: Decision) -> tuple[list[Window], int]:
    """The windows that hold a filter's maximum, in text order, and how many filters have none above zero.

    Their shares and the bias sum to the lead: a filter without a positive window gives the feature zero. Of several
    windows with the same value the first counts.
    """
    weights_F = model.head.weight[decision.predicted] - model.head.weight[decision.runner_up]
    rows_BDT = model.embedding.look_up(bags.ids[None]).transpose(1, 2)
    windows, silent, begin = [], 0, 0
    for width, convolution in zip(encoder.widths, encoder.convolutions, strict=True):
        largest_F, start_F = F.relu(convolution(F.pad(rows_BDT, (0, width - 1))))[0].max(1)
        parts_F = largest_F * weights_F[begin : begin + len(largest_F)]
        begin += len(largest_F)
        silent += int((largest_F == 0).sum())
        for start in sorted(set(start_F[largest_F > 0].tolist())):
            won_F = (start_F == start) & (largest_F > 0)
            windows.append(Window(width, start, int(won_F.sum()), float(parts_F[won_F].sum())))
    return windows, silent


def _exact(model: Classifier, ids: list[int], weights_F: Tensor) -> list[float | None]:
    """Each token's row times the head's weights over T, and times those of the maxima it gave."""
    if not ids:
        return []
    rows_TE = model.embedding.look_up(torch.tensor([ids], dtype=torch.int32))[0]
    dim = rows_TE.shape[1]
    shares_T = rows_TE @ weights_F[:dim] / len(ids)
    if isinstance(model.encoder, MeanMaxEncoder):
        largest_E, giver_E = rows_TE.max(0)
        shares_T = shares_T.index_add(0, giver_E, largest_E * weights_F[dim:])
    return list(shares_T.tolist())


def _left_out(model: Classifier, ids: list[int], first: int, second: int, lead: float) -> list[float | None]:
    """What the lead loses when one token is left out and the others close up."""
    tried = min(len(ids), LEFT_OUT)
    size = max(1, BATCH_TOKENS // max(1, len(ids)))
    shares: list[float | None] = []
    for begin in range(0, tried, size):
        places = range(begin, min(begin + size, tried))
        logits_BC = model(_bags([ids[:place] + ids[place + 1 :] for place in places]))
        shares += (lead - (logits_BC[:, first] - logits_BC[:, second])).tolist()
    return shares + [None] * (len(ids) - tried)


def _bags(tweets: list[list[int]]) -> Bags:
    offsets = np.cumsum([0, *map(len, tweets)])
    ids = np.array([id for tweet in tweets for id in tweet], np.int32)
    return take(Texts.from_arrays(ids, offsets, np.zeros(len(tweets), np.int64)), torch.arange(len(tweets)))
