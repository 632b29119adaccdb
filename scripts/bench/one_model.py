"""One `mean` model, compared with fastText's supervised training of the same classifier.

Both average word vectors and apply a linear layer. Wall seconds of the training alone, with the same threads. Ours
starts from token ids and an initial matrix in memory, fastText from a file of the same tokens. Both know every word of
the training tweets and train for five epochs. Batch size and learning rates are tuned for this many tweets, by the
accuracy on 10,000 others that are not scored here. Ours: batches of 256 to 1,024, learning rates of 0.001 to 0.006
(embedding) and 0.016 to 0.064 (head); the largest batch within 0.25 points of the best, confirmed by the mean of five
seeds. fastText: the best of 0.05, 0.1, 0.2, 0.3 and 0.5.

Accuracies are means over seeds. fastText reads the tweets in the order of its file and draws only its initial matrix
from its seed. With one thread its accuracies hardly differ between seeds; several threads add the effect of their race.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from measure import Figure, Scale, versus
from tweets import LABEL, Labelled, encode, fasttext_accuracy, labelled, write_fasttext

from pipeline.classifier.engine import Run, Task, train_run
from pipeline.config.compose import compose
from pipeline.embedding.initial_matrix import initial_matrix
from pipeline.text.presets import build_tokenizer
from pipeline.text.vocabulary import Vocabulary

SAME = ("embedding=random_trainable", "embedding.dim=256", "train.max_epochs=5", "train.patience=null")
TUNED = (
    *("embedding.scale=0.01", "model.dropout=0", "train.batch_size=512", "train.min_epoch_steps=1"),
    *("train.lr_embedding=0.006", "train.lr_head=0.016", "train.clip_norm=null"),
)
FASTTEXT_RATE = 0.2
SECTION, PEER = "One model", "fastText supervised (floret)"
NOTES = """
Profile of training before (commit c2b609a) and after (commit feea0c1) its optimization: cProfile of `train_run` on the
run of the first row, but in 235 batches of 256 tweets, one thread; seconds within the function, by its present name.
Before, the optimizer was torch's SparseAdam.

| before: 1.49 s in all | s | after: 0.41 s in all | s |
| --- | --- | --- | --- |
| `sparse_mask` | 0.466 | `index_select`, rows and moments | 0.113 |
| `add_` | 0.330 | `index_copy_`, rows and moments | 0.090 |
| `coalesce` | 0.191 | `embedding_bag`, forward and backward | 0.060 |
| `run_backward` | 0.179 | `_fused_adamw_` | 0.054 |
| `embedding_bag` | 0.066 | `MeanGradients.of_batch` | 0.029 |
| `sqrt_` | 0.056 | `Adam._update_rows` | 0.009 |
| `take` | 0.047 | `addmm` | 0.007 |
| `sparse_adam` | 0.042 | `indexed_batches` | 0.007 |
"""


def figures(scale: Scale) -> Iterator[Figure]:
    """Seconds and accuracy with one thread and with a thread per core; seconds with the project's default settings."""
    seeds = range(2 if scale.quick else 5)
    train = 1_000 if scale.quick else 12_000
    data = labelled(scale, train + 2 * train // 3)
    tokenizer = build_tokenizer(compose([]).text)
    tokens = [tokenizer(text) for text in data.texts]
    task, vocabulary = encode(data, tokens, train, min_count=1)
    lines = [" ".join(tweet) for tweet in tokens]
    file = scale.folder / "train.txt"
    write_fasttext(file, lines[:train], data.labels[:train])
    rest = Labelled(lines[train:], data.labels[train:], data.note)
    for settings, threads in ((TUNED, 1), (TUNED, scale.cores), ((), 1)):
        runs = [_run(settings, task, vocabulary, threads, seed) for seed in seeds]
        peers = [_fasttext(file, threads, seed) for seed in seeds]
        how = f"{train:,} tweets, 5 epochs, {threads} thread{'s' * (threads > 1)}"
        figure = versus(
            SECTION, how, "seconds", wall_seconds(partial(train_run, replace(task, test=None), runs[0])), PEER,
            wall_seconds(peers[0]), rounds=2 if scale.quick else 15, target="≤ 1 ×" if settings else "",
        )  # fmt: skip
        ours = [100 * train_run(task, run).metrics["test/accuracy"] for run in runs]
        theirs = [100 * fasttext_accuracy(peer(), rest.texts, rest.labels) for peer in peers]
        about = f"{data.note}, {len(vocabulary.words):,} words, 256 dimensions, batches of {runs[0].train.batch_size}"
        accuracies = f"ours {_range(ours)} % of {len(rest.labels):,} other tweets, fastText {_range(theirs)} %"
        if not settings:
            about = f"the project's default settings, meant for fewer tweets; {about}; mean accuracy: {accuracies}"
        yield replace(figure, note=about)
        if settings:
            yield Figure(
                SECTION, f"accuracy minus fastText's, mean of {len(seeds)} seeds; {how}", "points",
                (mean(ours) - mean(theirs),), PEER, (), "≥ -0.5 points", f"means, lowest and highest: {accuracies}",
            )  # fmt: skip


def _run(settings: tuple[str, ...], task: Task, vocabulary: Vocabulary, threads: int, seed: int) -> Run:
    config = compose([*SAME, "train.device=cpu", f"train.threads={threads}", *settings])
    rng = np.random.default_rng(seed)
    initial_VD, _ = initial_matrix(vocabulary.words, None, config.embedding.dim, rng, config.embedding.scale)
    return Run(initial_VD, config.embedding, np.arange(len(task.train)), seed, config.model, config.train)


def _fasttext(file: Path, threads: int, seed: int) -> Callable[[], Any]:
    import floret

    return lambda: floret.train_supervised(
        input=str(file), mode="fasttext", dim=256, lr=FASTTEXT_RATE, epoch=5, wordNgrams=1, minCount=1, minn=0, maxn=0,
        bucket=0, label=LABEL, thread=threads, seed=seed, verbose=0,
    )  # fmt: skip


def _range(values: Sequence[float]) -> str:
    return f"{mean(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def wall_seconds(work: Callable[[], Any]) -> Callable[[], float]:
    """A timer of `work`, after one call as warm-up: libraries allocate memory and start threads at first use."""
    work()

    def timed() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return timed
