"""Shared by the stages `train` and `trial`: from splits and word vectors to a call of the training engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier import engine
from pipeline.classifier.batch import Texts
from pipeline.classifier.engine import Report, Run, RunResult, Task
from pipeline.config.schema import SPECIALS, Config
from pipeline.data.label_budget import budget_rows
from pipeline.embedding.initial_matrix import initial_matrix
from pipeline.embedding.word_vectors import Vectors
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.errors import RunError, UserError
from pipeline.runtime.log import log
from pipeline.text.encoded_split import EncodedSplit
from pipeline.text.vocabulary import VOCABULARY, Vocabulary

# A run to train: its configuration, the outcome of `prepare`, and the stage of its word vectors, if any.
Request = tuple[Config, Stage, Stage | None]


@dataclass(frozen=True)
class RunInputs:
    """What a run starts from.

    `vocabulary` of V words; `splits` as token ids; `rows` of the labelled training tweets that the budget allows;
    `initial_VE` the initial embedding matrix; `from_vectors_V` whether a row started from `vectors`.
    """

    vocabulary: Vocabulary
    splits: dict[str, EncodedSplit]
    rows: NDArray[np.integer]
    vectors: Vectors | None
    initial_VE: NDArray[np.float32]
    from_vectors_V: NDArray[np.bool_]


def run_inputs(config: Config, prepared: Stage, trained: Stage | None) -> RunInputs:
    """Read the outcomes of `prepare` and of the vectors' stage, and draw the initial matrix and the labelled subset."""
    vocabulary = Vocabulary.load(prepared.folder / VOCABULARY)
    splits = {split: EncodedSplit.open(prepared.folder, split) for split in prepared.outcome["rows"]}
    if "validation" not in splits and config.train.patience is not None:
        patience = f"train.patience={config.train.patience}"
        raise UserError(f"{patience}, but there is no validation split to watch: set train.patience=null")
    vectors, embedding = None, config.embedding
    if trained is not None:
        vectors = Vectors.load(trained.folder)
    elif embedding.path is not None and embedding.init == "pretrained":
        from pipeline.embedding.pretrained import read_pretrained

        words = vocabulary.words[SPECIALS:]
        vectors = read_pretrained(Path(embedding.path), embedding.format, embedding.dim, words)
    # Keyed apart from the engine's own streams, so that the draw of the matrix shares nothing with the batch order.
    rng = np.random.default_rng([config.seed, 0])
    initial_VE, from_vectors_V = initial_matrix(vocabulary.words, vectors, embedding.dim, rng, embedding.scale)
    rows = budget_rows(splits["train"].labels, config.data.label_budget, config.seed)
    return RunInputs(vocabulary, splits, rows, vectors, initial_VE, from_vectors_V)


def train_runs(
    runs: Sequence[tuple[Config, RunInputs]], classes: int, *, test: bool = True, report: Report | None = None
) -> list[RunResult | RunError]:
    """Train classifiers on the same splits as one batch of the engine; a run that failed is its error.

    Without `test`, the engine never sees that split.
    """
    texts = {
        name: Texts.from_arrays(split.ids, split.offsets, split.labels)
        for name, split in runs[0][1].splits.items()
        if test or name != "test"
    }
    specs = [
        Run(inputs.initial_VE, config.embedding, inputs.rows, config.seed, config.model, config.train)
        for config, inputs in runs
    ]
    task = Task(texts["train"], texts.get("validation"), texts.get("test"), classes)
    return engine.train_batch(task, specs, report=report)


def train_requests(requests: Sequence[Request], *, test: bool = True) -> list[RunResult | RunError]:
    """`train_runs` for requests that share the outcome of `prepare`."""
    runs = [(config, run_inputs(config, prepared, trained)) for config, prepared, trained in requests]
    return train_runs(runs, len(requests[0][1].outcome["label_names"]), test=test)


def train_one(
    config: Config, inputs: RunInputs, classes: int, *, test: bool = True, log_epochs: bool = True
) -> RunResult:
    """Train one classifier, with a log line for each epoch; raises its RunError where it failed."""
    monitor = f"validation/{config.train.monitor}"

    def report(row: dict[str, Any]) -> None:
        score = f", {monitor} {row[monitor]:.4f}" if monitor in row else ""
        log.info("train: epoch %d, loss %.4f%s", row["epoch"], row["train/loss"], score)

    (result,) = train_runs([(config, inputs)], classes, test=test, report=report if log_epochs else None)
    if isinstance(result, RunError):
        raise result
    return result
