"""The stage `train`: one classifier trained, its embedding probed, and its record written."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config.schema import Config, data_name
from pipeline.config.variants import variant_name
from pipeline.runtime.cached_folder import Stage, ensure_folder
from pipeline.runtime.log import log
from pipeline.runtime.paths import project_root
from pipeline.stages.audit import audit
from pipeline.stages.cache_keys import record_key_and_folder
from pipeline.stages.paths import short
from pipeline.stages.transfer import transfer

if TYPE_CHECKING:
    from pipeline.classifier.engine import RunResult
    from pipeline.stages.learn import Request, RunInputs
    from pipeline.tracking.run_record import Predictions, RunRecord

LOGGED_SCORES = ("accuracy", "macro_recall")
NOT_RECORDED = ("study", "search")  # sections of the configuration that a single run does not read


def train(
    config: Config,
    prepared: Stage,
    vectors: Mapping[str, Stage],
    overrides: Sequence[str],
    result: "RunResult | None" = None,
) -> Path:
    """Train and probe one classifier and write its record below results/.

    `result` : what training gave, where the classifier was trained already, in a batch with others.
    """
    unforced = dataclasses.replace(config, force=False)  # other runs may be reading these
    tasks = {name: transfer(unforced, prepared, name) for name in config.probe.tasks}
    key, folder = record_key_and_folder(config, prepared, vectors, {name: task.key for name, task in tasks.items()})
    tracking = dataclasses.replace(config.tracking, keep_embedding=key["keep_embedding"])
    config = dataclasses.replace(config, tracking=tracking)

    def work(temporary: Path) -> dict[str, Any]:
        from pipeline.stages.learn import run_inputs, train_one

        audited = audit(unforced, prepared)
        inputs = run_inputs(config, prepared, vectors)
        size = f"vocabulary {len(inputs.vocabulary):,} × {config.embedding.encoder_dim}"
        log.info("train: %s labelled tweets, %s", f"{len(inputs.rows):,}", size)
        trained = result or train_one(config, inputs, len(prepared.outcome["label_names"]))

        # Imported only now, so that training does not wait for what comes after it.
        from pipeline.tracking.write_record import write_record

        record = run_record((config, prepared, vectors), inputs, trained, tasks, audited, folder.name, overrides)
        write_record(temporary, record)
        scores = ", ".join(f"{score} {record.metrics[f'test/{score}']:.4f}" for score in LOGGED_SCORES)
        generated = " (generated tweets)" if prepared.outcome["generated"] else ""
        return {"summary": f"test {scores} on {prepared.outcome['rows']['test']:,} tweets{generated}"}

    log.info("train: %s → %s", variant_name(config.embedding), short(folder))
    manifest, reused = ensure_folder(folder, {"stage": "train", **key}, work, force=config.force)
    log.info("train: %s · %s", "this run was finished before" if reused else "done", manifest["outcome"]["summary"])
    return folder


def run_record(
    request: "Request",
    inputs: "RunInputs",
    result: "RunResult",
    tasks: Mapping[str, Stage],
    audited: Stage,
    name: str,
    overrides: Sequence[str],
) -> "RunRecord":
    """Everything that the record of a run holds: its embedding is probed, before and after training."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    from pipeline.data.arrow import open_rows
    from pipeline.embedding.initial_matrix import coverage
    from pipeline.evaluation.probes.run import probe_run
    from pipeline.tracking.provenance import environment
    from pipeline.tracking.run_record import Predictions, RunRecord

    config, prepared, vectors = request
    facts, budget = prepared.outcome, config.data.label_budget
    metrics: dict[str, float | None] = {**result.metrics}
    metrics["embedding/initial_std"] = float(inputs.initial_VE[1:].std(dtype=np.float64))
    if inputs.vectors:
        vocabulary = inputs.vocabulary
        shares = coverage(vocabulary.counts, inputs.from_vectors_V, vocabulary.types_dropped)
        words, tokens = 100 * shares["coverage/types"], 100 * shares["coverage/tokens"]
        log.info(f"train: vectors for {words:.1f} % of the training text's words, {tokens:.1f} % of its tokens")
        metrics |= shares
    with threadpool_limits(1):  # sums end in the same digits whatever the cores, and small ones end sooner
        probes = probe_run(config, inputs.vocabulary, inputs.splits, inputs.rows, inputs.from_vectors_V, result, tasks)
    for note in probes.notes:
        log.info("note: %s", note)
    predictions = {}
    for split, probabilities in result.probabilities.items():
        texts, labels = open_rows(prepared.folder / f"{split}.arrow")["text"], inputs.splits[split].labels
        predictions[split] = Predictions(texts, np.asarray(labels, np.int64), probabilities)
    chosen_epoch = result.chosen_epoch if "validation" in inputs.splits else None
    return RunRecord(
        name=name,
        title=run_title(config, facts["generated"]),
        config={key: value for key, value in dataclasses.asdict(config).items() if key not in NOT_RECORDED},
        tags={
            "variant": variant_name(config.embedding),
            "seed": str(config.seed),
            "label_budget": "all" if budget is None else str(budget),
            "data": data_name(config.data),
            "generated": str(facts["generated"]).lower(),
            "device": result.device,
        },
        label_names=facts["label_names"],
        notes=[*facts["notes"], *vector_notes(prepared, vectors, inputs), *course_notes(config), *probes.notes],
        warnings=run_warnings(config, audited.outcome, predictions, facts, chosen_epoch),
        dataset={
            "name": data_name(config.data),
            "source": config.data.path or config.data.source,
            "fingerprint": facts["fingerprint"],
            "rows": facts["rows"],
            "labelled_used": len(inputs.rows),
        },
        metrics=metrics | probes.metrics,
        timings={
            "time/prepare_seconds": prepared.seconds,
            **({"time/cbow_seconds": sum(stage.seconds for stage in vectors.values())} if vectors else {}),
            "time/train_seconds": result.seconds,
        },
        history=result.history,
        predictions=predictions,
        words=list(inputs.vocabulary.words),
        counts=inputs.vocabulary.counts,
        initial=result.initial_VE,
        final=result.embedding_VE,
        weights=dict(result.layers),
        neighbours=probes.neighbours,
        similarity=probes.similarity,
        tables=probes.tables,
        keep_embedding=config.tracking.keep_embedding,
        environment=environment(project_root(), result.device),
        overrides=list(overrides),
        chosen_epoch=chosen_epoch,
    )


def run_warnings(
    config: Config,
    report: Mapping[str, Any],
    predictions: "Mapping[str, Predictions]",
    facts: Mapping[str, Any],
    chosen_epoch: int | None,
) -> list[dict[str, str]]:
    """The warnings of the data's audit and of the run's scores, each with `code`, `text` and `remedy`."""
    from pipeline.classifier.metrics import confusion_matrix
    from pipeline.evaluation.audit.findings import label_findings
    from pipeline.evaluation.audit.remedies import remedy
    from pipeline.evaluation.audit.score_findings import score_findings
    from pipeline.tracking.score_intervals import score_intervals

    label_names = facts["label_names"]
    confusions = {
        split: confusion_matrix(of_split.labels, of_split.probabilities.argmax(axis=1), len(label_names))
        for split, of_split in predictions.items()
    }
    intervals = {split: score_intervals(counts) for split, counts in confusions.items()}
    of_scores = map(dataclasses.asdict, score_findings(confusions, intervals, label_names, chosen_epoch))
    findings = [finding for finding in (*of_scores, *report["findings"]) if finding["severity"] == "warning"]
    findings.sort(key=lambda finding: finding["code"] != "label_leak")
    warnings = [finding | {"remedy": remedy(finding, report, config)} for finding in findings]
    warnings += label_findings(facts["notes"])
    return [{key: warning[key] for key in ("code", "text", "remedy")} for warning in warnings]


def run_title(config: Config, generated: bool) -> str:
    """The run's name for reading: variant, encoder where it is not `mean`, labels, seed, whether tweets are real."""
    encoder = "" if config.model.encoder == "mean" else config.model.encoder
    size, seed = f"n={config.data.label_budget or 'all'}", f"seed {config.seed}"
    parts = (variant_name(config.embedding), encoder, size, seed, "generated tweets" if generated else "")
    return " · ".join(filter(None, parts))


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


def vector_notes(prepared: Stage, stages: Mapping[str, Stage], inputs: "RunInputs") -> list[str]:
    """How much text the word vectors read and whether their bits repeat, or where vectors from elsewhere come from."""
    notes = []
    for init, vectors in inputs.vectors.items():
        if "notes" in vectors.info:
            notes += vectors.info["notes"]
            continue
        corpus = prepared.outcome["corpus"] | vectors.info["corpus"]
        texts = " + ".join(f"{count:,} {source}" for source, count in corpus["texts"].items()) + " texts"
        if "left_out" in corpus:
            texts += f", without {corpus['left_out']:,} texts that are in the transfer tasks"
        workers = "one worker" if stages[init].outcome["reproducible"] else "many workers"
        kind = f"{'bit-reproducible' if workers == 'one worker' else 'not bit-reproducible'} ({workers})"
        name = f"{init} vectors" if len(inputs.vectors) > 1 else "vectors"
        notes.append(f"the {name} were trained on {corpus['tokens']:,} tokens ({texts}); they are {kind}")
    return notes
