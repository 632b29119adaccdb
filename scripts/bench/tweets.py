"""Tweets for the benchmark: real ones if they are on the machine, else generated ones."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from measure import Scale

from pipeline.classifier.batch import Texts
from pipeline.classifier.engine import RunResult, Task
from pipeline.config.schema import SampleConfig
from pipeline.data.sample.generate import labelled_batches, unlabelled_batches
from pipeline.data.text_lines import text_lines
from pipeline.runtime.errors import RunError
from pipeline.text.vocabulary import Vocabulary

GENERATED = "generated tweets, as real ones are not on this machine"
LABEL = "__label__"


class Labelled(NamedTuple):
    """Texts, each on one line; their labels, from 0; a note of their source."""

    texts: list[str]
    labels: list[int]
    note: str


def labelled(scale: Scale, rows: int) -> Labelled:
    """The first `rows` training tweets of TweetEval sentiment (45,615, 3 classes), or generated ones (2 classes)."""
    if scale.data is not None:
        import pyarrow.parquet as parquet

        path = scale.data / "hub/cardiffnlp/tweet_eval/sentiment/train-00000-of-00001.parquet"
        table = parquet.read_table(path).slice(0, rows)
        texts, labels, note = table["text"].to_pylist(), table["label"].to_pylist(), "TweetEval sentiment"
    else:
        texts, labels, note = [], [], GENERATED
        for batch_texts, batch_labels in labelled_batches(_sample(labelled=rows)):
            texts += batch_texts
            labels += batch_labels
    return Labelled([" ".join(text.split()) for text in texts], labels, note)


def unlabelled(scale: Scale, rows: int) -> tuple[Iterable[str], str]:
    """The first `rows` unlabelled tweets (of 419,159 real ones), and a note of their source."""
    if scale.data is not None:
        return islice(text_lines(scale.data / "unlabelled" / "tweets.txt.gz"), rows), "unlabelled tweets"
    return (text for batch in unlabelled_batches(_sample(unlabelled=rows)) for text in batch), GENERATED


def write_corpus(path: Path, tweets: Iterable[list[str]]) -> tuple[int, int]:
    """Write tweets for CBOW, one per line, tokens separated by a space; returns the numbers of lines and tokens."""
    lines = tokens = 0
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for tweet in filter(None, tweets):
            stream.write(" ".join(tweet) + "\n")
            lines, tokens = lines + 1, tokens + len(tweet)
    return lines, tokens


def encode(data: Labelled, tokens: list[list[str]], train: int, min_count: int) -> tuple[Task, Vocabulary]:
    """A task with the first `train` tweets as training split and the others as test split; the training vocabulary."""
    counts: dict[str, int] = {}
    for token in (token for tweet in tokens[:train] for token in tweet):
        counts[token] = counts.get(token, 0) + 1
    vocabulary = Vocabulary.from_counts(counts, min_count)
    ids = [vocabulary.encode(tweet) for tweet in tokens]

    def split(tweets: slice) -> Texts:
        offsets = np.cumsum([0, *map(len, ids[tweets])])
        flat = np.fromiter((id for tweet in ids[tweets] for id in tweet), np.int32, offsets[-1])
        return Texts.from_arrays(flat, offsets, np.array(data.labels[tweets]))

    return Task(split(slice(train)), None, split(slice(train, None)), max(data.labels) + 1), vocabulary


def write_fasttext(path: Path, lines: Iterable[str], labels: Iterable[int]) -> None:
    """Write lines of tokens and their labels in the format of fastText's supervised training."""
    rows = (f"{LABEL}{label} {line}\n" for line, label in zip(lines, labels, strict=True))
    path.write_text("".join(rows), "utf-8", newline="\n")


def fasttext_accuracy(model: Any, lines: list[str], labels: list[int]) -> float:
    """Accuracy of a fastText model."""
    predictions, _ = model.predict(lines)
    correct = [bool(row[0] == f"{LABEL}{label}") for row, label in zip(predictions, labels, strict=True)]
    return sum(correct) / len(labels)


def finished(results: Iterable[RunResult | RunError]) -> list[RunResult]:
    """The results of runs; raises the error of the first failed run."""
    finished_runs = []
    for result in results:
        if isinstance(result, RunError):
            raise result
        finished_runs.append(result)
    return finished_runs


def _sample(labelled: int = 30, unlabelled: int = 0) -> SampleConfig:
    return SampleConfig(labelled=labelled, unlabelled=unlabelled, seed=0, label_noise=0.05, leak=0.0)
