"""prepare → vectors → train: the only module that knows the order.

A stage whose outcome is there already is reused. What determines an outcome is its identity: the configuration it
reads, the fingerprints of its inputs, the code that does it and the library versions; never where files lie or when
they were written. The work itself stands in `prepare.py` and `train.py`, imported only when it has to be done.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config.schema import Config, variant_name
from pipeline.runtime.files import Stage, ensure_folder
from pipeline.runtime.log import log
from pipeline.stages.cache_keys import (
    code,
    files_fingerprint,
    input_fingerprint,
    record_identity,
    stop_words_used,
    trial_identity,
)
from pipeline.stages.dvc import leave_record, leave_stage, taken_or
from pipeline.stages.paths import artifact_folder, dashboard, record_folder, root, short

if TYPE_CHECKING:
    from pipeline.classifier.engine import RunResult


def run(config: Config, overrides: Sequence[str] = ()) -> Path | None:
    """Run the stages that `config.stage` asks for, reusing what is there.

    Parameters
    ----------
    overrides : what the command line said, for the record.

    Returns
    -------
    The folder of the run's record, or None where the stage asked for comes before it.

    Raises
    ------
    UserError : the configuration or an input file is wrong. RunError : the run itself failed.
    """
    if logs := config.tracking.enabled and config.stage not in ("prepare", "cbow"):
        from pipeline.tracking.mlflow.background import mlflow_beside

        mlflow = mlflow_beside()
    prepared = prepare(config)
    if config.stage in ("prepare", "cbow"):
        leave_stage(config, prepared if config.stage == "prepare" else cbow(config, prepared))
        log.info("next: the same command without stage=%s trains a classifier on it", config.stage)
        return None
    uri, browse = config.tracking.uri, ""
    assert uri is not None
    if logs:
        mlflow.prepare(uri)
    folder = train(config, prepared, vectors(config, prepared), overrides)
    leave_record(config, folder)
    if logs:
        logged = mlflow.log_run(folder, uri, config.tracking.experiment, root(config) / "artifacts" / "mlflow")
        if logged and uri.startswith("sqlite:"):
            browse = f", or browse all runs: {dashboard(config)}"
    log.info("read %s%s", short(folder / "note.md"), browse)
    return folder


def prepare(config: Config) -> Stage:
    """Load, split and encode the tweets. Variant, label budget and seed play no part: all runs on the data share it."""
    from pipeline.data.source import source_fingerprint

    data = dataclasses.asdict(config.data)
    for key in ("path", "label_budget"):
        del data[key]
    identity = {
        "data": data,
        "source": source_fingerprint(config.data, partial(files_fingerprint, config)),
        "text": dataclasses.asdict(config.text),
        "unlabelled": config.cbow.use_unlabelled,
        "extra_text": input_fingerprint(config, "cbow.extra_text", config.cbow.extra_text),
        "stop_words": stop_words_used(config),
        "code": code("stages/prepare.py", "data", "data/sample", "text"),
    }

    def work(folder: Path) -> dict[str, Any]:
        from pipeline.stages.prepare import prepare_texts

        return prepare_texts(config, folder)

    prepared = artifact(config, "prepare", identity, work)
    for note in prepared.outcome["notes"]:
        log.info("note: %s", note)
    return prepared


def vectors(config: Config, prepared: Stage) -> Stage | None:
    """The word vectors that the variant starts from, where the project makes them."""
    makers = {"cbow": cbow, "ppmi": ppmi}
    return makers[config.embedding.init](config, prepared) if config.embedding.init in makers else None


def cbow(config: Config, prepared: Stage) -> Stage:
    """Train word vectors on the corpus; runs of one seed share them."""
    knobs = dataclasses.asdict(config.cbow)
    for key in ("use_unlabelled", "extra_text"):
        del knobs[key]

    def work(folder: Path) -> dict[str, Any]:
        from pipeline.stages.vectors import train_vectors

        return train_vectors(config, prepared, folder)

    identity = {
        "corpus": prepared.outcome["corpus"]["fingerprint"],
        # fastText composes vectors for the vocabulary's words, so there the vocabulary counts as well.
        "vocabulary": prepared.key if config.cbow.algorithm == "fasttext" else None,
        "cbow": knobs,
        "code": code("stages/vectors.py", "embedding/cbow.py", "embedding/word_vectors.py"),
    }
    return artifact(config, "cbow", identity, work)


def ppmi(config: Config, prepared: Stage) -> Stage:
    """Count word vectors on the same corpus; no seed plays a part."""

    def work(folder: Path) -> dict[str, Any]:
        from pipeline.stages.vectors import count_vectors

        return count_vectors(config, prepared, folder)

    identity = {
        "corpus": prepared.outcome["corpus"]["fingerprint"],
        "ppmi": dataclasses.asdict(config.ppmi),
        "dim": config.embedding.dim,
        "code": code("stages/vectors.py", "embedding/ppmi.py", "embedding/word_vectors.py"),
    }
    return artifact(config, "ppmi", identity, work)


def trial(config: Config, prepared: Stage, vectors: Stage | None, tried: Mapping[str, Any] | None = None) -> Stage:
    """Train one classifier without reading the test split; the outcome holds its score on validation.

    `tried` : that outcome, where the classifier was trained already, among others.
    """

    def work(folder: Path) -> Mapping[str, Any]:
        from pipeline.stages.train import try_together

        return tried or try_together([(config, prepared, vectors)])[0]

    return artifact(config, "trial", trial_identity(config, prepared, vectors), work)


def transfer(config: Config, prepared: Stage, task: str) -> Stage:
    """Encode another task's tweets with the vocabulary of this one; all runs on the data share it."""
    from pipeline.evaluation.probes.transfer_tasks import task_fingerprint

    def work(folder: Path) -> dict[str, Any]:
        from pipeline.stages.references import encode_transfer

        return encode_transfer(config, prepared, task, folder)

    identity = {
        "prepare": prepared.key,
        "task": task_fingerprint(task, config.probe.transfer_path, config.data.sample),
        "code": code("stages/references.py", "evaluation/probes/transfer.py", "evaluation/probes/transfer_tasks.py"),
    }
    return artifact(config, "transfer", identity, work)


def audit(config: Config, prepared: Stage) -> Stage:
    """Look for copies, label leaks and splits that differ; the outcome is the report."""

    def work(folder: Path) -> dict[str, Any]:
        from pipeline.stages.references import audit_splits

        return audit_splits(prepared)

    return artifact(
        config, "audit", {"prepare": prepared.key, "code": code("stages/references.py", "evaluation/audit")}, work
    )


def baseline(config: Config, prepared: Stage, name: str) -> Stage:
    """Fit a baseline on a run's labelled tweets; the outcome holds its scores."""

    def work(folder: Path) -> dict[str, Any]:
        from pipeline.stages.references import fit_baseline

        return fit_baseline(config, prepared, name, folder)

    identity = {
        "prepare": prepared.key,
        "baseline": name,
        "label_budget": config.data.label_budget,
        "seed": config.seed,
        "trials": len(config.study.lr_factors),
        "code": code("stages/references.py", "evaluation/baselines"),
    }
    return artifact(config, "baseline", identity, work)


def train(
    config: Config,
    prepared: Stage,
    vectors: Stage | None,
    overrides: Sequence[str],
    learned: "RunResult | None" = None,
) -> Path:
    """Train and probe one classifier and write its record below results/.

    `learned` : what training gave, where the classifier was trained already, among others.
    """
    unforced = dataclasses.replace(config, force=False)  # other runs may be reading these
    tasks = {name: transfer(unforced, prepared, name) for name in config.probe.transfer}
    config, identity = record_identity(config, prepared, vectors, {name: task.key for name, task in tasks.items()})
    folder = record_folder(config, identity)

    def work(temporary: Path) -> dict[str, Any]:
        from pipeline.stages.train import train_classifier

        return train_classifier(config, prepared, vectors, tasks, folder.name, overrides, temporary, learned)

    log.info("train: %s → %s", variant_name(config.embedding), short(folder))
    manifest, reused = ensure_folder(folder, {"stage": "train", **identity}, work, force=config.force)
    log.info("train: %s · %s", "this run was finished before" if reused else "done", manifest["outcome"]["summary"])
    return folder


def artifact(
    config: Config, name: str, identity: Mapping[str, Any], work: Callable[[Path], Mapping[str, Any]]
) -> Stage:
    """Have a stage done below artifacts/, or reuse it, and say which."""
    whole = {"stage": name, **identity}
    folder = artifact_folder(config, name, identity)
    key = folder.name
    manifest, reused = ensure_folder(folder, whole, taken_or(work, config, whole), force=config.force)
    stage = Stage(folder, key, manifest)
    log.info("%s: %s %s", name, "reused" if reused else f"done in {stage.seconds:.1f} s,", short(folder))
    return stage
