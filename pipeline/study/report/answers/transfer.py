"""The answer to whether vectors learned on one task help on others, from features on the study's transfer tasks."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from scipy.stats import binomtest

from pipeline.config.variants import prose_name
from pipeline.study.report.formatting import number, p_text, records, signed
from pipeline.study.report.phrases import FLOOR, FROZEN, TUNED, capital, effect_text, listed, points, row_of
from pipeline.study.report.study_results import Verdict
from pipeline.study.statistics.frames import LEARNED
from pipeline.study.statistics.probe_frames import OTHER_TASKS, THESE_TASKS

QUESTION = "Are word vectors learned on this task useful for other tasks, or do they serve this task only?"
NOT_MEASURED = "Not measured on other tasks: probe.transfer has no task with results. The evidence is word similarity."
WORD_SIMILARITY = "probe/similarity/wordsim353/spearman"
REFERENCES = {"(majority)": "majority class, no embedding", "(tfidf_logistic)": "TF-IDF, no embedding"}
SOURCES = {  # where else a task's texts may occur, in the order of the sentence
    "train": "among the labelled training tweets of this study",
    "unlabelled": "in the unlabelled text that CBOW read",
    "extra_text": "in the extra text that CBOW read",
}


def transfer_verdict(
    transfer: pd.DataFrame, runs: pd.DataFrame, design: Mapping[str, Any], tasks: Mapping[str, Mapping[str, Any]]
) -> Verdict | None:
    """Vectors learned from scratch as features of other tasks, against themselves before training and against CBOW.

    The answer is one for each task, with intervals for other seeds and other test tweets. `transfer` is that of
    `StudyResults`, `tasks` holds what `write_task` returned for each task.
    """
    runs = runs[(runs["kind"] == "variant") & (runs["label_budget"] == design["label_budgets"][-1])]
    gains = {row["task"]: row for row in records(transfer) if (row["variant"], row["when"]) == (LEARNED, "gain")}
    leads = {row["task"]: row for row in records(transfer) if (row["variant"], row["when"]) == (LEARNED, "lead")}
    if not gains:
        evidence = _word_evidence(runs)
        return Verdict(QUESTION, NOT_MEASURED, evidence) if evidence else None
    of_tasks, these, others = _split(gains)
    sizes = [f"{int(tasks[task]['rows']['test']):,} of {task}" for task in of_tasks if task in tasks]
    answer = (
        f"{_opening(of_tasks, design['smallest_effect'])}: {_signed_points(of_tasks)} points of macro recall on the "
        f"test tweets of each task{f' ({listed(sizes)})' if sizes else ''}. Each number is the change by "
        f"training: {prose_name(LEARNED)} against the same vectors before, as fixed features of a classifier for that "
        "task."
    )
    if leads:
        of_leads, these_leads, _ = _split(leads)
        mean = f" (mean {_points(these_leads)})" if these_leads else ""
        answer += f" Against {prose_name(FROZEN)}: {_signed_points(of_leads)}{mean}."
    evidence = []
    for task in of_tasks:
        evidence.append(_task_evidence(transfer, task, gains[task], leads.get(task)))
        evidence += _overlap(task, tasks.get(task, {}))
    if these and len(of_tasks) > 1:
        positive = sum(row["mean"] > 0 for row in of_tasks.values())
        sign_p = p_text(binomtest(positive, len(of_tasks)).pvalue)
        evidence.append(
            f"The mean gain on these tasks is {_points(these)}, for other seeds and test tweets. Over other tasks, of "
            f"which these {len(of_tasks)} are taken as a sample, it is {_points(others)}. {positive} of "
            f"{len(of_tasks)} gains are positive (sign test p = {sign_p})."
        )
    if tuned := row_of(transfer, variant=TUNED, task=THESE_TASKS, when="gain"):
        evidence.append(f"Fine-tuning changes the score of CBOW vectors on these tasks by {_points(tuned)}.")
    several = f"; those of single gains and leads hold for all {len(of_tasks)} tasks at once (Bonferroni)"
    evidence.append(
        f"Intervals are 95 %, for other seeds and other test tweets of a task{several if len(of_tasks) > 1 else ''}."
    )
    return Verdict(QUESTION, answer, [*evidence, *_word_evidence(runs)])


def _split(rows: Mapping[str, Any]) -> tuple[dict[str, Any], Any, Any]:
    """The rows of single tasks, and those of the means over these and over other tasks."""
    of_tasks = {task: row for task, row in rows.items() if task not in (THESE_TASKS, OTHER_TASKS)}
    return of_tasks, rows.get(THESE_TASKS), rows.get(OTHER_TASKS)


def _opening(gains: Mapping[str, Mapping[str, Any]], smallest_effect: float) -> str:
    """The finding in a few words, from the gain on each task, whose intervals hold all at once."""
    findings: dict[str, list[str]] = {"yes": [], "no": [], "not settled": []}
    if any(number(row["low"]) is None for row in gains.values()):
        return "Not tested, because there is one seed"
    for task, row in gains.items():
        findings["no" if row["high"] < smallest_effect else "yes" if row["low"] > 0 else "not settled"].append(task)
    if len(findings["no"]) == len(gains) and all(row["low"] > 0 for row in gains.values()):
        return f"Hardly, every gain is below {effect_text(smallest_effect)}"
    parts = {finding: listed(tasks) for finding, tasks in findings.items() if tasks}
    if len(parts) == 1:
        return capital(*parts)
    text = ", ".join(f"{finding} for {tasks}" for finding, tasks in parts.items())
    differ = max(row["low"] for row in gains.values()) > min(row["high"] for row in gains.values())
    return f"It depends on the task, {text}" if differ else capital(text)


def _signed_points(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """`emotion +6.7, irony −3.0`."""
    return ", ".join(f"{task} {signed(100 * row['mean'])}" for task, row in rows.items())


def _points(row: Mapping[str, Any]) -> str:
    return points(row["mean"], number(row["low"]), number(row["high"]))


def _task_evidence(transfer: pd.DataFrame, task: str, gain: Mapping[str, Any], lead: Mapping[str, Any] | None) -> str:
    """Gain and lead on a task with intervals; scores of each variant, then of methods without an embedding."""
    scores = {prose_name(name): row_of(transfer, variant=name, task=task, when="after") for name in (FLOOR, LEARNED)}
    if not scores[prose_name(FLOOR)]:
        before = row_of(transfer, variant=LEARNED, task=task, when="before")
        scores = {f"{prose_name(LEARNED)}, before training": before} | scores
    names = {FROZEN: prose_name(FROZEN), TUNED: prose_name(TUNED)} | REFERENCES
    scores |= {text: row_of(transfer, variant=name, task=task, when="after") for name, text in names.items()}
    texts = [f"{name}: {row['mean']:.3f}" for name, row in scores.items() if row]
    against = f", {_points(lead)} against {prose_name(FROZEN)}" if lead else ""
    recalls = f" Macro recall of {'; '.join(texts)}." if texts else ""
    return f"On {task}: {_points(gain)} by training{against}.{recalls}"


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
