"""What the training engine is given and what it gives back."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier.batch import Texts
from pipeline.config.schema import EmbeddingConfig, ModelConfig, TrainConfig

Report = Callable[[dict[str, float]], None]


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

    embedding_VD : initial rows (V, D) float32; row 0 is zero. Only read.
    embedding : what becomes of them: `trainable`, `multichannel`, `projected`, `anchor`; its other keys are not read.
    rows_N : the rows of the training split whose labels this run may use.
    seed : fixes initial weights, batch order and dropout, each from a generator of its own.
    """

    embedding_VD: NDArray[np.float32]
    embedding: EmbeddingConfig
    rows_N: NDArray[np.integer]
    seed: int
    model: ModelConfig
    train: TrainConfig

    @property
    def steps_per_pass(self) -> int:
        """Steps of one pass over its tweets."""
        return math.ceil(len(self.rows_N) / self.train.batch_size)

    @property
    def passes(self) -> int:
        """Passes over its tweets in one epoch: one or, of few tweets, several."""
        return math.ceil(self.train.min_epoch_steps / self.steps_per_pass)

    @property
    def moves(self) -> bool:
        """Whether training changes the rows as the encoder reads them."""
        return self.embedding.trainable or self.embedding.projected

    def initial_table(self) -> NDArray[np.float32]:
        """Rows (V, E) as the encoder reads them before training."""
        return np.concatenate([self.embedding_VD] * 2, axis=1) if self.embedding.multichannel else self.embedding_VD


@dataclass(frozen=True)
class RunResult:
    """What one run gives back.

    initial_VE, embedding_VE : rows as the encoder reads them, before training and at the chosen epoch: E = 2 D with two
    channels (the one that stays comes first), and a projection is multiplied in. Rows that nothing changed are the
    run's own array, not a copy; layers : encoder and head, which with embedding_VE are the whole classifier;
    touched_V : rows that at least one training batch read; probabilities : per split, (N, C) float32; metrics : scores
    per split and parameter counts; history : one row per epoch, where `train/loss` is the mean cross-entropy per tweet,
    without the anchor's part; chosen_epoch : the epoch (from 1) whose weights were kept; device : what it ran on.
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
