"""Plain answers to the questions the study was made for, each built from the numbers that stand beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.study.findings import Verdict
from pipeline.study.intervals import Interval, t_interval

ENOUGH = "Are so few labelled tweets enough for so many embedding parameters?"
ELSEWHERE = "Are embeddings learned on one task of use on another?"
CBOW = "Would CBOW vectors have been better, and from how many labels on does it stop mattering?"
EMOTICONS = "How much of the score is in the emoticons?"
LEARNED, FLOOR = "random_trainable", "random_frozen"
FROZEN, TUNED = "cbow_frozen", "cbow_finetuned"
NAMES = {
    LEARNED: "learned rows",
    FLOOR: "random rows that never move",
    FROZEN: "frozen CBOW",
    TUNED: "fine-tuned CBOW",
}


def verdicts(
    scores: pd.DataFrame,
    differences: pd.DataFrame,
    crossover: pd.DataFrame,
    runs: pd.DataFrame,
    leak: str | None,
    design: Mapping[str, Any],
) -> list[Verdict]:
    """The answers that these runs allow, in the order of the questions.

    Parameters
    ----------
    scores, differences, crossover, runs : frames of `Findings`. leak : the audit's sentence on a label leak, if any.
    design : of `Findings`.
    """
    found = [
        _enough(scores, differences, runs, leak, design),
        _elsewhere(runs, design),
        _cbow(differences, crossover, design),
        _emoticons(differences),
    ]
    return [verdict for verdict in found if verdict is not None]


def points(interval: Interval | Mapping[str, Any], low: str = "low_total", high: str = "high_total") -> str:
    """A difference in percentage points with its interval: `+3.2 points [+2.1, +4.3]`."""
    if isinstance(interval, Interval):
        mean, bounds = interval.mean, (interval.low, interval.high)
    else:
        mean, bounds = float(interval["mean"]), (interval[low], interval[high])
    text = f"{100 * mean:+.1f} points"
    if any(bound is None or pd.isna(bound) for bound in bounds):
        return text
    return f"{text} [{', '.join(f'{100 * float(bound):+.1f}' for bound in bounds if bound is not None)}]"


def _row(frame: pd.DataFrame, **wanted: Any) -> dict[str, Any] | None:
    """The only row with these values, or None."""
    for column, value in wanted.items():
        if column not in frame:
            return None
        frame = frame[frame[column] == value]
    return None if frame.empty else {str(key): value for key, value in frame.iloc[0].to_dict().items()}


def _difference(frame: pd.DataFrame, a: str, b: str, budget: int) -> dict[str, Any] | None:
    return _row(frame[frame["planned"].astype(bool)] if len(frame) else frame, a=a, b=b, label_budget=budget)


def _enough(
    scores: pd.DataFrame, differences: pd.DataFrame, runs: pd.DataFrame, leak: str | None, design: Mapping[str, Any]
) -> Verdict | None:
    budget, metric = design["label_budgets"][-1], design["metric_name"]
    learned = _row(scores, variant=LEARNED, label_budget=budget)
    if learned is None:
        return None
    own = runs[(runs["variant"] == LEARNED) & (runs["label_budget"] == budget)]
    numbers, touched = own["params/embedding"].mean(), own["params/touched_rows"].mean()
    above = _difference(differences, LEARNED, FLOOR, budget)
    score = f"{metric} {learned['mean']:.3f}"
    what = f"{budget:,} labels, {numbers:,.0f} embedding numbers learned from random: {score}"
    if above is None:
        answer = f"{what}."
    elif above["decision"] == "higher":
        answer = f"Enough to gain from them: {what}, {points(above)} against the same rows left random."
    elif above["decision"] == "lower":
        answer = f"No: {what}, {points(above)} against the same rows left random."
    elif above["equivalent"]:
        answer = f"No gain: {what}, as good as the same rows left random ({points(above)})."
    else:
        answer = f"Not settled here: {what}, {points(above)} against the same rows left random."
    if leak is not None:
        answer += " But single tokens give the label away, so this score is not knowledge of words."
    evidence = [
        f"Training read {touched:,.0f} of the {numbers / design['dim']:,.0f} rows: the others are as they began.",
        *([leak] if leak else []),
    ]
    smallest = design["label_budgets"][0]
    if smallest != budget and (first := _difference(differences, LEARNED, FLOOR, smallest)) is not None:
        evidence.append(f"With {smallest:,} labels, learned rows against random ones that never move: {points(first)}.")
    baselines = scores[(scores["kind"] == "baseline") & (scores["label_budget"] == budget)]
    if len(baselines):
        best = baselines.sort_values("mean", ascending=False).iloc[0]
        evidence.append(
            f"The best baseline with these labels, {best['variant']}, has {metric} {best['mean']:.3f}; learned rows "
            f"{learned['mean']:.3f}."
        )
    return Verdict(ENOUGH, answer, evidence)


def _cbow(differences: pd.DataFrame, crossover: pd.DataFrame, design: Mapping[str, Any]) -> Verdict | None:
    told: dict[str, str] = {}
    evidence: list[str] = []
    for variant in (FROZEN, TUNED):
        rows = [(n, _difference(differences, variant, LEARNED, n)) for n in design["label_budgets"]]
        there = [(n, row) for n, row in rows if row is not None]
        if not there:
            continue
        told[variant] = f"{NAMES[variant]} {_over_budgets(there)}"
        evidence.append(
            f"{variant} − {LEARNED}: " + "; ".join(f"{points(row)} at {n:,} labels" for n, row in there) + "."
        )
        crossed = _row(crossover, variant=variant)
        if crossed is not None:
            evidence.append(f"{crossed['sentence']}.")
    if not told:
        return None
    answer = "; ".join(told.values())
    return Verdict(CBOW, answer[0].upper() + answer[1:] + ".", evidence)


def _over_budgets(rows: Sequence[tuple[int, Mapping[str, Any]]]) -> str:
    """Where a variant is ahead of learned rows, level with them, or behind, as one clause."""
    groups: list[tuple[str, list[tuple[int, Mapping[str, Any]]]]] = []
    for n, row in rows:
        kind = _standing(row)
        if groups and groups[-1][0] == kind:
            groups[-1][1].append((n, row))
        else:
            groups.append((kind, [(n, row)]))
    clauses = []
    for kind, members in groups:
        first, last = members[0], members[-1]
        where = f"at {first[0]:,} labels" if len(members) == 1 else f"from {first[0]:,} to {last[0]:,} labels"
        sizes = f"{100 * float(first[1]['mean']):+.1f}"
        if len(members) > 1:
            sizes += f" to {100 * float(last[1]['mean']):+.1f}"
        clauses.append(f"{kind} {where} ({sizes} points)")
    return ", ".join(clauses)


def _standing(row: Mapping[str, Any]) -> str:
    if row["decision"] == "higher":
        return "is better than learned rows"
    if row["decision"] == "lower":
        return "is worse than learned rows"
    if row["decision"] == "equivalent":
        return "is as good as learned rows"
    if row["decision"] == "too few seeds":
        if row["low_total"] > 0:
            return "looks better than learned rows (too few seeds to test)"
        if row["high_total"] < 0:
            return "looks worse than learned rows (too few seeds to test)"
    return "is not told apart from learned rows"


def _elsewhere(runs: pd.DataFrame, design: Mapping[str, Any]) -> Verdict | None:
    """Features from learned rows against those from rows before learning, and from CBOW, on the mean of other tasks."""
    budget = design["label_budgets"][-1]
    tasks = design.get("transfer", [])
    known = [task for task in tasks if f"probe/transfer/{task}/macro_recall" in runs]
    own = runs[(runs["kind"] == "variant") & (runs["label_budget"] == budget)]
    if not known or own[own["variant"] == LEARNED].empty:
        return _no_transfer(own)
    after, before = (_task_means(own, LEARNED, known, suffix) for suffix in ("", "_before"))
    gain = t_interval([after[seed] - before[seed] for seed in sorted(after)])
    names = ", ".join(known)
    score = float(np.mean(list(after.values())))
    if gain.low is not None and gain.low > 0:
        opening = "Yes, somewhat" if gain.mean < 0.05 else "Yes"
    elif gain.high is not None and gain.high < 0.01:
        opening = "No"
    else:
        opening = "Not shown"
    answer = (
        f"{opening}: as fixed features for other tasks ({names}), rows learned here score {score:.3f} macro recall, "
        f"{points(gain)} against the rows before learning"
    )
    evidence = []
    cbow = _task_means(own, FROZEN, known, "")
    if shared := sorted(set(after) & set(cbow)):
        lag = t_interval([after[seed] - cbow[seed] for seed in shared])
        cbow_score = float(np.mean(list(cbow.values())))
        word = "behind" if lag.mean < 0 else "ahead of"
        answer += f", and {word} CBOW vectors ({cbow_score:.3f}): {points(lag)}"
        tuned = _task_means(own, TUNED, known, "")
        if both := sorted(set(tuned) & set(cbow)):
            change = t_interval([tuned[seed] - cbow[seed] for seed in both])
            evidence.append(f"Fine-tuning changes what CBOW vectors are worth elsewhere by {points(change)}.")
    for task in known:
        per_task = [_task_means(own, name, [task], "") for name in (FLOOR, LEARNED, FROZEN, TUNED)]
        shown = [
            f"{NAMES[name]} {np.mean(list(found.values())):.3f}"
            for name, found in zip((FLOOR, LEARNED, FROZEN, TUNED), per_task, strict=True)
            if found
        ]
        evidence.append(f"{task}: {', '.join(shown)}.")
    evidence += _word_evidence(own)
    return Verdict(ELSEWHERE, answer + ".", evidence)


def _no_transfer(own: pd.DataFrame) -> Verdict | None:
    evidence = _word_evidence(own)
    if not evidence:
        return None
    return Verdict(ELSEWHERE, "Not measured on other tasks here (probe.transfer is empty); only on words.", evidence)


def _word_evidence(own: pd.DataFrame) -> list[str]:
    """What learned rows know of words that people rated, before and after."""
    name = "probe/similarity/wordsim353/spearman"
    lines = []
    for variant in (LEARNED, TUNED):
        rows = own[own["variant"] == variant]
        if (
            name in rows
            and f"{name}_before" in rows
            and rows[[name, f"{name}_before"]].notna().all(axis=None)
            and len(rows)
        ):
            lines.append(
                f"Word similarity (ρ on WordSim-353) of {NAMES[variant]}: {rows[f'{name}_before'].mean():.2f} before "
                f"training, {rows[name].mean():.2f} after."
            )
    return lines


def _task_means(own: pd.DataFrame, variant: str, tasks: Sequence[str], suffix: str) -> dict[int, float]:
    """The mean over tasks of the transfer score, by seed."""
    rows = own[own["variant"] == variant]
    columns = [f"probe/transfer/{task}/macro_recall{suffix}" for task in tasks]
    rows = rows.dropna(subset=columns) if set(columns) <= set(rows.columns) else rows.iloc[:0]
    return (
        {int(seed): float(score) for seed, score in zip(rows["seed"], rows[columns].mean(axis=1), strict=True)}
        if len(rows)
        else {}
    )


def _emoticons(differences: pd.DataFrame) -> Verdict | None:
    """The same embedding on texts with and without emoticons, where the study has such pairs."""
    clauses = []
    for _, row in differences.iterrows():
        (first, _, mode), (second, _, other) = str(row["a"]).partition("@"), str(row["b"]).partition("@")
        if first == second and mode and other and row["planned"]:
            clauses.append((f"{first}, {mode} − {other}", points({str(key): value for key, value in row.to_dict().items()}), int(row["label_budget"])))
    if not clauses:
        return None
    largest = max(budget for _, _, budget in clauses)
    answer = "; ".join(f"{name}: {size}" for name, size, budget in clauses if budget == largest)
    return Verdict(EMOTICONS, f"With {largest:,} labels: {answer}.", [])
