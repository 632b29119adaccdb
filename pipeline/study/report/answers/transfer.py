"""Whether embeddings learned on one task are of use on another: the answer from features on the study's other tasks."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.study.report.phrases import (
    FLOOR,
    FROZEN,
    LEARNED,
    NAMES,
    TUNED,
    capital,
    effect_text,
    interval_points,
    listed,
)
from pipeline.study.report.study_results import Verdict
from pipeline.study.statistics.intervals import Interval, t_interval

QUESTION = "Are word vectors learned on this task of use on others, or do they only hold this task?"
METRIC = "macro_recall"
READ = {  # where else a task's texts may stand, in the order told
    "train": "among the labelled training tweets of this study",
    "unlabelled": "in the unlabelled text that CBOW read",
    "extra_text": "in the extra text that CBOW read",
}


def elsewhere(runs: pd.DataFrame, design: Mapping[str, Any], tasks: Mapping[str, Mapping[str, Any]]) -> Verdict | None:
    """Learned rows against the same rows before learning, and against CBOW, as features for other tasks.

    The answer is on the mean over tasks, with intervals over seeds: the tasks' test tweets are taken as given.

    Parameters
    ----------
    runs, design : of `StudyResults`. tasks : what `write_task` returned for each task.
    """
    budget = design["label_budgets"][-1]
    own = runs[(runs["kind"] == "variant") & (runs["label_budget"] == budget)]
    known = [task for task in design.get("transfer", []) if f"probe/transfer/{task}/{METRIC}" in runs]
    after, before = (_task_means(own, LEARNED, known, when) for when in ("", "_before"))
    gain = _paired(after, before)
    if gain is None:
        evidence = _word_evidence(own)
        answer = (
            "Not measured on other tasks (probe.transfer names none that was tried); what stands below is of words."
        )
        return Verdict(QUESTION, answer, evidence) if evidence else None
    reference = _task_means(own, FROZEN, known, "")
    lag = _paired(after, reference)
    opening = _opening(gain, lag, design["smallest_effect"])
    answer = (
        f"{opening}: as fixed features for other tasks ({listed(known)}), rows learned here have macro recall "
        f"{_mean(after):.3f}, {interval_points(gain)} against the same rows before learning"
    )
    if lag is not None:
        answer += f" and {interval_points(lag)} against frozen CBOW ({_mean(reference):.3f})"
    evidence = [
        line
        for task in known
        for line in (_task_evidence(own, task, tasks.get(task, {})), _overlap(task, tasks))
        if line
    ]
    change = _paired(_task_means(own, TUNED, known, ""), reference)
    if change is not None:
        evidence.append(f"Fine-tuning changes what CBOW rows are worth on these tasks by {interval_points(change)}.")
    told = "These intervals are 95 % over seeds only"
    sizes = {task: int(tasks[task]["rows"]["test"]) for task in known if task in tasks}
    if sizes:
        fewest = min(sizes, key=lambda task: sizes[task])
        around = 100 * 1.96 * math.sqrt(0.25 / sizes[fewest])
        told += (
            f": they leave out that the tasks' test sets are small. One score on the {sizes[fewest]:,} test tweets of "
            f"{fewest} is uncertain by about ±{around:.1f} points at most on other tweets"
        )
    return Verdict(QUESTION, f"{answer}.", [*evidence, f"{told}.", *_word_evidence(own)])


def _opening(gain: Interval, lag: Interval | None, smallest_effect: float) -> str:
    """The outcome in a word or two: from the gain by learning, and from what is missing to CBOW."""
    if gain.low is None or gain.high is None:
        return "Not tested, with one seed"
    if gain.low > 0:
        if gain.high < smallest_effect:
            return f"Hardly, by less than {effect_text(smallest_effect)}"
        return "In part" if lag is not None and lag.high is not None and lag.high < 0 else "Yes"
    return "No" if gain.high < smallest_effect else "Not settled"


def _task_means(own: pd.DataFrame, variant: str, tasks: Sequence[str], when: str) -> dict[int, float]:
    """The mean over tasks of the transfer score, by seed; of seeds that have all tasks."""
    rows = own[own["variant"] == variant]
    columns = [f"probe/transfer/{task}/{METRIC}{when}" for task in tasks]
    if not columns or not set(columns) <= set(rows.columns):
        return {}
    rows = rows.dropna(subset=columns)
    return {
        int(seed): float(value)
        for seed, value in zip(rows["seed"], rows[columns].astype(float).mean(axis=1), strict=True)
    }


def _paired(first: Mapping[int, float], second: Mapping[int, float]) -> Interval | None:
    """First minus second over the seeds that both have; None without any."""
    shared = sorted(set(first) & set(second))
    return t_interval([first[seed] - second[seed] for seed in shared]) if shared else None


def _mean(scores: Mapping[int, float]) -> float:
    return float(np.mean(list(scores.values())))


def _task_evidence(own: pd.DataFrame, task: str, outcome: Mapping[str, Any]) -> str:
    """The scores of each variant on a task, beside those that need no embedding."""
    found = {NAMES[name]: _task_means(own, name, [task], "") for name in (FLOOR, LEARNED, FROZEN, TUNED)}
    before = _task_means(own, LEARNED, [task], "_before")
    if before and not found[NAMES[FLOOR]]:
        found = {"learned rows before learning": before} | found
    told = [f"{name} {_mean(scores):.3f}" for name, scores in found.items() if scores]
    names = {"majority": "without an embedding, majority", "tfidf_logistic": "TF-IDF"}
    references = outcome.get("references", {})
    told += [f"{shown} {references[name][METRIC]:.3f}" for name, shown in names.items() if name in references]
    return f"{task}: {', '.join(told)}."


def _overlap(task: str, tasks: Mapping[str, Mapping[str, Any]]) -> str:
    """How many of a task's texts this study read elsewhere, without the task's labels."""
    outcome = tasks.get(task, {})
    counts, rows = outcome.get("overlap", {}), outcome.get("rows", {})
    shared = [
        f"{found['train']['masked']:,} and {found['test']['masked']:,} {where}"
        for source, where in READ.items()
        if (found := counts.get(source)) and any(found[split]["masked"] for split in ("train", "test"))
    ]
    if not counts:
        return ""
    if not shared:
        return f"None of the training and test texts of {task} stands in text that this study read."
    return (
        f"Of the {rows['train']:,} training and {rows['test']:,} test texts of {task} (without its labels, handles and "
        f"links aside), {listed(shared)}."
    )


def _word_evidence(own: pd.DataFrame) -> list[str]:
    """What learned rows know of words that people rated, before and after."""
    name = "probe/similarity/wordsim353/spearman"
    lines = []
    for variant in (LEARNED, TUNED):
        rows = own[own["variant"] == variant]
        if {name, f"{name}_before"} <= set(rows.columns) and len(rows := rows.dropna(subset=[name, f"{name}_before"])):
            before, after = (float(rows[column].astype(float).mean()) for column in (f"{name}_before", name))
            lines.append(
                f"{capital(NAMES[variant])} on word similarity (ρ on WordSim-353): {_rho(before)} before training, "
                f"{_rho(after)} after."
            )
    return lines


def _rho(value: float) -> str:
    return f"{value + 0.0:.2f}".replace("-", "−")
