import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.classifier.batch import Texts
from pipeline.classifier.engine import Run, Task, train_run
from pipeline.config.compose import compose
from pipeline.config.schema import data_name
from pipeline.config.variants import variant_name
from pipeline.runtime.cached_folder import ensure_folder
from pipeline.text.presets import build_tokenizer
from pipeline.text.vocabulary import Vocabulary
from pipeline.tracking.run_record import Predictions, RunRecord
from pipeline.tracking.write_record import write_record

GOOD = ["love this :)", "what a great day", "so happy 😀 today", "great great stuff", "love love @you", "happy days"]
BAD = [
    "hate this :(",
    "what an awful day",
    "so sad today",
    "awful stuff http://x.co/y",
    "I hate mondays",
    "sad 😭 days",
]
TOPICS = ["", " on monday", " with tea", " in the rain", " at work", " again"]
NAMES = ["bad", "good", "meh"]


def tweets() -> tuple[list[str], list[int]]:
    """Tweets of three labels: 108 of them, some without a known word, one empty."""
    found = [(text + topic, label) for label, texts in enumerate((BAD, GOOD)) for text in texts for topic in TOPICS]
    found += [(f"it is{topic} {number}", 2) for topic in TOPICS for number in range(6)]
    found[-1] = ("", 2)
    texts, labels = zip(*found, strict=True)
    return list(texts), list(labels)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Models this small only wait for each other's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def make_run(tmp_path_factory) -> Callable[..., Path]:
    """Trains a small classifier with the project's engine and writes its record; equal settings are trained once."""
    root = tmp_path_factory.mktemp("runs")
    made: dict[tuple[str, ...], Path] = {}

    def make(*overrides: str, keep: bool = True, name: str | None = None, into: Path | None = None) -> Path:
        key = (*overrides, str(keep), str(name), str(into))
        if key not in made:
            made[key] = _make(list(overrides), keep, into or root / f"r{len(made)}", name)
        return made[key]

    return make


def _make(overrides: list[str], keep: bool, root: Path, name: str | None) -> Path:
    small = ["embedding.dim=6", "train.max_epochs=4", "train.batch_size=16", "train.device=cpu", "model.filters=5"]
    config = compose([*small, "model.hidden=7", "train.lr_embedding=0.05", "train.lr_head=0.05", *overrides])
    texts, labels = tweets()
    tokens = list(map(build_tokenizer(config.text), texts))
    counts: dict[str, int] = {}
    for token in (token for text in tokens[::2] for token in text):
        counts[token] = counts.get(token, 0) + 1
    vocabulary = Vocabulary.from_counts(counts, 1)
    ids = [vocabulary.encode(text) for text in tokens]

    def split(rows: range) -> Texts:
        ends = np.cumsum([0, *(len(ids[row]) for row in rows)])
        return Texts.from_arrays(
            np.array([id for row in rows for id in ids[row]]), ends, np.array([labels[row] for row in rows])
        )

    parts = {
        "train": range(0, len(texts), 2),
        "validation": range(1, len(texts), 4),
        "test": range(3, len(texts), 4),
    }
    shape = (len(vocabulary), config.embedding.encoder_dim)
    initial = np.random.default_rng(config.seed).normal(0, 0.4, shape).astype(np.float32)
    initial[0] = 0
    run = Run(initial, config.embedding, np.arange(len(parts["train"])), config.seed, config.model, config.train)
    task = Task(split(parts["train"]), split(parts["validation"]), split(parts["test"]), len(NAMES))
    result = train_run(task, run)
    variant = variant_name(config.embedding)
    name = name or f"toy-{variant}-{config.model.encoder}-s{config.seed}"
    record = RunRecord(
        name=name,
        title=f"{variant} · seed {config.seed}",
        config=dataclasses.asdict(config),
        tags={
            "variant": variant,
            "seed": str(config.seed),
            "label_budget": "all",
            "data": data_name(config.data),
            "generated": "true",
            "device": "cpu",
        },
        label_names=NAMES,
        notes=["the tweets were made up for a test"],
        dataset={
            "name": "toy",
            "source": "/home/somebody/tweets.csv",
            "fingerprint": "0123456789abcdef",
            "rows": {name: len(rows) for name, rows in parts.items()},
            "labelled_used": len(parts["train"]),
        },
        metrics=dict(result.metrics),
        timings={"time/train_seconds": 1.0},
        history=result.history,
        predictions={
            split: Predictions([texts[row] for row in parts[split]], np.array([labels[row] for row in parts[split]]), p)
            for split, p in result.probabilities.items()
        },
        words=vocabulary.words,
        counts=vocabulary.counts,
        initial=result.initial_VE,
        final=result.embedding_VE,
        weights=dict(result.layers),
        keep_embedding=keep,
        environment={"git_sha": "a" * 40, "git_dirty": False},
        chosen_epoch=result.chosen_epoch,
    )
    folder = root / "results" / name
    with pytest.MonkeyPatch.context() as patch:
        for plot in ("plot_confusion", "plot_curves"):  # most of the time, and nothing here looks at them
            patch.setattr(f"pipeline.tracking.write_record.{plot}", lambda path, *_: path.write_bytes(b""))
        ensure_folder(folder, {"name": name, "overrides": overrides}, lambda path: write_record(path, record))
    return folder
