"""The tables that a reader sees: rows of display text, each made from a frame of `StudyResults`."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import pandas as pd

from pipeline.config.variants import prose_name
from pipeline.study.report.formatting import (
    DASH,
    budget_name,
    count_text,
    number,
    p_text,
    points_text,
    records,
    score_text,
    share_text,
)
from pipeline.study.report.phrases import FROZEN, listed, reversing_scores
from pipeline.study.report.study_results import StudyResults
from pipeline.study.statistics.probe_frames import OTHER_TASKS, THESE_TASKS

Rows = list[dict[str, str]]
MEANS_OF_TASKS = (THESE_TASKS, OTHER_TASKS)
# The measures shown, by the last part of a probe's name, each with its value for a meaningless embedding.
PROBE_CHANCE = {"spearman": 0.0, "auc": 0.5, "neighbours": 0.5, "nearer": 0.5}


def score_table(results: StudyResults) -> Rows:
    """A row per variant and baseline, a column per label budget; `(n = 9)` where seeds are missing."""
    rows: Rows = []
    rank = {name: i for i, name in enumerate(results.design["variants"])}
    entries = sorted(records(results.scores), key=lambda r: (r["kind"] != "variant", rank.get(r["variant"], 99)))
    for (_, name), group in groupby(entries, key=lambda r: (r["kind"], r["variant"])):
        cells = list(group)
        row = {"variant": prose_name(str(name)), "trainable": count_text(cells[-1]["trainable"])}
        row |= {str(budget): DASH for budget in results.design["budget_names"]}
        for cell in cells:
            text = total_score(cell)
            seeds_missing = cell["kind"] == "variant" and cell["n"] != results.design["seeds"]
            row[budget_name(results, cell["label_budget"])] = f"{text} (n = {cell['n']})" if seeds_missing else text
        rows.append(row)
    return rows


def total_score(row: Mapping[str, Any]) -> str:
    """Mean ± half the interval over seeds and tweets, of a row of `StudyResults.scores`."""
    return score_text(row["mean"], row["low_total"], row["high_total"])


def ensemble_table(results: StudyResults) -> Rows:
    """A row per variant, a column per label budget: the score of its runs' average probabilities."""
    rows: dict[str, dict[str, str]] = {}
    empty = {"average of": DASH} | dict.fromkeys(map(str, results.design["budget_names"]), DASH)
    for cell in records(results.ensembles):
        row = rows.setdefault(cell["variant"], {"variant": prose_name(cell["variant"])} | empty)
        row["average of"] = f"{cell['n']} runs"
        row[budget_name(results, cell["label_budget"])] = score_text(cell["mean"], cell["low"], cell["high"])
    return [rows[name] for name in results.design["variants"] if name in rows]


def difference_table(results: StudyResults, *, planned: bool = True) -> Rows:
    """A row per pair and label budget, the planned pairs or the others."""
    rows = []
    for row in (row for row in records(results.differences) if bool(row["planned"]) is planned):
        pair = f"{prose_name(row['a'])} − {prose_name(row['b'])}"
        entry = {"first − second": pair, "labels": budget_name(results, row["label_budget"]), "n": str(row["n"])}
        entry |= {
            "points": points_text(row["mean"], row["low_total"], row["high_total"]),
            "p": p_text(row["p"], row["p_smallest"]),
        }
        if planned:
            entry["p (Holm)"] = p_text(row["p_holm"], row["p_holm_smallest"])
        entry["P(first better)"] = share_text(row["superiority"], row["superiority_low"], row["superiority_high"])
        equivalence = "p_equivalence_holm" if planned else "p_equivalence"
        entry[f"p (equivalence{', Holm' * planned})"] = p_text(row[equivalence])
        entry["decision"] = str(row["decision"])
        rows.append(entry)
    return rows


def probability_table(results: StudyResults) -> Rows:
    """A row per planned pair and label budget: the difference in the study's score, in macro AUC and in NLL."""
    return [
        {
            "first − second": f"{prose_name(row['a'])} − {prose_name(row['b'])}",
            "labels": budget_name(results, row["label_budget"]),
            f"{results.design['metric_name']}, points": points_text(row["mean"], row["low_total"], row["high_total"]),
            "macro AUC, points": points_text(row["auc"], row["auc_low"], row["auc_high"]),
            "NLL, nats": points_text(row["nll"], row["nll_low"], row["nll_high"], factor=1, decimals=3),
            "order": f"reversed by {listed(names)}" if (names := reversing_scores(row)) else "not reversed",
        }
        for row in records(results.differences)
        if row["planned"] and number(row.get("auc")) is not None
    ]


def amount_table(results: StudyResults) -> Rows:
    """A row per variant and number of unlabelled texts, a column per label budget: the lead in points."""
    rows: dict[tuple[str, int], dict[str, str]] = {}
    for cell in records(results.amounts):
        name, size = str(cell["variant"]), int(cell["unlabelled_texts"])
        empty = {"variant": prose_name(name), "unlabelled texts": f"{size:,}"}
        row = rows.setdefault((name, size), empty | dict.fromkeys(map(str, results.design["budget_names"]), DASH))
        row[budget_name(results, cell["label_budget"])] = points_text(cell["mean"], cell["low"], cell["high"])
    return list(rows.values())


def factorial_table(results: StudyResults) -> Rows:
    """A row per label budget, columns per effect (CBOW init, training, their interaction), in points."""
    rows: Rows = []
    for budget, group in groupby(records(results.factorial), key=lambda row: row["label_budget"]):
        effects = list(group)
        row = {"labels": budget_name(results, budget), "n": str(min(effect["n"] for effect in effects))}
        for effect in effects:
            row[str(effect["effect"])] = points_text(effect["mean"], effect["low_total"], effect["high_total"])
            row[f"p (Holm), {effect['effect']}"] = p_text(effect["p_holm"])
        rows.append(row)
    return rows


def crossover_table(results: StudyResults) -> Rows:
    """A row per rival of the vectors learned from scratch: the labels that they need to reach it, with the interval."""
    budgets = results.design["label_budgets"]

    def bound_text(bound: float | None) -> str:
        if bound is None:
            return f"> {max(budgets):,}"
        return f"≤ {bound:,.0f}" if bound <= min(budgets) else count_text(bound)

    rows = []
    for row in records(results.crossover):
        low, high = bound_text(number(row["low"])), bound_text(number(row["high"]))
        entry = {"rival": prose_name(row["variant"]), "outcome": str(row["kind"])}
        interval = low if low == high else f"{low} to {high}"
        rows.append(entry | {"labels": count_text(row["estimate"]), "95 % interval": interval})
    return rows


def transfer_table(results: StudyResults) -> Rows:
    """A row per task and variant: macro recall before and after training, the gain, the lead over frozen CBOW.

    References, with names in brackets, use no embedding. The last rows are means over tasks.
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    columns = {"before": "before", "after": "after", "gain": "gain, points", "lead": f"− {prose_name(FROZEN)}, points"}
    entries = records(results.transfer)
    tasks = list(dict.fromkeys(entry["task"] for entry in entries))
    for entry in sorted(entries, key=lambda entry: (entry["task"] in MEANS_OF_TASKS, tasks.index(entry["task"]))):
        key = str(entry["task"]), str(entry["variant"])
        row = rows.setdefault(
            key, {"task": key[0], "variant": prose_name(key[1])} | dict.fromkeys(columns.values(), DASH)
        )
        text = score_text if entry["when"] in ("before", "after") else points_text
        row[columns[entry["when"]]] = text(entry["mean"], entry["low"], entry["high"])
    return list(rows.values())


def main_probes(results: StudyResults) -> pd.DataFrame:
    """The rows of `probes` that measure what embeddings encode: no counts, and antonyms only over all words."""
    frame = results.probes
    if frame.empty:
        return frame
    names = frame["probe"].astype(str).str.split("/")
    antonym_subset = [("antonyms" in parts) and bool({"seen", "unseen"} & set(parts)) for parts in names]
    return frame[names.str[-1].isin(PROBE_CHANCE) & ~pd.Series(antonym_subset, index=frame.index)]


def probe_table(results: StudyResults) -> Rows:
    """A row per main probe and variant: before and after training, as fractions."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for entry in records(main_probes(results)):
        probe, name = str(entry["probe"]).removeprefix("probe/"), str(entry["variant"])
        empty = {"probe": probe, "variant": prose_name(name), "before": DASH, "after": DASH}
        row = rows.setdefault((probe, name), empty)
        row[str(entry["when"])] = score_text(entry["mean"], entry["low"], entry["high"], factor=1, decimals=3)
    probes = list(dict.fromkeys(probe for probe, _ in rows))
    return [row for _, row in sorted(rows.items(), key=lambda item: probes.index(item[0][0]))]


def environment_table(environment: Mapping[str, Any]) -> Rows:
    """A row per fact on the machine, then a row per library with its version."""
    facts = {name.replace("_", " "): value for name, value in environment.items() if name != "libraries"}
    facts |= environment.get("libraries") or {}
    texts = {"None": DASH, "True": "yes", "False": "no"}
    return [{"what": name, "value": texts.get(str(value), str(value))} for name, value in facts.items()]
