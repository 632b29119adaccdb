"""Shared by the stages `train` and `trial`: from splits and word vectors to a call of the training engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier import engine
from pipeline.classifier.batch import Texts
from pipeline.classifier.engine import Report, Run, RunResult, Task
from pipeline.config.schema import SPECIALS, UNK, Config
from pipeline.data.label_budget import budget_rows
from pipeline.embedding.initial_matrix import initial_matrix
from pipeline.embedding.word_vectors import Vectors
from pipeline.prediction.trained_model import RUN, read_model
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.errors import RunError, UserError
from pipeline.runtime.files import read_json
from pipeline.runtime.log import log
from pipeline.text.encoded_split import EncodedSplit
from pipeline.text.vocabulary import VOCABULARY, Vocabulary

# A run to train: its configuration, the outcome of `prepare`, and the stages of its word vectors, by init.
Request = tuple[Config, Stage, Mapping[str, Stage]]


@dataclass(frozen=True)
class RunInputs:
    """What a run starts from.

    `vocabulary` of V words; `splits` as token ids; `rows` of the labelled training tweets that the budget allows;
    `vectors` by init; `initial_VE` the initial embedding matrix: all tables side by side, the frozen ones first;
    `from_vectors_V` whether a row started from vectors in any table.
    """

    vocabulary: Vocabulary
    splits: dict[str, EncodedSplit]
    rows: NDArray[np.integer]
    vectors: dict[str, Vectors]
    initial_VE: NDArray[np.float32]
    from_vectors_V: NDArray[np.bool_]


def open_vectors(config: Config, init: str, stage: Stage | None, words: Sequence[str]) -> Vectors | None:
    """The vectors of an init for `words`, from its stage, a file or a run; None for one that has none."""
    if init == "random":
        return None
    if init == "pretrained":
        from pipeline.embedding.pretrained import read_pretrained

        embedding = config.embedding
        return read_pretrained(Path(str(embedding.path)), embedding.format, embedding.dim, words)
    if init == "run":
        return run_vectors(Path(str(config.embedding.path)))
    if stage is None:
        raise ValueError(f"no stage for embedding.init={init}")
    return Vectors.load(stage.folder)


def run_vectors(folder: Path) -> Vectors:
    """The trained vectors of a finished run, from its record; raises UserError where it has none."""
    trained = read_model(folder)
    data = read_json(folder / RUN).get("tags", {}).get("data", "unknown")
    note = f"the vectors are those that the run {trained.name} ({trained.title}, data set {data}) ended with"
    words, vectors = trained.words[SPECIALS:], trained.embedding_VE[SPECIALS:]
    return Vectors(words, np.zeros(len(words), np.int64), vectors, {"notes": [note]})


def run_inputs(config: Config, prepared: Stage, stages: Mapping[str, Stage]) -> RunInputs:
    """Read the outcomes of `prepare` and of the vectors' stages, and draw the initial matrix and the labelled subset.

    With several tables, the others are scaled to the standard deviation of the first. A table that is there twice,
    frozen and trainable, has the same rows in both.
    """
    vocabulary = Vocabulary.load(prepared.folder / VOCABULARY)
    splits = {split: EncodedSplit.open(prepared.folder, split) for split in prepared.outcome["rows"]}
    if "validation" not in splits and config.train.patience is not None:
        patience = f"train.patience={config.train.patience}"
        raise UserError(f"{patience}, but there is no validation split to watch: set train.patience=null")
    embedding, words = config.embedding, vocabulary.words
    vectors: dict[str, Vectors] = {}
    tables: dict[str, NDArray[np.float32]] = {}
    from_vectors_V, scale = np.zeros(len(words), np.bool_), embedding.scale
    for position, init in enumerate(dict.fromkeys(embedding.inits)):
        opened = open_vectors(config, init, stages.get(init), words[SPECIALS:])
        # Keyed apart from the engine's own streams, so that the draw of the matrix shares nothing with the batch order.
        # (A seed sequence ends in any number of zeros: position 0 is the same as none.)
        rng = np.random.default_rng([config.seed, 0, position])
        tables[init], known_V = initial_matrix(words, opened, embedding.dim, rng, scale, shuffled=embedding.shuffled)
        from_vectors_V |= known_V
        scale = scale or float(tables[init][UNK:].std(dtype=np.float64))
        if opened is not None:
            vectors[init] = opened
    matrices = [tables[init] for init, _ in embedding.tables]
    initial_VE = np.concatenate(matrices, axis=1) if len(matrices) > 1 else matrices[0]
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
