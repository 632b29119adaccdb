"""Data classes of a run's record: RunRecord to write, StoredRun as read back, and Predictions of a split."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True)
class Predictions:
    """Predictions of one split: N texts (a list or a memory-mapped column), `labels` (N,), `probabilities` (N, C)."""

    texts: Sequence[str] | pa.ChunkedArray
    labels: NDArray[np.int64]
    probabilities: NDArray[np.floating]


@dataclass(frozen=True)
class RunRecord:
    """Everything that is known about one finished run.

    name : folder name. title : name for people. config : resolved configuration, nested.
    tags : variant, seed, label_budget ("all" or a number), data, generated ("true" or "false"), device, …
    notes : facts that a reader must know. dataset : name, source, fingerprint, rows per split, labelled_used.
    metrics : `test/accuracy` and the like, without times; None where undefined. timings : `time/train_seconds`, …
    history : one row per epoch with `epoch`, `step`, `train/loss`, `validation/…`. predictions : by split.
    words, counts : vocabulary in the order of the rows of `initial` and `final`.
    initial, final : embedding matrix (V, D) before and after training.
    weights : encoder and head parameters by name. neighbours, similarity : rows of these two probes.
    tables : rows of the other probes by name, written as NAME.csv.
    keep_embedding : whether vocabulary and embedding matrices are written; they are most of a record's bytes.
    warnings : what puts the scores in doubt, each with `code`, `text` and `remedy`.
    environment : from `provenance.environment`. overrides : arguments of `./scripts/run` that repeat the run.
    chosen_epoch : epoch whose weights were kept.
    """

    name: str
    title: str
    config: dict[str, Any]
    tags: dict[str, str]
    label_names: list[str]
    notes: list[str]
    dataset: dict[str, Any]
    metrics: dict[str, float | None]
    timings: dict[str, float]
    history: list[dict[str, float]]
    predictions: dict[str, Predictions]
    words: list[str]
    counts: Sequence[int] | NDArray[np.integer]
    initial: NDArray[np.float32]
    final: NDArray[np.float32]
    weights: dict[str, NDArray[Any]]
    neighbours: list[dict[str, Any]] = field(default_factory=list)
    similarity: list[dict[str, Any]] = field(default_factory=list)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    warnings: list[dict[str, str]] = field(default_factory=list)
    keep_embedding: bool = True
    environment: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] | None = None
    chosen_epoch: int | None = None


@dataclass(frozen=True)
class StoredRun:
    """The small files of a record, read back: enough for MLflow, a table or a study. `header` is `run.json`."""

    header: dict[str, Any]
    config: dict[str, Any]
    metrics: dict[str, float | None]
    timings: dict[str, float]
    history: list[dict[str, float]]
    neighbours: list[dict[str, str]]
    note: str

    @property
    def warning_codes(self) -> list[str]:
        """The codes of its warnings, each once; none in a record of an earlier release."""
        return list(dict.fromkeys(warning["code"] for warning in self.header.get("warnings", [])))

    @property
    def has_leak(self) -> bool:
        """Whether its data has a label leak: it is no champion."""
        return "label_leak" in self.warning_codes
