"""Whether CBOW vectors would have been better than learned rows, and up to how many labels: the answer in words."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pipeline.study.report.formatting import number, signed
from pipeline.study.report.phrases import (
    FROZEN,
    LEARNED,
    NAMES,
    TUNED,
    Difference,
    capital,
    difference_of,
    effect_text,
    listed,
    over_budgets,
    row_of,
    too_few,
)
from pipeline.study.report.study_results import Verdict

QUESTION = "Would CBOW vectors have been better than rows learned from random, and up to how many labels?"
THEM = "{learned}"
Rows = Sequence[tuple[int, Difference]]


def cbow(
    scores: pd.DataFrame, differences: pd.DataFrame, crossover: pd.DataFrame, design: Mapping[str, Any]
) -> Verdict | None:
    """Frozen and fine-tuned CBOW against learned rows at every label budget, and where learned rows catch up.

    Parameters are those of `verdicts`.
    """
    small = effect_text(design["smallest_effect"])
    found: dict[str, Rows] = {}
    for variant in (FROZEN, TUNED):
        compared = [
            (budget, difference_of(differences, variant, LEARNED, budget)) for budget in design["label_budgets"]
        ]
        found[variant] = [(budget, row) for budget, row in compared if row is not None]
    found = {variant: rows for variant, rows in found.items() if rows}
    if not found:
        return None
    sentences, evidence = [], []
    for variant, rows in found.items():
        crossed = row_of(crossover, variant=variant)
        caught_up = _caught_up(crossed, rows) if crossed is not None else ""
        sentences.append(f"{capital(NAMES[variant])} {_course(rows, small)}{caught_up}.")
        evidence.append(over_budgets(f"{variant} − {LEARNED}", rows))
        if crossed is not None:
            evidence.append(f"{crossed['sentence']}.")
    both = [(budget, difference_of(differences, TUNED, FROZEN, budget)) for budget in design["label_budgets"]]
    if compared_both := [(budget, row) for budget, row in both if row is not None]:
        evidence.append(over_budgets(f"{TUNED} − {FROZEN}", compared_both))
    if told := _parameters(scores, [*found, LEARNED]):
        evidence.append(told)
    return Verdict(QUESTION, f"{_opening(list(found.values()))}. {' '.join(sentences)}", evidence)


def _opening(found: Sequence[Rows]) -> str:
    """The outcome in a few words: where at least one use of CBOW vectors is ahead of learned rows by what counts."""
    at: dict[int, list[Difference]] = {}
    for rows in found:
        for budget, row in rows:
            at.setdefault(budget, []).append(row)
    budgets = sorted(at)
    ahead = [budget for budget in budgets if any(_gains(row) for row in at[budget])]
    every = [row for rows in at.values() for row in rows]
    if ahead and len(ahead) == len(budgets):
        return "Yes" if len(budgets) == 1 else "Yes, with every number of labels tried"
    if ahead and ahead == budgets[: len(ahead)]:
        return f"With few labels yes, up to {ahead[-1]:,}"
    if ahead and ahead == budgets[-len(ahead) :]:
        return f"With many labels yes, from {ahead[0]:,} on"
    if ahead:
        return f"Yes with {listed([f'{budget:,}' for budget in ahead])} labels, not shown with other numbers"
    if all(row.tested and row.decision != "undecided" for row in every):
        return "No"
    if any(row.decision == "undecided" for row in every):
        return "Not settled"
    if any(row.decision == "not planned" for row in every):
        return "Not tested, as these pairs were not planned"
    return f"Not tested, as {too_few(min(row.seeds for row in every))}"


def _gains(row: Difference) -> bool:
    return row.decision == "higher" and not row.equivalent


def _course(rows: Rows, small: str) -> str:
    """Where a variant is ahead of learned rows, level with them, or behind, as one clause."""
    groups: list[tuple[str, list[tuple[int, Difference]]]] = []
    for budget, row in rows:
        standing = _standing(row, small)
        if groups and groups[-1][0] == standing:
            groups[-1][1].append((budget, row))
        else:
            groups.append((standing, [(budget, row)]))
    told = [f"{standing} {_where(members)}" for standing, members in groups]
    clauses = [clause.replace(THEM, "them" if place else NAMES[LEARNED]) for place, clause in enumerate(told)]
    return f"is {listed(clauses)}"


def _where(members: Rows) -> str:
    (first, row), (last, _) = members[0], members[-1]
    if len(members) == 1:
        return f"with {first:,} labels ({row})"
    means = sorted(row.mean for _, row in members)
    budgets = f"with {first:,} and {last:,}" if len(members) == 2 else f"from {first:,} to {last:,}"
    return f"{budgets} labels ({signed(100 * means[0])} to {signed(100 * means[-1])} points)"


def _standing(row: Difference, small: str) -> str:
    small_too = f" by less than {small}" if row.equivalent else ""
    if row.decision in ("higher", "lower"):
        return f"{'ahead of' if row.decision == 'higher' else 'behind'} {THEM}{small_too}"
    if row.decision == "equivalent":
        return f"within {small} of {THEM}"
    if row.decision == "undecided":
        return f"not told apart from {THEM}"
    if row.low is not None and row.low > 0:
        return f"ahead of {THEM} as far as its interval tells"
    if row.high is not None and row.high < 0:
        return f"behind {THEM} as far as its interval tells"
    return f"not told apart from {THEM}"


def _caught_up(crossed: Mapping[str, Any], rows: Rows) -> str:
    """Where learned rows catch up, for a variant that was ahead somewhere."""
    if not any(row.low is not None and row.low > 0 for _, row in rows):
        return ""
    smallest, largest = rows[0][0], rows[-1][0]
    estimate, low, high = (number(crossed[key]) for key in ("estimate", "low", "high"))
    if crossed["kind"] == "reached" and estimate is not None and low is not None:
        bottom = f"{smallest:,} or fewer" if low <= smallest else f"{low:,.0f}"
        top = f"more than {largest:,}" if high is None else f"{high:,.0f}"
        return f"; learned rows catch up with it at about {estimate:,.0f} labels [{bottom}, {top}]"
    if crossed["kind"] == "not reached" and crossed["certain"]:
        return f"; learned rows have not caught up with it by {largest:,} labels"
    if crossed["kind"] == "not reached":
        return f"; whether learned rows catch up with it by {largest:,} labels is open"
    return ""


def _parameters(scores: pd.DataFrame, variants: Sequence[str]) -> str:
    """What each variant trains, at the largest label budget."""
    told = []
    for variant in variants:
        own = scores[(scores["kind"] == "variant") & (scores["variant"] == variant)]
        count = number(own.sort_values("label_budget").iloc[-1]["trainable"]) if len(own) else None
        if count is not None:
            told.append(f"{NAMES[variant]} {count:,.0f}")
    return f"Parameters trained: {', '.join(told)}." if told else ""
