"""From a study's records on disk to `StudyResults`, and the folder of its report."""

import dataclasses
import shlex
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.classifier.metrics import confusion_matrix
from pipeline.config.schema import data_name, study_design
from pipeline.runtime.files import write_json
from pipeline.runtime.log import log
from pipeline.study.design import StudyRuns, repeatable
from pipeline.study.load_runs import (
    changed_words,
    different_keys,
    example_tweets,
    map_of_words,
    parameters,
    predictions,
    probe_tables,
    run_frame,
    trial_frame,
)
from pipeline.study.report.answers.all import verdicts
from pipeline.study.report.methods import methods
from pipeline.study.report.phrases import with_crossover_sentences, with_difference_sentences
from pipeline.study.report.study_results import StudyResults
from pipeline.study.report.warnings import WarningInputs, study_warnings
from pipeline.study.statistics.frames import (
    Outcomes,
    crossover_frame,
    difference_frame,
    factorial_frame,
    mcnemar_frame,
    score_frame,
)
from pipeline.study.statistics.probe_frames import (
    drift_by_count_frame,
    probe_frame,
    score_by_unseen_frame,
    transfer_frame,
)
from pipeline.tracking.read_record import read_record

METRIC_NAMES = {"accuracy": "accuracy", "macro_recall": "macro recall"}
SPLITS = ("train", "validation", "test")


def write_study(finished: StudyRuns, folder: Path) -> dict[str, Any]:
    """Compare what ran and write report, plots, tables and `study.json` into `folder`; returns the answers."""
    from pipeline.study.report.export import write_tables
    from pipeline.study.report.figures.all import write_figures
    from pipeline.study.report.html import write_report

    found = collect(finished)
    log.info("compare: statistics done, drawing")
    figures = write_figures(found, folder / "figures")
    write_tables(found, folder / "tables")
    write_report(found, figures, folder)
    best = found.scores[found.scores["label_budget"] == found.design["label_budgets"][-1]]
    write_json(
        folder / "study.json",
        {
            "title": found.title,
            "tags": {
                "data": found.data["name"],
                "generated": str(found.generated).lower(),
                "warnings": " ".join(warning.code for warning in found.warnings) or "none",
                "runs": str(len(found.runs)),
            },
            "params": {"study": study_design(finished.config.study), "data": found.data["name"]},
            "metrics": {f"score/{row.variant}": float(row.mean) for row in best.itertuples()},
            "verdicts": [dataclasses.asdict(verdict) for verdict in found.verdicts],
            "warnings": [dataclasses.asdict(warning) for warning in found.warnings],
            "failures": finished.failures,
        },
    )
    answers = [f"{verdict.question} {verdict.answer}" for verdict in found.verdicts]
    return {"answers": [*(f"warning: {warning.text}" for warning in found.warnings), *answers]}


def collect(finished: StudyRuns) -> StudyResults:
    """Read the records of a study and compare them."""
    study = finished.config.study
    place = {variant: number for number, variant in enumerate(finished.variants)}
    folders = sorted(finished.folders.items(), key=lambda item: (place[item[0][0]], *item[0]))
    records = {key: read_record(folder) for key, folder in folders}
    prepared = next(iter(finished.prepared.values()))
    facts = prepared.outcome
    facts = facts | {"rows": {split: facts["rows"][split] for split in SPLITS if split in facts["rows"]}}
    budgets = sorted({budget for _, budget, _ in records})
    largest = budgets[-1]
    outcomes = Outcomes(
        *predictions(finished), frozenset(name for name, _, _ in finished.baselines), study.metric, study.resamples
    )
    runs = run_frame(finished, records)
    metric_name = METRIC_NAMES[study.metric]
    planned = [(first, second) for first, second in study.pairs if {first, second} <= set(finished.variants)]
    design: dict[str, Any] = {
        "variants": list(finished.variants),
        "label_budgets": budgets,
        "budget_names": [f"{n:,}" if n < facts["rows"]["train"] else f"all ({n:,})" for n in budgets],
        "seeds": study.seeds,
        "metric": study.metric,
        "metric_name": metric_name,
        "smallest_effect": study.smallest_effect,
        "pairs": [list(pair) for pair in planned],
        "encoder": finished.config.model.encoder,
        "dim": finished.config.embedding.dim,
        "resamples": study.resamples,
        "lr_factors": list(study.lr_factors),
        "trial_seeds": study.trial_seeds,
        "transfer": list(finished.config.probe.transfer),
        "baselines": sorted(outcomes.baselines),
    }
    scores = score_frame(outcomes, parameters(runs)).sort_values(
        ["kind", "variant", "label_budget"], ascending=[False, True, True]
    )
    others = [pair for pair in combinations(finished.variants, 2) if pair not in planned and pair[::-1] not in planned]
    differences = difference_frame(outcomes, planned, others, study.smallest_effect)
    differences = with_difference_sentences(differences, study.smallest_effect)
    crossover = crossover_frame(outcomes, [name for name in finished.variants if name.partition("_")[0] != "random"])
    crossover = with_crossover_sentences(crossover, scores)
    audits = {mode: stage.outcome for mode, stage in finished.audits.items()}
    audit = next(iter(audits.values()))
    leak = next((f["text"] for f in audit["findings"] if f["code"] == "label_leak"), None)
    trials = trial_frame(finished)
    # A study of one variant with and without its emoticons varies them on purpose.
    of_emoticons = all(first.partition("@")[0] == second.partition("@")[0] for first, second in planned)
    first = next(iter(records.values()))
    title = f"{data_name(finished.config.data)}: {metric_name} of {len(finished.variants)} variants"
    modes = {mode for _, mode in finished.variants.values()}
    if len(modes) == 1 and modes != {"keep"}:
        title += f" · text.emoticons={modes.pop()}"
    return StudyResults(
        title=title + (" · generated tweets" if facts["generated"] else ""),
        generated=bool(facts["generated"]),
        data={
            "name": data_name(finished.config.data),
            "source": finished.config.data.source,
            "fingerprint": facts["fingerprint"],
            "label_names": facts["label_names"],
            "rows": facts["rows"],
            "unlabelled": sum(n for name, n in facts["corpus"]["texts"].items() if name != "train"),
            "tokens": facts["corpus"]["tokens"],
        },
        design=design,
        verdicts=verdicts(
            scores,
            differences,
            crossover,
            runs,
            leak,
            design,
            {task: stage.outcome for task, stage in finished.transfers.items()},
        ),
        warnings=study_warnings(
            WarningInputs(
                generated=bool(facts["generated"]),
                not_comparable=[key for key in different_keys(records) if key != "text.emoticons" or not of_emoticons],
                scores=scores,
                differences=differences,
                trials=trials,
                audits=audits,
                failures=finished.failures,
                notes=finished.notes,
                missing=[note for note in facts["notes"] if "no row has the label" in note],
            )
        ),
        runs=runs,
        failures=pd.DataFrame(
            # Text, as a frame would write a whole number beside a missing one as 0.0.
            [row | {"seed": "all" if row["seed"] is None else f"{row['seed']}"} for row in finished.failures],
            columns=["variant", "label_budget", "seed", "reason"],
        ),
        trials=trials,
        scores=scores,
        differences=differences,
        factorial=factorial_frame(outcomes),
        crossover=crossover,
        mcnemar=mcnemar_frame(outcomes, planned[0]) if planned else pd.DataFrame(),
        probes=probe_frame(runs, largest),
        transfer=transfer_frame(runs, largest, _references(finished)),
        bands=drift_by_count_frame(probe_tables(finished, "drift_by_count", largest)),
        unknown=score_by_unseen_frame(probe_tables(finished, "score_by_unseen", largest)),
        changed=changed_words(finished, largest),
        words_map=map_of_words(finished, largest),
        examples=example_tweets(finished, outcomes, planned, facts["label_names"]),
        confusion=_confusion(outcomes, largest, len(facts["label_names"]), list(finished.variants)),
        audit=audit if len(audits) == 1 else audit | {"conditions": audits},
        methods=methods(design, facts, finished.config),
        commands=_commands(finished),
        environment={
            key: first.header["environment"].get(key)
            for key in ("python", "platform", "cpu", "cores", "device", "libraries", "git_sha", "git_dirty")
        },
    )


def _references(finished: StudyRuns) -> dict[str, dict[str, dict[str, float]]]:
    """What transfer tasks give without any embedding, by task."""
    return {task: stage.outcome["references"] for task, stage in finished.transfers.items()}


def _confusion(outcomes: Outcomes, budget: int, classes: int, variants: Sequence[str]) -> dict[str, list[list[float]]]:
    found = {}
    for variant in variants:
        seeds = outcomes.predictions.get((variant, budget), {})
        if seeds:
            counts = [confusion_matrix(outcomes.labels, predicted, classes) for predicted in seeds.values()]
            found[variant] = np.mean(counts, axis=0).tolist()
    return found


def _commands(finished: StudyRuns) -> list[str]:
    """The commands of the study and of one of its runs, without what only says where results go."""
    told = [overrides for overrides in (repeatable(finished.overrides), finished.example) if overrides]
    return [" ".join(["python -m pipeline", *map(shlex.quote, overrides)]) for overrides in told]
