"""What determines an outcome: configuration, inputs, code and library versions, as values to fingerprint."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.config.schema import Config
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import Stage, file_fingerprint, fingerprint, library_versions
from pipeline.runtime.fingerprint_cache import known_fingerprint
from pipeline.runtime.paths import project_root
from pipeline.stages.paths import record_folder, root

# Code that determines the weights of a run, and what else goes into its record.
LEARNING = ("stages/train.py", "stages/vectors.py", "classifier", "classifier/fast", "embedding")
RECORDING = (
    "evaluation/probes",
    *(f"tracking/{name}.py" for name in ("run_record", "note", "plots", "score_intervals")),
)


def code(*parts: str) -> dict[str, Any]:
    """What of the program a stage depends on: its modules and folders, and the versions of the libraries."""
    package = project_root() / "pipeline"
    sources = [path for part in parts for path in (sorted((package / part).glob("*.py")) or [package / part])]
    return {"sources": file_fingerprint(sources), "libraries": library_versions()}


def learning(config: Config, prepared: Stage, vectors: Stage | None) -> dict[str, Any]:
    """What determines the weights of a classifier, its code aside."""
    embedding = dataclasses.asdict(config.embedding)
    path = embedding.pop("path")
    source = input_fingerprint(config, "embedding.path", path) if config.embedding.init == "pretrained" else None
    return {
        "prepare": prepared.key,
        "vectors": vectors.key if vectors else source,
        "label_budget": config.data.label_budget,
        "embedding": embedding,
        "model": dataclasses.asdict(config.model),
        "train": dataclasses.asdict(config.train) | {"device": device_used(config)},
        "seed": config.seed,
    }


def trial_identity(config: Config, prepared: Stage, vectors: Stage | None) -> dict[str, Any]:
    """What determines the outcome of a trial."""
    return learning(config, prepared, vectors) | {"code": code(*LEARNING)}


def record_identity(
    config: Config, prepared: Stage, vectors: Stage | None, tasks: Mapping[str, str]
) -> tuple[Config, dict[str, Any]]:
    """What determines a run's record, given the keys of the transfer tasks; and the configuration it is of.

    A record that holds the embedding serves one that needs none, and is then the one that is meant.
    """
    probe = dataclasses.asdict(config.probe)
    probe["similarity_files"] = [
        input_fingerprint(config, "probe.similarity_files", path) for path in probe["similarity_files"]
    ]
    probe["transfer"] = dict(tasks)
    del probe["transfer_path"]  # where they lie; what they are is in their keys
    probe["opinion_words"] = opinion_words_used(config)
    identity = learning(config, prepared, vectors) | {
        "probe": probe,
        "keep_embedding": config.tracking.keep_embedding,
        "code": code(*LEARNING, *RECORDING),
    }
    more = identity | {"keep_embedding": True}
    if record_folder(config, more).exists():
        return replace(config, tracking=replace(config.tracking, keep_embedding=True)), more
    return config, identity


def opinion_words_used(config: Config) -> str | None:
    """The fingerprint of the positive and negative words that the polarity probe asks about."""
    from pipeline.evaluation.probes.opinion_words import opinion_fingerprint, opinion_words, resolve_opinion_words

    kind = resolve_opinion_words(config.probe.polarity, config.data.source)
    return None if kind is None else opinion_fingerprint(opinion_words(kind))


def stop_words_used(config: Config) -> str | None:
    """The fingerprint of the only word list that a text preset takes from outside."""
    if config.text.tokenizer != "course":
        return None
    from pipeline.text.presets import english_stop_words

    return fingerprint(sorted(english_stop_words()))


def input_fingerprint(config: Config, key: str, path: str | None) -> str | None:
    """The fingerprint of an input file that the configuration names; raises UserError where it is not there."""
    if path is None:
        return None
    if not Path(path).is_file():
        raise UserError(f"{key}={path}: no such file")
    return files_fingerprint(config, [Path(path)])


def files_fingerprint(config: Config, paths: Sequence[Path]) -> str:
    """The fingerprint of input files and folders; large ones are read again only where they changed, or by force."""
    return known_fingerprint(paths, root(config) / "artifacts" / "inputs", afresh=config.force)


def device_used(config: Config) -> str:
    """`cpu` or `cuda`: numbers differ a little between them."""
    if config.train.device == "cpu":
        return "cpu"
    from pipeline.classifier.device import resolve_device

    return str(resolve_device(config.train.device))
