"""Records of a study -> `StudyResults` (frames, statistics, answers, warnings) -> the files of its report."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.config.schema import data_name
from pipeline.config.study_schema import study_design
from pipeline.config.variants import repetitions
from pipeline.runtime.files import write_json
from pipeline.runtime.log import log
from pipeline.study import load_runs
from pipeline.study.design import without_places
from pipeline.study.load_runs import Records
from pipeline.study.report.answers.all import verdicts
from pipeline.study.report.formatting import TEXTS
from pipeline.study.report.methods import methods
from pipeline.study.report.phrases import with_crossover_sentences, with_difference_sentences
from pipeline.study.report.study_results import StudyResults
from pipeline.study.report.warnings import WarningInputs, study_warnings
from pipeline.study.resplits import resplit_frame
from pipeline.study.statistics import frames, probe_frames
from pipeline.study.statistics.frames import Outcomes
from pipeline.study.statistics.unseen_tokens import unseen_accuracy_frame, unseen_lead_frame
from pipeline.study.study_runs import StudyRuns

METRIC_NAMES = {"accuracy": "accuracy", "macro_recall": "macro recall", "macro_f1": "macro F1", "nll": "NLL"}
SPLITS = ("train", "validation", "test")
ENVIRONMENT = ("python", "platform", "cpu", "cores", "device", "libraries", "git_sha", "git_dirty")


def write_study(runs: StudyRuns, folder: Path) -> dict[str, Any]:
    """Compare the runs of a study and write its report into `folder`; returns the answers to log."""
    results = compare_runs(runs)
    leak = next((f["text"] for f in results.audit.get("findings", []) if f["code"] == "label_leak"), None)
    tasks = {task: load_runs.outcome_read(runs.study, stage.outcome) for task, stage in runs.transfers.items()}
    answers = verdicts(results, leak, tasks)
    params = {"study": study_design(runs.study.config.study)}
    return write_results(replace(results, verdicts=answers), runs, folder, {"params": params})


def write_results(
    results: StudyResults,
    runs: StudyRuns,
    folder: Path,
    facts: Mapping[str, Mapping[str, Any]],
    sections: Sequence[Any] = (),
    figures: Mapping[str, Any] | None = None,
    tables: Mapping[str, pd.DataFrame] | None = None,
) -> dict[str, Any]:
    """Write report, figures, tables and `study.json` into `folder`; returns the answers to log.

    facts : further tags, params and metrics of `study.json`, from which MLflow's run of the study is made.
    sections, figures, tables : besides those of every study, as `write_report`, `write_figures` and `write_tables`
    take them.
    """
    from pipeline.study.report.export import write_tables
    from pipeline.study.report.figures.all import write_figures
    from pipeline.study.report.html import write_report

    log.info("%s: statistics done, drawing", runs.study.config.stage)
    written = write_figures(results, folder / "figures", figures)
    write_tables(results, folder / "tables", tables or {})
    write_report(results, written, folder, sections)
    most_labels = results.scores[results.scores["label_budget"] == results.design["label_budgets"][-1]]
    tags = {
        "data": results.data["name"],
        "generated": str(results.generated).lower(),
        "warnings": " ".join(warning.code for warning in results.warnings) or "none",
        "runs": str(len(results.runs)),
    }
    scores = {f"score/{row.variant}": float(row.mean) for row in most_labels.itertuples()}
    summary = {
        "title": results.title,
        "tags": {**tags, **facts.get("tags", {})},
        "params": {"data": results.data["name"], **facts["params"]},
        "metrics": {**scores, **facts.get("metrics", {})},
        "verdicts": [asdict(verdict) for verdict in results.verdicts],
        "warnings": [asdict(warning) for warning in results.warnings],
        "failures": runs.failures,
    }
    write_json(folder / "study.json", summary)
    warnings = [f"warning: {warning.text}" for warning in results.warnings]
    return {"answers": [*warnings, *(f"{verdict.question} {verdict.answer}" for verdict in results.verdicts)]}


def compare_runs(runs: StudyRuns, choices: Sequence[str] | None = None) -> StudyResults:
    """Read the records of a study or a search and compare them: everything but the answers to its questions.

    choices : the paragraphs on how settings were chosen, in place of those on learning rates.
    """
    config, facts = runs.study.config, runs.study.facts
    records, outcomes = load_runs.read_records(runs), load_runs.load_outcomes(runs)
    design = report_design(runs, outcomes)
    most_labels = design["label_budgets"][-1]
    rows = {split: facts["rows"][split] for split in SPLITS if split in facts["rows"]}
    # Of the study and of one of its runs, without what only says where results go.
    commands = (without_places(runs.study.overrides), runs.example)
    audits = {mode: stage.outcome for mode, stage in runs.audits.items()}
    audit = next(iter(audits.values()), {})
    results = StudyResults(
        title=report_title(runs),
        generated=bool(facts["generated"]),
        data={
            "name": data_name(config.data),
            "source": config.data.source,
            "fingerprint": facts["fingerprint"],
            "label_names": facts["label_names"],
            "rows": rows,
            "unlabelled": sum(count for source, count in facts["corpus"]["texts"].items() if source != "train"),
            "tokens": facts["corpus"]["tokens"],
        },
        design=design,
        verdicts=[],
        warnings=[],
        failures=load_runs.failure_frame(runs),
        trials=load_runs.trial_frame(runs),
        **statistics_frames(runs, records, outcomes, most_labels),
        words_map=load_runs.map_of_words(runs, most_labels),
        examples=load_runs.example_tweets(runs, outcomes, most_labels),
        confusion=load_runs.mean_confusion(runs, outcomes, most_labels),
        audit=audit | {"conditions": audits} if len(audits) > 1 else audit,
        methods=methods(design, {**facts, "rows": rows}, config, choices),
        commands=[shlex.join(["./scripts/run", *words]) for words in commands if words],
        environment={key: next(iter(records.values())).header["environment"].get(key) for key in ENVIRONMENT},
    )
    inputs = WarningInputs(
        generated=results.generated,
        not_comparable=load_runs.different_keys(records, sorted(runs.varied)),
        scores=results.scores,
        differences=results.differences,
        trials=results.trials,
        audits=audits,
        failures=runs.failures,
        notes=runs.notes,
        config=config,
        missing=[note for note in facts["notes"] if "no row has the label" in note],
    )
    return replace(results, warnings=study_warnings(inputs))


def statistics_frames(runs: StudyRuns, records: Records, outcomes: Outcomes, budget: int) -> dict[str, pd.DataFrame]:
    """Scores, differences, factorial effects, crossovers, McNemar's test; and what the probes measured at `budget`."""
    frame = load_runs.run_frame(runs, records)
    smallest_effect = runs.study.config.study.smallest_effect
    repeated = repetitions(runs.study.variants)
    own = [name for name in runs.study.variants if name not in repeated]
    started_from_vectors = [name for name in own if name.partition("_")[0] != "random"]
    scores = frames.score_frame(outcomes, load_runs.parameters(frame)).sort_values(
        ["kind", "variant", "label_budget"], ascending=[False, True, True]
    )
    differences = frames.difference_frame(outcomes, runs.planned, runs.others, smallest_effect)
    crossover = frames.crossover_frame(outcomes, started_from_vectors)
    bins = load_runs.tweets_by_unseen(runs)
    # The scores on transfer tasks without any embedding.
    references = {task: stage.outcome["references"] for task, stage in runs.transfers.items()}
    return {
        "runs": frame,
        "scores": scores,
        "ensembles": frames.ensemble_frame(outcomes),
        "differences": with_difference_sentences(differences, smallest_effect),
        "amounts": load_runs.amount_frame(runs.study, differences),
        "factorial": frames.factorial_frame(outcomes),
        "resplits": resplit_frame(runs.resplits, runs.planned, runs.study.config.study.metric),
        "crossover": with_crossover_sentences(crossover, scores),
        "mcnemar": frames.mcnemar_frame(outcomes, runs.planned[0]) if runs.planned else pd.DataFrame(),
        "probes": probe_frames.probe_frame(frame, budget),
        "transfer": probe_frames.transfer_frame(load_runs.transfer_hits(runs, budget), references, outcomes.resamples),
        "bands": probe_frames.drift_by_count_frame(load_runs.probe_tables(runs, "drift_by_count", budget)),
        "unknown": unseen_accuracy_frame(outcomes, list(runs.study.variants), budget, bins),
        "unseen_leads": unseen_lead_frame(outcomes, runs.planned, bins),
        "changed": load_runs.changed_words(runs, budget),
    }


def report_design(runs: StudyRuns, outcomes: Outcomes) -> dict[str, Any]:
    """`StudyResults.design`."""
    config, study = runs.study.config, runs.study.config.study
    budgets = sorted({budget for _, budget, _ in runs.folders})
    tweets = runs.study.facts["rows"]["train"]
    return {
        "variants": list(runs.study.variants),
        "repetitions": list(repetitions(runs.study.variants)),
        "label_budgets": budgets,
        "budget_names": [f"{budget:,}" if budget < tweets else f"all ({budget:,})" for budget in budgets],
        "seeds": study.seeds,
        "metric": study.metric,
        "metric_name": METRIC_NAMES[study.metric],
        "smallest_effect": study.smallest_effect,
        "pairs": [list(pair) for pair in runs.planned],
        "encoder": config.model.encoder,
        "dim": config.embedding.dim,
        "resamples": study.resamples,
        "lr_factors": list(study.lr_factors),
        "trial_seeds": study.trial_seeds,
        "monitor": config.train.monitor,
        "monitor_name": METRIC_NAMES[config.train.monitor],
        "transfer": list(config.probe.tasks),
        "baselines": sorted(outcomes.baselines),
        "resplits": study.resplits,
        "own_test": TEXTS["own_tests"].get(data_name(config.data), TEXTS["own_tests"]["others"]),
        "later_test": data_name(config.data) in TEXTS["own_tests"],
        "resplit_rows": runs.resplits.rows if runs.resplits else {},
    }


def report_title(runs: StudyRuns) -> str:
    """Data, score and number of variants; and whether emoticons were changed or the tweets are generated."""
    study = runs.study
    metric = METRIC_NAMES[study.config.study.metric]
    title = f"{data_name(study.config.data)}: {metric} of {len(study.variants)} variants"
    modes = {variant.config.text.emoticons for variant in study.variants.values()}
    if len(modes) == 1 and modes != {"keep"}:
        title += f" · text.emoticons={modes.pop()}"
    return title + (" · generated tweets" if study.facts["generated"] else "")
