"""What the stages `trial` and `train` do: one classifier tried, or trained, probed and recorded."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.config.schema import Config, data_name, variant_name
from pipeline.data.arrow import open_rows
from pipeline.runtime.errors import RunError, UserError
from pipeline.runtime.files import Stage
from pipeline.runtime.log import log
from pipeline.runtime.paths import project_root
from pipeline.stages.vectors import start_vectors
from pipeline.text.encoded_split import EncodedSplit
from pipeline.text.vocabulary import VOCABULARY, Vocabulary

if TYPE_CHECKING:
    from pipeline.classifier.engine import Report, RunResult, Task
    from pipeline.embedding.word_vectors import Vectors

SCORES_SHOWN = ("accuracy", "macro_recall")


@dataclass(frozen=True)
class Start:
    """What a run starts from: vocabulary (V words), encoded splits, labelled rows, initial matrix and its origin."""

    vocabulary: Vocabulary
    splits: dict[str, EncodedSplit]
    rows: "np.typing.NDArray[np.integer]"
    vectors: "Vectors | None"
    initial: "np.typing.NDArray[np.float32]"
    known: "np.typing.NDArray[np.bool_]"


def start(config: Config, prepared: Stage, trained: Stage | None) -> Start:
    """Read what `prepare` and the vectors' stage left, and draw what depends on the seed."""
    from pipeline.data.label_budget import budget_rows
    from pipeline.embedding.initial_matrix import initial_matrix

    vocabulary = Vocabulary.load(prepared.folder / VOCABULARY)
    splits = {split: EncodedSplit.open(prepared.folder, split) for split in prepared.outcome["rows"]}
    if "validation" not in splits and config.train.patience is not None:
        patience = f"train.patience={config.train.patience}"
        raise UserError(f"{patience}, but there is no validation split to watch: set train.patience=null")
    vectors = start_vectors(config, trained, vocabulary)
    # Keyed apart from the engine's own streams, so that the draw of the rows shares nothing with the order of batches.
    draws = np.random.default_rng([config.seed, 0])
    initial, known = initial_matrix(vocabulary.words, vectors, config.embedding.dim, draws, config.embedding.scale)
    rows = budget_rows(splits["train"].labels, config.data.label_budget, config.seed)
    return Start(vocabulary, splits, rows, vectors, initial, known)


def learn(
    asked: Sequence[tuple[Config, Start]], classes: int, *, test: bool = True, report: "Report | None" = None
) -> "list[RunResult | RunError]":
    """Train classifiers on the same splits as one batch of the engine; what failed is its error and stops no other."""
    from pipeline.classifier.engine import Run, train_batch

    runs = [
        Run(begun.initial, config.embedding, begun.rows, config.seed, config.model, config.train)
        for config, begun in asked
    ]
    return train_batch(encoded_task(asked[0][1].splits, classes, test=test), runs, report=report)


def learn_together(
    asked: "Sequence[tuple[Config, Stage, Stage | None]]", *, test: bool = True
) -> "list[RunResult | RunError]":
    """`learn` for configurations with what `prepare` (the same for all) and the vectors' stage left."""
    begun = [(config, start(config, prepared, trained)) for config, prepared, trained in asked]
    return learn(begun, len(asked[0][1].outcome["label_names"]), test=test)


def try_together(asked: "Sequence[tuple[Config, Stage, Stage | None]]") -> list[dict[str, Any]]:
    """Train runs that never see the test split; their scores on validation, None where one diverged."""
    if "validation" not in asked[0][1].outcome["rows"]:
        raise UserError("a trial needs a validation split: set data.validation_size=0.1")
    return [
        {"score": None, "reason": str(result)}
        if isinstance(result, RunError)
        else {"score": result.metrics[f"validation/{config.train.monitor}"], "chosen_epoch": result.chosen_epoch}
        for (config, _, _), result in zip(asked, learn_together(asked, test=False), strict=True)
    ]


def train_classifier(
    config: Config,
    prepared: Stage,
    trained: Stage | None,
    tasks: Mapping[str, Stage],
    name: str,
    overrides: Sequence[str],
    folder: Path,
    learned: "RunResult | None" = None,
) -> dict[str, Any]:
    """Train one run (unless it was, among others), probe its embedding before and after, and write its record."""
    known_facts = prepared.outcome
    begun = start(config, prepared, trained)
    vocabulary, splits = begun.vocabulary, begun.splits
    variant = variant_name(config.embedding)
    size = f"vocabulary {len(vocabulary):,} × {config.embedding.dim}"
    log.info("train: %s labelled tweets, %s", f"{len(begun.rows):,}", size)
    result = learned or alone(learn([(config, begun)], len(known_facts["label_names"]), report=epoch_line(config)))

    # Only now, so that training does not wait for what comes after it.
    from threadpoolctl import threadpool_limits

    from pipeline.embedding.initial_matrix import coverage
    from pipeline.evaluation.probes.run import probe_run
    from pipeline.tracking.provenance import environment
    from pipeline.tracking.run_record import Predictions, RunRecord, write_record

    metrics: dict[str, float | None] = dict(result.metrics)
    metrics["embedding/initial_std"] = float(begun.initial[1:].std(dtype=np.float64))
    if begun.vectors is not None:
        found = coverage(vocabulary.counts, begun.known, vocabulary.types_dropped)
        metrics |= found
        log.info(
            "train: vectors for %.1f %% of the training text's words, %.1f %% of its tokens",
            100 * found["coverage/types"],
            100 * found["coverage/tokens"],
        )
    with threadpool_limits(1):  # sums end in the same digits whatever the cores, and small ones end sooner
        probed = probe_run(config, vocabulary, splits, begun.rows, begun.known, result, tasks)
    metrics |= probed.metrics
    budget = config.data.label_budget
    record = RunRecord(
        name=name,
        title=run_title(config, known_facts["generated"]),
        config={key: value for key, value in dataclasses.asdict(config).items() if key not in ("study", "search")},
        tags={
            "variant": variant,
            "seed": str(config.seed),
            "label_budget": "all" if budget is None else str(budget),
            "data": data_name(config.data),
            "generated": str(known_facts["generated"]).lower(),
            "device": result.device,
        },
        label_names=known_facts["label_names"],
        notes=[*known_facts["notes"], *vector_notes(prepared, trained), *course_notes(config)],
        dataset={
            "name": data_name(config.data),
            "source": config.data.path or config.data.source,
            "fingerprint": known_facts["fingerprint"],
            "rows": known_facts["rows"],
            "labelled_used": len(begun.rows),
        },
        metrics=metrics,
        timings={
            "time/prepare_seconds": prepared.seconds,
            **({"time/cbow_seconds": trained.seconds} if trained else {}),
            "time/train_seconds": result.seconds,
        },
        history=result.history,
        predictions={
            split: Predictions(
                open_rows(prepared.folder / f"{split}.arrow")["text"],
                np.asarray(splits[split].labels, np.int64),
                probabilities,
            )
            for split, probabilities in result.probabilities.items()
        },
        words=list(vocabulary.words),
        counts=vocabulary.counts,
        initial=result.initial_VE,
        final=result.embedding_VE,
        weights=dict(result.layers),
        neighbours=probed.neighbours,
        similarity=probed.similarity,
        tables=probed.tables,
        keep_embedding=config.tracking.keep_embedding,
        environment=environment(project_root(), result.device),
        overrides=absolute(config, overrides),
        chosen_epoch=result.chosen_epoch if "validation" in splits else None,
    )
    write_record(folder, record)
    shown = ", ".join(f"{score} {metrics[f'test/{score}']:.4f}" for score in SCORES_SHOWN)
    generated = " (generated tweets)" if known_facts["generated"] else ""
    return {"summary": f"test {shown} on {known_facts['rows']['test']:,} tweets{generated}"}


def alone(learned: "list[RunResult | RunError]") -> "RunResult":
    """The result of a batch of one; raises its error."""
    (result,) = learned
    if isinstance(result, RunError):
        raise result
    return result


def absolute(config: Config, overrides: Sequence[str]) -> list[str]:
    """The command's overrides with whole paths, so that they can be repeated from any folder."""
    paths = {
        "data.path": config.data.path,
        "cbow.extra_text": config.cbow.extra_text,
        "embedding.path": config.embedding.path,
        "paths.root": config.paths.root,
    }
    keys = [override.partition("=")[0].lstrip("+") for override in overrides]
    return [f"{key}={paths[key]}" if paths.get(key) else text for key, text in zip(keys, overrides, strict=True)]


def course_notes(config: Config) -> list[str]:
    """How a run with the assignment's preprocessing differs from the assignment."""
    if config.text.tokenizer != "course":
        return []
    return [
        "unlike the assignment, padding is masked, rows start with a standard deviation of 1/√dim, Adam's rates are "
        f"{config.train.lr_embedding:g} (rows) and {config.train.lr_head:g} (head), and the last 1,000 + 1,000 tweets "
        "are a test split that nothing was chosen on",
        "the assignment trains on 100 batches of 16 tweets (train.max_steps=100 train.batch_size=16); this run took "
        f"{config.train.max_steps or 'all training tweets in'} batches of {config.train.batch_size}",
    ]


def run_title(config: Config, generated: bool) -> str:
    """The run's name for reading: variant, encoder where it is not `mean`, labels, seed, whether tweets are real."""
    parts = [
        variant_name(config.embedding),
        *([config.model.encoder] if config.model.encoder != "mean" else []),
        f"n={config.data.label_budget or 'all'}",
        f"seed {config.seed}",
        *(["generated tweets"] if generated else []),
    ]
    return " · ".join(parts)


def encoded_task(splits: dict[str, EncodedSplit], classes: int, *, test: bool = True) -> "Task":
    """The splits as the training engine wants them; without `test`, it never sees that split."""
    from pipeline.classifier.batch import Texts
    from pipeline.classifier.engine import Task

    texts = {
        name: Texts.from_arrays(split.ids, split.offsets, split.labels)
        for name, split in splits.items()
        if test or name != "test"
    }
    return Task(texts["train"], texts.get("validation"), texts.get("test"), classes)


def epoch_line(config: Config) -> Callable[[dict[str, float]], None]:
    """A reporter that logs one line per epoch."""
    monitor = f"validation/{config.train.monitor}"

    def report(row: dict[str, float]) -> None:
        score = f", {monitor} {row[monitor]:.4f}" if monitor in row else ""
        log.info("train: epoch %d, loss %.4f%s", row["epoch"], row["train/loss"], score)

    return report


def vector_notes(prepared: Stage, trained: Stage | None) -> list[str]:
    """What a reader must know of the trained vectors."""
    if trained is None:
        return []
    corpus = prepared.outcome["corpus"]
    texts = " + ".join(f"{count:,} {source}" for source, count in corpus["texts"].items())
    kind = "bit-reproducible (one worker)" if trained.outcome["reproducible"] else "not bit-reproducible (many workers)"
    return [f"the vectors were trained on {corpus['tokens']:,} tokens ({texts} texts); they are {kind}"]
