"""Warnings of a study, each with a code: what a reader must know before trusting a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from pipeline.config.schema import Config
from pipeline.config.variants import prose_name
from pipeline.study.report.study_results import StudyWarning
from pipeline.study.statistics.significance import smallest_holm_p

ALPHA = 0.05
EDGES_NAMED = 6


@dataclass(frozen=True)
class WarningInputs:
    """What warnings are made from; frames are those of `StudyResults`.

    not_comparable : keys outside `embedding` that differ between runs. audits : reports by settings of the text.
    notes : what was left out of the design. missing : labels that a split lacks. config : names remedies of the audits'
    warnings, where it is given.
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
    config: Config | None = None


def study_warnings(inputs: WarningInputs) -> list[StudyWarning]:
    """The warnings that apply.

    Codes: `generated_data`, `not_comparable`, `failed_runs`, `too_few_seeds`, `below_baseline`, `at_chance`,
    `missing_class`, `learning_rate_at_edge`, `left_out`, and those of the audit's warnings (`label_leak`, `shortcut`,
    `duplicates_between_splits` …).
    """
    generated = "The tweets are generated: this says nothing about real ones." if inputs.generated else ""
    keys = ", ".join(inputs.not_comparable)
    texts = [
        ("generated_data", generated),
        ("not_comparable", f"Runs differ in more than their embedding: {keys}." if keys else ""),
        ("failed_runs", _failures(inputs.failures)),
        ("too_few_seeds", _too_few_seeds(inputs.differences)),
        ("below_baseline", _below_baseline(inputs.scores)),
        ("at_chance", _at_chance(inputs.scores)),
        ("learning_rate_at_edge", _edges(inputs.trials)),
        *_audit_findings(inputs.audits, inputs.config),
        *(("missing_class", f"{note}.") for note in inputs.missing),
        *(("left_out", f"{note}.") for note in inputs.notes),
    ]
    return [StudyWarning(code, text) for code, text in texts if text]


def _failures(failures: Sequence[Mapping[str, Any]]) -> str:
    """The number of failures, and the first one with its reason."""
    if not failures:
        return ""
    first, count = failures[0], len(failures)
    cell = f"{prose_name(first['variant'])}, {first['label_budget']:,} labels"
    cell += "" if first["seed"] is None else f", seed {first['seed']}"
    opening = "1 part of the study failed" if count == 1 else f"{count} parts of the study failed, the first"
    return f"{opening}: {cell}: {str(first['reason']).rstrip('.')}."


def _edges(trials: pd.DataFrame) -> str:
    """Choices of the smallest or largest learning rate tried."""
    edges = trials[trials["edge"].astype(bool)] if len(trials) else trials
    if not len(edges):
        return ""
    cells = [
        f"{prose_name(str(row.variant))} at {row.label_budget:,} labels (× {row.factor:g}, {_seeds(row.seeds)})"
        for row in edges.itertuples()
    ]
    rest = f"; and {len(cells) - EDGES_NAMED} more" if len(cells) > EDGES_NAMED else ""
    return (
        f"Of {int(trials['seeds'].sum())} choices, {int(edges['seeds'].sum())} are the smallest or largest learning "
        "rate that was tried. A better one may lie beyond (study.extra_trials): "
        f"{'; '.join(cells[:EDGES_NAMED])}{rest}."
    )


def _seeds(count: Any) -> str:
    return f"{count} seed" if count == 1 else f"{count} seeds"


def _audit_findings(audits: Mapping[str, Mapping[str, Any]], config: Config | None) -> list[tuple[str, str]]:
    """The audits' warnings and remedies, each once, with the settings of the text that it holds for where not all."""
    from pipeline.evaluation.audit.remedies import remedy

    modes: dict[tuple[str, str], list[str]] = {}
    for mode, audit in audits.items():
        for finding in audit["findings"]:
            text = finding["text"]
            if config is not None:
                key, _, value = mode.partition("=")
                section = replace(config.text, emoticons=value) if key == "text.emoticons" else config.text
                text += " " + remedy(finding, audit, replace(config, text=section))
            if finding["severity"] == "warning":
                modes.setdefault((finding["code"], text.strip()), []).append(mode)
    return [
        (code, text if len(values) == len(audits) else f"With {', '.join(values)}: {text}")
        for (code, text), values in modes.items()
    ]


def _too_few_seeds(differences: pd.DataFrame) -> str:
    """Planned comparisons that no outcome could have decided, and the number of seeds that is enough."""
    planned = differences[differences["planned"].astype(bool)]
    undecidable = planned[planned["p_holm_smallest"].astype(float) > ALPHA]
    if undecidable.empty:
        return ""
    enough = next(seeds for seeds in range(2, 64) if smallest_holm_p([seeds] * len(planned))[0] <= ALPHA)
    count = "" if len(undecidable) == len(planned) else f"{len(undecidable)} of "
    return (
        f"{int(undecidable['n'].min())} seeds are too few to test {count}{len(planned)} differences as one family: the "
        f"corrected p cannot fall below {undecidable['p_holm_smallest'].min():.3g} (a single p not below "
        f"{undecidable['p_smallest'].min():.3g}). Read the intervals, or run more seeds (study.seeds={enough} are "
        "enough)."
    )


def _below_baseline(scores: pd.DataFrame) -> str:
    """Label budgets at which the best variant is behind a baseline."""
    cells = []
    for budget, rows in scores.groupby("label_budget"):
        variants, baselines = rows[rows["kind"] == "variant"], rows[rows["kind"] == "baseline"]
        if len(variants) and len(baselines) and round(variants["mean"].max(), 3) < round(baselines["mean"].max(), 3):
            baseline, variant = (
                f"{prose_name(best['variant'])} {best['mean']:.3f}"
                for best in (frame.sort_values("mean").iloc[-1] for frame in (baselines, variants))
            )
            cells.append(f"{baseline} against {variant} at {budget:,} labels")
    return f"A baseline scores higher than every variant: {'; '.join(cells)}." if cells else ""


def _at_chance(scores: pd.DataFrame) -> str:
    """Variants that score no more than the most frequent label does, with the most labels."""
    rows = scores[scores["label_budget"] == scores["label_budget"].max()]
    majority = rows[rows["variant"] == "majority"]
    if majority.empty:
        return ""
    chance = float(majority["mean"].iloc[0])
    names = [prose_name(name) for name in rows[(rows["kind"] == "variant") & (rows["mean"] <= chance)]["variant"]]
    if not names:
        return ""
    return (
        f"Some variants learned nothing: they score no more than the most frequent label does ({chance:.3f}). "
        f"These are {'; '.join(names)}. More epochs (train.max_epochs), higher rates (study.lr_factors) or more labels "
        "may help."
    )
