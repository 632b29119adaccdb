"""Fifteen runs (three variants, five seeds) of the `mean` model, compared with fastText and Lightning.

The engine trains them as one batch on all cores. In sequence, fastText trains fifteen supervised models with as many
threads each, and the Lightning loop the same fifteen runs with dense Adam. Wall seconds end when the last model has
labelled the test tweets. Texts are tokenized and vectors trained beforehand; fastText reads its file in every run.

The last figure compares one run with frozen word vectors with scikit-learn's logistic regression on the same features.
It is wall seconds with one thread from token ids on: both compute the mean vectors of the tweets.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from measure import Figure, Scale, versus
from numpy.typing import NDArray
from one_model import FASTTEXT_RATE, TUNED, wall_seconds
from tweets import LABEL, encode, fasttext_accuracy, finished, labelled, write_corpus, write_fasttext

from pipeline.classifier.batch import Texts, take
from pipeline.classifier.engine import Run, Task, train_batch, train_run
from pipeline.classifier.model import mean_rows
from pipeline.config.compose import compose
from pipeline.embedding.cbow import train_cbow
from pipeline.embedding.initial_matrix import initial_matrix
from pipeline.text.presets import build_tokenizer

VARIANTS = ("random_trainable", "cbow_frozen", "cbow_finetuned")
# Batch size and learning rates of the section One model, without its small scale, which would also apply to CBOW.
SETTINGS = (
    *("embedding.dim=256", "train.max_epochs=5", "train.patience=null", "train.device=cpu"),
    *(setting for setting in TUNED if not setting.startswith("embedding.scale")),
)


def figures(scale: Scale) -> Iterator[Figure]:
    """Seconds for all runs, compared with fastText and Lightning; for one run, compared with scikit-learn."""
    train, seeds = (1_000, 1) if scale.quick else (12_000, 5)
    data = labelled(scale, train + train // 3)
    config = compose([f"embedding={VARIANTS[0]}", *SETTINGS])
    tokenizer = build_tokenizer(config.text)
    tokens = [tokenizer(text) for text in data.texts]
    task, vocabulary = encode(data, tokens, train, config.text.min_count)
    corpus = scale.folder / "corpus.txt"
    write_corpus(corpus, tokens[:train])
    vectors = train_cbow(corpus, config.cbow, corpus_fingerprint="")
    runs = []
    for variant in VARIANTS:
        settings = compose([f"embedding={variant}", *SETTINGS])
        for seed in range(seeds):
            cbow = vectors if settings.embedding.init == "cbow" else None
            initial_VD, _ = initial_matrix(vocabulary.words, cbow, settings.embedding.dim, np.random.default_rng(seed))
            runs.append(Run(initial_VD, settings.embedding, np.arange(train), seed, settings.model, settings.train))
    lines = [" ".join(tweet) for tweet in tokens]
    file = scale.folder / "train.txt"
    write_fasttext(file, lines[:train], data.labels[:train])

    scores: dict[str, float] = {}

    def ours() -> list[float]:
        return [result.metrics["test/accuracy"] for result in finished(train_batch(task, runs, workers=scale.cores))]

    def fasttext() -> list[float]:
        return [_fasttext(file, number, scale.cores, lines[train:], data.labels[train:]) for number in range(len(runs))]

    def by_lightning() -> list[float]:
        return _lightning(task, runs, scale.cores)

    def seconds(name: str, work: Callable[[], list[float]]) -> Callable[[], float]:
        def timed() -> float:
            start = time.perf_counter()
            scores[name] = mean(work())
            return time.perf_counter() - start

        return timed

    what = f"{len(runs)} runs on {scale.cores} cores"
    about = (
        f"{', '.join(VARIANTS)} with {seeds} seeds; {train:,} tweets ({data.note}), {len(vocabulary.words):,} words, "
        f"256 dimensions, 5 epochs, batches of {config.train.batch_size}; mean accuracy on {len(lines) - train:,} more"
    )
    unlike = ", not comparable: two thirds of ours start from CBOW, fastText starts at random"
    for peer, work, rounds, target, caveat in (
        ("fastText (floret), in sequence", fasttext, 5, "≤ 0.3 ×", unlike),
        ("Lightning loop, in sequence", by_lightning, 2, "≤ 0.2 ×", ""),
    ):
        figure = versus(
            "Many runs", what, "seconds", seconds("ours", ours), peer, seconds(peer, work),
            rounds=1 if scale.quick else rounds, target=target,
        )  # fmt: skip
        yield replace(figure, note=f"{about}: ours {scores['ours']:.3f}, the other {scores[peer]:.3f}{caveat}")
    frozen = next(run for run in runs if not run.embedding.trainable)
    yield _compare_with_scikit_learn(task, frozen, 1 if scale.quick else 9, data.note)


def _compare_with_scikit_learn(task: Task, run: Run, rounds: int, tweets: str) -> Figure:
    """Seconds of a run with frozen word vectors and of logistic regression on the same means, computed by both."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    rows_VD = torch.from_numpy(run.embedding_VD)

    def means(texts: Texts) -> NDArray[np.float32]:
        return mean_rows(rows_VD, take(texts, torch.arange(len(texts)))).numpy()

    def regression() -> LogisticRegression:
        return LogisticRegression(max_iter=1_000).fit(means(task.train), task.train.labels_N.numpy())

    assert task.test is not None
    with threadpool_limits(1):
        figure = versus(
            "Many runs", f"1 run with frozen word vectors, {len(run.rows_N):,} tweets, 1 thread", "seconds",
            wall_seconds(partial(train_run, replace(task, test=None), run)), "scikit-learn's LogisticRegression",
            wall_seconds(regression), rounds=rounds, target="",
        )  # fmt: skip
        theirs = regression().score(means(task.test), task.test.labels_N.numpy())
    ours = train_run(task, run).metrics["test/accuracy"]
    note = (
        f"both compute the mean vectors from token ids; {tweets}, CBOW, frozen, {rows_VD.shape[1]} dimensions; "
        "ours: 5 epochs of Adam; scikit-learn: until convergence, with its default penalty; "
        f"accuracy on {len(task.test):,} more: ours {ours:.3f}, scikit-learn {theirs:.3f}"
    )
    return replace(figure, note=note)


def _fasttext(file: Path, seed: int, threads: int, lines: list[str], labels: list[int]) -> float:
    import floret

    model = floret.train_supervised(
        input=str(file), mode="fasttext", dim=256, lr=FASTTEXT_RATE, epoch=5, minCount=1, minn=0, maxn=0, bucket=0,
        label=LABEL, thread=threads, seed=seed, verbose=0,
    )  # fmt: skip
    return fasttext_accuracy(model, lines, labels)


def _lightning(task: Task, runs: Sequence[Run], threads: int) -> list[float]:
    import lightning_peer

    default_threads = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return [lightning_peer.train(task, run) for run in runs]
    finally:
        torch.set_num_threads(default_threads)
