"""Many runs trained as one stacked model (GPU): which runs share a stack, its training loop, its results.

Each run has the numbers of the same run alone, up to float32 rounding. Only `mean` encoders over plain embedding layers
are stacked: all tables frozen or all trainable, no projection or anchor. Alone, a small run leaves most of a GPU idle.
Shapes: see `model`.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from pipeline.classifier.device import device_name, resolve_device, torch_threads
from pipeline.classifier.fast.stack_data import Corpus, stack_size
from pipeline.classifier.fast.stack_epoch import StackTrainer
from pipeline.classifier.fast.stack_step import StackedModel, TrainableRows
from pipeline.classifier.metrics import scores
from pipeline.classifier.run_spec import Report, Run, RunResult, Task
from pipeline.classifier.training_state import TrainingState
from pipeline.runtime.errors import RunError, UserError


def stackable(run: Run) -> bool:
    """Whether a run can be part of a stack."""
    variant = run.embedding
    plain = not (run.frozen_dim or variant.projected or variant.anchor)
    return run.model.encoder == "mean" and plain and len(run.rows_N) > 0


def stacks(runs: Sequence[Run]) -> list[list[int]]:
    """Indices of the runs that share a stack, for `stackable` runs.

    They agree in device, shape of the matrix, batch size and whether the matrix trains. No epoch has more than twice
    the steps of another's: a step costs the same for a run that has no more batches.
    """
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for index, run in enumerate(runs):
        steps = (run.passes * run.steps_per_pass).bit_length()
        shape, settings = run.embedding_VD.shape, run.train
        groups[settings.device, shape, settings.batch_size, run.trainable, steps].append(index)
    return list(groups.values())


def train_stacked(task: Task, runs: Sequence[Run], report: Report | None = None) -> list[RunResult | RunError]:
    """Train `stackable` runs in as few stacks as their shapes and the device's memory allow.

    Results are in the order of `runs`; `seconds` is a run's share of the time until it ended. A run whose loss is not
    finite has its RunError there and leaves the stack. Raises ValueError for a run that cannot be stacked, UserError
    without the device or without training tweets.
    """
    if any(len(run.rows_N) == 0 for run in runs):
        raise UserError("the training split is empty: nothing to train on")
    if not all(map(stackable, runs)):
        raise ValueError("only `mean` encoders over plain embedding layers can be stacked")
    results: dict[int, RunResult | RunError] = {}
    corpora: dict[torch.device, Corpus] = {}
    for group in stacks(runs):
        first = runs[group[0]]
        device = resolve_device(first.train.device)
        with torch_threads(first.train.threads):
            if device not in corpora:
                corpora[device] = Corpus.of(task, device)
            size = stack_size(corpora[device], first, device)
            for start in range(0, len(group), size):
                stack = group[start : start + size]
                trained = _train_stack(task, corpora[device], [runs[index] for index in stack], device, report)
                results |= dict(zip(stack, trained, strict=True))
    return [results[index] for index in range(len(runs))]


@torch.no_grad()
def _train_stack(
    task: Task, corpus: Corpus, runs: Sequence[Run], device: torch.device, report: Report | None
) -> list[RunResult | RunError]:
    """The training loop of one stack, until the last run ends."""
    start = time.perf_counter()
    trainer = StackTrainer(corpus, runs, task.classes, device)
    states = trainer.states
    results: dict[TrainingState, RunResult | RunError] = {}
    while trainer.states:
        losses = dict(zip(trainer.states, trainer.train_epoch(), strict=True))
        diverged = {state: error for state, loss in losses.items() if (error := state.divergence(loss))}
        if diverged:
            trainer.remove(diverged)
            results |= diverged
        validation: list[dict[str, float] | None] = [None] * len(trainer.states)
        if task.validation is not None and validation:
            labels_N = task.validation.labels_N.cpu().numpy()
            probabilities_RNC = trainer.model.probabilities("validation", corpus.splits["validation"]).cpu().numpy()
            validation = [scores(labels_N, probabilities_NC) for probabilities_NC in probabilities_RNC]
        improved = [
            index
            for index, (state, run_scores) in enumerate(zip(trainer.states, validation, strict=True))
            if state.end_epoch(losses[state], run_scores)
        ]
        if improved:
            trainer.model.save_best(improved)
        if report is not None:
            for state in trainer.states:
                report(state.history[-1])
        finished = [state for state in trainer.states if state.finished]
        if finished:
            trained = _results(task, corpus, trainer.remove(finished), finished)
            seconds = (time.perf_counter() - start) / len(runs)
            results |= zip(finished, (replace(result, seconds=seconds) for result in trained), strict=True)
    return [results[state] for state in states]


def _results(task: Task, corpus: Corpus, model: StackedModel, states: Sequence[TrainingState]) -> list[RunResult]:
    """Results of the runs, in their order, without `seconds`. This is the only reading of the test split."""
    splits = {"validation": task.validation, "test": task.test}
    labels = {name: texts.labels_N.cpu().numpy() for name, texts in splits.items() if texts is not None}
    probabilities_RNC = {name: model.probabilities(name, corpus.splits[name]).cpu().numpy() for name in labels}
    heads_RFC = model.head_RFC.cpu().numpy()
    offsets, ids = task.train.offsets.cpu().numpy(), task.train.ids.cpu().numpy()
    results = []
    for index, state in enumerate(states):
        run = state.run
        embedding_VD = run.embedding_VD
        if isinstance(model.embedding, TrainableRows):
            embedding_VD = np.array(embedding_VD)
            words = slice(1, corpus.train_words)
            embedding_VD[corpus.words_W[words]] = model.embedding.rows_WRD[words, index].cpu().numpy()
        touched_V = np.zeros(len(embedding_VD), dtype=np.bool_)
        read_N = np.zeros(len(task.train), dtype=np.bool_)
        read_N[run.rows_N[state.indices_read().numpy()]] = True
        touched_V[ids[np.repeat(read_N, np.diff(offsets))]] = True
        head_FC, size = heads_RFC[index], float(embedding_VD.size)
        metrics = {
            "params/total": size + head_FC.size,
            "params/trainable": (size if run.trainable else 0.0) + head_FC.size,
            "params/embedding": size,
            "params/touched_rows": float(touched_V.sum()),
        }
        probabilities = {name: of_split_RNC[index] for name, of_split_RNC in probabilities_RNC.items()}
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
                history=state.history,
                chosen_epoch=state.chosen_epoch,
                device=device_name(model.head_RFC.device),
                seconds=0.0,
            )
        )
    return results
