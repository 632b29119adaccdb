"""Report sections on scores: differences, label budgets, effects, errors, learning rates, baselines, failures."""

from itertools import groupby, takewhile

from pipeline.config.variants import prose_name
from pipeline.study.report.blocks import Block, Part, Table, Tables, filled_table, table_of
from pipeline.study.report.formatting import (
    DASH,
    TEXTS,
    budget_name,
    count_text,
    number,
    p_note,
    p_text,
    points_text,
    records,
    score_text,
)
from pipeline.study.report.phrases import capital, effect_text, in_prose, row_of
from pipeline.study.report.study_results import StudyResults
from pipeline.study.report.tables import (
    amount_table,
    crossover_table,
    difference_table,
    ensemble_table,
    factorial_table,
    probability_table,
    score_table,
    total_score,
)
from pipeline.study.statistics.frames import LEARNED


def differences(results: StudyResults) -> list[Block]:
    """Sentences on the planned pairs at the most labels, both tables, notes on p, and McNemar's test."""
    planned, others = (difference_table(results, planned=side) for side in (True, False))
    if not planned and not others:
        return []
    rows = [row for row in records(results.differences) if row["planned"] and row["sentence"]]
    largest = max(row["label_budget"] for row in records(results.differences))
    sentences = [_sentence(row["sentence"]) for row in rows if row["label_budget"] == largest]
    blocks: list[Block] = [Part("bullets", sentences)] if sentences else []
    blocks += table_of("Planned comparisons, differences in points of score", [_decision_first(row) for row in planned])
    if note := smallest_p_note(results):
        blocks.append(Part("text", note))
    small = effect_text(results.design["smallest_effect"])
    blocks.append(Part("bullets", [note.format(small=small) for note in TEXTS["difference_notes"]]))
    blocks += table_of("The planned pairs by scores without a threshold", probability_table(results))
    untested = [{key: text for key, text in row.items() if key != "decision"} for row in others]
    blocks += table_of("Other pairs: not planned, not corrected, to be read as hints", untested)
    return blocks + _mcnemar(results)


def _sentence(text: object) -> str:
    return f"{capital(in_prose(str(text).rstrip('.')))}."


def _decision_first(row: dict[str, str]) -> dict[str, str]:
    """The row with its decision right after the difference."""
    first = ["first − second", "labels", "n", "points", "decision"]
    return {key: row[key] for key in dict.fromkeys([*first, *row])}


def smallest_p_note(results: StudyResults) -> str:
    """The smallest p that the most seeds of any pair can reach, before and after Holm's correction."""
    frame = results.differences
    smallest = min(filter(None, map(number, frame["p_smallest"])), default=None)
    if smallest is None:
        return ""
    sentence = p_note(results) or (
        f"With {int(frame['n'].max())} seeds the sign-flip p cannot fall below {smallest:.2g}, however large the "
        "difference is."
    )
    corrected = min(filter(None, map(number, frame["p_holm_smallest"])), default=None)
    if corrected is None:
        return sentence
    return f"{sentence} After Holm's correction for all planned comparisons it cannot fall below {corrected:.2g}."


def label_budgets(results: StudyResults) -> list[Block]:
    """Crossovers in words and as a table, then every score, of single runs and of their averages."""
    sentences = [_sentence(row["sentence"]) for row in records(results.crossover)]
    metric = results.design["metric_name"]
    scores_caption = f"Test {metric} in percent by label budget: mean ± half the 95 % interval"
    ensembles_caption = f"Test {metric} in percent of the average of each variant's runs (mean of their probabilities)"
    return [
        *([Part("bullets", sentences)] if sentences else []),
        *table_of("Where vectors learned from scratch catch up", crossover_table(results)),
        *table_of(scores_caption, score_table(results)),
        *table_of(f"{ensembles_caption}, ± half the 95 % interval over tweets alone", ensemble_table(results)),
    ]


def parameters(results: StudyResults) -> list[Block]:
    """A row per variant and baseline at the largest label budget, fewest trained parameters first."""
    entries = [row for row in records(results.scores) if number(row["trainable"]) is not None]
    largest = max((row["label_budget"] for row in entries), default=None)
    rows = [
        [prose_name(row["variant"]), *map(count_text, (row["trainable"], row["parameters"])), total_score(row)]
        for row in sorted(entries, key=lambda row: (row["trainable"], -row["mean"]))
        if row["label_budget"] == largest
    ]
    columns = ["variant", "trained parameters", "all parameters", f"test {results.design['metric_name']}, %"]
    caption = f"Parameters and score with {budget_name(results, largest)} labels" if rows else ""
    return filled_table(caption, columns, rows)


def factorial(results: StudyResults) -> list[Block]:
    """Main effects and interaction of the 2 × 2 design."""
    return table_of("Effects in points of score", factorial_table(results))


def _mcnemar(results: StudyResults) -> list[Block]:
    if results.mcnemar.empty:
        return []
    rows = []
    for (first, second, budget), seeds in results.mcnemar.groupby(["a", "b", "label_budget"], sort=False):
        only_first, only_second = (f"{seeds[name].mean():,.1f}" for name in ("only_a", "only_b"))
        pair, labels = " − ".join(prose_name(str(name)) for name in (first, second)), budget_name(results, budget)
        significant = str(int((seeds["p"] < 0.05).sum()))
        rows.append([pair, labels, str(len(seeds)), only_first, only_second, p_text(seeds["p"].max()), significant])
    columns = ["first − second", "labels", "seeds", "only first correct", "only second correct", "largest p of a seed"]
    caption = "McNemar's test per seed: test tweets that only one variant labels correctly"
    return filled_table(caption, [*columns, "seeds with p < 0.05"], rows)


def confusion(results: StudyResults) -> list[Block]:
    """A confusion matrix per variant, shaded by the share of the row."""
    names = [str(name) for name in results.data["label_names"]]
    tables = []
    for variant, matrix in results.confusion.items():
        shares = [[count / (sum(counts) or 1) for count in counts] for counts in matrix]
        rows = [
            [name, *(f"{count:,.0f} ({100 * share:.0f} %)" for count, share in zip(*cells, strict=True))]
            for name, *cells in zip(names, matrix, shares, strict=True)
        ]
        shades = [[round(10 * share) for share in row] for row in shares]
        tables.append(Table(prose_name(variant), ["true ↓ predicted →", *names], rows, shades))
    return [Tables(tables)] if tables else []


def resplits(results: StudyResults) -> list[Block]:
    """A row per planned pair and label budget: the difference on the test split and on the resplits."""
    rows = []
    for row in records(results.resplits):
        keys = {key: row[key] for key in ("a", "b", "label_budget")}
        own = row_of(results.differences, **keys) or dict.fromkeys(("mean", "low_total", "high_total"))
        rows.append(
            {
                "first − second": f"{prose_name(row['a'])} − {prose_name(row['b'])}",
                "labels": budget_name(results, row["label_budget"]),
                "own test split": points_text(own["mean"], own["low_total"], own["high_total"]),
                f"{row['n']} resplits": points_text(row["mean"], row["low"], row["high"]),
            }
        )
    sizes = ", ".join(f"{count:,} {split}" for split, count in results.design["resplit_rows"].items())
    return table_of(f"Paired differences in points; a resplit has {sizes} tweets", rows)


def amounts(results: StudyResults) -> list[Block]:
    """From how many unlabelled texts on a variant is ahead, in words, and the leads as a table."""
    sentences = []
    for variant, group in groupby(records(results.amounts), key=lambda row: str(row["variant"])):
        clauses, rows = [], sorted(group, key=lambda row: (row["label_budget"], -row["unlabelled_texts"]))
        for budget, cells in groupby(rows, key=lambda row: int(row["label_budget"])):
            ahead = [row["unlabelled_texts"] for row in takewhile(lambda row: (number(row["low"]) or 0) > 0, cells)]
            least = f"ahead from {ahead[-1]:,} unlabelled texts on" if ahead else "not shown ahead"
            clauses.append(f"with {budget_name(results, budget)} labels {least}")
        pair = f"{capital(prose_name(variant))}, against {prose_name(LEARNED)}"
        sentences.append(f"{pair}: {'; '.join(clauses)}.")
    blocks: list[Block] = [Part("bullets", sentences)] if sentences else []
    caption = f"Lead over {prose_name(LEARNED)} in points of {results.design['metric_name']}"
    return blocks + table_of(caption, amount_table(results))


def trials(results: StudyResults) -> list[Block]:
    """A row per variant and label budget: the best setting of the trials, and the settings that the seeds chose."""
    factor, decimals = (1, 3) if results.design["monitor"] == "nll" else (100, 1)
    rows = []
    groups = groupby(records(results.trials), key=lambda row: (str(row["variant"]), int(row["label_budget"])))
    for (variant, budget), group in groups:
        settings = list(group)
        scored = [row for row in settings if number(row["score"]) is not None]
        sign = 1 if results.design["monitor"] == "nll" else -1
        row = {"variant": prose_name(variant), "labels": budget_name(results, budget), "trials": str(len(settings))}
        for dropout in sorted({row["dropout"] for row in settings}):
            of_rate = [other for other in scored if other["dropout"] == dropout]
            best = min(of_rate, key=lambda other: sign * other["score"], default=None)
            text = DASH if best is None else score_text(best["score"], factor=factor, decimals=decimals)
            row[f"best, dropout {dropout:g}"] = text if best is None else f"{text} (× {best['factor']:g})"
        chosen = sorted((other for other in settings if other["seeds"]), key=lambda other: -other["seeds"])
        row["chosen: rates, dropout (seeds)"] = "; ".join(
            f"× {other['factor']:g}, {other['dropout']:g} ({other['seeds']}{', edge' if other['edge'] else ''})"
            for other in chosen
        )
        rows.append(row)
    unit = "" if factor == 1 else " in percent"
    caption = f"Validation {results.design['monitor_name']}{unit}, mean of {results.design['trial_seeds']} seeds"
    return table_of(f"{caption}, with the factor of both learning rates", rows)


def baselines(results: StudyResults) -> list[Block]:
    """Each baseline at each label budget, with the variants that score below it."""
    entries = [row for row in records(results.scores) if number(row["mean"]) is not None]
    variants = [row for row in entries if row["kind"] == "variant"]
    rows = []
    for row in (row for row in entries if row["kind"] == "baseline"):
        rivals = [rival for rival in variants if rival["label_budget"] == row["label_budget"]]
        below = [prose_name(rival["variant"]) for rival in rivals if rival["mean"] < row["mean"]]
        cells = [prose_name(row["variant"]), budget_name(results, row["label_budget"]), str(row["n"]), total_score(row)]
        rows.append([*cells, "; ".join(below) or "none"])
    columns = ["baseline", "labels", "runs", f"test {results.design['metric_name']}, %", "variants with a lower mean"]
    return filled_table("Scores of the baselines, and the variants that score below", columns, rows)


def failures(results: StudyResults) -> list[Block]:
    """A row per failed run."""
    rows = [
        [prose_name(row["variant"]), budget_name(results, row["label_budget"]), str(row["seed"]), str(row["reason"])]
        for row in records(results.failures)
    ]
    return filled_table("Failed runs and their reasons", ["run", "labels", "seed", "reason"], rows)
