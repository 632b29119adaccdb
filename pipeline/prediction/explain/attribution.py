"""Attribution: the margin of the predicted label over the runner-up, and the contribution of each token to it.

The margin is the difference of two logits. A head that is linear in the features splits it exactly wherever the
encoder tells which token a feature comes from.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.classifier.batch import Bags
from pipeline.classifier.model import Classifier, CnnEncoder, MeanEncoder, MeanMaxEncoder
from pipeline.prediction.torch_model import bags

MAX_LEFT_OUT = 256  # tokens that are left out one at a time: the work grows with the square of their number
BATCH_TOKENS = 1 << 15


@dataclass(frozen=True)
class Decision:
    """Logits and probabilities by label, the two most probable labels, and the parts of the margin between them.

    exact : whether the tokens' contributions and the bias sum to the margin (`mean`, `meanmax`). Otherwise (`cnn`,
    `gru`, `bigru`) a contribution is the loss of margin when the token is left out, and the sum is not the margin.
    contributions : one per token, in units of a logit; None for tokens after the first 256, which are not left out.
    """

    logits: list[float]
    probabilities: list[float]
    predicted: int
    runner_up: int
    margin: float
    bias: float
    exact: bool
    contributions: list[float | None]


def attribute_decision(model: Classifier, ids: list[int]) -> Decision:
    """Classify one tweet without dropout, and split the margin into contributions of its tokens."""
    logits_C = model(bags([ids]))[0]
    order = logits_C.argsort(descending=True, stable=True)
    first, second = int(order[0]), int(order[1])
    margin = float(logits_C[first] - logits_C[second])
    weights_F = model.head.weight[first] - model.head.weight[second]
    exact = isinstance(model.encoder, MeanEncoder | MeanMaxEncoder)
    if exact:
        contributions = _exact_contributions(model, ids, weights_F)
    else:
        contributions = _leave_one_out(model, ids, first, second, margin)
    logits, probabilities = logits_C.tolist(), logits_C.softmax(0).tolist()
    bias = float(model.head.bias[first] - model.head.bias[second])
    return Decision(logits, probabilities, first, second, margin, bias, exact, contributions)


def window_contributions(
    model: Classifier, encoder: CnnEncoder, text: Bags, decision: Decision
) -> tuple[list[dict[str, float]], int]:
    """The windows that hold a filter's maximum, in text order, and the number of filters without a positive maximum.

    A window is `width` tokens from token `start` on, with the number of maxima and their contribution to the margin.
    Their contributions and the bias sum to the margin: a filter without a positive window gives a feature of zero. Of
    several windows with the same value, the first counts.
    """
    weights_F = model.head.weight[decision.predicted] - model.head.weight[decision.runner_up]
    rows_BDT = model.embedding.look_up(text.ids[None]).transpose(1, 2)
    windows, inactive, offset = [], 0, 0
    for width, convolution in zip(encoder.widths, encoder.convolutions, strict=True):
        maximum_F, start_F = F.relu(convolution(F.pad(rows_BDT, (0, width - 1))))[0].max(1)
        contribution_F = maximum_F * weights_F[offset : offset + len(maximum_F)]
        offset += len(maximum_F)
        inactive += int((maximum_F == 0).sum())
        for start in sorted(set(start_F[maximum_F > 0].tolist())):
            here_F = (start_F == start) & (maximum_F > 0)
            maxima, contribution = int(here_F.sum()), float(contribution_F[here_F].sum())
            windows.append({"width": width, "start": start, "maxima": maxima, "contribution": contribution})
    return windows, inactive


def _exact_contributions(model: Classifier, ids: list[int], weights_F: Tensor) -> list[float | None]:
    """Each token's word vector times the head's weights, divided by T; plus the same for the maxima it supplies."""
    if not ids:
        return []
    rows_TE = model.embedding.look_up(torch.tensor([ids], dtype=torch.int32))[0]
    dim = rows_TE.shape[1]
    contributions_T = rows_TE @ weights_F[:dim] / len(ids)
    if isinstance(model.encoder, MeanMaxEncoder):
        maximum_E, token_E = rows_TE.max(0)
        contributions_T = contributions_T.index_add(0, token_E, maximum_E * weights_F[dim:])
    return list(contributions_T.tolist())


def _leave_one_out(model: Classifier, ids: list[int], first: int, second: int, margin: float) -> list[float | None]:
    """The loss of margin when one token is removed from the text."""
    number = min(len(ids), MAX_LEFT_OUT)
    size = max(1, BATCH_TOKENS // max(1, len(ids)))
    contributions: list[float | None] = []
    for begin in range(0, number, size):
        positions = range(begin, min(begin + size, number))
        logits_BC = model(bags([ids[:position] + ids[position + 1 :] for position in positions]))
        contributions += (margin - (logits_BC[:, first] - logits_BC[:, second])).tolist()
    return contributions + [None] * (len(ids) - number)
