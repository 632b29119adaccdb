"""What stands beside the runs of a study: the audit of their data, other tasks for their embeddings, baselines."""

import dataclasses
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.config.schema import Config, TextConfig
from pipeline.data.arrow import read_texts
from pipeline.runtime.files import Stage
from pipeline.text.encoded_split import EncodedSplit
from pipeline.text.vocabulary import VOCABULARY, Vocabulary

if TYPE_CHECKING:
    from pipeline.evaluation.baselines.data import BaselineData


def encode_transfer(config: Config, prepared: Stage, task: str, folder: Path) -> dict[str, Any]:
    """Encode another task's tweets with the vocabulary of this one, and see which of them this one has read."""
    from pipeline.evaluation.probes.transfer_tasks import write_task
    from pipeline.text.corpus import read_lines
    from pipeline.text.presets import build_tokenizer

    read: dict[str, Iterable[str]] = {"train": read_texts(prepared.folder, "train")}
    if (prepared.folder / "unlabelled.arrow").exists() and config.cbow.use_unlabelled:
        read["unlabelled"] = read_texts(prepared.folder, "unlabelled")
    if config.cbow.extra_text is not None:
        read["extra_text"] = read_lines(Path(config.cbow.extra_text))
    vocabulary = Vocabulary.load(prepared.folder / VOCABULARY)
    tokenizer = build_tokenizer(config.text)
    return write_task(task, config.probe.transfer_path, config.data.sample, tokenizer, vocabulary, read, folder)


def audit_splits(prepared: Stage) -> dict[str, Any]:
    """Look for copies, leaks and splits that differ in what `prepare` wrote."""
    from pipeline.evaluation.audit.report import audit

    splits = {split: EncodedSplit.open(prepared.folder, split) for split in prepared.outcome["rows"]}
    texts = {split: read_texts(prepared.folder, split) for split in splits}
    words = Vocabulary.load(prepared.folder / VOCABULARY).words
    return audit(texts, splits, words, prepared.outcome["label_names"])


def fit_baseline(config: Config, prepared: Stage, name: str, folder: Path) -> dict[str, Any]:
    """Fit a baseline on the labelled tweets of a run and write what it says of the test tweets."""
    from pipeline.data.label_budget import budget_rows
    from pipeline.evaluation.baselines.run import run_baseline

    data = _baseline_data(prepared.folder, tuple(prepared.outcome["label_names"]), **dataclasses.asdict(config.text))
    rows = budget_rows(data.train.labels, config.data.label_budget, config.seed)
    result = run_baseline(name, data, config.seed, rows, len(config.study.lr_factors))
    np.save(folder / "predicted.npy", result.probabilities.argmax(axis=1).astype(np.int32))
    np.save(folder / "probabilities.npy", result.probabilities)
    metrics = {f"test/{score}": value for score, value in result.scores(data.test.labels).items()}
    metrics["validation/macro_recall"] = result.validation_macro_recall
    metrics |= dict.fromkeys(("params/total", "params/trainable"), float(result.parameters))
    return {
        "metrics": metrics,
        "trials": [dataclasses.asdict(trial) for trial in result.trials],
        "notes": list(result.notes),
    }


@lru_cache(maxsize=1)
def _baseline_data(folder: Path, label_names: tuple[str, ...], **text: Any) -> "BaselineData":
    """The splits as baselines read them; a process that fits several tokenizes once."""
    from pipeline.evaluation.baselines.data import read_data

    return read_data(folder, label_names, TextConfig(**text))
