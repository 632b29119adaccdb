"""The way of one run through its epochs, alone or in a stack: what it draws, what it notes, and when it ends."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.classifier.device import stream
from pipeline.classifier.run_spec import Run
from pipeline.runtime.errors import RunError


class Course:
    """The rules of a run's epochs.

    step : steps done so far, which whoever trains counts; order, noise : generators of batch order and of dropout;
    history : one row per epoch; chosen : the epoch whose weights are the best so far, 0 where none was scored.
    """

    def __init__(self, run: Run, device: torch.device) -> None:
        self.run = run
        self.order = stream(run.seed, "batch order")
        self.noise = stream(run.seed, "dropout", device)
        self.step = self.chosen = 0
        self.best = -math.inf
        self.history: list[dict[str, float]] = []

    def orders(self) -> Iterator[Tensor]:
        """Places (N,) in `rows_N` in the order of the batches, a fresh one for each pass of the next epoch."""
        return (self._order(self.order) for _ in range(self.run.passes))

    def places_read(self) -> Tensor:
        """Places in `rows_N` of the tweets that the steps so far have read: all of the first pass, or its beginning."""
        return self._order(stream(self.run.seed, "batch order"))[: self.step * self.run.train.batch_size]

    def _order(self, generator: torch.Generator) -> Tensor:
        """A permutation, the same in either type; the smaller one, as it is as long as the training split."""
        tweets = len(self.run.rows_N)
        return torch.randperm(tweets, generator=generator, dtype=torch.int32 if tweets < 1 << 31 else torch.int64)

    @property
    def rate_falls_over(self) -> float:
        """Steps in which the learning rates fall to zero in a line; infinite where they are constant."""
        settings = self.run.train
        steps = settings.max_epochs * self.run.passes * self.run.steps_per_pass
        return math.inf if settings.lr_schedule == "constant" else float(min(steps, settings.max_steps or steps))

    def check(self, loss: float) -> None:
        """Raise RunError where the loss of the epoch just trained is no number."""
        settings, epoch = self.run.train, len(self.history) + 1
        if not math.isfinite(loss):
            raise RunError(
                f"the training loss is {loss} in epoch {epoch}: lower train.lr_head ({settings.lr_head}) or "
                f"train.lr_embedding ({settings.lr_embedding}), or set train.clip_norm"
            )

    def end_epoch(self, loss: float, found: dict[str, float] | None) -> bool:
        """Note an epoch's mean loss per tweet and scores on validation; returns whether its weights are the best."""
        settings, epoch = self.run.train, len(self.history) + 1
        row = {"epoch": float(epoch), "train/loss": loss, "step": float(self.step)}
        self.history.append(row)
        if found is None:
            return False
        row |= {f"validation/{name}": value for name, value in found.items()}
        value = -found["nll"] if settings.monitor == "nll" else found[settings.monitor]
        better = value > self.best
        if better:
            self.best, self.chosen = value, epoch
        return better

    @property
    def ended(self) -> bool:
        """Whether no epoch follows: all are done, or the best one lies `patience` epochs back."""
        settings, epoch = self.run.train, len(self.history)
        stale = settings.patience is not None and self.chosen and epoch - self.chosen >= settings.patience
        return epoch == settings.max_epochs or self.step == settings.max_steps or bool(stale)
