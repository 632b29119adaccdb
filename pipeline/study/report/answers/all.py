"""The study's questions with their answers in words: finding, number, interval and caveat."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from pipeline.config.variants import prose_name
from pipeline.study.report import phrases
from pipeline.study.report.answers import distilled
from pipeline.study.report.answers.cbow import cbow_verdict
from pipeline.study.report.answers.transfer import transfer_verdict
from pipeline.study.report.phrases import FLOOR, FROZEN, TUNED, Difference
from pipeline.study.report.study_results import StudyResults, Verdict
from pipeline.study.statistics.frames import LEARNED

EMOTICONS = "How much of the score comes from the emoticons?"
OTHERS = "What do the other planned comparisons show?"
MAIN_PAIRS = [  # of the first three questions
    {LEARNED, FLOOR}, {FROZEN, LEARNED}, {TUNED, LEARNED}, {TUNED, FROZEN}, {FROZEN, FLOOR},
]  # fmt: skip
STRIPPED = {
    ("keep", "strip"): "emoticons",
    ("strip", "strip_fragments"): "the fragments that stripping leaves of emoticons",
    ("keep", "strip_fragments"): "emoticons and their fragments",
}


def verdicts(
    results: StudyResults, leak: str | None = None, tasks: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Verdict]:
    """The answers that the results of a study allow, in the order of the questions.

    Every answer opens with the finding; number, interval and caveat follow. A difference that was tested without a
    decision is called not settled, one that was not tested is called not tested; neither is called zero.

    `leak` is the audit's sentence on a label leak, `tasks` holds what `write_task` returned for each of
    `probe.transfer`.
    """
    scores, differences, runs, design = results.scores, results.differences, results.runs, results.design
    other_tasks = transfer_verdict(results.transfer, runs, design, tasks or {})
    cbow = cbow_verdict(scores, differences, results.crossover, design, results.resplits)
    others = _others_verdict(differences, [*(MAIN_PAIRS if cbow is not None else MAIN_PAIRS[:1]), *distilled.PAIRS])
    labels = _labels_verdict(scores, differences, runs, leak, design)
    of_distilled = distilled.distilled_verdict(differences, design)
    emoticons = _emoticons_verdict(scores, differences, leak)
    of_own_test = [_on_test(verdict, design) for verdict in (labels, cbow, of_distilled, emoticons, others)]
    of_own_test.insert(1, other_tasks)
    return [verdict for verdict in of_own_test if verdict is not None]


def _on_test(verdict: Verdict | None, design: Mapping[str, Any]) -> Verdict | None:
    """The same answer, opened by the name of the test tweets where these are later than the training tweets."""
    if verdict is None or not design.get("later_test"):
        return verdict
    return replace(verdict, answer=f"On {design['own_test']}: {verdict.answer}")


def _labels_verdict(
    scores: pd.DataFrame, differences: pd.DataFrame, runs: pd.DataFrame, leak: str | None, design: Mapping[str, Any]
) -> Verdict | None:
    """Vectors learned from scratch against random frozen ones and against the best baseline, at the most labels."""
    from_scratch = scores[(scores["kind"] == "variant") & (scores["variant"] == LEARNED)]
    if from_scratch.empty:
        return None
    budgets = sorted(int(budget) for budget in from_scratch["label_budget"])
    largest = budgets[-1]
    at_largest = phrases.row_of(from_scratch, label_budget=largest)
    assert at_largest is not None
    gains = {budget: phrases.difference_of(differences, LEARNED, FLOOR, budget) for budget in budgets}
    opening, comparison, caveat = _gain(gains[largest], design)
    baselines = scores[(scores["kind"] == "baseline") & (scores["label_budget"] == largest)]
    best = None if baselines.empty else baselines.sort_values(["mean", "variant"], ascending=[False, True]).iloc[0]
    if opening == "Yes" and best is not None and best["mean"] > at_largest["mean"]:
        opening = "Yes, but a simpler method scores higher"
    elif opening == "Yes" and best is not None and best["mean"] > at_largest["mean"] - design["smallest_effect"]:
        opening = "Yes, but a simpler method comes close"
    if leak is not None:
        opening = "These tweets cannot tell, because single tokens give the label away"
    numbers = phrases.score(at_largest["mean"], at_largest["low_total"], at_largest["high_total"])
    name = phrases.capital(prose_name(LEARNED))
    sentences = [f"{opening}.", f"{name} reach {design['metric_name']} {numbers}{comparison}."]
    sentences += [caveat] if caveat else []
    compared = [(budget, difference) for budget, difference in gains.items() if difference is not None]
    sentences += phrases.reversals(compared[-1:])
    if best is not None:
        numbers = phrases.score(best["mean"], best["low_total"], best["high_total"])
        sentences.append(f"The best baseline, {prose_name(best['variant'])}, has {numbers}.")
    used = runs[(runs["kind"] == "variant") & (runs["variant"] == LEARNED) & (runs["label_budget"] == largest)]
    parameters, touched = used["params/embedding"].mean(), used["params/touched_rows"].mean()
    words = parameters / design["dim"]
    evidence = [
        *([leak] if leak else []),
        f"The embedding matrix has {parameters:,.0f} parameters: {words:,.0f} word vectors of {design['dim']} "
        f"dimensions. Training read {touched:,.0f} of these vectors ({100 * touched / words:.0f} %); the others keep "
        "their initial values.",
    ]
    if compared:
        evidence.append(phrases.over_budgets(f"{prose_name(LEARNED)} − {prose_name(FLOOR)}", compared))
    if best is not None and len(budgets) > 1:
        evidence.append(_against_baselines(scores, budgets, design))
    question = f"Are {largest:,} labelled tweets enough to learn {parameters:,.0f} embedding parameters?"
    return Verdict(question, " ".join(sentences), evidence)


def _against_baselines(scores: pd.DataFrame, budgets: Sequence[int], design: Mapping[str, Any]) -> str:
    """The score of vectors learned from scratch and that of the best baseline at each label budget."""
    parts = []
    for budget in budgets:
        rows = scores[scores["label_budget"] == budget].sort_values(["mean", "variant"], ascending=[False, True])
        from_scratch, baselines = rows[rows["variant"] == LEARNED], rows[rows["kind"] == "baseline"]
        if len(from_scratch) and len(baselines):
            best = baselines.iloc[0]
            other = f"{best['mean']:.3f} ({prose_name(best['variant'])})"
            parts.append(f"{from_scratch.iloc[0]['mean']:.3f} and {other} with {budget:,} labels")
    name = design["metric_name"][0].upper() + design["metric_name"][1:]
    return f"{name} of {prose_name(LEARNED)} and of the best baseline: {'; '.join(parts)}."


def _gain(gain: Difference | None, design: Mapping[str, Any]) -> tuple[str, str, str]:
    """The answer's opening, the comparison with random frozen vectors, and its caveat as a sentence or empty."""
    floor = prose_name(FLOOR)
    if gain is None:
        return "Not compared", "", f"This study does not compare them with {floor}."
    comparison = f", {gain} against {floor}"
    small = phrases.effect_text(design["smallest_effect"])
    if gain.decision == "higher" and gain.equivalent:
        return "Barely", comparison, f"The gain is below {small}."
    if gain.decision in ("higher", "lower"):
        return "Yes" if gain.decision == "higher" else "No", comparison, ""
    if gain.decision == "equivalent":
        return "No", comparison, f"The difference is within {small}."
    if gain.decision == "undecided":
        return "Not settled", comparison, "Whether learning the vectors helps is open."
    if gain.decision == "not planned":
        return "Not tested", comparison, "The comparison was not planned."
    return "Not tested", comparison, f"{phrases.too_few(gain.seeds)} to test this."


def _emoticons_verdict(scores: pd.DataFrame, differences: pd.DataFrame, leak: str | None) -> Verdict | None:
    """The same variant on texts with and without emoticons, where the study plans such pairs."""
    sentences = []
    for first, second in _planned_pairs(differences):
        if (removed := _removed(first, second)) is None:
            continue
        rows = differences[(differences["a"] == first) & (differences["b"] == second)]
        budget = int(rows["label_budget"].max())
        difference = phrases.difference_of(differences, first, second, budget)
        assert difference is not None
        variant = prose_name(first.partition("@")[0])
        sentences.append(f"With {budget:,} labels, {removed} are worth {difference} to {variant}.")
        means = [
            f"{row['mean']:.3f} with text.emoticons={name.partition('@')[2]}"
            for name in (first, second)
            if (row := phrases.row_of(scores, variant=name, label_budget=budget)) is not None
        ]
        if means:
            sentences.append(f"The mean score is {' and '.join(means)}.")
        if difference.decision == "undecided":
            sentences.append("Whether this gain differs from zero is open.")
        elif difference.decision == "too few seeds":
            sentences.append(f"{phrases.too_few(difference.seeds)} to test this.")
    return Verdict(EMOTICONS, " ".join(sentences), [leak] if leak else []) if sentences else None


def _removed(first: str, second: str) -> str | None:
    """What the texts of the second variant lack; None where the pair differs in more, or in something else."""
    (variant, _, mode), (other, _, other_mode) = first.partition("@"), second.partition("@")
    return STRIPPED.get((mode, other_mode)) if variant == other else None


def _planned_pairs(differences: pd.DataFrame) -> list[tuple[str, str]]:
    """The planned pairs, each once."""
    planned = differences.loc[differences["planned"].astype(bool), ["a", "b"]].drop_duplicates()
    return [(str(first), str(second)) for first, second in planned.to_numpy()]


def _others_verdict(differences: pd.DataFrame, answered: list[set[str]]) -> Verdict | None:
    """Planned pairs that no other question answers, at the most labels; smaller label budgets are evidence."""
    pairs = [pair for pair in _planned_pairs(differences) if set(pair) not in answered and _removed(*pair) is None]
    if not pairs:
        return None
    sentences: dict[int, list[str]] = {}
    for _, row in differences[differences["planned"].astype(bool)].iterrows():
        if (str(row["a"]), str(row["b"])) in pairs:
            sentence = phrases.in_prose(str(row["sentence"]).rstrip("."))
            sentences.setdefault(int(row["label_budget"]), []).append(phrases.capital(sentence))
    texts = {budget: f"With {budget:,} labels: {'. '.join(lines)}." for budget, lines in sorted(sentences.items())}
    answer = texts.pop(max(texts))
    return Verdict(OTHERS, answer, list(texts.values()))
