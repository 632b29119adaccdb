"""One run on one device: batches, steps, early stopping."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipeline.classifier.devices import stream
from pipeline.classifier.mean_step import MeanSteps
from pipeline.classifier.metrics import scores
from pipeline.classifier.model import Classifier, Embedding, MeanEncoder
from pipeline.classifier.optimizer import Adam, Group, clip_gradients
from pipeline.classifier.runs import Report, Run, Task
from pipeline.classifier.texts import EVALUATION_BATCH, Texts, shared, take
from pipeline.errors import RunError


def class_weights(labels_N: Tensor, classes: int, kind: str) -> Tensor | None:
    """`balanced`: N / (C × count), scikit-learn's rule, with 0 for a class that does not occur; `none`: None."""
    if kind == "none":
        return None
    counts_C = torch.bincount(labels_N, minlength=classes).to(torch.float32)
    return torch.where(counts_C > 0, len(labels_N) / (classes * counts_C.clamp(min=1)), 0.0)


@dataclass
class AutogradSteps:
    """Steps of any encoder on the tweets `rows_N` (N,) of a split."""

    model: Classifier
    texts: Texts
    rows_N: Tensor
    weights_C: Tensor | None
    anchor: float

    def __call__(self, places_N: Tensor, size: int, noise: torch.Generator) -> Iterator[tuple[Tensor, int]]:
        """Set the gradients of one batch after the other; yields its mean cross-entropy and number of tweets.

        places_N : the tweets' places in `rows_N`, in the order of the batches of `size`.
        """
        for places_B in torch.split(places_N, size):
            rows_B = self.rows_N[places_B]
            bags, labels_B = take(self.texts, rows_B), self.texts.labels_N[rows_B].long()
            with torch.enable_grad():
                loss = F.cross_entropy(self.model(bags, noise), labels_B, weight=self.weights_C)
                whole = loss + self.anchor * self.model.embedding.distance(bags) if self.anchor else loss
            self.model.zero_grad(set_to_none=True)
            whole.backward()  # type: ignore[no-untyped-call]
            yield loss.detach(), len(labels_B)


@dataclass
class Trainer:
    """The state of one run on one device, where the splits of `task` are already; `fit` trains it.

    touched_V : rows that the training batches read, known after the first epoch.
    """

    task: Task
    run: Run
    device: torch.device
    model: Classifier = field(init=False)
    optimizer: Adam = field(init=False)
    touched_V: Tensor = field(init=False)
    step: int = 0

    def __post_init__(self) -> None:
        run, settings = self.run, self.run.train
        variant, initial_VD = run.embedding, shared(np.ascontiguousarray(run.embedding_VD))
        embedding = Embedding(
            initial_VD,
            trainable=variant.trainable,
            multichannel=variant.multichannel,
            projected=variant.projected,
            anchored=variant.anchor > 0,
        )
        weights = stream(run.seed, "initial weights")
        self.model = Classifier(embedding, run.model, self.task.classes, weights).to(self.device)
        # Weight decay acts on encoder and head alone: it would move rows that no batch ever read, and pull a projection
        # away from the identity.
        groups = [Group(list(self.model.layers().values()), settings.lr_head, settings.weight_decay)]
        if embedding.projection_DD is not None:
            # Each projected number sums D terms: Adam's steps must shrink with D (Yang et al. 2021, arXiv 2203.03466).
            groups.append(Group([embedding.projection_DD], settings.lr_head / embedding.dim))
        self.optimizer = Adam(groups, embedding.rows_VD if variant.trainable else None, settings.lr_embedding)
        self.rows_N = shared(np.asarray(run.rows_N, np.int64)).to(self.device)
        self.steps_per_pass = math.ceil(len(run.rows_N) / settings.batch_size)
        self.passes = math.ceil(settings.min_epoch_steps / self.steps_per_pass)

    def passes_of_epoch(self, order: torch.Generator) -> Iterator[Tensor]:
        """Places (N,) in `rows_N` in the order of the batches: one pass in a fresh order or, of few tweets, several."""
        for _ in range(self.passes):
            yield torch.randperm(len(self.rows_N), generator=order).to(self.device)

    def rate_left(self) -> float:
        """The share of the learning rates for the next step: constant, or linear to zero at the end of `max_epochs`."""
        settings = self.run.train
        if settings.lr_schedule == "constant":
            return 1.0
        total = settings.max_epochs * self.passes * self.steps_per_pass
        return 1 - self.step / min(total, settings.max_steps or total)

    @torch.no_grad()
    def train_epoch(self, order: torch.Generator, noise: torch.Generator) -> float:
        """One epoch; returns the mean loss per tweet."""
        settings = self.run.train
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        losses, sizes = [], []
        passes = (self.steps(places_N, settings.batch_size, noise) for places_N in self.passes_of_epoch(order))
        for loss, size in itertools.chain.from_iterable(passes):
            if settings.clip_norm is not None:
                clip_gradients(parameters, settings.clip_norm)
            self.optimizer.step(self.rate_left())
            losses.append(loss)
            sizes.append(size)
            self.step += 1
            if self.step == settings.max_steps:
                break
        return float(torch.stack(losses).double().cpu() @ torch.tensor(sizes).double()) / sum(sizes)

    @cached_property
    def steps(self) -> AutogradSteps | MeanSteps:
        """What sets the gradients of a batch."""
        train, kind = self.task.train, self.run.train.class_weights
        weights_C = None if kind == "none" else class_weights(train.labels_N[self.rows_N], self.task.classes, kind)
        steps = MeanSteps if isinstance(self.model.encoder, MeanEncoder) else AutogradSteps
        return steps(self.model, train, self.rows_N, weights_C, self.run.embedding.anchor)

    def touched(self) -> Tensor:
        """Rows (V,) that the training batches have read: no epoch reads others than the first."""
        touched_V = torch.zeros(len(self.run.embedding_VD), dtype=torch.bool, device=self.device)
        first_pass_N = next(self.passes_of_epoch(stream(self.run.seed, "batch order")))
        places_N = first_pass_N[: self.step * self.run.train.batch_size]
        for places_B in torch.split(places_N, EVALUATION_BATCH):
            touched_V[take(self.task.train, self.rows_N[places_B]).ids.long()] = True
        return touched_V

    def moving(self) -> list[tuple[Tensor, Tensor | None]]:
        """What training changes: parameters, with the rows that it changes where these are not all."""
        rows_VD = self.model.embedding.rows_VD
        touched = self.touched_V.nonzero()[:, 0]
        return [
            (weight.detach(), touched if weight is rows_VD else None)
            for weight in self.model.parameters()
            if weight.requires_grad
        ]

    def probabilities(self, texts: Texts) -> NDArray[np.float32]:
        """Class probabilities (N, C) of a split, dropout off."""
        with torch.no_grad():
            return torch.cat([self.model(bags).softmax(1) for bags in texts.slices()]).cpu().numpy()

    def evaluate(self, texts: Texts) -> tuple[NDArray[np.float32], dict[str, float]]:
        """Probabilities of a split and their scores."""
        probabilities_NC = self.probabilities(texts)
        return probabilities_NC, scores(texts.labels_N.cpu().numpy(), probabilities_NC)

    def table(self) -> NDArray[np.float32]:
        """Rows (V, E) as the encoder reads them now."""
        return self.model.embedding.matrix().cpu().numpy() if self.run.moves else self.run.initial_table()

    def fit(self, report: Report | None) -> tuple[list[dict[str, float]], int]:
        """Train with early stopping on validation; leaves the model at the chosen epoch. Returns history and epoch."""
        settings = self.run.train
        order = stream(self.run.seed, "batch order")
        noise = stream(self.run.seed, "dropout", self.device)
        sign = -1.0 if settings.monitor == "nll" else 1.0
        best, chosen = -math.inf, 0
        kept: list[Tensor] = []
        history: list[dict[str, float]] = []
        for epoch in range(1, settings.max_epochs + 1):
            row = {"epoch": float(epoch), "train/loss": self.train_epoch(order, noise), "step": float(self.step)}
            if not math.isfinite(row["train/loss"]):
                raise RunError(
                    f"the training loss is {row['train/loss']} in epoch {epoch}: lower train.lr_head "
                    f"({settings.lr_head}) or train.lr_embedding ({settings.lr_embedding}), or set train.clip_norm"
                )
            if epoch == 1:  # later ones read the same tweets
                self.touched_V = self.touched()
                moving = self.moving()
            last = epoch == settings.max_epochs or self.step == settings.max_steps
            if self.task.validation is not None:
                found = self.evaluate(self.task.validation)[1]
                row |= {f"validation/{name}": value for name, value in found.items()}
                if sign * found[settings.monitor] > best:
                    best, chosen = sign * found[settings.monitor], epoch
                    kept.clear()  # before the next copies: of a large table there is never more than one
                    if not last:
                        kept += [weight.clone() if rows is None else weight[rows] for weight, rows in moving]
            history.append(row)
            if report is not None:
                report(row)
            if last or (settings.patience is not None and chosen and epoch - chosen >= settings.patience):
                break
        for (weight, rows), best_weight in zip(moving, kept, strict=False):
            weight[... if rows is None else rows] = best_weight
        return history, chosen or len(history)
