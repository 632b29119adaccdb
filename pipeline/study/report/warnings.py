"""Coded warnings: what a reader must know before believing a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.study.report.study_results import Warned
from pipeline.study.statistics.significance import smallest_holm_p

ALPHA = 0.05


@dataclass(frozen=True)
class Facts:
    """What warnings are made from; frames are those of `StudyResults`.

    not_comparable : keys outside `embedding` that differ between runs. audits : reports by `text.emoticons`.
    notes : what was left out of the design.
    """

    generated: bool
    not_comparable: Sequence[str]
    scores: pd.DataFrame
    differences: pd.DataFrame
    trials: pd.DataFrame
    audits: Mapping[str, Mapping[str, Any]]
    failures: Sequence[Mapping[str, Any]]
    notes: Sequence[str]
    missing: Sequence[str] = ()


def warned(facts: Facts) -> list[Warned]:
    """The warnings that apply.

    Codes: `generated_data`, `not_comparable`, `failed_runs`, `too_few_seeds`, `below_baseline`, `at_chance`,
    `missing_class`, `learning_rate_at_edge`, `left_out`, and those of the audit's warnings (`label_leak`, `shortcut`,
    `duplicates_between_splits` …).
    """
    found = []
    if facts.generated:
        found.append(Warned("generated_data", "The tweets are generated: this says nothing about real ones."))
    if facts.not_comparable:
        keys = ", ".join(facts.not_comparable)
        found.append(Warned("not_comparable", f"Runs differ in more than their embedding: {keys}."))
    if facts.failures:
        first = facts.failures[0]
        count = len(facts.failures)
        where = f"{first['variant']} at {first['label_budget']:,} labels"
        where += "" if first["seed"] is None else f", seed {first['seed']}"
        text = f"{count} piece{'s' if count > 1 else ''} of the study failed, first {where}: "
        found.append(Warned("failed_runs", f"{text}{str(first['reason']).rstrip('.')}."))
    found += _seeds(facts)
    found += _baselines(facts.scores)
    found += _chance(facts.scores)
    edges = facts.trials[facts.trials["edge"].astype(bool)] if len(facts.trials) else facts.trials
    if len(edges):
        cells = [f"{row.variant} at {row.label_budget:,} (× {row.factor:g})" for row in edges.itertuples()]
        shown = ", ".join(cells[:6]) + (f" and {len(cells) - 6} more" if len(cells) > 6 else "")
        found.append(
            Warned(
                "learning_rate_at_edge",
                f"For {len(cells)} of {int(facts.trials['chosen'].sum())} choices the best learning rate on validation "
                f"is the smallest or largest that was tried; a better one may lie beyond: {shown}.",
            )
        )
    found += _audits(facts.audits)
    found += [Warned("missing_class", f"{note}.") for note in facts.missing]
    found += [Warned("left_out", f"{note}.") for note in facts.notes]
    return found


def _audits(audits: Mapping[str, Mapping[str, Any]]) -> list[Warned]:
    """The audits' warnings, each once, with the values of `text.emoticons` that it holds for where not for all."""
    modes: dict[tuple[str, str], list[str]] = {}
    for mode, audit in audits.items():
        for finding in audit["findings"]:
            if finding["severity"] == "warning":
                modes.setdefault((finding["code"], finding["text"]), []).append(mode)
    return [
        Warned(code, text if len(where) == len(audits) else f"With text.emoticons={', '.join(where)}: {text}")
        for (code, text), where in modes.items()
    ]


def _seeds(facts: Facts) -> list[Warned]:
    """Planned comparisons that no outcome could have decided, and how many seeds would do."""
    planned = facts.differences[facts.differences["planned"].astype(bool)]
    few = planned[planned["p_holm_smallest"].astype(float) > ALPHA]
    if few.empty:
        return []
    enough = next(seeds for seeds in range(2, 64) if smallest_holm_p([seeds] * len(planned))[0] <= ALPHA)
    count = "" if len(few) == len(planned) else f"{len(few)} of "
    text = (
        f"{int(few['n'].min())} seeds are too few to test {count}{len(planned)} differences as one family: the "
        f"corrected p cannot fall below {few['p_holm_smallest'].min():.3g} (a single p not below "
        f"{few['p_smallest'].min():.3g}). Read the intervals, or run more seeds (study.seeds={enough} are enough)."
    )
    return [Warned("too_few_seeds", text)]


def _baselines(scores: pd.DataFrame) -> list[Warned]:
    """Label budgets at which the best variant is behind a baseline."""
    behind = []
    for budget, rows in scores.groupby("label_budget"):
        variants, baselines = rows[rows["kind"] == "variant"], rows[rows["kind"] == "baseline"]
        if len(variants) and len(baselines) and variants["mean"].max() < baselines["mean"].max():
            best, own = (frame.sort_values("mean").iloc[-1] for frame in (baselines, variants))
            behind.append(
                f"{best['variant']} {best['mean']:.3f} against {own['variant']} {own['mean']:.3f} at {budget:,} labels"
            )
    if not behind:
        return []
    return [Warned("below_baseline", f"A baseline scores higher than every variant: {'; '.join(behind)}.")]


def _chance(scores: pd.DataFrame) -> list[Warned]:
    """Variants that score no more than the most frequent label does, with the most labels."""
    rows = scores[scores["label_budget"] == scores["label_budget"].max()]
    majority = rows[rows["variant"] == "majority"]
    if majority.empty:
        return []
    level = float(majority["mean"].iloc[0])
    at = [str(name) for name in rows[(rows["kind"] == "variant") & (rows["mean"] <= level)]["variant"]]
    if not at:
        return []
    text = (
        f"{', '.join(at)} score no more than the most frequent label does ({level:.3f}): nothing was learned. More "
        "epochs (train.max_epochs), higher rates (study.lr_factors) or more labels may help."
    )
    return [Warned("at_chance", text)]
