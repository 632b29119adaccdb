"""One run on one device: batches, steps, early stopping."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipeline.classifier.batch import EVALUATION_BATCH, Texts, shared, take
from pipeline.classifier.device import stream
from pipeline.classifier.fast.mean_gradients import MeanSteps
from pipeline.classifier.metrics import scores
from pipeline.classifier.model import Classifier, Embedding, MeanEncoder
from pipeline.classifier.optimizer import Adam, Group, clip_gradients
from pipeline.classifier.run_spec import Report, Run, Task
from pipeline.classifier.training_state import Course


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
    course: Course = field(init=False)
    touched_V: Tensor = field(init=False)

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
        self.rows_N = shared(run.rows_N).to(self.device)
        self.course = Course(run, self.device)

    @torch.no_grad()
    def train_epoch(self) -> float:
        """One epoch; returns the mean loss per tweet."""
        settings, course = self.run.train, self.course
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        sizes: list[int] = []
        losses_K = torch.empty(self.run.passes * self.run.steps_per_pass, device=self.device)
        orders = (places_N.to(self.device) for places_N in course.orders())
        passes = (self.steps(places_N, settings.batch_size, course.noise) for places_N in orders)
        for loss, size in itertools.chain.from_iterable(passes):
            if settings.clip_norm is not None:
                clip_gradients(parameters, settings.clip_norm)
            self.optimizer.step(1 - course.step / course.rate_falls_over)
            losses_K[len(sizes)] = loss  # into one tensor: as many small ones would scatter all memory that is freed
            sizes.append(size)
            course.step += 1
            if course.step == settings.max_steps:
                break
        return float(losses_K[: len(sizes)].double().cpu() @ torch.tensor(sizes).double()) / sum(sizes)

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
        for places_B in torch.split(self.course.places_read().to(self.device), EVALUATION_BATCH):
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
        course = self.course
        kept: list[Tensor] = []
        while not course.ended:
            loss = self.train_epoch()
            course.check(loss)
            found = None if self.task.validation is None else self.evaluate(self.task.validation)[1]
            better = course.end_epoch(loss, found)
            if len(course.history) == 1:  # later epochs read the same tweets
                self.touched_V = self.touched()
                moving = self.moving()
            if better:
                kept.clear()  # before the next copies: of a large table there is never more than one
                if not course.ended:
                    kept += [weight.clone() if rows is None else weight[rows] for weight, rows in moving]
            if report is not None:
                report(course.history[-1])
        for (weight, rows), best_weight in zip(moving, kept, strict=False):
            weight[... if rows is None else rows] = best_weight
        return course.history, course.chosen or len(course.history)
