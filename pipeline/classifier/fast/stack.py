"""Many runs trained at once as one stacked model: each gets the numbers it has alone, to float32's rounding.

Stacked are `mean` encoders over plain rows, moving or frozen; other encoders, second channels, projections and anchors
train one by one. Made for a GPU, where a single small run leaves most of the machine idle; the data stay on it.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from pipeline.classifier.device import resolve_device
from pipeline.classifier.fast.stack_data import Corpus, stack_size
from pipeline.classifier.fast.stack_epoch import Stacked
from pipeline.classifier.fast.stack_step import Moving, Stack
from pipeline.classifier.metrics import scores
from pipeline.classifier.run_spec import Report, Run, RunResult, Task
from pipeline.classifier.training_state import Course
from pipeline.runtime.errors import RunError, UserError


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
        length = (run.passes * run.steps_per_pass).bit_length()
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
        seen_N[run.rows_N[course.places_read().numpy()]] = True
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
) -> list[RunResult | RunError]:
    """One stack, from the first epoch to the last run's last."""
    started = time.perf_counter()
    stacked = Stacked(corpus, runs, task.classes, device)
    everyone = stacked.courses
    results: dict[Course, RunResult | RunError] = {}
    while stacked.courses:
        losses = dict(zip(stacked.courses, stacked.train_epoch(), strict=True))
        failed = {course: error for course, loss in losses.items() if (error := _failure(course, loss))}
        if failed:
            stacked.leave(failed)
            results |= failed
        found: list[dict[str, float] | None] = [None] * len(stacked.courses)
        if task.validation is not None and found:
            labels_N = task.validation.labels_N.cpu().numpy()
            probabilities = stacked.stack.probabilities("validation", corpus.splits["validation"]).cpu().numpy()
            found = [scores(labels_N, one_NC) for one_NC in probabilities]
        noted = zip(stacked.courses, found, strict=True)
        better = [place for place, (course, one) in enumerate(noted) if course.end_epoch(losses[course], one)]
        if better:
            stacked.stack.keep(better)
        if report is not None:
            for course in stacked.courses:
                report(course.history[-1])
        ended = [course for course in stacked.courses if course.ended]
        if ended:
            done = _results(task, corpus, stacked.leave(ended), ended)
            seconds = (time.perf_counter() - started) / len(runs)
            results |= {course: replace(one, seconds=seconds) for course, one in zip(ended, done, strict=True)}
    return [results[course] for course in everyone]


def _failure(course: Course, loss: float) -> RunError | None:
    try:
        course.check(loss)
    except RunError as error:
        return error
    return None


def train_stacked(task: Task, runs: Sequence[Run], report: Report | None = None) -> list[RunResult | RunError]:
    """Train runs that are all `stackable`, as few stacks as their shapes and the device's memory allow.

    Results are in the order of `runs`, each what `train_run` gives alone but for sums in another order (float32);
    `seconds` is a run's share of the time until it was done. A run whose loss is not finite has its error there and
    leaves the stack. `report` hears every finished epoch of every run. Raises ValueError for a run that cannot be
    stacked, and UserError where the device is not there or there is nothing to train on.
    """
    if any(len(run.rows_N) == 0 for run in runs):
        raise UserError("the training split is empty: nothing to train on")
    if not all(map(stackable, runs)):
        raise ValueError("only `mean` encoders over plain rows are stacked")
    results: dict[int, RunResult | RunError] = {}
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
