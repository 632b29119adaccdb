"""Plain answers to the questions the study was made for, each built from the numbers that stand beside it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from pipeline.study.report.answers.cbow import cbow
from pipeline.study.report.answers.transfer import elsewhere
from pipeline.study.report.phrases import (
    FLOOR,
    FROZEN,
    LEARNED,
    TUNED,
    Difference,
    capital,
    difference_of,
    effect_text,
    over_budgets,
    row_of,
    score,
    too_few,
)
from pipeline.study.report.study_results import Verdict

EMOTICONS = "How much of the score is in the emoticons?"
OTHERS = "What do the other planned comparisons say?"
ANSWERED = [{LEARNED, FLOOR}, {FROZEN, LEARNED}, {TUNED, LEARNED}, {TUNED, FROZEN}]  # by the three questions
STRIPPED = {
    ("keep", "strip"): "emoticons",
    ("strip", "strip_fragments"): "fragments that stripping leaves of emoticons",
    ("keep", "strip_fragments"): "emoticons and such fragments",
}


def verdicts(
    scores: pd.DataFrame,
    differences: pd.DataFrame,
    crossover: pd.DataFrame,
    runs: pd.DataFrame,
    leak: str | None,
    design: Mapping[str, Any],
    tasks: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Verdict]:
    """The answers that these runs allow, in the order of the questions.

    Every answer begins with its outcome. A difference that was tested and not settled is called open, never none; one
    that was not tested is called that.

    Parameters
    ----------
    scores, differences, crossover, runs : frames of `StudyResults`.
    leak : the audit's sentence on a label leak, if any.
    design : of `StudyResults`. tasks : what `write_task` returned for each of `probe.transfer`.
    """
    three = [
        _enough(scores, differences, runs, leak, design),
        elsewhere(runs, design, tasks or {}),
        cbow(scores, differences, crossover, design),
    ]
    found = [verdict for verdict in (*three, _emoticons(scores, differences, leak)) if verdict is not None]
    others = _others(differences, design, three[2] is not None)
    found = [*found, others] if others is not None else found
    told = "Intervals are 95 % and hold for other seeds and other test tweets, unless they say otherwise."
    own = next((place for place, verdict in enumerate(found) if verdict is not three[1]), None)
    if own is not None:
        found[own] = replace(found[own], evidence=[*found[own].evidence, told])
    return found


def _enough(
    scores: pd.DataFrame, differences: pd.DataFrame, runs: pd.DataFrame, leak: str | None, design: Mapping[str, Any]
) -> Verdict | None:
    """Whether the rows that labels teach are better than the random ones they began as, and than simpler methods."""
    own = scores[(scores["kind"] == "variant") & (scores["variant"] == LEARNED)]
    if own.empty:
        return None
    budgets = sorted(int(budget) for budget in own["label_budget"])
    learned = row_of(own, label_budget=budgets[-1])
    assert learned is not None
    above = {budget: difference_of(differences, LEARNED, FLOOR, budget) for budget in budgets}
    opening, gain = _gain(above[budgets[-1]], design)
    baselines = scores[(scores["kind"] == "baseline") & (scores["label_budget"] == budgets[-1])]
    best = None if baselines.empty else baselines.sort_values(["mean", "variant"], ascending=[False, True]).iloc[0]
    if opening == "Yes" and best is not None and best["mean"] > learned["mean"]:
        opening = "Yes, though a simpler method scores higher"
    elif opening == "Yes" and best is not None and best["mean"] > learned["mean"] - design["smallest_effect"]:
        opening = "Yes, though a simpler method comes close"
    if leak is not None:
        opening = "These tweets cannot tell, as single tokens give the label away"
    told = score(learned["mean"], learned["low_total"], learned["high_total"])
    answer = f"{opening}: rows learned from random reach {design['metric_name']} {told}, {gain}"
    if best is not None:
        numbers = score(best["mean"], best["low_total"], best["high_total"])
        answer += f"; the best baseline, {best['variant']}, has {numbers}"
    known = runs[(runs["kind"] == "variant") & (runs["variant"] == LEARNED) & (runs["label_budget"] == budgets[-1])]
    parameters, touched = known["params/embedding"].mean(), known["params/touched_rows"].mean()
    rows = parameters / design["dim"]
    evidence = [
        *([leak] if leak else []),
        f"The embedding's {parameters:,.0f} parameters are {rows:,.0f} rows of {design['dim']}. Training read "
        f"{touched:,.0f} of these rows ({100 * touched / rows:.0f} %); the others stay as they began.",
    ]
    if compared := [(budget, found) for budget, found in above.items() if found is not None]:
        evidence.append(over_budgets(f"{LEARNED} − {FLOOR}", compared))
    question = f"Are {budgets[-1]:,} labelled tweets enough to learn {parameters:,.0f} embedding parameters?"
    return Verdict(question, f"{answer}.", evidence)


def _gain(above: Difference | None, design: Mapping[str, Any]) -> tuple[str, str]:
    """How the answer begins, and what learning the rows is worth."""
    if above is None:
        return "Not compared", "which this study does not compare with rows that stay random"
    small = effect_text(design["smallest_effect"])
    if above.decision == "higher" and above.equivalent:
        return "Barely", f"{above} against rows that stay random: a gain, but below {small}"
    if above.decision in ("higher", "lower"):
        return "Yes" if above.decision == "higher" else "No", f"{above} against rows that stay random"
    if above.decision == "equivalent":
        return "No", f"within {small} of rows that stay random: {above}"
    told = f"{above} against rows that stay random"
    if above.decision == "undecided":
        return "Not settled", f"{told}, which leaves open whether learning them helps"
    return "Not tested", f"{told} ({_untested(above)})"


def _untested(found: Difference) -> str:
    return "not a planned comparison" if found.decision == "not planned" else f"{too_few(found.seeds)} to test"


def _emoticons(scores: pd.DataFrame, differences: pd.DataFrame, leak: str | None) -> Verdict | None:
    """The same embedding on texts with and without emoticons, where the study has such pairs."""
    pairs = [pair for pair in _planned(differences) if _modes(*pair) is not None]
    if not pairs:
        return None
    answers, evidence = [], [leak] if leak else []
    for first, second in pairs:
        rows = differences[(differences["a"] == first) & (differences["b"] == second)]
        budget = int(rows["label_budget"].max())
        found = difference_of(differences, first, second, budget)
        modes = _modes(first, second)
        assert found is not None
        assert modes is not None
        name, what = modes
        meaning = {
            "undecided": "; whether that is more than none is open",
            "too few seeds": f" ({too_few(found.seeds)} to test)",
        }.get(found.decision, "")
        means = [row_of(scores, variant=variant, label_budget=budget) for variant in (first, second)]
        told = " and ".join(f"{row['mean']:.3f} with {_mode(row['variant'])}" for row in means if row is not None)
        answers.append(f"{what} are worth {found} to {name} with {budget:,} labels ({told}){meaning}")
    return Verdict(EMOTICONS, capital("; ".join(answers)) + ".", evidence)


def _mode(variant: str) -> str:
    return f"text.emoticons={variant.partition('@')[2]}"


def _modes(first: str, second: str) -> tuple[str, str] | None:
    """The embedding that two variants share and what of the text differs; None where they are no such pair."""
    (name, _, mode), (other, _, other_mode) = first.partition("@"), second.partition("@")
    if name != other or (what := STRIPPED.get((mode, other_mode))) is None:
        return None
    return name, what


def _planned(differences: pd.DataFrame) -> list[tuple[str, str]]:
    """The planned pairs, each once."""
    planned = differences[differences["planned"].astype(bool)]
    return list(dict.fromkeys(zip(planned["a"].astype(str), planned["b"].astype(str), strict=True)))


def _others(differences: pd.DataFrame, design: Mapping[str, Any], cbow_answered: bool) -> Verdict | None:
    """Planned pairs that belong to none of the questions, at the largest label budget; the others as evidence."""
    answered = ANSWERED if cbow_answered else ANSWERED[:1]
    pairs = [pair for pair in _planned(differences) if set(pair) not in answered and _modes(*pair) is None]
    if not pairs:
        return None
    told: dict[int, list[str]] = {}
    for _, row in differences[differences["planned"].astype(bool)].iterrows():
        if (str(row["a"]), str(row["b"])) in pairs:
            told.setdefault(int(row["label_budget"]), []).append(str(row["sentence"]))
    largest = max(told)
    answer = f"With {largest:,} labels: {'; '.join(told.pop(largest))}."
    return Verdict(OTHERS, answer, [f"With {n:,} labels: {'; '.join(lines)}." for n, lines in sorted(told.items())])
