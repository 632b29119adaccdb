"""The answer to whether CBOW vectors beat vectors learned from scratch, and up to how many labels."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import pandas as pd

from pipeline.config.variants import prose_name
from pipeline.study.report import phrases
from pipeline.study.report.answers.resplits import resplit_sentences
from pipeline.study.report.formatting import number, signed
from pipeline.study.report.phrases import FLOOR, FROZEN, TUNED, Difference, listed
from pipeline.study.report.study_results import Verdict
from pipeline.study.statistics.frames import LEARNED

QUESTION = "Would CBOW vectors have been better than vectors learned from scratch, and up to how many labels?"
Curve = Sequence[tuple[int, Difference]]  # a difference at ascending label budgets


def cbow_verdict(
    scores: pd.DataFrame,
    differences: pd.DataFrame,
    crossover: pd.DataFrame,
    design: Mapping[str, Any],
    resplits: pd.DataFrame | None = None,
) -> Verdict | None:
    """Frozen and fine-tuned CBOW against vectors learned from scratch, by label budget, and where these catch up.

    Parameters are those of `verdicts`.
    """
    resplits = pd.DataFrame() if resplits is None else resplits
    budgets = design["label_budgets"]

    def curve(first: str, second: str) -> Curve:
        return difference_curve(differences, first, second, budgets)

    curves = {variant: rows for variant in (FROZEN, TUNED) if (rows := curve(variant, LEARNED))}
    if not curves:
        return None
    small = phrases.effect_text(design["smallest_effect"])
    sentences, evidence = [f"{opening(list(curves.values()))}."], []
    for variant, rows in curves.items():
        sentences += [*standings(variant, LEARNED, rows, small), *phrases.reversals(rows)]
        evidence.append(phrases.over_budgets(f"{prose_name(variant)} − {prose_name(LEARNED)}", rows))
        if (crossing := phrases.row_of(crossover, variant=variant)) is not None:
            sentences += _catching_up(crossing, rows)
            evidence.append(f"{phrases.capital(phrases.in_prose(crossing['sentence']))}.")
        of_resplits, numbers = resplit_sentences(variant, rows, resplits, design)
        sentences += of_resplits
        evidence += numbers
    for variant in curves:
        rows = curve(FLOOR, variant)
        if ahead := [(budget, difference) for budget, difference in rows if _is_ahead(difference)]:
            alone = "" if all(difference.tested for _, difference in ahead) else ", by the interval alone,"
            sizes = listed([f"with {budget:,} labels ({difference})" for budget, difference in ahead])
            name = phrases.capital(prose_name(FLOOR))
            sentences.append(f"{name}, score higher{alone} than {prose_name(variant)}, {sizes}.")
        if any(difference.decision != phrases.NOT_PLANNED for _, difference in rows):
            evidence.append(phrases.over_budgets(f"{prose_name(FLOOR)} − {prose_name(variant)}", rows))
    if rows := curve(TUNED, FROZEN):
        evidence.append(phrases.over_budgets(f"{prose_name(TUNED)} − {prose_name(FROZEN)}", rows))
    if parameters := _trained_parameters(scores, [*curves, LEARNED]):
        evidence.append(f"Trained parameters: {'; '.join(parameters)}.")
    return Verdict(QUESTION, " ".join(sentences), evidence)


def difference_curve(differences: pd.DataFrame, first: str, second: str, budgets: Sequence[int]) -> Curve:
    """First minus second at the label budgets that have both."""
    rows = ((budget, phrases.difference_of(differences, first, second, budget)) for budget in budgets)
    return [(budget, difference) for budget, difference in rows if difference is not None]


def opening(curves: Sequence[Curve]) -> str:
    """At which label budgets at least one of the differences is a gain of more than the smallest effect."""
    differences: dict[int, list[Difference]] = {}
    for rows in curves:
        for budget, difference in rows:
            differences.setdefault(budget, []).append(difference)
    budgets = sorted(differences)
    ahead = [budget for budget in budgets if any(map(_is_gain, differences[budget]))]
    if ahead and len(ahead) == len(budgets):
        return "Yes" if len(budgets) == 1 else "Yes, with every label budget of this study"
    if ahead and ahead == budgets[: len(ahead)]:
        return f"Yes with few labels, up to {ahead[-1]:,}"
    if ahead and ahead == budgets[-len(ahead) :]:
        return f"Yes with many labels, from {ahead[0]:,} on"
    if ahead:
        return f"Yes with {listed([f'{budget:,}' for budget in ahead])} labels, not shown with other numbers of labels"
    every = [difference for row in differences.values() for difference in row]
    if all(difference.tested and difference.decision != "undecided" for difference in every):
        return "No"
    if any(difference.decision == "undecided" for difference in every):
        return "Not settled"
    if any(difference.decision == "not planned" for difference in every):
        return "Not tested, because these pairs were not planned"
    return f"Not tested, because {phrases.too_few(min(difference.seeds for difference in every))}"


def _is_gain(difference: Difference) -> bool:
    return difference.decision == "higher" and not difference.equivalent


def _is_ahead(difference: Difference) -> bool:
    return difference.decision == "higher" or (
        not difference.tested and difference.low is not None and difference.low > 0
    )


def standings(variant: str, rival: str, rows: Curve, small: str) -> list[str]:
    """Where a variant is ahead of its rival, undecided or behind: a sentence per run of budgets."""
    groups = [(text, list(members)) for text, members in groupby(rows, key=lambda row: _standing(row[1], small))]
    name = phrases.capital(prose_name(variant))
    subjects = [f"{name}, is" if "," in name else f"{name} is", *["It is"] * (len(groups) - 1)]
    others = [prose_name(rival), *["them"] * (len(groups) - 1)]
    return [
        f"{subject} {standing.format(them=other)} {_budgets(members)}."
        for subject, other, (standing, members) in zip(subjects, others, groups, strict=True)
    ]


def _standing(difference: Difference, small: str) -> str:
    below = f" by less than {small}" if difference.equivalent else ""
    if difference.decision in ("higher", "lower"):
        return f"{'ahead of' if difference.decision == 'higher' else 'behind'} {{them}}{below}"
    if difference.decision == "equivalent":
        return f"within {small} of {{them}}"
    if _is_ahead(difference):
        return "ahead of {them}, by the interval alone,"
    if not difference.tested and difference.high is not None and difference.high < 0:
        return "behind {them}, by the interval alone,"
    return "neither shown ahead of {them} nor behind"


def _budgets(members: Curve) -> str:
    (first, difference), (last, _) = members[0], members[-1]
    if len(members) == 1:
        return f"with {first:,} labels ({difference})"
    means = sorted(difference.mean for _, difference in members)
    budgets = f"with {first:,} and {last:,}" if len(members) == 2 else f"from {first:,} to {last:,}"
    return f"{budgets} labels ({signed(100 * means[0])} to {signed(100 * means[-1])} points)"


def _catching_up(crossing: Mapping[str, Any], rows: Curve) -> list[str]:
    """Where vectors learned from scratch catch up with a variant that was ahead somewhere: one sentence or none."""
    if not any(difference.low is not None and difference.low > 0 for _, difference in rows):
        return []
    smallest, largest = rows[0][0], rows[-1][0]
    name = phrases.capital(prose_name(LEARNED))
    estimate, low, high = (number(crossing[key]) for key in ("estimate", "low", "high"))
    if crossing["kind"] == "reached" and estimate is not None and low is not None:
        bottom = f"{smallest:,} or fewer" if low <= smallest else f"{low:,.0f}"
        top = f"more than {largest:,}" if high is None else f"{high:,.0f}"
        return [f"{name} catch up with it at about {estimate:,.0f} labels [{bottom}, {top}]."]
    if crossing["kind"] == "not reached" and crossing["certain"]:
        return [f"{name} have not caught up with it by {largest:,} labels."]
    if crossing["kind"] == "not reached":
        return [f"Whether {prose_name(LEARNED)} catch up with it by {largest:,} labels is open."]
    return []


def _trained_parameters(scores: pd.DataFrame, variants: Sequence[str]) -> list[str]:
    """How many parameters each variant trains, at its largest label budget."""
    texts = []
    for variant in variants:
        rows = scores[(scores["kind"] == "variant") & (scores["variant"] == variant)]
        count = number(rows.sort_values("label_budget").iloc[-1]["trainable"]) if len(rows) else None
        if count is not None:
            texts.append(f"{prose_name(variant)}: {count:,.0f}")
    return texts
