"""What the engine takes and returns: a task (splits), a run (settings) and the result of a run.

Shapes: see `model`.
"""

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
    """The splits, and the number of classes C.

    Without a validation split no epoch is chosen; without a test split none is scored.
    """

    train: Texts
    validation: Texts | None
    test: Texts | None
    classes: int


@dataclass(frozen=True)
class Run:
    """The specification of one run.

    embedding_VD : initial embedding matrix (V, D) float32: the tables side by side, the frozen ones first; row 0 is
        zero. Read-only.
    embedding : how the layer trains: `tables`, `projected`, `anchor`; its other keys are not read.
    rows_N : indices of the training tweets whose labels the run may use.
    seed : fixes initial weights, batch order and dropout, each by a random generator of its own.
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
        """Passes over its tweets per epoch: one, or several where the tweets are few."""
        return math.ceil(self.train.min_epoch_steps / self.steps_per_pass)

    @property
    def trainable(self) -> bool:
        """Whether the rows of any table are trained."""
        return any(trainable for _, trainable in self.embedding.tables)

    @property
    def frozen_dim(self) -> int:
        """Dimensions of frozen tables beside trainable ones, the first of the matrix; 0 where all tables are alike."""
        trainable = [trainable for _, trainable in self.embedding.tables]
        frozen_tables = trainable.count(False) if any(trainable) else 0
        return int(self.embedding_VD.shape[1]) // len(trainable) * frozen_tables

    @property
    def changes_embedding(self) -> bool:
        """Whether training changes the embedding matrix as the encoder reads it."""
        return self.trainable or self.embedding.projected


@dataclass(frozen=True)
class RunResult:
    """The result of one run.

    initial_VE, embedding_VE : the embedding matrix as the encoder reads it, before training and at the chosen epoch; a
        projection is multiplied in. A matrix that training did not change is the run's own array, not a copy.
    layers : parameters of encoder and head; with embedding_VE they are the whole classifier.
    touched_V : words that at least one training batch read.
    probabilities : per split, (N, C) float32.
    metrics : scores per split, and parameter counts.
    history : one row per epoch; `train/loss` is the mean cross-entropy per tweet, without the anchor penalty.
    chosen_epoch : the epoch (from 1) whose weights these are.
    device : name of the GPU, or `cpu`.
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
