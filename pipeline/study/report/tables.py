"""The tables of a study: whole frames as CSV, the main ones as LaTeX, and rows of display strings for the reports.

Display strings: scores in percent as `59.7 ± 0.6` (half the 95 % interval), differences in points as
`+3.2 [+2.1, +4.3]`, and a dash where there is no number.
"""

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.study.report.latex import latex_table
from pipeline.study.report.study_results import StudyResults
from pipeline.study.statistics.tests import smallest_p

Rows = list[dict[str, str]]
DASH = "–"
SEED_ALPHA = 0.05
# The measures shown, by the last part of a probe's name, with the number that an embedding without meaning gives.
PROBE_CHANCE = {"spearman": 0.0, "auc": 0.5, "neighbours": 0.5, "nearer": 0.5}


def number(value: Any) -> float | None:
    """The value as a float; None for None, NaN and infinity."""
    return float(value) if value is not None and not pd.isna(value) and math.isfinite(value) else None


def signed(value: float, decimals: int = 1) -> str:
    """Such as `+3.2` or `−0.4`, with a minus sign, not a hyphen; zero after rounding has no sign."""
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def score_text(mean: Any, low: Any = None, high: Any = None, *, factor: float = 100, decimals: int = 1) -> str:
    """`mean ± half the interval`, in percent unless `factor` says otherwise; the mean alone without an interval."""
    middle, bottom, top = number(mean), number(low), number(high)
    if middle is None:
        return DASH
    text = f"{factor * middle:.{decimals}f}"
    text = text[1:] if text.startswith("-") and float(text) == 0 else text.replace("-", "−")
    return text if bottom is None or top is None else f"{text} ± {factor * (top - bottom) / 2:.{decimals}f}"


def points_text(mean: Any, low: Any = None, high: Any = None) -> str:
    """A difference of fractions in points: `+3.2 [+2.1, +4.3]`."""
    middle = number(mean)
    return DASH if middle is None else f"{signed(100 * middle)} {interval_text(low, high)}".removesuffix(f" {DASH}")


def interval_text(low: Any, high: Any) -> str:
    """An interval of differences in points: `[+2.1, +4.3]`."""
    bottom, top = number(low), number(high)
    return DASH if bottom is None or top is None else f"[{signed(100 * bottom)}, {signed(100 * top)}]"


def share_text(share: Any, low: Any = None, high: Any = None) -> str:
    """A share with its interval, which need not be symmetric: `0.90 [0.60, 0.98]`."""
    middle, bottom, top = number(share), number(low), number(high)
    text = DASH if middle is None else f"{middle:.2f}"
    return text if middle is None or bottom is None or top is None else f"{text} [{bottom:.2f}, {top:.2f}]"


def p_text(p: Any, smallest: Any = None) -> str:
    """A p-value: `0.002`, or `< 0.001`, never 0; where `smallest`, the least it can be, is above 0.05, it says so."""
    value, least = number(p), number(smallest)
    if value is None:
        return DASH
    if least is not None and least > SEED_ALPHA:
        return f"{value:.4f} (cannot fall below {least:.4f})"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def p_note(findings: StudyResults) -> str | None:
    """The sentence that has to stand with the p-values where there are too few seeds for a small one, else None."""
    frame = findings.differences
    least = [
        (int(n), p) for n, p in zip(frame.get("n", []), map(number, frame.get("p_smallest", [])), strict=True) if p
    ]
    n, smallest = max(least, default=(0, 0.0))
    if smallest <= SEED_ALPHA:
        return None
    return f"With {n} seeds the sign-flip p cannot fall below {smallest:.4f}, however large the difference is."


def budget_name(findings: StudyResults, budget: Any) -> str:
    """A label budget as the design names it, such as `1,000` or `all (7,200)`."""
    names = dict(zip(findings.design["label_budgets"], findings.design["budget_names"], strict=True))
    return str(names.get(int(budget), f"{int(budget):,}"))


def count_text(value: Any) -> str:
    """A whole number with thousands commas."""
    whole = number(value)
    return DASH if whole is None else f"{whole:,.0f}"


def score_table(findings: StudyResults) -> Rows:
    """A row per variant and baseline, a column per label budget; `(n = 9)` where seeds are missing."""
    rows: Rows = []
    place = {name: i for i, name in enumerate(findings.design["variants"])}
    entries = sorted(records(findings.scores), key=lambda r: (r["kind"] != "variant", place.get(r["variant"], 99)))
    for (_, name), group in groupby(entries, key=lambda r: (r["kind"], r["variant"])):
        cells = list(group)
        row = {"variant": str(name), "trainable": count_text(cells[-1]["trainable"])}
        row |= {str(budget): DASH for budget in findings.design["budget_names"]}
        for cell in cells:
            text = score_text(cell["mean"], cell["low"], cell["high"])
            few = cell["kind"] == "variant" and cell["n"] != findings.design["seeds"]
            row[budget_name(findings, cell["label_budget"])] = f"{text} (n = {cell['n']})" if few else text
        rows.append(row)
    return rows


def difference_table(findings: StudyResults, *, planned: bool = True) -> Rows:
    """A row per pair and label budget, the planned pairs or the others."""
    rows = []
    for row in records(findings.differences):
        if bool(row["planned"]) is not planned:
            continue
        entry = {
            "first − second": f"{row['a']} − {row['b']}",
            "labels": budget_name(findings, row["label_budget"]),
            "n": str(row["n"]),
            "points": points_text(row["mean"], row["low"], row["high"]),
            "seeds and tweets": interval_text(row["low_total"], row["high_total"]),
            "p": p_text(row["p"], row["p_smallest"]),
        }
        if planned:
            entry["p (Holm)"] = p_text(row["p_holm"], row["p_holm_smallest"])
        entry["P(first better)"] = share_text(row["superiority"], row["superiority_low"], row["superiority_high"])
        entry["p (equivalence)"] = p_text(row["p_equivalence"])
        entry["decision"] = str(row["decision"])
        rows.append(entry)
    return rows


def factorial_table(findings: StudyResults) -> Rows:
    """A row per label budget, columns per effect (CBOW init, training, their interaction), in points."""
    rows: Rows = []
    for budget, group in groupby(records(findings.factorial), key=lambda row: row["label_budget"]):
        effects = list(group)
        row = {"labels": budget_name(findings, budget), "n": str(min(effect["n"] for effect in effects))}
        for effect in effects:
            row[str(effect["effect"])] = points_text(effect["mean"], effect["low"], effect["high"])
            row[f"p ({effect['effect']})"] = p_text(effect["p"], smallest_p(int(effect["n"])))
        rows.append(row)
    return rows


def crossover_table(findings: StudyResults) -> Rows:
    """A row per variant that random_trainable is to reach: at how many labels, with the interval."""
    budgets = findings.design["label_budgets"]
    rows = []
    for row in records(findings.crossover):
        estimate, low, high = (number(row[name]) for name in ("estimate", "low", "high"))
        beyond = f"> {max(budgets):,}"
        bottom = beyond if low is None else f"≤ {low:,.0f}" if low <= min(budgets) else count_text(low)
        top = beyond if high is None else f"≤ {high:,.0f}" if high <= min(budgets) else count_text(high)
        entry = {"rival": str(row["variant"]), "outcome": str(row["kind"]), "labels": count_text(estimate)}
        rows.append(entry | {"95 % interval": bottom if bottom == top else f"{bottom} to {top}"})
    return rows


def main_transfer(findings: StudyResults) -> pd.DataFrame:
    """The rows of `transfer` with the study's own metric, or a task's first metric where it lacks that one."""
    frame = findings.transfer
    if frame.empty:
        return frame
    wanted = findings.design["metric"]
    chosen = {
        task: wanted if wanted in set(group["metric"]) else group["metric"].iloc[0]
        for task, group in frame.groupby("task")
    }
    return frame[frame["metric"] == frame["task"].map(chosen)]


def transfer_table(findings: StudyResults) -> Rows:
    """A row per variant (and reference, which knows no before and after), a column per task and side; in percent."""
    rows: dict[str, dict[str, str]] = {}
    entries = records(main_transfer(findings))
    columns = dict.fromkeys((f"{e['task']}, {when}") for e in entries for when in ("before", "after"))
    for entry in entries:
        name = str(entry["variant"])
        row = rows.setdefault(name, {"variant": name} | dict.fromkeys(columns, DASH))
        for when in ("before", "after") if name.startswith("(") else (entry["when"],):
            row[f"{entry['task']}, {when}"] = score_text(entry["mean"], entry["low"], entry["high"])
    return list(rows.values())


def main_probes(findings: StudyResults) -> pd.DataFrame:
    """The rows of `probes` that tell what embeddings know: no counts, and antonyms only of all words together."""
    frame = findings.probes
    if frame.empty:
        return frame
    parts = frame["probe"].astype(str).str.split("/")
    in_part = [("antonyms" in names) and bool({"seen", "unseen"} & set(names)) for names in parts]
    return frame[parts.str[-1].isin(PROBE_CHANCE) & ~pd.Series(in_part, index=frame.index)]


def probe_table(findings: StudyResults) -> Rows:
    """A row per main probe and variant: before and after training, as fractions."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for entry in records(main_probes(findings)):
        probe, name = str(entry["probe"]).removeprefix("probe/"), str(entry["variant"])
        row = rows.setdefault((probe, name), {"probe": probe, "variant": name, "before": DASH, "after": DASH})
        row[str(entry["when"])] = score_text(entry["mean"], entry["low"], entry["high"], factor=1, decimals=3)
    probes = list(dict.fromkeys(probe for probe, _ in rows))
    return [row for _, row in sorted(rows.items(), key=lambda item: probes.index(item[0][0]))]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame, in its order."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


TABLES: dict[str, tuple[str, Callable[[StudyResults], Rows]]] = {
    "scores": ("Test {metric} in percent: mean and half of the 95 % t-interval over seeds.", score_table),
    "differences": (
        "Paired differences in test {metric}, in points: mean and 95 % t-interval over seeds; the interval for other "
        "seeds and other test tweets; sign-flip p, plain and with Holm's correction.",
        difference_table,
    ),
    "factorial": ("Effects of the 2 × 2 design on test {metric}, in points, with 95 % t-intervals.", factorial_table),
    "crossover": ("Labels from which random_trainable has reached a rival, with 95 % intervals.", crossover_table),
    "transfer": (
        "Embeddings as features for other tasks: test score in percent and half of the 95 % interval.",
        transfer_table,
    ),
    "probes": ("Probes of the embedding before and after training, with half of the 95 % interval.", probe_table),
}


def write_tables(findings: StudyResults, folder: Path, extra: Mapping[str, pd.DataFrame] | None = None) -> list[Path]:
    """Write every frame that has columns as CSV at full precision, and the main tables that have rows as LaTeX.

    In the CSV files all texts are quoted, as tweets hold line breaks of every kind. The LaTeX files need the package
    booktabs. Equal findings give equal bytes. `extra` frames become CSV files too; one with the name of a frame of the
    findings takes its place.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    frames = {field.name: getattr(findings, field.name) for field in fields(findings)}
    frames |= {"confusion": confusion_frame(findings), **(extra or {})}
    for name, frame in frames.items():
        if isinstance(frame, pd.DataFrame) and len(frame.columns):
            path = folder / f"{name}.csv"
            frame.to_csv(path, index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC, errors="replace")
            written.append(path)
    for name, (caption, build) in TABLES.items():
        if rows := build(findings):
            path = folder / f"{name}.tex"
            path.write_text(latex_table(rows, table_caption(findings, name, caption), f"tab:{name}"), "utf-8")
            written.append(path)
    return written


def table_caption(findings: StudyResults, name: str, caption: str) -> str:
    """The caption with the metric's name, a note on p-values that cannot be small, and whether tweets are generated."""
    note = (p_note(findings) if name in ("differences", "factorial") else None) or ""
    data = f"Data: {findings.data['name']}{' (generated tweets)' if findings.generated else ''}."
    return " ".join([caption.format(metric=findings.design["metric_name"]), note, data]).replace("  ", " ")


def confusion_frame(findings: StudyResults) -> pd.DataFrame:
    """The confusion matrices as rows of variant, true label, predicted label, tweets (mean over seeds)."""
    names = findings.data["label_names"]
    rows = [
        (variant, true, predicted, count)
        for variant, matrix in findings.confusion.items()
        for true, counts in zip(names, matrix, strict=True)
        for predicted, count in zip(names, counts, strict=True)
    ]
    return pd.DataFrame(rows, columns=["variant", "true", "predicted", "tweets"])
