"""Many runs trained at once as one stacked model: each gets the numbers it has alone, to float32's rounding.

Stacked are `mean` encoders over plain rows, moving or frozen; other encoders, second channels, projections and anchors
train one by one. Made for a GPU, where a single small run leaves most of the machine idle; the data stay on it.
"""

import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from pipeline.classifier.devices import resolve_device
from pipeline.classifier.metrics import scores
from pipeline.classifier.runs import Report, Run, RunResult, Task
from pipeline.classifier.stacked_data import Corpus, stack_size
from pipeline.classifier.stacked_runs import Course, Stacked, passes_and_steps
from pipeline.classifier.stacked_step import Moving, Stack
from pipeline.errors import UserError


def stackable(run: Run) -> bool:
    """Whether a run can be part of a stack."""
    variant = run.embedding
    plain = not (variant.multichannel or variant.projected or variant.anchor)
    return run.model.encoder == "mean" and plain and len(run.rows_N) > 0


def stacks(runs: Sequence[Run]) -> list[list[int]]:
    """Numbers of the runs that train together, for runs that are all `stackable`.

    They agree in device, shape of the matrix, batch size and whether rows move, and an epoch of none has more than
    twice the steps of another's: a step costs the same whether a run still takes part in it or waits.
    """
    found: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, run in enumerate(runs):
        length = math.prod(passes_and_steps(run)).bit_length()
        shape, settings = run.embedding_VD.shape, run.train
        found[settings.device, shape, settings.batch_size, run.embedding.trainable, length].append(number)
    return list(found.values())


def _results(task: Task, corpus: Corpus, stack: Stack, courses: Sequence[Course]) -> list[RunResult]:
    """What the runs give back, in their order; `seconds` is left at 0. The test split is read here alone."""
    splits = {"validation": task.validation, "test": task.test}
    labels = {name: texts.labels_N.cpu().numpy() for name, texts in splits.items() if texts is not None}
    found = {name: stack.probabilities(name, corpus.splits[name]).cpu().numpy() for name in labels}
    heads_RFC = stack.head_RFC.cpu().numpy()
    offsets, ids = task.train.offsets.cpu().numpy(), task.train.ids.cpu().numpy()
    device = stack.head_RFC.device
    results = []
    for number, course in enumerate(courses):
        run = course.run
        embedding_VD = run.embedding_VD
        if isinstance(stack.source, Moving):
            embedding_VD = np.array(embedding_VD)
            words = slice(1, corpus.train_words)
            embedding_VD[corpus.words_W[words]] = stack.source.rows_WRD[words, number].cpu().numpy()
        touched_V = np.zeros(len(embedding_VD), dtype=np.bool_)
        seen_N = np.zeros(len(task.train), dtype=np.bool_)
        seen_N[: len(course.seen_N)] = course.seen_N
        touched_V[ids[np.repeat(seen_N, np.diff(offsets))]] = True
        head_FC = heads_RFC[number]
        rows = float(embedding_VD.size)
        metrics = {
            "params/total": rows + head_FC.size,
            "params/trainable": (rows if run.embedding.trainable else 0.0) + head_FC.size,
            "params/embedding": rows,
            "params/touched_rows": float(touched_V.sum()),
        }
        probabilities = {name: found_RNC[number] for name, found_RNC in found.items()}
        for name, labels_N in labels.items():
            metrics |= {f"{name}/{score}": value for score, value in scores(labels_N, probabilities[name]).items()}
        results.append(
            RunResult(
                initial_VE=run.embedding_VD,
                embedding_VE=embedding_VD,
                layers={"head.weight": head_FC[:-1].T.copy(), "head.bias": head_FC[-1].copy()},
                touched_V=touched_V,
                probabilities=probabilities,
                metrics=metrics,
                history=course.history,
                chosen_epoch=course.chosen or len(course.history),
                device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
                seconds=0.0,
            )
        )
    return results


def _train_together(
    task: Task, corpus: Corpus, runs: Sequence[Run], device: torch.device, report: Report | None
) -> list[RunResult]:
    """One stack, from the first epoch to the last run's last."""
    started = time.perf_counter()
    numbers = list(range(len(runs)))
    stacked = Stacked(corpus, runs, task.classes, device)
    results: dict[int, RunResult] = {}
    while stacked.courses:
        losses = stacked.train_epoch()
        found: list[dict[str, float] | None] = [None] * len(losses)
        if task.validation is not None:
            labels_N = task.validation.labels_N.cpu().numpy()
            probabilities = stacked.stack.probabilities("validation", corpus.splits["validation"]).cpu().numpy()
            found = [scores(labels_N, one_NC) for one_NC in probabilities]
        courses = stacked.courses
        better = [course.end_epoch(loss, one) for course, loss, one in zip(courses, losses, found, strict=True)]
        if any(better):
            stacked.stack.keep([number for number, one in enumerate(better) if one])
        if report is not None:
            for course in courses:
                report(course.history[-1])
        ended = [number for number, course in enumerate(courses) if course.ended]
        if ended:
            leaving = stacked.leave(ended)
            done = _results(task, corpus, leaving, [courses[number] for number in ended])
            seconds = (time.perf_counter() - started) / len(runs)
            results |= {numbers[at]: replace(one, seconds=seconds) for at, one in zip(ended, done, strict=True)}
            numbers = [number for at, number in enumerate(numbers) if at not in ended]
    return [results[number] for number in range(len(runs))]


def train_stacked(task: Task, runs: Sequence[Run], report: Report | None = None) -> list[RunResult]:
    """Train runs that are all `stackable`, as few stacks as their shapes and the device's memory allow.

    Results are in the order of `runs`, each what `train_run` gives alone but for sums in another order (float32);
    `seconds` is a run's share of the time until it was done. `report` hears every finished epoch of every run. Raises
    ValueError for a run that cannot be stacked, UserError where the device is not there or there is nothing to train
    on, and RunError where a loss is not finite.
    """
    if any(len(run.rows_N) == 0 for run in runs):
        raise UserError("the training split is empty: nothing to train on")
    if not all(map(stackable, runs)):
        raise ValueError("only `mean` encoders over plain rows are stacked")
    results: dict[int, RunResult] = {}
    corpora: dict[torch.device, Corpus] = {}
    threads = torch.get_num_threads()
    try:
        for group in stacks(runs):
            device = resolve_device(runs[group[0]].train.device)
            torch.set_num_threads(runs[group[0]].train.threads)
            if device not in corpora:
                corpora[device] = Corpus.of(task, device)
            size = stack_size(corpora[device], runs[group[0]], device)
            for start in range(0, len(group), size):
                part = group[start : start + size]
                with torch.no_grad():
                    done = _train_together(task, corpora[device], [runs[number] for number in part], device, report)
                results |= dict(zip(part, done, strict=True))
    finally:
        torch.set_num_threads(threads)
    return [results[number] for number in range(len(runs))]
