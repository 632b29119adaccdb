"""Many runs as one stacked model, compared with the same runs in sequence and with the memory bandwidth.

On a GPU, 108 runs (three variants, nine seeds, four label budgets) train as a few stacks. For the stack with trainable
embeddings, the bandwidth of a step is compared with that of a copy on the device. A step must read each row of its
batch once for the means, and read and write the row and both its moments. Without a GPU: fifteen runs on one core.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from measure import Figure, Scale, Skipped, versus
from tweets import encode, finished, labelled

from pipeline.classifier.device import resolve_device
from pipeline.classifier.engine import Run, RunResult, Task, train_run
from pipeline.classifier.fast.stack import train_stacked
from pipeline.classifier.fast.stack_batches import StackedBatch
from pipeline.classifier.fast.stack_data import Corpus
from pipeline.classifier.fast.stack_epoch import StackTrainer, epoch_tweets
from pipeline.config.compose import compose
from pipeline.embedding.initial_matrix import initial_matrix
from pipeline.text.presets import build_tokenizer
from pipeline.text.vocabulary import Vocabulary

SECTION = "Stacked runs"
VARIANTS = ("random_trainable", "cbow_frozen", "cbow_finetuned")
SETTINGS = ("embedding.dim=256", "train.max_epochs=5", "train.patience=null", "train.device=auto")
PASSES_OVER_ROWS = 7
NO_GPU = (
    "no GPU: 108 runs as stacks compared with the same runs in sequence (≥ 20 ×), and a step's share of the memory "
    "bandwidth (≥ 50 %)"
)


def figures(scale: Scale) -> Iterator[Figure]:
    """Runs per second, and on a GPU bytes per second."""
    device = resolve_device("auto")
    train = 600 if scale.quick else 12_000
    data = labelled(scale, train + train // 3)
    config = compose([f"embedding={VARIANTS[0]}", *SETTINGS])
    tokenizer = build_tokenizer(config.text)
    task, vocabulary = encode(data, [tokenizer(text) for text in data.texts], train, config.text.min_count)
    gpu = device.type == "cuda"
    seeds = (9 if gpu else 5) if not scale.quick else 1
    budgets = [train, 3 * train // 4, train // 2, train // 4] if gpu else [train]
    runs = [run for budget in budgets for run in _runs(vocabulary, budget, seeds)]

    gaps: list[float] = []

    def in_sequence() -> float:
        start = time.perf_counter()
        results = [train_run(task, run) for run in runs]
        seconds = time.perf_counter() - start
        gaps.append(max(_gap(ours, theirs) for ours, theirs in zip(stacked, results, strict=True)))
        return len(runs) / seconds

    stacked = finished(train_stacked(task, runs))  # also a warm-up for compilation

    def as_stacks() -> float:
        start = time.perf_counter()
        train_stacked(task, runs)
        return len(runs) / (time.perf_counter() - start)

    what = f"{len(runs)} runs, {train:,} tweets at most, 256 dimensions, 5 epochs"
    rounds = 1 if scale.quick else 3
    figure = versus(
        SECTION,
        what,
        "runs/second",
        as_stacks,
        "in sequence",
        in_sequence,
        rounds=rounds,
        target="≥ 20 ×" if gpu else "",
    )
    hardware = torch.cuda.get_device_name(device) if gpu else "one core, for information"
    note = (
        f"{hardware}; {data.note}; test accuracies differ by {max(gaps):.4f} at most; random vectors in place of CBOW"
    )
    yield replace(figure, note=note)
    if not gpu:
        raise Skipped(NO_GPU)
    trainable = [run for run in runs if run.embedding.trainable and len(run.rows_N) == train]
    yield _bandwidth(task, trainable * 4, device, 2**16 if scale.quick else 2**28, rounds)


def _runs(vocabulary: Vocabulary, budget: int, seeds: int) -> Iterator[Run]:
    """Every variant with every seed."""
    fixed_VD, _ = initial_matrix(vocabulary.words, None, 256, np.random.default_rng(0))
    for variant in VARIANTS:
        config = compose([f"embedding={variant}", *SETTINGS])
        for seed in range(seeds):
            random_VD, _ = initial_matrix(vocabulary.words, None, 256, np.random.default_rng(seed))
            initial_VD = random_VD if config.embedding.init == "random" else fixed_VD
            yield Run(initial_VD, config.embedding, np.arange(budget), seed, config.model, config.train)


def _gap(ours: RunResult, theirs: RunResult) -> float:
    return abs(ours.metrics["test/accuracy"] - theirs.metrics["test/accuracy"])


def _bandwidth(task: Task, runs: list[Run], device: torch.device, copy_size: int, rounds: int) -> Figure:
    """Bytes per second of a stack's steps, with batches packed beforehand, compared with those of a copy."""
    with torch.no_grad():
        trainer = StackTrainer(Corpus.of(task, device), runs, task.classes, device)
        tweets = [epoch_tweets(state)[:64] for state in trainer.states]
        packed, mask_KRBD, sizes = trainer.pack(np.stack(tweets, axis=1), trainer.dropout_masks())
        touched = sum(int((StackedBatch.view(buffer, sizes).rows_RU > 0).sum()) for buffer in packed)
        array = torch.empty(2, copy_size, device=device)

        def steps() -> None:
            for buffer, mask_RBD in zip(packed, mask_KRBD, strict=True):
                trainer.step(buffer, mask_RBD, sizes)

        def ours() -> float:
            return PASSES_OVER_ROWS * touched * 4 * trainer.model.embedding.dim / _seconds(steps) / 1e9

        def copy() -> float:
            return array.nbytes / _seconds(lambda: array[0].copy_(array[1])) / 1e9

        steps()
        what = f"a step of {len(runs)} runs with trainable embeddings: necessary bytes"
        note = f"{touched // len(packed):,} rows of 256 numbers per step; float32 throughout, no TF32"
        return versus(
            SECTION, what, "GB/s", ours, "copying on the same device", copy, rounds=rounds, target="≥ 50 %", note=note
        )


def _seconds(work: Callable[[], object], times: int = 5) -> float:
    """Seconds per call, including the work of the device."""
    work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / times
