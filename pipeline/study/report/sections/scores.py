"""Report sections on scores: differences, label budgets, effects, errors, learning rates, baselines, failures."""

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
    records,
    score_text,
)
from pipeline.study.report.phrases import capital, effect_text, in_prose
from pipeline.study.report.study_results import StudyResults
from pipeline.study.report.tables import (
    crossover_table,
    difference_table,
    ensemble_table,
    factorial_table,
    probability_table,
    score_table,
    total_score,
)


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


def trials(results: StudyResults) -> list[Block]:
    """A row per variant and label budget, a column per learning-rate factor, and the choice."""
    factors = [f"× {factor:g}" for factor in sorted({row["factor"] for row in records(results.trials)})]
    rows: dict[tuple[str, int], dict[str, str]] = {}
    for trial in records(results.trials):
        key = (str(trial["variant"]), int(trial["label_budget"]))
        empty = {"variant": prose_name(key[0]), "labels": budget_name(results, key[1])}
        empty |= dict.fromkeys([*factors, "chosen", "head rate", "embedding rate"], DASH)
        row = rows.setdefault(key, empty)
        row[f"× {trial['factor']:g}"] = score_text(trial["score"])
        if trial["chosen"]:
            row["chosen"] = f"× {trial['factor']:g}" + (" (edge)" if trial["edge"] else "")
            row["head rate"], row["embedding rate"] = f"{trial['lr_head']:.3g}", f"{trial['lr_embedding']:.3g}"
    count = results.design["trial_seeds"]
    caption = f"Validation score in percent by factor of both learning rates, mean of {count} seeds"
    return table_of(caption, list(rows.values()))


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
