"""The training loop of one run: epochs of gradient steps, validation, early stopping, best weights restored.

Shapes: see `model`.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipeline.classifier.batch import EVALUATION_BATCH, Texts, take, tensor_view
from pipeline.classifier.device import seeded_generator
from pipeline.classifier.fast.mean_gradients import MeanGradients
from pipeline.classifier.metrics import scores
from pipeline.classifier.model import Classifier, Embedding, MeanEncoder
from pipeline.classifier.optimizer import Adam, ParameterGroup, clip_gradients
from pipeline.classifier.run_spec import Report, Run, Task
from pipeline.classifier.training_state import TrainingState


class Trainer:
    """Model, optimizer and training state of one run, on the device where the splits of `task` are.

    touched_V : words that the training batches read, known after the first epoch.
    """

    touched_V: Tensor

    def __init__(self, task: Task, run: Run, device: torch.device) -> None:
        self.task, self.run, self.device = task, run, device
        settings, variant = run.train, run.embedding
        embedding = Embedding(
            tensor_view(np.ascontiguousarray(run.embedding_VD)),
            trainable=run.trainable,
            frozen_dim=run.frozen_dim,
            projected=variant.projected,
            anchored=variant.anchor > 0,
        )
        weights_rng = seeded_generator(run.seed, "initial weights")
        self.model = Classifier(embedding, run.model, task.classes, weights_rng).to(device)
        # Weight decay is for encoder and head only: it would move embedding rows that no batch reads, and pull a
        # projection away from the identity.
        groups = [ParameterGroup(list(self.model.layers().values()), settings.lr_head, settings.weight_decay)]
        if embedding.projection_DD is not None:
            # Each projected number sums D terms: Adam's steps must shrink with D (Yang et al. 2021, arXiv 2203.03466).
            groups.append(ParameterGroup([embedding.projection_DD], settings.lr_head / embedding.dim))
        self.optimizer = Adam(groups, embedding.rows_VD if run.trainable else None, settings.lr_embedding)
        self.rows_N = tensor_view(run.rows_N).to(device)
        self.state = TrainingState(run, device)

    def fit(self, report: Report | None = None) -> None:
        """Train until the last epoch or early stopping, then restore the weights of the best epoch.

        `report` is called with the history row of every epoch. Raises RunError where the loss is not finite.
        """
        state = self.state
        best_weights: list[Tensor] = []
        while not state.finished:
            loss = self.train_epoch()
            if error := state.divergence(loss):
                raise error
            validation = None if self.task.validation is None else self.evaluate(self.task.validation)[1]
            improved = state.end_epoch(loss, validation)
            if len(state.history) == 1:  # later epochs read the same tweets
                self.touched_V = self.touched_words()
                ids, rows_VD = self.touched_V.nonzero()[:, 0], self.model.embedding.rows_VD
                trained = [weight for weight in self.model.parameters() if weight.requires_grad]
                changing = [(weight.detach(), ids if weight is rows_VD else None) for weight in trained]
            if improved:
                best_weights.clear()  # first, so that there is never more than one copy of a large matrix
                if not state.finished:
                    best_weights += [weight.clone() if rows is None else weight[rows] for weight, rows in changing]
            if report is not None:
                report(state.history[-1])
        for (weight, rows), best_weight in zip(changing, best_weights, strict=False):
            weight[... if rows is None else rows] = best_weight

    @torch.no_grad()
    def train_epoch(self) -> float:
        """Train for one epoch; returns the mean loss per tweet."""
        settings, state = self.run.train, self.state
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        losses_K = torch.empty(state.epoch_steps, device=self.device)  # one tensor: many would fragment the memory
        sizes: list[int] = []
        batches = itertools.chain.from_iterable(
            self.gradients.of_batches(order_N.to(self.device), settings.batch_size, state.dropout_rng)
            for order_N in state.permutations()
        )
        for loss, size in itertools.islice(batches, len(losses_K)):
            if settings.clip_norm is not None:
                clip_gradients(parameters, settings.clip_norm)
            self.optimizer.step(state.lr_factor)
            losses_K[len(sizes)] = loss
            sizes.append(size)
            state.step += 1
        return float(losses_K.double().cpu() @ torch.tensor(sizes).double()) / sum(sizes)

    @cached_property
    def gradients(self) -> "AutogradGradients | MeanGradients":
        """The gradients of the training batches: in closed form for the `mean` encoder, else by autograd."""
        train, kind = self.task.train, self.run.train.class_weights
        weights_C = None if kind == "none" else class_weights(train.labels_N[self.rows_N], self.task.classes, kind)
        gradients = MeanGradients if isinstance(self.model.encoder, MeanEncoder) else AutogradGradients
        return gradients(self.model, train, self.rows_N, weights_C, self.run.embedding.anchor)

    def touched_words(self) -> Tensor:
        """Words (V,) that the training batches have read; later epochs read no others than the first."""
        touched_V = torch.zeros(len(self.run.embedding_VD), dtype=torch.bool, device=self.device)
        for indices_B in torch.split(self.state.indices_read().to(self.device), EVALUATION_BATCH):
            touched_V[take(self.task.train, self.rows_N[indices_B]).ids.long()] = True
        return touched_V

    @torch.no_grad()
    def evaluate(self, texts: Texts) -> tuple[NDArray[np.float32], dict[str, float]]:
        """Class probabilities (N, C) of a split, without dropout, and their scores."""
        probabilities_NC = torch.cat([self.model(bags).softmax(1) for bags in texts.batches()]).cpu().numpy()
        return probabilities_NC, scores(texts.labels_N.cpu().numpy(), probabilities_NC)


@dataclass
class AutogradGradients:
    """Gradients of any encoder by autograd, for batches of the tweets `rows_N` (N,) of a split."""

    model: Classifier
    texts: Texts
    rows_N: Tensor
    weights_C: Tensor | None
    anchor: float

    def of_batches(self, order_N: Tensor, size: int, dropout_rng: torch.Generator) -> Iterator[tuple[Tensor, int]]:
        """Set the gradients of one batch after another; yields its mean cross-entropy and its number of tweets.

        order_N : indices of `rows_N`, which are split into batches of `size`.
        """
        for indices_B in torch.split(order_N, size):
            rows_B = self.rows_N[indices_B]
            bags, labels_B = take(self.texts, rows_B), self.texts.labels_N[rows_B].long()
            with torch.enable_grad():
                loss = F.cross_entropy(self.model(bags, dropout_rng), labels_B, weight=self.weights_C)
                penalty = self.anchor * self.model.embedding.anchor_penalty(bags) if self.anchor else None
                objective = loss if penalty is None else loss + penalty
            self.model.zero_grad(set_to_none=True)
            objective.backward()  # type: ignore[no-untyped-call]
            yield loss.detach(), len(labels_B)


def class_weights(labels_N: Tensor, classes: int, kind: str) -> Tensor | None:
    """`balanced`: N / (C × count) as in scikit-learn, and 0 for a class that does not occur; `none`: None."""
    if kind == "none":
        return None
    counts_C = torch.bincount(labels_N, minlength=classes).to(torch.float32)
    return torch.where(counts_C > 0, len(labels_N) / (classes * counts_C.clamp(min=1)), 0.0)
