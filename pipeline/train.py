"""What the stages `cbow` and `train` do with the folder they are given: vectors; one probed, recorded classifier."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.data.texts import read_texts
from pipeline.errors import UserError
from pipeline.files import Stage
from pipeline.prepare import CORPUS, VOCABULARY
from pipeline.progress import log
from pipeline.schema import SPECIALS, Config, data_name, variant_name
from pipeline.text.encoding import EncodedSplit
from pipeline.text.presets import build_tokenizer
from pipeline.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pipeline.classifier.engine import Task
    from pipeline.embedding.vectors import Vectors

SCORES_SHOWN = ("accuracy", "macro_recall")


def train_vectors(config: Config, prepared: Stage, folder: Path) -> dict[str, Any]:
    """Train word vectors on the corpus and write them."""
    from pipeline.embedding.cbow import train_cbow

    vocabulary = Vocabulary.load(prepared.folder / VOCABULARY)
    vectors = train_cbow(
        prepared.folder / CORPUS,
        config.cbow,
        extra_words=vocabulary.words[SPECIALS:],
        corpus_fingerprint=prepared.outcome["corpus"]["fingerprint"],
    )
    vectors.save(folder)
    return {"reproducible": vectors.info["reproducible"], "words": len(vectors.words)}


def train_classifier(
    config: Config, prepared: Stage, trained: Stage | None, name: str, overrides: Sequence[str], folder: Path
) -> dict[str, Any]:
    """Train one run, probe its embedding before and after, and write its record."""
    from pipeline.classifier.engine import Run, train_batch
    from pipeline.data.budget import budget_rows
    from pipeline.embedding.layer import coverage, initial_matrix
    from pipeline.probes.drift import drift
    from pipeline.tracking.provenance import environment
    from pipeline.tracking.record import Predictions, RunRecord, write_record

    vocabulary = Vocabulary.load(prepared.folder / VOCABULARY)
    known_facts = prepared.outcome
    splits = {split: EncodedSplit.open(prepared.folder, split) for split in known_facts["rows"]}
    if "validation" not in splits and config.train.patience is not None:
        patience = f"train.patience={config.train.patience}"
        raise UserError(f"{patience}, but there is no validation split to watch: set train.patience=null")
    vectors = start_vectors(config, trained, vocabulary)
    dim = config.embedding.dim
    # Keyed apart from the engine's own streams, so that the draw of the rows shares nothing with the order of batches.
    draws = np.random.default_rng([config.seed, 0])
    initial, known = initial_matrix(vocabulary.words, vectors, dim, draws, config.embedding.scale)
    rows = budget_rows(np.asarray(splits["train"].labels, dtype=np.int64), config.data.label_budget, config.seed)
    variant = variant_name(config.embedding)
    log.info("train: %s labelled tweets, vocabulary %s × %d", f"{len(rows):,}", f"{len(vocabulary):,}", dim)
    task = encoded_task(splits, len(known_facts["label_names"]))
    run = Run(initial, config.embedding.trainable, rows, config.seed, config.model, config.train)
    (result,) = train_batch(task, [run], report=epoch_line(config))

    tokenizer = build_tokenizer(config.text)
    neighbours, similarity, similarity_metrics = probe_words(
        config, tokenizer, vocabulary, initial, result.embedding_VD
    )
    metrics: dict[str, float | None] = dict(result.metrics)
    metrics["embedding/initial_std"] = float(initial[1:].std(dtype=np.float64))
    if vectors is not None:
        found = coverage(vocabulary.counts, known, vocabulary.types_dropped)
        metrics |= found
        log.info(
            "train: vectors for %.1f %% of the training text's words, %.1f %% of its tokens",
            100 * found["coverage/types"],
            100 * found["coverage/tokens"],
        )
    metrics |= similarity_metrics
    moved = drift(initial, result.embedding_VD, result.touched_V)
    metrics |= {f"probe/drift/{key}": value for key, value in moved.items()}
    budget = config.data.label_budget
    record = RunRecord(
        name=name,
        title=run_title(config, known_facts["generated"]),
        config=dataclasses.asdict(config),
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
            "labelled_used": len(rows),
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
                list(read_texts(prepared.folder, split)), np.asarray(splits[split].labels, np.int64), probabilities
            )
            for split, probabilities in result.probabilities.items()
        },
        words=list(vocabulary.words),
        counts=vocabulary.counts,
        initial=initial,
        final=result.embedding_VD,
        weights=dict(result.layers),
        neighbours=neighbours,
        similarity=similarity,
        environment=environment(Path(__file__).resolve().parents[1], result.device),
        overrides=absolute(config, overrides),
        chosen_epoch=result.chosen_epoch if "validation" in splits else None,
    )
    write_record(folder, record)
    shown = ", ".join(f"{score} {metrics[f'test/{score}']:.4f}" for score in SCORES_SHOWN)
    generated = " (generated tweets)" if known_facts["generated"] else ""
    return {"summary": f"test {shown} on {known_facts['rows']['test']:,} tweets{generated}"}


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


def start_vectors(config: Config, trained: Stage | None, vocabulary: Vocabulary) -> "Vectors | None":
    """The vectors that the embedding layer starts from: trained ones, those of a file, or none."""
    from pipeline.embedding.vectors import Vectors

    if config.embedding.init == "random":
        return None
    if trained is not None:
        return Vectors.load(trained.folder)
    from pipeline.embedding.pretrained import read_pretrained

    assert config.embedding.path is not None
    path = Path(config.embedding.path)
    return read_pretrained(path, config.embedding.format, config.embedding.dim, vocabulary.words[SPECIALS:])


def encoded_task(splits: dict[str, EncodedSplit], classes: int) -> "Task":
    """The splits as the training engine wants them."""
    from pipeline.classifier.engine import Task
    from pipeline.classifier.texts import Texts

    texts = {name: Texts.from_arrays(split.ids, split.offsets, split.labels) for name, split in splits.items()}
    return Task(texts["train"], texts.get("validation"), texts["test"], classes)


def epoch_line(config: Config) -> Callable[[dict[str, float]], None]:
    """A reporter that logs one line per epoch."""
    monitor = f"validation/{config.train.monitor}"

    def report(row: dict[str, float]) -> None:
        score = f", {monitor} {row[monitor]:.4f}" if monitor in row else ""
        log.info("train: epoch %d, loss %.4f%s", row["epoch"], row["train/loss"], score)

    return report


def probe_words(
    config: Config,
    tokenizer: Callable[[str], list[str]],
    vocabulary: Vocabulary,
    initial: "np.typing.NDArray[np.float32]",
    final: "np.typing.NDArray[np.float32]",
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, float | None]]:
    """Nearest neighbours and word similarity before and after training: two tables, and metrics of the second."""
    from pipeline.probes.neighbours import before_after
    from pipeline.probes.similarity import load_pairs, similarity

    def token_of(word: str) -> str | None:
        tokens = tokenizer(word)
        return tokens[0] if len(tokens) == 1 else None

    queries = [token_of(word) or word for word in config.probe.neighbour_words]
    neighbours = before_after(initial, final, vocabulary.words, queries, config.probe.neighbours)
    table: list[dict[str, Any]] = []
    metrics: dict[str, float | None] = {}
    for source in (*config.probe.similarity, *config.probe.similarity_files):
        pairs = load_pairs(source)
        before, after = (similarity(matrix, vocabulary.id_of, pairs, token_of) for matrix in (initial, final))
        name = Path(source).stem if source in config.probe.similarity_files else source
        prefix = f"probe/similarity/{name}"
        metrics |= {f"{prefix}/{key}": after[key] for key in ("spearman", "coverage", "n")}
        metrics[f"{prefix}/spearman_before"] = before["spearman"]
        table.append(
            {
                "set": name,
                "n": after["n"],
                "pairs": len(pairs),
                "coverage": after["coverage"],
                "spearman_before": before["spearman"],
                "before_low": before["spearman_low"],
                "before_high": before["spearman_high"],
                "spearman": after["spearman"],
                "low": after["spearman_low"],
                "high": after["spearman_high"],
            }
        )
    return neighbours, table, metrics


def vector_notes(prepared: Stage, trained: Stage | None) -> list[str]:
    """What a reader must know of the trained vectors."""
    if trained is None:
        return []
    corpus = prepared.outcome["corpus"]
    texts = " + ".join(f"{count:,} {source}" for source, count in corpus["texts"].items())
    kind = "bit-reproducible (one worker)" if trained.outcome["reproducible"] else "not bit-reproducible (many workers)"
    return [f"the vectors were trained on {corpus['tokens']:,} tokens ({texts} texts); they are {kind}"]
