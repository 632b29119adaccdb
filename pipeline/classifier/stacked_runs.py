"""The runs of a stack: what each draws, when each ends, and their epochs together.

Shapes: as in `stacked_batches` and `stacked_step`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.classifier.devices import stream
from pipeline.classifier.graphs import Recordings
from pipeline.classifier.model import Classifier, Embedding
from pipeline.classifier.runs import Run
from pipeline.classifier.stacked_batches import Batch, Sizes, draw_kept, draw_order, plan_batches
from pipeline.classifier.stacked_data import Corpus, make_source, steps_at_once
from pipeline.classifier.stacked_step import Moving, Rates, Stack
from pipeline.classifier.trainer import class_weights
from pipeline.errors import RunError


def passes_and_steps(run: Run) -> tuple[int, int]:
    """Passes over its tweets in one epoch of a run, and steps of one pass."""
    steps = math.ceil(len(run.rows_N) / run.train.batch_size)
    return math.ceil(run.train.min_epoch_steps / steps), steps


@dataclass
class Course:
    """The way of one run through its epochs: its draws, its history and when it ends, as the engine has them."""

    run: Run
    device: torch.device
    step: int = 0
    chosen: int = 0
    best: float = -math.inf
    history: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.order = stream(self.run.seed, "batch order")
        self.noise = stream(self.run.seed, "dropout", self.device)
        self.passes, self.steps_per_pass = passes_and_steps(self.run)
        settings = self.run.train
        total = settings.max_epochs * self.passes * self.steps_per_pass
        self.total = float(min(total, settings.max_steps or total)) if settings.lr_schedule == "linear" else math.inf
        self.seen_N = np.zeros(int(self.run.rows_N.max()) + 1, dtype=np.bool_)

    def draw_epoch(self) -> NDArray[np.int64]:
        """Training rows (steps, B) of the next epoch."""
        settings = self.run.train
        drawn = draw_order(self.run.rows_N, settings.batch_size, self.passes, self.order)
        if settings.max_steps is not None:
            drawn = drawn[: settings.max_steps - self.step]
        self.step += len(drawn)
        self.seen_N[drawn[drawn >= 0]] = True
        return drawn

    def check(self, loss: float) -> None:
        """Raise RunError where an epoch's loss is no number."""
        settings, epoch = self.run.train, len(self.history) + 1
        if not math.isfinite(loss):
            raise RunError(
                f"the training loss is {loss} in epoch {epoch} of the run with seed {self.run.seed}: lower "
                f"train.lr_head ({settings.lr_head}) or train.lr_embedding ({settings.lr_embedding}), or set "
                "train.clip_norm"
            )

    def end_epoch(self, loss: float, found: dict[str, float] | None) -> bool:
        """Note an epoch's mean loss per tweet and scores on validation; returns whether its weights are the best."""
        settings, epoch = self.run.train, len(self.history) + 1
        row = {"epoch": float(epoch), "train/loss": loss, "step": float(self.step)}
        better = False
        if found is not None:
            row |= {f"validation/{name}": value for name, value in found.items()}
            value = -found["nll"] if settings.monitor == "nll" else found[settings.monitor]
            better = value > self.best
            if better:
                self.best, self.chosen = value, epoch
        self.history.append(row)
        return better

    @property
    def ended(self) -> bool:
        """Whether no epoch follows."""
        settings, epoch = self.run.train, len(self.history)
        stale = settings.patience is not None and self.chosen and epoch - self.chosen >= settings.patience
        return epoch == settings.max_epochs or self.step == settings.max_steps or bool(stale)


class Stacked:
    """Runs that train together on one device."""

    def __init__(self, corpus: Corpus, runs: Sequence[Run], classes: int, device: torch.device) -> None:
        self.corpus, self.device = corpus, device
        self.courses = [Course(run, device) for run in runs]
        train = corpus.splits["train"]
        heads, weights = [], []
        for run in runs:
            tiny = Embedding(torch.zeros(1, run.embedding_VD.shape[1]))
            head = Classifier(tiny, run.model, classes, stream(run.seed, "initial weights")).head
            heads.append(torch.cat([head.weight.detach().T, head.bias.detach()[None]]))
            own = class_weights(train.labels_N.cpu()[torch.from_numpy(run.rows_N)], classes, run.train.class_weights)
            weights.append(torch.ones(classes) if own is None else own)
        settings = [run.train for run in runs]

        def numbers(values: Sequence[float]) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.float64, device=device)

        rates = Rates(
            lr_embedding_R=numbers([one.lr_embedding for one in settings]),
            lr_head_R=numbers([one.lr_head for one in settings]),
            decay_R=numbers([one.weight_decay for one in settings]),
            clip_R=numbers([math.inf if one.clip_norm is None else one.clip_norm for one in settings]),
            total_R=numbers([course.total for course in self.courses]),
            dropout_R=numbers([run.model.dropout for run in runs]),
            weights_RC=torch.stack(weights).to(device),
        )
        source = make_source(corpus, runs, device)
        self.stack = Stack(source, torch.stack(heads).to(device), rates, train.labels_N)
        self.recordings = Recordings(device)
        self.inputs: dict[Sizes, tuple[torch.Tensor, torch.Tensor]] = {}

    def take_step(self, numbers: torch.Tensor, kept_RBD: torch.Tensor, sizes: Sizes) -> None:
        """One step of all runs: the batch goes into the buffers that the step reads, then the step is called."""
        if sizes not in self.recordings.functions:
            buffer, kept = torch.zeros_like(numbers), torch.ones_like(kept_RBD)
            batch = Batch.of(buffer, sizes)
            batch.tweets_RB.fill_(-1)  # a batch of no tweets, which changes nothing
            self.recordings.record(sizes, lambda: self.stack.step(batch, kept))
            self.inputs[sizes] = buffer, kept
        buffer, kept = self.inputs[sizes]
        buffer.copy_(numbers)
        kept.copy_(kept_RBD)
        self.recordings.functions[sizes]()

    def plan(self, tweets_KRB: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor, Sizes]:
        """Buffers, dropout and sizes of some steps."""
        moving = self.corpus.splits["train"] if isinstance(self.stack.source, Moving) else None
        numbers, sizes = plan_batches(torch.from_numpy(tweets_KRB).to(self.device), moving)
        runs = [course.run for course in self.courses]
        shares, noises = [run.model.dropout for run in runs], [course.noise for course in self.courses]
        return numbers, draw_kept(tweets_KRB, self.stack.source.dim, shares, noises), sizes

    def train_epoch(self) -> list[float]:
        """One epoch of every run; returns mean losses per tweet."""
        drawn = [course.draw_epoch() for course in self.courses]
        run = self.courses[0].run
        tweets_KRB = np.full((max(map(len, drawn)), len(drawn), run.train.batch_size), -1, dtype=np.int64)
        for number, own in enumerate(drawn):
            tweets_KRB[: len(own), number] = own
        self.stack.loss_R.zero_()
        at_once = steps_at_once(self.corpus, run, len(drawn))
        for start in range(0, len(tweets_KRB), at_once):
            numbers, kept_KRBD, sizes = self.plan(tweets_KRB[start : start + at_once])
            for step, kept_RBD in zip(numbers, kept_KRBD, strict=True):
                self.take_step(step, kept_RBD, sizes)
        seen_R = (tweets_KRB >= 0).sum((0, 2))
        losses = [float(loss) for loss in self.stack.loss_R.cpu().numpy() / seen_R]
        for course, loss in zip(self.courses, losses, strict=True):
            course.check(loss)
        return losses

    def leave(self, ended: Sequence[int]) -> Stack:
        """The weights of some runs at their chosen epochs; the others go on without them."""
        staying = [number for number in range(len(self.courses)) if number not in ended]
        leaving = self.stack.part(ended) if staying else self.stack
        if "validation" in self.corpus.splits:
            leaving.restore()
        self.courses = [self.courses[number] for number in staying]
        self.recordings, self.inputs = Recordings(self.device), {}
        if staying:
            self.stack.keep_runs(staying)
        return leaving
