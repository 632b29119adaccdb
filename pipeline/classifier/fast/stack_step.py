"""Many `mean` classifiers as one stacked model: features, loss, gradients and Adam of all runs in one step.

A step has fixed shapes and can be captured as a CUDA graph. Shapes: R runs, B tweets of a batch, D dimensions,
F = D + 1 with the bias, C classes, W words of the task's texts, L of the training split (which come first), U slots for
the distinct rows of a batch, T and G slots for its tokens and tweets, N tweets of a split, M distinct frozen matrices.
Word 0 is a spare row of zeros. Matrix products are in full float32 (torch's default): TF32 gains nothing for C columns.
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
from pipeline.classifier.fast.stack_batches import StackedBatch
from pipeline.classifier.optimizer import BETA_1, BETA_2, EPSILON
from pipeline.runtime.errors import one_line


def update_rows(
    rows: Tensor,
    first_moments: Tensor,
    second_moments: Tensor,
    index_RU: Tensor,
    gradient_RUD: Tensor,
    clip_R: Tensor,
    step_size_R: Tensor,
) -> None:
    """`torch.optim.SparseAdam`'s step: updates rows and moments of the batch, and no others."""
    gradient_RUD = gradient_RUD * clip_R[:, None, None]
    index, shape = index_RU.flatten(), gradient_RUD.shape
    first_RUD = first_moments.index_select(0, index).view(shape).lerp_(gradient_RUD, 1 - BETA_1)
    second_RUD = second_moments.index_select(0, index).view(shape).lerp_(gradient_RUD.square(), 1 - BETA_2)
    first_moments.index_copy_(0, index, first_RUD.flatten(0, 1))
    second_moments.index_copy_(0, index, second_RUD.flatten(0, 1))
    step_RUD = first_RUD.mul_(step_size_R[:, None, None]).div_(second_RUD.sqrt_().add_(EPSILON))
    rows.index_copy_(0, index, (rows.index_select(0, index).view(shape) - step_RUD).flatten(0, 1))


@functools.cache
def compiled_update_rows(device_type: str) -> Callable[..., None]:
    """`update_rows`, compiled where the GPU allows: two kernels instead of a dozen passes over memory."""
    if device_type != "cuda" or not importlib.util.find_spec("triton"):
        return update_rows
    # Without autotuning, which would copy whole tables back and forth to compare two configurations of a kernel.
    options: dict[str, str | int | bool | Callable[..., Any]] = {"triton.autotune_pointwise": False}
    compiled: Callable[..., None] = torch.compile(update_rows, dynamic=True, options=options)
    tensors = [torch.zeros(shape, device="cuda") for shape in ((6, 4), (6, 4), (6, 4), (2, 3, 4), (2,), (2,))]
    index_RU = torch.arange(6, device="cuda").view(2, 3)
    try:
        compiled(*tensors[:3], index_RU, *tensors[3:])
    except Exception as error:  # no C compiler, no Python headers, too old a GPU: triton has many errors for these
        warnings.warn(
            f"embedding rows are updated without compilation, as torch.compile fails: {one_line(error)}", stacklevel=2
        )
        return update_rows
    return compiled


@dataclass
class TrainableRows:
    """Embedding matrices (W, R, D) that train, with Adam's moments (L, R, D); a word's rows are adjacent."""

    rows_WRD: Tensor
    train_words: int

    def __post_init__(self) -> None:
        self.first_LRD = torch.zeros_like(self.rows_WRD[: self.train_words])
        self.second_LRD = torch.zeros_like(self.first_LRD)
        self.best_LRD = torch.zeros_like(self.first_LRD)

    @property
    def dim(self) -> int:
        """D."""
        return self.rows_WRD.shape[2]

    def batch_means(self, batch: StackedBatch) -> Tensor:
        """Mean rows (R, B, D) of the batch's tweets; zeros for one without tokens."""
        flat = self.rows_WRD.view(-1, self.dim)
        means = F.embedding_bag(batch.ids_RT.view(-1), flat, batch.tweet_starts_RG.view(-1), mode="mean")
        return means.view(*batch.tweet_starts_RG.shape, self.dim)[:, : batch.tweets_RB.shape[1]]

    def gradient(self, batch: StackedBatch, mean_gradient_RBD: Tensor) -> Tensor:
        """Gradient (R, U, D) of the batch's rows from that of the means: sums over the postings of each word."""
        tweets = mean_gradient_RBD.shape[1]
        lengths_RB = batch.tweet_starts_RG[:, 1 : tweets + 1] - batch.tweet_starts_RG[:, :tweets]
        gradient_RBD = mean_gradient_RBD / lengths_RB.clamp(min=1)[:, :, None]
        zeros_last = F.pad(gradient_RBD.view(-1, self.dim), (0, 0, 0, 1))
        sums = F.embedding_bag(batch.postings_RT.view(-1), zeros_last, batch.row_starts_RU.view(-1), mode="sum")
        return sums.view(*batch.rows_RU.shape, self.dim)

    def update(self, batch: StackedBatch, gradient_RUD: Tensor, clip_R: Tensor, step_size_R: Tensor) -> None:
        """One step of Adam for the batch's rows."""
        tables = (tensor.view(-1, self.dim) for tensor in (self.rows_WRD, self.first_LRD, self.second_LRD))
        # A single run would trigger a second compilation.
        several = len(step_size_R) > 1
        update: Callable[..., None] = compiled_update_rows(self.rows_WRD.device.type) if several else update_rows
        update(*tables, batch.rows_RU.long(), gradient_RUD, clip_R, step_size_R)

    def split_means(self, name: str, texts: Texts, tweets: range) -> Tensor:
        """Mean rows (R, N, D) of some tweets of a split, in one lookup for all runs."""
        offsets = texts.offsets[tweets.start : tweets.stop + 1]
        first, last = int(offsets[0]), int(offsets[-1])
        all_runs = self.rows_WRD.view(len(self.rows_WRD), -1)
        means = F.embedding_bag(texts.ids[first:last], all_runs, (offsets[:-1] - first).int(), mode="mean")
        return means.view(len(tweets), -1, self.dim).transpose(0, 1)


@dataclass
class FrozenMeans:
    """Features of runs with frozen embedding matrices: pooled once per distinct matrix and split, (M, N, D)."""

    matrix_R: Tensor
    splits_MND: dict[str, Tensor]

    @property
    def dim(self) -> int:
        """D."""
        return self.splits_MND["train"].shape[2]

    def batch_means(self, batch: StackedBatch) -> Tensor:
        """Mean rows (R, B, D) of the batch's tweets."""
        return self.splits_MND["train"][self.matrix_R[:, None], batch.tweets_RB.clamp(min=0).long()]

    def split_means(self, name: str, texts: Texts, tweets: range) -> Tensor:
        """Mean rows (R, N, D) of some tweets of a split."""
        return self.splits_MND[name][self.matrix_R, tweets.start : tweets.stop]


@dataclass
class Hyperparameters:
    """What the runs of a stack may differ in, in float64 but for class weights (float32).

    schedule_steps_R : steps in which a linear schedule falls to zero; infinite for a constant learning rate.
    max_norm_R : of the gradients; infinite without clipping.
    """

    lr_embedding_R: Tensor
    lr_head_R: Tensor
    weight_decay_R: Tensor
    max_norm_R: Tensor
    schedule_steps_R: Tensor
    dropout_R: Tensor
    class_weights_RC: Tensor


class StackedModel:
    """R classifiers of one shape, with their loss and optimizer; the heads are (R, F, C), bias last."""

    def __init__(
        self, embedding: TrainableRows | FrozenMeans, head_RFC: Tensor, settings: Hyperparameters, labels_N: Tensor
    ) -> None:
        self.embedding, self.settings, self.labels_N = embedding, settings, labels_N
        self.head_RFC = head_RFC
        self.first_RFC, self.second_RFC, self.best_RFC = (torch.zeros_like(head_RFC) for _ in range(3))
        self.steps_R = torch.zeros(len(head_RFC), dtype=torch.float64, device=head_RFC.device)
        self.loss_R = torch.zeros(len(head_RFC), device=head_RFC.device)

    def logits(self, features_RND: Tensor) -> Tensor:
        """Logits (R, N, C)."""
        dim = features_RND.shape[2]
        return torch.baddbmm(self.head_RFC[:, dim:], features_RND, self.head_RFC[:, :dim])

    def step(self, batch: StackedBatch, mask_RBD: Tensor) -> None:
        """One step of every run that has tweets in this batch; adds its loss per tweet times its tweets to `loss_R`."""
        settings = self.settings
        valid_RB = batch.tweets_RB >= 0
        active_R = valid_RB.any(1)
        self.steps_R += active_R
        step_R = self.steps_R.clamp(min=1)
        lr_factor_R = active_R * (1 - (step_R - 1) / settings.schedule_steps_R)

        labels_RB = self.labels_N[batch.tweets_RB.clamp(min=0).long()]
        weight_RB = settings.class_weights_RC.gather(1, labels_RB) * valid_RB
        weight_RB = weight_RB / weight_RB.sum(1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
        scale_RBD = mask_RBD / (1 - settings.dropout_R.float())[:, None, None]
        features_RBD = self.embedding.batch_means(batch) * scale_RBD
        log_probs_RBC = self.logits(features_RBD).log_softmax(2)
        one_hot_RBC = labels_RB[:, :, None] == torch.arange(log_probs_RBC.shape[2], device=log_probs_RBC.device)
        loss_R = -(weight_RB[:, :, None] * one_hot_RBC * log_probs_RBC).sum((1, 2))
        self.loss_R += (loss_R * valid_RB.sum(1)).masked_fill(~active_R, 0)

        logit_gradient_RBC = (log_probs_RBC.exp() - one_hot_RBC.float()) * weight_RB[:, :, None]
        bias_gradient_R1C = logit_gradient_RBC.sum(1, keepdim=True)
        gradient_RFC = torch.cat([features_RBD.mT @ logit_gradient_RBC, bias_gradient_R1C], dim=1)
        squared_norm_R = gradient_RFC.square().sum((1, 2))
        trainable = self.embedding if isinstance(self.embedding, TrainableRows) else None
        if trainable is not None:
            mean_gradient_RBD = (logit_gradient_RBC @ self.head_RFC[:, :-1].mT) * scale_RBD
            row_gradient_RUD = trainable.gradient(batch, mean_gradient_RBD)
            squared_norm_R = squared_norm_R + torch.linalg.vector_norm(row_gradient_RUD, dim=(1, 2)).square()
        clip_R = (settings.max_norm_R.float() / (squared_norm_R.sqrt() + 1e-6)).clamp(max=1.0)

        correction1_R = -torch.expm1(step_R * math.log(BETA_1))  # bias correction 1 - β₁ᵗ
        correction2_R = torch.expm1(step_R * math.log(BETA_2)).neg().sqrt()
        if trainable is not None:
            step_size_R = (settings.lr_embedding_R * lr_factor_R * correction2_R / correction1_R).float()
            trainable.update(batch, row_gradient_RUD, clip_R, step_size_R)

        # The step of `torch.optim.AdamW` for the heads of the active runs.
        gradient_RFC = gradient_RFC * clip_R[:, None, None]
        lr_R = settings.lr_head_R * lr_factor_R
        active_R11 = active_R.float()[:, None, None]
        self.head_RFC.mul_((1 - lr_R * settings.weight_decay_R).float()[:, None, None])
        self.first_RFC.lerp_(gradient_RFC, (1 - BETA_1) * active_R11)
        self.second_RFC.lerp_(gradient_RFC.square(), (1 - BETA_2) * active_R11)
        denominator_RFC = self.second_RFC.sqrt() / correction2_R.float()[:, None, None] + EPSILON
        self.head_RFC.sub_((lr_R / correction1_R).float()[:, None, None] * self.first_RFC / denominator_RFC)

    def probabilities(self, name: str, texts: Texts, max_features: int = 2**26) -> Tensor:
        """Class probabilities (R, N, C) of a split, without dropout; at most `max_features` numbers are in memory."""
        size = max(1, max_features // (len(self.head_RFC) * self.embedding.dim))
        batches = [range(start, min(start + size, len(texts))) for start in range(0, len(texts), size)]
        probabilities = [self.logits(self.embedding.split_means(name, texts, batch)).softmax(2) for batch in batches]
        return torch.cat(probabilities, dim=1)

    def save_best(self, runs: Sequence[int]) -> None:
        """Save the current weights of some runs as their best."""
        index = torch.tensor(runs, device=self.head_RFC.device)
        self.best_RFC[index] = self.head_RFC[index]
        if isinstance(self.embedding, TrainableRows):
            self.embedding.best_LRD[:, index] = self.embedding.rows_WRD[: self.embedding.train_words, index]

    def restore_best(self) -> None:
        """Go back to the best weights."""
        self.head_RFC.copy_(self.best_RFC)
        if isinstance(self.embedding, TrainableRows):
            self.embedding.rows_WRD[: self.embedding.train_words] = self.embedding.best_LRD

    def select_runs(self, runs: Sequence[int]) -> None:
        """Keep only some runs, in every tensor whose shape suffix has an R; CUDA graphs become invalid."""
        index = torch.tensor(runs, device=self.head_RFC.device)
        for state in (self, self.settings, self.embedding):
            for name, value in list(vars(state).items()):  # one tensor after another, to save memory
                suffix = name.rpartition("_")[2]
                if isinstance(value, Tensor) and "R" in suffix:
                    setattr(state, name, value.index_select(suffix.index("R"), index))

    def copy_of_runs(self, runs: Sequence[int]) -> "StackedModel":
        """A copy of some runs for evaluation only: without the moments of their rows, to save memory."""
        twin = copy.copy(self)
        twin.embedding, twin.settings = copy.copy(self.embedding), copy.copy(self.settings)
        if isinstance(twin.embedding, TrainableRows):
            twin.embedding.first_LRD = twin.embedding.second_LRD = twin.embedding.rows_WRD[:0]
        twin.select_runs(runs)
        return twin
