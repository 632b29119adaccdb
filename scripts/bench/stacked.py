"""Many runs as one stacked model, beside the same runs one after another and the bandwidth of the memory.

On a GPU, 108 runs (random rows that learn, given rows that stay or learn on; nine seeds; four label budgets) train as
few stacks, and then, of the stack whose rows learn, a step's speed is set beside the device's own copying: the bytes
that a step cannot do without are, of each row that a batch touches, one reading for the means, and a reading and a
writing of the row and of both its moments. Without a GPU, fifteen runs on one core, for information.
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
from pipeline.classifier.fast.stack_batches import Batch
from pipeline.classifier.fast.stack_data import Corpus
from pipeline.classifier.fast.stack_epoch import Stacked, draw_epoch
from pipeline.config.compose import compose
from pipeline.embedding.initial_matrix import initial_matrix
from pipeline.text.presets import build_tokenizer
from pipeline.text.vocabulary import Vocabulary

SECTION = "Stacked runs"
VARIANTS = ("random_trainable", "cbow_frozen", "cbow_finetuned")
SETTINGS = ("embedding.dim=256", "train.max_epochs=5", "train.patience=null", "train.device=auto")
PASSES_OVER_ROWS = 7
NO_GPU = (
    "no GPU: 108 runs at once beside the same runs one after another (≥ 20 ×), and a step's share of the memory "
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

    largest: list[float] = []

    def alone() -> float:
        began = time.perf_counter()
        one_by_one = [train_run(task, run) for run in runs]
        seconds = time.perf_counter() - began
        largest.append(max(_gap(ours, theirs) for ours, theirs in zip(stacked, one_by_one, strict=True)))
        return len(runs) / seconds

    stacked = finished(train_stacked(task, runs))  # also records and compiles what is recorded and compiled once

    def together() -> float:
        began = time.perf_counter()
        train_stacked(task, runs)
        return len(runs) / (time.perf_counter() - began)

    what = f"{len(runs)} runs, {train:,} tweets at most, 256 dimensions, 5 epochs"
    rounds = 1 if scale.quick else 3
    figure = versus(
        SECTION,
        what,
        "runs/second",
        together,
        "one after another",
        alone,
        rounds=rounds,
        target="≥ 20 ×" if gpu else "",
    )
    where = torch.cuda.get_device_name(device) if gpu else "one core, for information"
    note = (
        f"{where}; {data.note}; test accuracies differ by {max(largest):.4f} at most; random vectors stand in for CBOW"
    )
    yield replace(figure, note=note)
    if not gpu:
        raise Skipped(NO_GPU)
    moving = [run for run in runs if run.embedding.trainable and len(run.rows_N) == train]
    yield _bandwidth(task, moving * 4, device, 2**16 if scale.quick else 2**28, rounds)


def _runs(vocabulary: Vocabulary, budget: int, seeds: int) -> Iterator[Run]:
    """Every variant with every seed."""
    given_VD, _ = initial_matrix(vocabulary.words, None, 256, np.random.default_rng(0))
    for variant in VARIANTS:
        config = compose([f"embedding={variant}", *SETTINGS])
        for seed in range(seeds):
            random_VD, _ = initial_matrix(vocabulary.words, None, 256, np.random.default_rng(seed))
            rows_VD = random_VD if config.embedding.init == "random" else given_VD
            yield Run(rows_VD, config.embedding, np.arange(budget), seed, config.model, config.train)


def _gap(ours: RunResult, theirs: RunResult) -> float:
    return abs(ours.metrics["test/accuracy"] - theirs.metrics["test/accuracy"])


def _bandwidth(task: Task, runs: list[Run], device: torch.device, numbers_copied: int, rounds: int) -> Figure:
    """Bytes per second of a stack's steps, drawn and sorted beforehand, beside those of a copy."""
    with torch.no_grad():
        stacked = Stacked(Corpus.of(task, device), runs, task.classes, device)
        drawn = [draw_epoch(course)[:64] for course in stacked.courses]
        numbers, kept_KRBD, sizes = stacked.plan(np.stack(drawn, axis=1), stacked.dropouts())
        touched = sum(int((Batch.of(step, sizes).rows_RS > 0).sum()) for step in numbers)
        large = torch.empty(2, numbers_copied, device=device)

        def steps() -> None:
            for step, kept_RBD in zip(numbers, kept_KRBD, strict=True):
                stacked.take_step(step, kept_RBD, sizes)

        def ours() -> float:
            return PASSES_OVER_ROWS * touched * 4 * stacked.stack.source.dim / _seconds(steps) / 1e9

        def copy() -> float:
            return large.nbytes / _seconds(lambda: large[0].copy_(large[1])) / 1e9

        steps()
        what = f"a step of {len(runs)} runs whose rows learn: bytes it cannot do without"
        note = f"{touched // len(numbers):,} rows of 256 numbers per step; float32 throughout, no TF32"
        return versus(
            SECTION, what, "GB/s", ours, "copying on the same device", copy, rounds=rounds, target="≥ 50 %", note=note
        )


def _seconds(work: Callable[[], object], times: int = 5) -> float:
    """Seconds per call, the device's own work included."""
    work()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(times):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / times
