"""Data sets of the transfer probe, encoded with a run's vocabulary, and their overlap with the text it has read.

The task `sample_topic` is generated. The others are public: tasks of TweetEval (Barbieri et al. 2020), NLTK's tweets
and Sentiment140. The labels of the last two were made from emoticons, which are removed from their texts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import UNK, SampleConfig, TextConfig
from pipeline.data.arrow import in_batches
from pipeline.data.duplicates import KEYS, UIntArray, digests
from pipeline.data.label_budget import stratified_order
from pipeline.data.source import source_fingerprint, task_data
from pipeline.runtime.files import file_fingerprint, fingerprint
from pipeline.text.vocabulary import Tokenizer, Vocabulary

SAMPLE_TOPIC = "sample_topic"
EMOTICON_LABELS = ("nltk_twitter", "sentiment140")
MOST_ROWS = 20_000  # of a training or validation split; larger ones are sampled by class
TOPIC_ROWS = {"train": 4_000, "validation": 1_000, "test": 1_000}
TOPIC_GENERATED = 6_500  # more than are used, as duplicates are left out
BATCH = 10_000


class LabelledTexts(NamedTuple):
    """One split of a task: N texts and their labels (N,), indices into the task's label names."""

    texts: list[str]
    labels: NDArray[np.int64]


class TaskTexts(NamedTuple):
    """A task as text: its label names, and the splits `train`, `validation` and `test`."""

    label_names: list[str]
    splits: dict[str, LabelledTexts]


def write_task(
    name: str,
    path: str | None,
    sample: SampleConfig | None,
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    read: Mapping[str, Iterable[str]],
    folder: Path,
) -> dict[str, Any]:
    """Encode task `name` with a run's tokenizer and vocabulary into `folder`, for `transfer.open_task`.

    Parameters
    ----------
    path : hub id or local folder of the task; None: the default hub id.
    sample : settings of the run's data if it is generated; `sample_topic` uses the next generator seed.
    read : all text that the run's vectors and classifier may have read, by name of the source; iterated once.

    Returns
    -------
    `label_names`; `rows` of each split; `generated`; `known_tokens`, the share of each split's tokens in the
    vocabulary; `tweets_without_known_token`; `overlap`, from the function of that name; `references`, from
    `reference_scores`. Raises UserError for a task that is missing or cannot be read.
    """
    from pipeline.evaluation.probes.transfer import reference_scores

    task = load_task(name, path, sample, folder)
    texts = {split: rows.texts for split, rows in task.splits.items()}
    labels = {split: rows.labels for split, rows in task.splits.items()}
    tokens = {split: [tokenizer(text) for text in texts[split]] for split in texts}
    known, without = {}, {}
    for split, tweets in tokens.items():
        ids = np.fromiter(chain.from_iterable(map(vocabulary.encode, tweets)), np.int32)
        offsets = np.cumsum([0, *map(len, tweets)], dtype=np.int64)
        for array, values in (("ids", ids), ("offsets", offsets), ("labels", labels[split].astype(np.int32))):
            np.save(folder / f"{split}.{array}.npy", values)
        known_before = np.concatenate([[0], np.cumsum(ids != UNK)])
        known[split] = float(known_before[-1] / max(len(ids), 1))
        without[split] = int((np.diff(known_before[offsets]) == 0).sum())
    return {
        "label_names": task.label_names,
        "rows": {split: len(texts[split]) for split in texts},
        "generated": name == SAMPLE_TOPIC,
        "known_tokens": known,
        "tweets_without_known_token": without,
        "overlap": overlap(texts, read),
        "references": reference_scores(tokens, labels, len(task.label_names)),
    }


def task_fingerprint(
    name: str,
    path: str | None,
    sample: SampleConfig | None,
    fingerprint_files: Callable[[Sequence[Path]], str] = file_fingerprint,
) -> str:
    """16 hexadecimal digits that identify the source of a task's texts; raises UserError if it is missing."""
    if name == SAMPLE_TOPIC:
        return fingerprint([name, vars(topic_config(sample)), TOPIC_ROWS])
    return fingerprint([name, source_fingerprint(task_data(name, path), fingerprint_files)])


def task_text(name: str, text: TextConfig) -> TextConfig:
    """The settings of a task's tokens: those of the run, without emoticons where they made the labels."""
    return replace(text, emoticons="strip_fragments") if name in EMOTICON_LABELS else text


def load_task(name: str, path: str | None, sample: SampleConfig | None, folder: Path) -> TaskTexts:
    """Load the texts and labels of a task; `folder` holds temporary files."""
    if name == SAMPLE_TOPIC:
        return topic_task(topic_config(sample))
    from pipeline.data.splits import load

    with TemporaryDirectory(dir=folder, prefix=".texts-") as scratch:
        loaded = load(task_data(name, path), Path(scratch))
        splits = {}
        for split, rows in loaded.tables():
            if split != "test" and len(rows) > MOST_ROWS:
                rows = rows.take(np.sort(stratified_order(rows["label"].to_numpy(), 0)[:MOST_ROWS]))
            splits[split] = LabelledTexts(rows["text"].to_pylist(), rows["label"].to_numpy())
    return TaskTexts(loaded.label_names, splits)


def topic_config(sample: SampleConfig | None) -> SampleConfig:
    """The generator's settings for `sample_topic`: other tweets than the run's, from the next seed (1 without one).

    Label noise and leaks concern the sentiment labels, which this task does not use.
    """
    seed = 1 + (sample.seed if sample is not None else 0)
    return SampleConfig(labelled=TOPIC_GENERATED, unlabelled=0, seed=seed, label_noise=0.0, leak=0.0)


def topic_task(config: SampleConfig) -> TaskTexts:
    """Generated tweets labelled by topic, `TOPIC_ROWS` of each split; no tweet is generated as a copy of another."""
    from pipeline.data.sample.generate import blocks
    from pipeline.data.sample.words import TOPICS

    (block,) = blocks(config, "labelled")
    originals = np.flatnonzero(block.source == np.arange(len(block.texts)))
    splits, start = {}, 0
    for split, rows in TOPIC_ROWS.items():
        selected = originals[start : start + rows]
        splits[split] = LabelledTexts([block.texts[row] for row in selected], block.topics[selected])
        start += rows
    return TaskTexts([topic.name for topic in TOPICS], splits)


def overlap(splits: Mapping[str, list[str]], read: Mapping[str, Iterable[str]]) -> dict[str, dict[str, dict[str, int]]]:
    """Count the rows of a task whose text also occurs in a source: by source, split and kind, `exact` and `masked`.

    The sources are those of `read`, and `own_train`: the task's training split, for its other splits. If nearly all
    training texts of a task occur in the run's labelled texts, it is the same task, and nothing is transferred. Overlap
    with unlabelled text shares the words without their labels.
    """
    keys = {split: {kind: digests([texts], kind) for kind in KEYS} for split, texts in splits.items()}
    counts = {"own_train": {split: _shared(keys[split], keys["train"]) for split in splits if split != "train"}}
    for source, texts in read.items():
        parts = [{kind: digests([batch], kind) for kind in KEYS} for batch in chain(in_batches(texts, BATCH), [[]])]
        seen = {kind: np.concatenate([part[kind] for part in parts]) for kind in KEYS}
        counts[source] = {split: _shared(keys[split], seen) for split in splits}
    return counts


def _shared(rows: Mapping[str, UIntArray], others: Mapping[str, UIntArray]) -> dict[str, int]:
    return {kind: int(np.isin(rows[kind], others[kind]).sum()) for kind in KEYS}
