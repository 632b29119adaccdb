"""Sections about scores: differences, label budgets, effects, errors, learning rates, baselines, failures."""

from collections.abc import Iterable

from pipeline.study.report.blocks import Block, Points, Table, Tables, Text, table_of
from pipeline.study.report.formatting import DASH, budget_name, count_text, number, p_note, p_text, records, score_text
from pipeline.study.report.study_results import StudyResults
from pipeline.study.report.tables import crossover_table, difference_table, factorial_table, score_table


def differences(findings: StudyResults) -> list[Block]:
    """What each planned pair says at most labels, both tables, the note on p, and McNemar's test."""
    planned, others = difference_table(findings), difference_table(findings, planned=False)
    if not planned and not others:
        return []
    most = max(row["label_budget"] for row in records(findings.differences))
    sentences = [
        _sentence(row["sentence"])
        for row in records(findings.differences)
        if row["planned"] and row["label_budget"] == most and row["sentence"]
    ]
    blocks: list[Block] = [Points(sentences)] if sentences else []
    blocks += table_of("Planned comparisons, differences in points of score", [_decision_first(row) for row in planned])
    if note := p_floor(findings):
        blocks.append(Text(note))
    effect = points(findings.design["smallest_effect"])
    blocks.append(
        Points(
            [
                "points: mean difference and its 95 % interval over seeds.",
                "seeds and tweets: the 95 % interval for other seeds and other test tweets.",
                "p: exact sign-flip test over seeds; p (Holm): corrected for all planned comparisons together.",
                "P(first better): probability that the first scores higher, ties counted half.",
                f"p (equivalence): test that the difference is below {effect} either way. A small one allows to call "
                "the two equivalent; a large p of the sign-flip test does not.",
            ]
        )
    )
    undecided = [{key: text for key, text in row.items() if key != "decision"} for row in others]
    blocks += table_of("Other pairs: not planned, not corrected, to be read as hints", undecided)
    return blocks + _mcnemar(findings)


def _decision_first(row: dict[str, str]) -> dict[str, str]:
    """The row with its decision right after the difference."""
    order = ["first − second", "labels", "n", "points", "decision"]
    return {key: row[key] for key in [*order, *(key for key in row if key not in order)]}


def points(effect: float) -> str:
    """A fraction in percentage points, such as `1 point`."""
    return f"{100 * effect:g} point{'' if 100 * effect == 1 else 's'}"


def p_floor(findings: StudyResults) -> str:
    """Below which value p cannot fall with the most seeds there are, before and after correction."""
    frame = findings.differences
    floor = min(filter(None, map(number, frame["p_smallest"])), default=None)
    if floor is None:
        return ""
    sentence = p_note(findings) or (
        f"With {int(frame['n'].max())} seeds the sign-flip p cannot fall below {floor:.2g}, however large the "
        "difference is."
    )
    corrected = min(filter(None, map(number, frame["p_holm_smallest"])), default=None)
    if corrected is None:
        return sentence
    return f"{sentence} After Holm's correction for all planned comparisons the floor is {corrected:.2g}."


def label_budgets(findings: StudyResults) -> list[Block]:
    """Crossover in words, then every score."""
    rows = score_table(findings)
    metric = findings.design["metric_name"]
    return [
        *([Points(_crossovers(findings))] if len(findings.crossover) else []),
        *table_of("Where training from random rows catches up", crossover_table(findings)),
        *table_of(f"Test {metric} in percent by label budget: mean ± half the 95 % interval over seeds", rows),
    ]


def _crossovers(findings: StudyResults) -> list[str]:
    return [_sentence(row["sentence"]) for row in records(findings.crossover)]


def _sentence(text: object) -> str:
    return f"{str(text).rstrip('.')}."


def parameters(findings: StudyResults) -> list[Block]:
    """A row per variant at the largest label budget."""
    entries = [row for row in records(findings.scores) if number(row["trainable"]) is not None]
    most = max((row["label_budget"] for row in entries), default=None)
    rows = [
        {
            "variant": str(row["variant"]),
            "trained parameters": count_text(row["trainable"]),
            "parameters in all": count_text(row["parameters"]),
            f"test {findings.design['metric_name']}, %": score_text(row["mean"], row["low"], row["high"]),
        }
        for row in sorted(entries, key=lambda row: (row["trainable"], -row["mean"]))
        if row["label_budget"] == most
    ]
    return table_of(f"Parameters and score with {budget_name(findings, most)} labels", rows) if rows else []


def factorial(findings: StudyResults) -> list[Block]:
    """Main effects and interaction."""
    return table_of("Effects in points of score", factorial_table(findings))


def _mcnemar(findings: StudyResults) -> list[Block]:
    groups: dict[tuple[str, str, int], list[dict[str, object]]] = {}
    for row in records(findings.mcnemar):
        groups.setdefault((row["a"], row["b"], row["label_budget"]), []).append(row)
    rows = []
    for (first, second, budget), members in groups.items():
        ps = [p for p in map(number, (row["p"] for row in members)) if p is not None]
        rows.append(
            {
                "first, second": f"{first}, {second}",
                "labels": budget_name(findings, budget),
                "seeds": str(len(members)),
                "right in first alone": _mean(row["only_a"] for row in members),
                "right in second alone": _mean(row["only_b"] for row in members),
                "largest p of a seed": p_text(max(ps, default=None)),
                "seeds with p < 0.05": str(sum(p < 0.05 for p in ps)),
            }
        )
    return table_of("McNemar's test, seed by seed: test tweets that one variant alone got right", rows)


def _mean(values: Iterable[object]) -> str:
    known = [value for value in map(number, values) if value is not None]
    return f"{sum(known) / len(known):,.1f}" if known else DASH


def confusion(findings: StudyResults) -> list[Block]:
    """A shaded matrix per variant."""
    names = [str(name) for name in findings.data["label_names"]]
    tables = []
    for variant, matrix in findings.confusion.items():
        rows, shades = [], []
        for name, counts in zip(names, matrix, strict=True):
            total = sum(counts)
            shares = [count / total if total else 0.0 for count in counts]
            rows.append(
                [name, *(f"{count:,.0f} ({100 * share:.0f} %)" for count, share in zip(counts, shares, strict=True))]
            )
            shades.append([round(10 * share) for share in shares])
        tables.append(Table(str(variant), ["true ↓ said →", *names], rows, shades))
    return [Tables(tables)] if tables else []


def trials(findings: StudyResults) -> list[Block]:
    """A row per variant and budget, a column per factor."""
    factors = sorted({row["factor"] for row in records(findings.trials)})
    rows: dict[tuple[str, int], dict[str, str]] = {}
    for row in records(findings.trials):
        key = (str(row["variant"]), int(row["label_budget"]))
        entry = {"variant": key[0], "labels": budget_name(findings, key[1])} | {f"× {f:g}": DASH for f in factors}
        entry |= {"chosen": DASH, "head rate": DASH, "embedding rate": DASH}
        entry = rows.setdefault(key, entry)
        entry[f"× {row['factor']:g}"] = score_text(row["score"])
        if row["chosen"]:
            entry["chosen"] = f"× {row['factor']:g}" + (" (edge)" if row["edge"] else "")
            entry["head rate"], entry["embedding rate"] = f"{row['lr_head']:.3g}", f"{row['lr_embedding']:.3g}"
    count = findings.design["trial_seeds"]
    caption = f"Validation score in percent by factor of both learning rates, mean of {count} seeds"
    return table_of(caption, list(rows.values()))


def baselines(findings: StudyResults) -> list[Block]:
    """Each baseline at each budget, with the variants that stay below it."""
    entries = [row for row in records(findings.scores) if number(row["mean"]) is not None]
    rows = []
    for row in entries:
        if row["kind"] != "baseline":
            continue
        rivals = [rival for rival in entries if rival["kind"] == "variant"]
        rivals = [rival for rival in rivals if rival["label_budget"] == row["label_budget"]]
        below = [str(rival["variant"]) for rival in rivals if rival["mean"] < row["mean"]]
        rows.append(
            {
                "baseline": str(row["variant"]),
                "labels": budget_name(findings, row["label_budget"]),
                "runs": str(row["n"]),
                f"test {findings.design['metric_name']}, %": score_text(row["mean"], row["low"], row["high"]),
                "variants with a lower mean": ", ".join(below) or "none",
            }
        )
    return table_of("Scores of the baselines, and the variants that stay below", rows)


def failures(findings: StudyResults) -> list[Block]:
    """A row per failed run."""
    rows = [
        {
            "what": str(row["variant"]),
            "labels": budget_name(findings, row["label_budget"]),
            "seed": str(row["seed"]),
            "reason": str(row["reason"]),
        }
        for row in records(findings.failures)
    ]
    return table_of("Failed, and why", rows)
