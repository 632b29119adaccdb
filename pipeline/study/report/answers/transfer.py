"""The answer to whether vectors learned on one task help on others, from features on the study's transfer tasks."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.variants import prose_name
from pipeline.study.report.phrases import FLOOR, FROZEN, TUNED, capital, effect_text, interval_points, listed
from pipeline.study.report.study_results import Verdict
from pipeline.study.statistics.frames import LEARNED
from pipeline.study.statistics.intervals import Interval, t_interval

QUESTION = "Are word vectors learned on this task useful for other tasks, or do they serve this task only?"
NOT_MEASURED = "Not measured on other tasks: probe.transfer has no task with results. The evidence is word similarity."
METRIC = "macro_recall"
WORD_SIMILARITY = "probe/similarity/wordsim353/spearman"
REFERENCES = {"majority": "majority class, no embedding", "tfidf_logistic": "TF-IDF, no embedding"}
SOURCES = {  # where else a task's texts may occur, in the order of the sentence
    "train": "among the labelled training tweets of this study",
    "unlabelled": "in the unlabelled text that CBOW read",
    "extra_text": "in the extra text that CBOW read",
}


def transfer_verdict(
    runs: pd.DataFrame, design: Mapping[str, Any], tasks: Mapping[str, Mapping[str, Any]]
) -> Verdict | None:
    """Vectors learned from scratch as features of other tasks, against themselves before training and against CBOW.

    The answer is on the mean over tasks, with intervals over seeds: the tasks' test tweets are taken as given.
    `tasks` holds what `write_task` returned for each task.
    """
    budget = design["label_budgets"][-1]
    runs = runs[(runs["kind"] == "variant") & (runs["label_budget"] == budget)]
    measured = [task for task in design.get("transfer", []) if f"probe/transfer/{task}/{METRIC}" in runs]
    after, before = (_task_means(runs, LEARNED, measured, suffix) for suffix in ("", "_before"))
    gain = _paired_interval(after, before)
    if gain is None:
        evidence = _word_evidence(runs)
        return Verdict(QUESTION, NOT_MEASURED, evidence) if evidence else None
    cbow = _task_means(runs, FROZEN, measured, "")
    difference = _paired_interval(after, cbow)
    answer = (
        f"{_opening(gain, difference, design['smallest_effect'])}. As fixed features for other tasks "
        f"({listed(measured)}), {prose_name(LEARNED)} reach macro recall {_mean(after):.3f}. "
        f"This is {interval_points(gain)} against the same vectors before training"
    )
    if difference is not None:
        answer += f" and {interval_points(difference)} against {prose_name(FROZEN)} ({_mean(cbow):.3f})"
    evidence = []
    for task in measured:
        evidence.append(_task_evidence(runs, task, tasks.get(task, {})))
        evidence += _overlap(task, tasks.get(task, {}))
    change = _paired_interval(_task_means(runs, TUNED, measured, ""), cbow)
    if change is not None:
        evidence.append(f"Fine-tuning changes the score of CBOW vectors on these tasks by {interval_points(change)}.")
    caveat = "These intervals are 95 % over seeds only; they do not cover other test tweets of these tasks."
    sizes = {task: int(tasks[task]["rows"]["test"]) for task in measured if task in tasks}
    if sizes:
        smallest = min(sizes, key=lambda task: sizes[task])
        margin = 100 * 1.96 * math.sqrt(0.25 / sizes[smallest])
        caveat += (
            f" One score on the {sizes[smallest]:,} test tweets of {smallest} is uncertain by at most about "
            f"±{margin:.1f} points."
        )
    return Verdict(QUESTION, f"{answer}.", [*evidence, caveat, *_word_evidence(runs)])


def _opening(gain: Interval, difference: Interval | None, smallest_effect: float) -> str:
    """The finding in a few words, from the gain by training and the difference to CBOW."""
    if gain.low is None or gain.high is None:
        return "Not tested, because there is one seed"
    if gain.low > 0:
        if gain.high < smallest_effect:
            return f"Hardly, the gain is below {effect_text(smallest_effect)}"
        behind = difference is not None and difference.high is not None and difference.high < 0
        return "In part" if behind else "Yes"
    return "No" if gain.high < smallest_effect else "Not settled"


def _task_means(runs: pd.DataFrame, variant: str, tasks: Sequence[str], suffix: str) -> dict[int, float]:
    """The mean transfer score over tasks by seed, of the seeds that have all tasks."""
    rows = runs[runs["variant"] == variant]
    columns = [f"probe/transfer/{task}/{METRIC}{suffix}" for task in tasks]
    if not columns or not set(columns) <= set(rows.columns):
        return {}
    rows = rows.dropna(subset=columns)
    means = rows[columns].astype(float).mean(axis=1)
    return {int(seed): float(mean) for seed, mean in zip(rows["seed"], means, strict=True)}


def _paired_interval(first: Mapping[int, float], second: Mapping[int, float]) -> Interval | None:
    """First minus second over the seeds that both have; None without any."""
    shared = sorted(set(first) & set(second))
    return t_interval([first[seed] - second[seed] for seed in shared]) if shared else None


def _mean(scores: Mapping[int, float]) -> float:
    return float(np.mean(list(scores.values())))


def _task_evidence(runs: pd.DataFrame, task: str, outcome: Mapping[str, Any]) -> str:
    """The scores of each variant on a task, followed by those of methods without an embedding."""
    scores = {prose_name(name): _task_means(runs, name, [task], "") for name in (FLOOR, LEARNED, FROZEN, TUNED)}
    before = _task_means(runs, LEARNED, [task], "_before")
    if before and not scores[prose_name(FLOOR)]:
        scores = {f"{prose_name(LEARNED)}, before training": before} | scores
    texts = [f"{name}: {_mean(by_seed):.3f}" for name, by_seed in scores.items() if by_seed]
    references = outcome.get("references", {})
    texts += [f"{text}: {references[name][METRIC]:.3f}" for name, text in REFERENCES.items() if name in references]
    return f"Macro recall on {task}: {'; '.join(texts)}."


def _overlap(task: str, outcome: Mapping[str, Any]) -> list[str]:
    """How many of a task's texts this study read too, without the task's labels: a line, or none if not counted."""
    counts, rows = outcome.get("overlap", {}), outcome.get("rows", {})
    if not counts:
        return []
    shared = [
        f"{source_counts['train']['masked']:,} and {source_counts['test']['masked']:,} {where}"
        for source, where in SOURCES.items()
        if (source_counts := counts.get(source)) and any(source_counts[split]["masked"] for split in ("train", "test"))
    ]
    if not shared:
        return [f"This study read none of the training and test texts of {task}."]
    return [
        f"This study read some of the {rows['train']:,} training and {rows['test']:,} test texts of {task}, without "
        f"their labels: {listed(shared)}. Texts that differ only in handles and links count as the same."
    ]


def _word_evidence(runs: pd.DataFrame) -> list[str]:
    """How the trained vectors agree with human ratings of word similarity, before and after training."""
    columns = [f"{WORD_SIMILARITY}_before", WORD_SIMILARITY]
    lines = []
    for variant in (LEARNED, TUNED):
        rows = runs[runs["variant"] == variant]
        if set(columns) <= set(rows.columns) and len(rows := rows.dropna(subset=columns)):
            before, after = (_rho(float(rows[column].astype(float).mean())) for column in columns)
            name = f"{capital(prose_name(variant))}, word similarity (Spearman's ρ, WordSim-353)"
            lines.append(f"{name}: {before} before training, {after} after.")
    return lines


def _rho(value: float) -> str:
    return f"{value + 0.0:.2f}".replace("-", "−")
