"""Coded warnings: what a reader must know before believing a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.study.findings import Warned

ALPHA = 0.05


@dataclass(frozen=True)
class Facts:
    """What warnings are made from; frames are those of `Findings`.

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
    seeds: int


def warned(facts: Facts) -> list[Warned]:
    """The warnings that apply.

    Codes: `generated_data`, `not_comparable`, `failed_runs`, `too_few_seeds`, `below_baseline`,
    `learning_rate_at_edge`, `left_out`, and those of the audit's warnings (`label_leak`, `duplicates_between_splits` …).
    """
    found = []
    if facts.generated:
        found.append(Warned("generated_data", "The tweets are generated: this says nothing about real ones."))
    if facts.not_comparable:
        keys = ", ".join(facts.not_comparable)
        found.append(Warned("not_comparable", f"Runs differ in more than their embedding: {keys}."))
    if facts.failures:
        first = facts.failures[0]
        text = f"{len(facts.failures)} pieces of the study failed, the first ({first['variant']}): {first['reason']}."
        found.append(Warned("failed_runs", text))
    found += _seeds(facts)
    found += _baselines(facts.scores)
    edges = facts.trials[facts.trials["edge"].astype(bool)] if len(facts.trials) else facts.trials
    if len(edges):
        cells = [f"{row.variant} at {row.label_budget:,} (× {row.factor:g})" for row in edges.itertuples()]
        shown = ", ".join(cells[:6]) + (f" and {len(cells) - 6} more" if len(cells) > 6 else "")
        found.append(
            Warned(
                "learning_rate_at_edge",
                f"The best learning rate on validation is the smallest or largest that was tried for {len(cells)} of "
                f"{int(facts.trials['chosen'].sum())} choices, a better one may lie beyond: {shown}.",
            )
        )
    for mode, audit in facts.audits.items():
        where = f" (text.emoticons={mode})" if len(facts.audits) > 1 else ""
        found += [
            Warned(finding["code"], finding["text"] + where)
            for finding in audit["findings"]
            if finding["severity"] == "warning"
        ]
    found += [Warned("left_out", f"{note}.") for note in facts.notes]
    return found


def _seeds(facts: Facts) -> list[Warned]:
    planned = facts.differences[facts.differences["planned"].astype(bool)]
    if planned.empty or planned["p_holm_smallest"].min() <= ALPHA:
        return []
    smallest = planned["p_holm_smallest"].min()
    text = (
        f"{facts.seeds} seeds are too few to test {len(planned)} differences as one family: the corrected p cannot fall "
        f"below {smallest:.3g} (a single p not below {planned['p_smallest'].min():.3g}). Read the intervals, or run more "
        "seeds (study.seeds=10)."
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
