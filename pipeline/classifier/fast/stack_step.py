"""Many `mean` classifiers as one: features, loss, gradients and Adam of all runs in one step of fixed shapes.

Shapes: `R` runs, `B` tweets, `D` dimensions, `C` classes, `W` words of the task's texts, `U` of the training ones,
which come first; `S` touched rows. Word 0 is a spare row of zeros. Matrix products stay in full float32 (torch's
default, no TF32): C columns are too few for them to matter.
"""

import copy
import functools
import importlib.util
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.classifier.batch import Texts
from pipeline.classifier.fast.stack_batches import Batch
from pipeline.runtime.errors import one_line

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def keep_runs(state: object, chosen: Tensor) -> None:
    """Leave only the chosen runs in every tensor whose suffix has an R, one tensor after another, to save memory."""
    for name, value in list(vars(state).items()):
        suffix = name.rpartition("_")[2]
        if isinstance(value, Tensor) and "R" in suffix:
            setattr(state, name, value.index_select(suffix.index("R"), chosen))


def update_rows(
    rows: Tensor,
    first: Tensor,
    second: Tensor,
    index_RS: Tensor,
    gradient_RSD: Tensor,
    clip_R: Tensor,
    size_R: Tensor,
) -> None:
    """`torch.optim.SparseAdam`'s step: rows and moments of the batch move, all others stay as they are."""
    gradient_RSD = gradient_RSD * clip_R[:, None, None]
    index, shape = index_RS.flatten(), gradient_RSD.shape
    first_RSD = first.index_select(0, index).view(shape).lerp_(gradient_RSD, 1 - BETA1)
    second_RSD = second.index_select(0, index).view(shape).lerp_(gradient_RSD.square(), 1 - BETA2)
    first.index_copy_(0, index, first_RSD.flatten(0, 1))
    second.index_copy_(0, index, second_RSD.flatten(0, 1))
    step_RSD = first_RSD.mul_(size_R[:, None, None]).div_(second_RSD.sqrt_().add_(EPSILON))
    rows.index_copy_(0, index, (rows.index_select(0, index).view(shape) - step_RSD).flatten(0, 1))


@functools.cache
def row_update(device_type: str) -> Callable[..., None]:
    """`update_rows`; on a GPU that it can be compiled for, two kernels instead of a dozen passes over memory."""
    if device_type != "cuda" or not importlib.util.find_spec("triton"):
        return update_rows
    # One way to run a kernel, not the faster of two: to compare them, whole tables would be copied back and forth.
    options: dict[str, str | int | bool | Callable[..., Any]] = {"triton.autotune_pointwise": False}
    compiled: Callable[..., None] = torch.compile(update_rows, dynamic=True, options=options)
    numbers = [torch.zeros(shape, device="cuda") for shape in ((6, 4), (6, 4), (6, 4), (2, 3, 4), (2,), (2,))]
    index_RS = torch.arange(6, device="cuda").view(2, 3)
    try:
        compiled(*numbers[:3], index_RS, *numbers[3:])
    except Exception as error:  # no C compiler, no headers of Python, too old a GPU: triton says it in many ways
        warnings.warn(f"rows are updated step by step, as torch.compile fails: {one_line(error)}", stacklevel=2)
        return update_rows
    return compiled


@dataclass
class Moving:
    """Embedding rows (W, R, D) that learn, with Adam's moments (U, R, D): a word's rows side by side."""

    rows_WRD: Tensor
    train_words: int

    def __post_init__(self) -> None:
        self.first_URD = torch.zeros_like(self.rows_WRD[: self.train_words])
        self.second_URD = torch.zeros_like(self.first_URD)
        self.kept_URD = torch.zeros_like(self.first_URD)

    @property
    def dim(self) -> int:
        """D."""
        return self.rows_WRD.shape[2]

    def read(self, batch: Batch) -> Tensor:
        """Mean rows (R, B, D) of the batch's tweets; zeros for one without tokens."""
        flat = self.rows_WRD.view(-1, self.dim)
        means = F.embedding_bag(batch.ids_RT.view(-1), flat, batch.starts_RG.view(-1), mode="mean")
        return means.view(*batch.starts_RG.shape, self.dim)[:, : batch.tweets_RB.shape[1]]

    def gradient(self, batch: Batch, slope_RBD: Tensor) -> Tensor:
        """Gradient (R, S, D) of the touched rows, from that of the means: the same sum, with words as bags."""
        tweets = slope_RBD.shape[1]
        lengths_RB = batch.starts_RG[:, 1 : tweets + 1] - batch.starts_RG[:, :tweets]
        share_RBD = slope_RBD / lengths_RB.clamp(min=1)[:, :, None]
        none_last = F.pad(share_RBD.view(-1, self.dim), (0, 0, 0, 1))
        sums = F.embedding_bag(batch.members_RT.view(-1), none_last, batch.begins_RS.view(-1), mode="sum")
        return sums.view(*batch.rows_RS.shape, self.dim)

    def update(self, batch: Batch, gradient_RSD: Tensor, clip_R: Tensor, size_R: Tensor) -> None:
        """One step of Adam over the touched rows."""
        state = (tensor.view(-1, self.dim) for tensor in (self.rows_WRD, self.first_URD, self.second_URD))
        # What is compiled for several runs would be compiled anew for one.
        update: Callable[..., None] = row_update(self.rows_WRD.device.type) if len(size_R) > 1 else update_rows
        update(*state, batch.rows_RS.long(), gradient_RSD, clip_R, size_R)

    def features(self, name: str, texts: Texts, tweets: range) -> Tensor:
        """Mean rows (R, N, D) of some tweets of a split, once for all runs: a word's rows stand side by side."""
        bounds = texts.offsets[tweets.start : tweets.stop + 1]
        begin, end = int(bounds[0]), int(bounds[-1])
        wide = self.rows_WRD.view(len(self.rows_WRD), -1)
        means = F.embedding_bag(texts.ids[begin:end], wide, (bounds[:-1] - begin).int(), mode="mean")
        return means.view(len(tweets), -1, self.dim).transpose(0, 1)

    def keep(self, better: Tensor) -> None:
        """Note the rows of runs that got better."""
        self.kept_URD[:, better] = self.rows_WRD[: self.train_words, better]

    def restore(self) -> None:
        """Go back to the rows that were noted."""
        self.rows_WRD[: self.train_words] = self.kept_URD


@dataclass
class Pooled:
    """Features of runs whose rows stay: pooled once per distinct matrix and split, (matrices, N, D)."""

    matrix_R: Tensor
    splits_MND: dict[str, Tensor]

    @property
    def dim(self) -> int:
        """D."""
        return self.splits_MND["train"].shape[2]

    def read(self, batch: Batch) -> Tensor:
        """Features (R, B, D) of the batch's tweets."""
        return self.splits_MND["train"][self.matrix_R[:, None], batch.tweets_RB.clamp(min=0).long()]

    def features(self, name: str, texts: Texts, tweets: range) -> Tensor:
        """Features (R, N, D) of some tweets of a split."""
        return self.splits_MND[name][self.matrix_R, tweets.start : tweets.stop]

    def keep(self, better: Tensor) -> None:
        """Nothing moves."""

    def restore(self) -> None:
        """Nothing moved."""


@dataclass
class Rates:
    """What runs may differ in, one number each, in float64 until it is used.

    total_R : steps at which a linear schedule reaches zero, infinite for a constant one; clip_R : infinite for none;
    weights_RC : of the classes in the loss, float32.
    """

    lr_embedding_R: Tensor
    lr_head_R: Tensor
    decay_R: Tensor
    clip_R: Tensor
    total_R: Tensor
    dropout_R: Tensor
    weights_RC: Tensor


class Stack:
    """R classifiers of one shape: where their features come from, and their heads (R, D + 1, C), bias last."""

    def __init__(self, source: Moving | Pooled, head_RFC: Tensor, rates: Rates, labels_N: Tensor) -> None:
        self.source, self.rates, self.labels_N = source, rates, labels_N
        self.head_RFC = head_RFC
        self.first_RFC, self.second_RFC, self.kept_RFC = (torch.zeros_like(head_RFC) for _ in range(3))
        self.steps_R = torch.zeros(len(head_RFC), dtype=torch.float64, device=head_RFC.device)
        self.loss_R = torch.zeros(len(head_RFC), device=head_RFC.device)

    def logits(self, features_RND: Tensor) -> Tensor:
        """Logits (R, N, C)."""
        dim = features_RND.shape[2]
        return torch.baddbmm(self.head_RFC[:, dim:], features_RND, self.head_RFC[:, :dim])

    def step(self, batch: Batch, kept_RBD: Tensor) -> None:
        """One step of every run that has tweets in this batch; adds each run's loss per tweet times its tweets."""
        rates = self.rates
        here_RB = batch.tweets_RB >= 0
        active_R = here_RB.any(1)
        self.steps_R += active_R
        step_R = self.steps_R.clamp(min=1)
        left_R = active_R * (1 - (step_R - 1) / rates.total_R)

        labels_RB = self.labels_N[batch.tweets_RB.clamp(min=0).long()]
        weight_RB = rates.weights_RC.gather(1, labels_RB) * here_RB
        weight_RB = weight_RB / weight_RB.sum(1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
        scale_RBD = kept_RBD / (1 - rates.dropout_R.float())[:, None, None]
        features_RBD = self.source.read(batch) * scale_RBD
        log_RBC = self.logits(features_RBD).log_softmax(2)
        true_RBC = labels_RB[:, :, None] == torch.arange(log_RBC.shape[2], device=log_RBC.device)
        loss_R = -(weight_RB[:, :, None] * true_RBC * log_RBC).sum((1, 2))
        self.loss_R += (loss_R * here_RB.sum(1)).masked_fill(~active_R, 0)

        slope_RBC = (log_RBC.exp() - true_RBC.float()) * weight_RB[:, :, None]
        head_RFC = torch.cat([features_RBD.mT @ slope_RBC, slope_RBC.sum(1, keepdim=True)], dim=1)
        square_R = head_RFC.square().sum((1, 2))
        moving = self.source if isinstance(self.source, Moving) else None
        if moving is not None:
            rows_RSD = moving.gradient(batch, (slope_RBC @ self.head_RFC[:, :-1].mT) * scale_RBD)
            square_R = square_R + torch.linalg.vector_norm(rows_RSD, dim=(1, 2)).square()
        clip_R = (rates.clip_R.float() / (square_R.sqrt() + 1e-6)).clamp(max=1.0)

        bias1_R = -torch.expm1(step_R * math.log(BETA1))  # 1 - β₁ᵗ
        bias2_R = torch.expm1(step_R * math.log(BETA2)).neg().sqrt()
        if moving is not None:
            size_R = (rates.lr_embedding_R * left_R * bias2_R / bias1_R).float()
            moving.update(batch, rows_RSD, clip_R, size_R)
        self._update_head(head_RFC * clip_R[:, None, None], active_R, left_R, bias1_R, bias2_R)

    def _update_head(
        self, gradient_RFC: Tensor, active_R: Tensor, left_R: Tensor, bias1_R: Tensor, bias2_R: Tensor
    ) -> None:
        """`torch.optim.AdamW`'s step of the active runs."""
        rate_R = self.rates.lr_head_R * left_R
        moved_R11 = active_R.float()[:, None, None]
        self.head_RFC.mul_((1 - rate_R * self.rates.decay_R).float()[:, None, None])
        self.first_RFC.lerp_(gradient_RFC, (1 - BETA1) * moved_R11)
        self.second_RFC.lerp_(gradient_RFC.square(), (1 - BETA2) * moved_R11)
        root_RFC = self.second_RFC.sqrt() / bias2_R.float()[:, None, None] + EPSILON
        self.head_RFC.sub_((rate_R / bias1_R).float()[:, None, None] * self.first_RFC / root_RFC)

    def probabilities(self, name: str, texts: Texts, numbers: int = 2**26) -> Tensor:
        """Class probabilities (R, N, C) of a split, dropout off; at most `numbers` features are held at once."""
        width = max(1, numbers // (len(self.head_RFC) * self.source.dim))
        parts = [range(start, min(start + width, len(texts))) for start in range(0, len(texts), width)]
        found = [self.logits(self.source.features(name, texts, part)).softmax(2) for part in parts]
        return torch.cat(found, dim=1)

    def keep(self, better: Sequence[int]) -> None:
        """Note the weights of runs that got better."""
        chosen = torch.tensor(better, device=self.head_RFC.device)
        self.kept_RFC[chosen] = self.head_RFC[chosen]
        self.source.keep(chosen)

    def restore(self) -> None:
        """Go back to the weights that were noted."""
        self.head_RFC.copy_(self.kept_RFC)
        self.source.restore()

    def keep_runs(self, runs: Sequence[int]) -> None:
        """Leave only some runs. Steps recorded before are void."""
        chosen = torch.tensor(runs, device=self.head_RFC.device)
        for state in (self, self.rates, self.source):
            keep_runs(state, chosen)

    def part(self, runs: Sequence[int]) -> "Stack":
        """A copy of some runs that takes no more steps: rows have no moments there, which would take memory."""
        twin = copy.copy(self)
        twin.source, twin.rates = copy.copy(self.source), copy.copy(self.rates)
        if isinstance(twin.source, Moving):
            twin.source.first_URD = twin.source.second_URD = twin.source.rows_WRD[:0]
        twin.keep_runs(runs)
        return twin
