"""State of one run between epochs: batch order, learning-rate schedule, rule of early stopping, history."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.classifier.device import seeded_generator
from pipeline.classifier.run_spec import Run
from pipeline.runtime.errors import RunError


class TrainingState:
    """The rules and the progress of a run's epochs, whether it trains alone or in a stack.

    step : steps so far, which the trainer counts; history : one row per epoch; best_score, best_epoch : of the
    monitored validation score, higher is better; best_epoch is 0 without validation; dropout_rng : on the device.
    """

    def __init__(self, run: Run, device: torch.device) -> None:
        self.run = run
        self.batch_order_rng = seeded_generator(run.seed, "batch order")
        self.dropout_rng = seeded_generator(run.seed, "dropout", device)
        self.step = self.best_epoch = 0
        self.best_score = -math.inf
        self.history: list[dict[str, float]] = []

    def permutations(self) -> Iterator[Tensor]:
        """The batch order of the next epoch: for each pass a permutation (N,) of the indices of `rows_N`."""
        return (self._permutation(self.batch_order_rng) for _ in range(self.run.passes))

    def indices_read(self) -> Tensor:
        """Indices into `rows_N` of the tweets read so far: the whole first pass, or its beginning."""
        order_N = self._permutation(seeded_generator(self.run.seed, "batch order"))
        return order_N[: self.step * self.run.train.batch_size]

    def _permutation(self, generator: torch.Generator) -> Tensor:
        """The same in either integer type; the smaller one saves memory, as there is a number per training tweet."""
        tweets = len(self.run.rows_N)
        return torch.randperm(tweets, generator=generator, dtype=torch.int32 if tweets < 1 << 31 else torch.int64)

    @property
    def epoch_steps(self) -> int:
        """Steps of the next epoch, which `max_steps` may cut short."""
        steps, limit = self.run.passes * self.run.steps_per_pass, self.run.train.max_steps
        return steps if limit is None else min(steps, limit - self.step)

    @property
    def schedule_steps(self) -> float:
        """Steps in which a linear schedule falls to zero; infinite for a constant learning rate."""
        settings = self.run.train
        steps = settings.max_epochs * self.run.passes * self.run.steps_per_pass
        return math.inf if settings.lr_schedule == "constant" else float(min(steps, settings.max_steps or steps))

    @property
    def lr_factor(self) -> float:
        """What the learning-rate schedule multiplies the learning rates with at the next step."""
        return 1 - self.step / self.schedule_steps

    def divergence(self, loss: float) -> RunError | None:
        """The error of the epoch just trained if its loss is not finite."""
        if math.isfinite(loss):
            return None
        settings, epoch = self.run.train, len(self.history) + 1
        return RunError(
            f"the training loss is {loss} in epoch {epoch}: lower train.lr_head ({settings.lr_head}) or "
            f"train.lr_embedding ({settings.lr_embedding}), or set train.clip_norm"
        )

    def end_epoch(self, loss: float, validation: dict[str, float] | None) -> bool:
        """Record the mean loss per tweet and the validation scores of an epoch; returns whether it is the best."""
        monitor, epoch = self.run.train.monitor, len(self.history) + 1
        row = {"epoch": float(epoch), "train/loss": loss, "step": float(self.step)}
        self.history.append(row)
        if validation is None:
            return False
        row |= {f"validation/{name}": score for name, score in validation.items()}
        score = -validation["nll"] if monitor == "nll" else validation[monitor]
        improved = score > self.best_score
        if improved:
            self.best_score, self.best_epoch = score, epoch
        return improved

    @property
    def chosen_epoch(self) -> int:
        """The best epoch by validation, or the last one without validation."""
        return self.best_epoch or len(self.history)

    @property
    def finished(self) -> bool:
        """Whether training ends: all epochs or steps are done, or there was no improvement for `patience` epochs."""
        settings, epoch = self.run.train, len(self.history)
        stale = settings.patience is not None and self.best_epoch and epoch - self.best_epoch >= settings.patience
        return epoch == settings.max_epochs or self.step == settings.max_steps or bool(stale)
