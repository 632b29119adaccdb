"""Wording shared by answers, sections and warnings: a difference or crossover as a sentence, lists of words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.config.variants import PROSE_NAMES, prose_name
from pipeline.study.report.formatting import number, points_text, records, signed
from pipeline.study.statistics.frames import LEARNED
from pipeline.study.statistics.intervals import Interval

FLOOR = "random_frozen"
FROZEN, TUNED = "cbow_frozen", "cbow_finetuned"
SWAPPED = {"higher": "lower", "lower": "higher"}
OTHER_SCORES = {"auc": ("macro AUC", 1), "nll": ("NLL", -1)}  # by column: name, and the sign of a better score
NOT_PLANNED = "not planned"
VARIANT_KEY = re.compile(rf"\b({'|'.join(PROSE_NAMES)})(@[^\s:;]*[\w\]])?(?!\w)")


@dataclass(frozen=True)
class Difference:
    """First minus second variant at a label budget: mean and interval (other seeds and tweets) as fractions.

    `decision` is that of `StudyResults.differences`, or `not planned`; `reversing` are the `reversing_scores`.
    """

    mean: float
    low: float | None
    high: float | None
    decision: str
    equivalent: bool
    seeds: int
    reversing: tuple[str, ...] = ()

    def __str__(self) -> str:
        """In points with the interval."""
        return points(self.mean, self.low, self.high)

    @property
    def tested(self) -> bool:
        """Whether the study planned the comparison and had seeds enough for it."""
        return self.decision not in (NOT_PLANNED, "too few seeds")


def points(mean: float, low: float | None, high: float | None) -> str:
    """A difference of fractions with its interval: `+3.2 points [+2.1, +4.3]`."""
    return (
        points_text(mean, low, high).replace(" ", " points ", 1) if low is not None else f"{signed(100 * mean)} points"
    )


def interval_points(interval: Interval) -> str:
    """`points` of an `Interval`."""
    return points(interval.mean, interval.low, interval.high)


def score(mean: Any, low: Any, high: Any) -> str:
    """A score with its interval: `0.605 [0.581, 0.629]`."""
    lower, upper = number(low), number(high)
    return f"{mean:.3f}" if lower is None or upper is None else f"{mean:.3f} [{lower:.3f}, {upper:.3f}]"


def effect_text(effect: float) -> str:
    """A size of difference: `1 point`, `2 points`."""
    return f"{100 * effect:g} point{'' if f'{100 * effect:g}' == '1' else 's'}"


def too_few(seeds: int) -> str:
    """`3 seeds are too few`."""
    return f"{seeds} seed{' is' if seeds == 1 else 's are'} too few"


def with_difference_sentences(differences: pd.DataFrame, smallest_effect: float) -> pd.DataFrame:
    """`difference_frame` with the column `sentence`."""
    return differences.assign(sentence=[difference_sentence(row, smallest_effect) for row in records(differences)])


def difference_sentence(row: Mapping[str, Any], smallest_effect: float) -> str:
    """The conclusion on a difference, a row of `StudyResults.differences`, in one sentence with its number."""
    first, second = row["a"], row["b"]
    small, size = effect_text(smallest_effect), points(row["mean"], row["low_total"], row["high_total"])
    if not row["planned"]:
        return f"{first} − {second}: {size} (not planned, not tested)"
    but_small = f", but by less than {small}" if row["equivalent"] else ""
    conclusion = {
        "higher": f"{first} scores higher than {second}{but_small}",
        "lower": f"{first} scores lower than {second}{but_small}",
        "equivalent": f"{first} and {second} differ by less than {small}",
        "undecided": f"{first} and {second} are not told apart, nor shown to be within {small} of each other",
        "too few seeds": (
            f"{first} and {second}: {row['n']} seeds are too few to test this family (the corrected p cannot "
            f"fall below {row['p_holm_smallest']:.3g}); read the interval"
        ),
    }
    reversing = reversing_scores(row)
    reverse = f"; by {listed(reversing)} the order is the reverse" if reversing else ""
    return f"{conclusion[row['decision']]}: {size}{reverse}"


def reversing_scores(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The scores by which the better variant of a difference is the worse one, both beyond their intervals."""

    def order(low: Any, high: Any) -> int:
        bounds = number(low), number(high)
        return 0 if None in bounds else int(bounds[0] > 0) - int(bounds[1] < 0)  # type: ignore[operator]

    own = order(row["low_total"], row["high_total"])
    others = {
        name: sign * order(row.get(f"{key}_low"), row.get(f"{key}_high")) for key, (name, sign) in OTHER_SCORES.items()
    }
    return tuple(name for name, other in others.items() if own * other == -1)


def with_crossover_sentences(crossovers: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """`crossover_frame` with the column `sentence`; `scores` gives the label budgets that both variants have."""
    budgets = {name: set(rows["label_budget"]) for name, rows in scores.groupby("variant")}
    sentences = [
        crossover_sentence(row, sorted(budgets[LEARNED] & budgets[row["variant"]])) for row in records(crossovers)
    ]
    return crossovers.assign(sentence=sentences)


def crossover_sentence(row: Mapping[str, Any], budgets: Sequence[int]) -> str:
    """Where vectors learned from scratch reach a variant, a row of `StudyResults.crossover`, in one sentence."""
    variant, kind, certain = row["variant"], row["kind"], row["certain"]
    smallest, largest = budgets[0], budgets[-1]
    low, high = (None if bound is None else f"{bound:,.0f}" for bound in (number(row["low"]), number(row["high"])))
    one_seed = low is None and not certain
    if kind == "reached":
        lower = f"{low} or fewer" if row["low"] == smallest else low
        interval = (
            "one seed, no interval" if one_seed else f"95 % interval {lower} to {high or f'more than {largest:,}'}"
        )
        return f"{LEARNED} reaches {variant} at about {row['estimate']:,.0f} labels ({interval})"
    if kind == "ahead from the start":
        sentence = f"{LEARNED} is not behind {variant} with {smallest:,} labels or more"
        doubt = f"it may be so only {f'from {high} labels on' if high else f'with more than {largest:,} labels'}"
    else:
        sentence = f"{LEARNED} has not reached {variant} with {largest:,} labels"
        doubt = f"with {low} labels or more it may have"
    if certain:
        return sentence
    return f"{sentence} (one seed, no interval)" if one_seed else f"{sentence}, which is not certain: {doubt}"


def in_prose(sentence: str) -> str:
    """A sentence of the tables for readers: each variant by its prose name in quotation marks."""
    return VARIANT_KEY.sub(lambda match: f"“{prose_name(match[0])}”", sentence)


def row_of(frame: pd.DataFrame, **values: Any) -> dict[str, Any] | None:
    """The first row with these values, or None."""
    for column, value in values.items():
        if column not in frame:
            return None
        frame = frame[frame[column] == value]
    return None if frame.empty else {str(key): value for key, value in frame.iloc[0].to_dict().items()}


def difference_of(differences: pd.DataFrame, first: str, second: str, budget: int) -> Difference | None:
    """First minus second at a label budget; a row of `StudyResults.differences` in either order serves."""
    for a, b, sign in ((first, second, 1), (second, first, -1)):
        if row := row_of(differences, a=a, b=b, label_budget=budget):
            bounds = (number(row["low_total"]), number(row["high_total"]))[::sign]
            low, high = (None if bound is None else sign * bound for bound in bounds)
            decision = str(row["decision"]) if row["planned"] else NOT_PLANNED
            decision = SWAPPED.get(decision, decision) if sign < 0 else decision
            size, seeds = sign * float(row["mean"]), int(row["n"])
            return Difference(size, low, high, decision, bool(row["equivalent"]), seeds, reversing_scores(row))
    return None


def over_budgets(name: str, rows: Sequence[tuple[int, Difference]]) -> str:
    """A difference at every label budget, as a sentence of evidence."""
    return f"{name}: " + "; ".join(f"{difference} at {budget:,} labels" for budget, difference in rows) + "."


def reversals(rows: Sequence[tuple[int, Difference]]) -> list[str]:
    """Where other scores reverse the order of a difference at ascending label budgets: a sentence per score."""
    sentences = []
    for name, _ in OTHER_SCORES.values():
        if budgets := [f"{budget:,}" for budget, difference in rows if name in difference.reversing]:
            sentences.append(f"By {name}, the order is the reverse with {listed(budgets)} labels.")
    return sentences


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def capital(text: str) -> str:
    """The text with its first letter as a capital."""
    return text[:1].upper() + text[1:]
