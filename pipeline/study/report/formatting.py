"""Numbers as display text: scores, differences in points, intervals, p-values, label budgets, counts.

Scores are in percent as `59.7 ± 0.6` (half the 95 % interval), differences in points as `+3.2 [+2.1, +4.3]`. A missing
number is a dash.
"""

import math
from typing import Any

import pandas as pd
import yaml

from pipeline.runtime.templates import page_file
from pipeline.study.report.study_results import StudyResults

DASH = "–"
SEED_ALPHA = 0.05


TEXTS: dict[str, Any] = yaml.safe_load(page_file("pipeline.study.report", "texts.yaml"))


def number(value: Any) -> float | None:
    """The value as a float; None for None, NaN and infinity."""
    return float(value) if value is not None and not pd.isna(value) and math.isfinite(value) else None


def signed(value: float, decimals: int = 1) -> str:
    """Such as `+3.2` or `−0.4`, with a minus sign, not a hyphen; zero after rounding has no sign."""
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def score_text(mean: Any, low: Any = None, high: Any = None, *, factor: float = 100, decimals: int = 1) -> str:
    """`mean ± half the interval`, in percent unless `factor` says otherwise; the mean alone without an interval."""
    center, lower, upper = number(mean), number(low), number(high)
    if center is None:
        return DASH
    text = f"{factor * center:.{decimals}f}"
    text = text[1:] if text.startswith("-") and float(text) == 0 else text.replace("-", "−")
    return text if lower is None or upper is None else f"{text} ± {factor * (upper - lower) / 2:.{decimals}f}"


def points_text(mean: Any, low: Any = None, high: Any = None, *, factor: float = 100, decimals: int = 1) -> str:
    """A difference, of fractions in points unless `factor` says otherwise: `+3.2 [+2.1, +4.3]`."""
    center, *bounds = map(number, (mean, low, high))
    if center is None:
        return DASH
    interval = [signed(factor * bound, decimals) for bound in bounds if bound is not None]
    return f"{signed(factor * center, decimals)}{f' [{interval[0]}, {interval[1]}]' if len(interval) == 2 else ''}"


def share_text(share: Any, low: Any = None, high: Any = None) -> str:
    """A share with its interval, which need not be symmetric: `0.90 [0.60, 0.98]`."""
    center, lower, upper = number(share), number(low), number(high)
    text = DASH if center is None else f"{center:.2f}"
    return text if center is None or lower is None or upper is None else f"{text} [{lower:.2f}, {upper:.2f}]"


def p_text(p: Any, smallest: Any = None) -> str:
    """A p-value: `0.002`, or `< 0.001`, never 0.

    A `smallest` possible p above 0.05 is added in brackets.
    """
    value, smallest_value = number(p), number(smallest)
    if value is None:
        return DASH
    if smallest_value is not None and smallest_value > SEED_ALPHA:
        return f"{value:.4f} (cannot fall below {smallest_value:.4f})"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def p_note(results: StudyResults) -> str | None:
    """The note that p-values need where there are too few seeds for a small one, else None."""
    frame = results.differences
    seeds_and_p = [
        (int(n), p) for n, p in zip(frame.get("n", []), map(number, frame.get("p_smallest", [])), strict=True) if p
    ]
    n, smallest = max(seeds_and_p, default=(0, 0.0))
    if smallest <= SEED_ALPHA:
        return None
    return f"With {n} seeds the sign-flip p cannot fall below {smallest:.4f}, however large the difference is."


def budget_name(results: StudyResults, budget: Any) -> str:
    """A label budget as the design names it, such as `1,000` or `all (7,200)`."""
    names = dict(zip(results.design["label_budgets"], results.design["budget_names"], strict=True))
    return str(names.get(int(budget), f"{int(budget):,}"))


def count_text(value: Any) -> str:
    """A whole number with thousands commas."""
    whole = number(value)
    return DASH if whole is None else f"{whole:,.0f}"


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as dictionaries, in its order."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
