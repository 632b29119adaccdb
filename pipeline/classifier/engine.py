"""The training engine: a batch of runs in, arrays and histories out. It writes no files and knows no tracker.

A run's numbers do not depend on its companions: every run draws from generators of its own, and on a CPU computes with
its own number of threads. On a CPU the runs of a batch go side by side in processes; on a GPU one after another.
"""

import math
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipeline.classifier.devices import resolve_device, stream
from pipeline.classifier.metrics import scores
from pipeline.classifier.model import Classifier, Embedding
from pipeline.classifier.texts import Texts, take
from pipeline.errors import RunError, UserError
from pipeline.schema import EmbeddingConfig, ModelConfig, TrainConfig

Report = Callable[[dict[str, float]], None]
EVALUATION_BATCH = 1024


@dataclass(frozen=True)
class Task:
    """What is learned: the splits and the number of classes C.

    Without a validation split nothing is chosen; without a test split none is read.
    """

    train: Texts
    validation: Texts | None
    test: Texts | None
    classes: int


@dataclass(frozen=True)
class Run:
    """One run of a batch.

    embedding_VD : initial rows (V, D) float32; row 0 is zero.
    embedding : what becomes of them: `trainable`, `multichannel`, `projected`, `anchor`; its other keys are not read.
    rows_N : the rows of the training split whose labels this run may use.
    seed : fixes initial weights, batch order and dropout, each from a generator of its own.
    """

    embedding_VD: NDArray[np.float32]
    embedding: EmbeddingConfig
    rows_N: NDArray[np.int64]
    seed: int
    model: ModelConfig
    train: TrainConfig


@dataclass(frozen=True)
class RunResult:
    """What one run gives back.

    initial_VE, embedding_VE : rows as the encoder reads them, before training and at the chosen epoch: E = 2 D with two
    channels (the one that stays comes first), and a projection is multiplied in; layers : encoder and head, which with
    embedding_VE are the whole classifier; touched_V : rows that at least one training batch read;
    probabilities : per split, (N, C) float32; metrics : scores per split and parameter counts; history : one row per
    epoch, where `train/loss` is the mean cross-entropy per tweet, without the anchor's part; chosen_epoch : the epoch
    (from 1) whose weights were kept; device : what it ran on.
    """

    initial_VE: NDArray[np.float32]
    embedding_VE: NDArray[np.float32]
    layers: dict[str, NDArray[np.float32]]
    touched_V: NDArray[np.bool_]
    probabilities: dict[str, NDArray[np.float32]]
    metrics: dict[str, float]
    history: list[dict[str, float]]
    chosen_epoch: int
    device: str
    seconds: float


def class_weights(labels_N: Tensor, classes: int, kind: str) -> Tensor | None:
    """`balanced`: N / (C × count), scikit-learn's rule, with 0 for a class that does not occur; `none`: None."""
    if kind == "none":
        return None
    counts_C = torch.bincount(labels_N, minlength=classes).to(torch.float32)
    return torch.where(counts_C > 0, len(labels_N) / (classes * counts_C.clamp(min=1)), 0.0)


def clip_gradients(parameters: Sequence[Tensor], limit: float) -> None:
    """Scale all gradients so that their joint L2 norm is at most `limit`; torch's own function refuses sparse ones."""
    values = []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
            values.append(parameter.grad.values())
        else:
            values.append(parameter.grad)
    norm = torch.stack([value.norm() for value in values]).norm()
    scale = (limit / (norm + 1e-6)).clamp(max=1.0)
    for value in values:
        value.mul_(scale)


@dataclass
class Trainer:
    """The state of one run on one device; `fit` trains it."""

    task: Task
    run: Run
    device: torch.device
    model: Classifier = field(init=False)
    optimizers: list[torch.optim.Optimizer] = field(init=False)
    touched_V: Tensor = field(init=False)
    step: int = 0

    def __post_init__(self) -> None:
        run, settings = self.run, self.run.train
        variant, initial_VD = run.embedding, torch.from_numpy(np.ascontiguousarray(run.embedding_VD))
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
        head = torch.optim.AdamW(
            list(self.model.layers().values()), lr=settings.lr_head, weight_decay=settings.weight_decay
        )
        if embedding.projection_DD is not None:
            # Each projected number sums D terms: Adam's steps must shrink with D (Yang et al. 2021, arXiv 2203.03466).
            rate = settings.lr_head / embedding.dim
            head.add_param_group({"params": [embedding.projection_DD], "lr": rate, "weight_decay": 0.0})
        self.optimizers = [head]
        if variant.trainable:
            # Adam over touched rows: only rows of the batch move, and their moments only then decay.
            self.optimizers.append(torch.optim.SparseAdam([embedding.rows_VD], lr=settings.lr_embedding))
        self.touched_V = torch.zeros(len(initial_VD), dtype=torch.bool, device=self.device)
        self.steps_per_pass = math.ceil(len(run.rows_N) / settings.batch_size)
        self.passes = math.ceil(settings.min_epoch_steps / self.steps_per_pass)

    def batches(self, order: torch.Generator) -> Iterator[Tensor]:
        """Row numbers (B,) of the batches of one epoch: one pass in a fresh order or, of few tweets, several."""
        rows_N = torch.from_numpy(self.run.rows_N)
        for _ in range(self.passes):
            shuffled_N = rows_N[torch.randperm(len(rows_N), generator=order)].to(self.device)
            yield from torch.split(shuffled_N, self.run.train.batch_size)

    def set_learning_rates(self) -> None:
        """Before a step: constant, or falling in a straight line to zero at the end of `max_epochs`."""
        settings = self.run.train
        if settings.lr_schedule == "linear":
            total = settings.max_epochs * self.passes * self.steps_per_pass
            left = 1 - self.step / min(total, settings.max_steps or total)
            for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * left

    def train_epoch(self, order: torch.Generator, noise: torch.Generator) -> float:
        """One epoch; returns the mean loss per tweet."""
        settings, train, anchor = self.run.train, self.task.train, self.run.embedding.anchor
        own_labels_N = train.labels_N[torch.from_numpy(self.run.rows_N).to(self.device)]
        weights_C = class_weights(own_labels_N, self.task.classes, settings.class_weights)
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        loss_sum, seen = torch.zeros((), device=self.device), 0
        for rows_B in self.batches(order):
            self.set_learning_rates()
            bags = take(train, rows_B)
            self.touched_V[bags.ids.long()] = True
            loss = F.cross_entropy(self.model(bags, noise), train.labels_N[rows_B], weight=weights_C)
            self.model.zero_grad(set_to_none=True)
            whole = loss + anchor * self.model.embedding.distance(bags) if anchor else loss
            whole.backward()  # type: ignore[no-untyped-call]
            if settings.clip_norm is not None:
                clip_gradients(parameters, settings.clip_norm)
            for optimizer in self.optimizers:
                optimizer.step()
            loss_sum += loss.detach() * len(rows_B)
            seen += len(rows_B)
            self.step += 1
            if self.step == settings.max_steps:
                break
        return float(loss_sum) / seen

    def probabilities(self, texts: Texts) -> NDArray[np.float32]:
        """Class probabilities (N, C) of a split, dropout off."""
        rows_N = torch.arange(len(texts), device=self.device)
        with torch.no_grad():
            parts = [self.model(take(texts, rows)).softmax(1) for rows in torch.split(rows_N, EVALUATION_BATCH)]
        return torch.cat(parts).cpu().numpy()

    def evaluate(self, texts: Texts) -> tuple[NDArray[np.float32], dict[str, float]]:
        """Probabilities of a split and their scores."""
        probabilities_NC = self.probabilities(texts)
        return probabilities_NC, scores(texts.labels_N.cpu().numpy(), probabilities_NC)

    def fit(self, report: Report | None) -> tuple[list[dict[str, float]], int]:
        """Train with early stopping on validation; leaves the model at the chosen epoch. Returns history and epoch."""
        settings = self.run.train
        order = stream(self.run.seed, "batch order")
        noise = stream(self.run.seed, "dropout", self.device)
        sign = -1.0 if settings.monitor == "nll" else 1.0
        best, chosen, kept = -math.inf, 0, {}
        history: list[dict[str, float]] = []
        for epoch in range(1, settings.max_epochs + 1):
            row = {"epoch": float(epoch), "train/loss": self.train_epoch(order, noise), "step": float(self.step)}
            if not math.isfinite(row["train/loss"]):
                raise RunError(
                    f"the training loss is {row['train/loss']} in epoch {epoch}: lower train.lr_head "
                    f"({settings.lr_head}) or train.lr_embedding ({settings.lr_embedding}), or set train.clip_norm"
                )
            if self.task.validation is not None:
                found = self.evaluate(self.task.validation)[1]
                row |= {f"validation/{name}": value for name, value in found.items()}
                if sign * found[settings.monitor] > best:
                    best, chosen = sign * found[settings.monitor], epoch
                    kept = {name: weight.detach().clone() for name, weight in self.model.state_dict().items()}
            history.append(row)
            if report is not None:
                report(row)
            if self.step == settings.max_steps:
                break
            if settings.patience is not None and chosen and epoch - chosen >= settings.patience:
                break
        if kept:
            self.model.load_state_dict(kept)
        return history, chosen or len(history)


def train_run(task: Task, run: Run, report: Report | None = None) -> RunResult:
    """Train one run and read the test split once, after the choice of the epoch.

    `report` is called with every finished epoch's history row. Raises UserError where the device is not there or there
    is nothing to train on, and RunError where the loss is not finite.
    """
    if len(run.rows_N) == 0:
        raise UserError("the training split is empty: nothing to train on")
    device = resolve_device(run.train.device)
    threads = torch.get_num_threads()
    torch.set_num_threads(run.train.threads)
    started = time.perf_counter()
    try:
        validation, test = (None if split is None else split.to(device) for split in (task.validation, task.test))
        trainer = Trainer(Task(task.train.to(device), validation, test, task.classes), run, device)
        history, chosen = trainer.fit(report)
        probabilities: dict[str, NDArray[np.float32]] = {}
        metrics = trainer.model.parameter_counts() | {"params/touched_rows": float(trainer.touched_V.sum())}
        for name, texts in (("validation", validation), ("test", test)):
            if texts is not None:
                probabilities[name], found = trainer.evaluate(texts)
                metrics |= {f"{name}/{score}": value for score, value in found.items()}
    finally:
        torch.set_num_threads(threads)
    return RunResult(
        initial_VE=np.tile(run.embedding_VD, (1, 2)) if run.embedding.multichannel else run.embedding_VD,
        embedding_VE=trainer.model.embedding.matrix().cpu().numpy(),
        layers={name: layer.detach().cpu().numpy() for name, layer in trainer.model.layers().items()},
        touched_V=trainer.touched_V.cpu().numpy(),
        probabilities=probabilities,
        metrics=metrics,
        history=history,
        chosen_epoch=chosen,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        seconds=time.perf_counter() - started,
    )


def train_batch(task: Task, runs: Sequence[Run], workers: int = 1, report: Report | None = None) -> list[RunResult]:
    """Train runs that share a task: the one door to the engine; a single run is a batch of one.

    Results are in the order of `runs`, each equal to what `train_run` gives alone. On a CPU up to `workers` processes
    work side by side, and nothing is reported; otherwise the runs go one after another and `report` hears of epochs.
    """
    on_gpu = any(resolve_device(run.train.device).type == "cuda" for run in runs)
    if on_gpu or workers <= 1 or len(runs) <= 1:
        return [train_run(task, run, report) for run in runs]
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(min(workers, len(runs)), mp_context=context, initializer=_keep, initargs=(task,)) as pool:
        return list(pool.map(_train_kept, runs))


_kept: list[Task] = []


def _keep(task: Task) -> None:
    _kept.append(task)


def _train_kept(run: Run) -> RunResult:
    return train_run(_kept[-1], run)
