"""Records of a study -> `StudyResults` (frames, statistics, answers, warnings) -> the files of its report."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.config.schema import data_name, study_design
from pipeline.runtime.files import write_json
from pipeline.runtime.log import log
from pipeline.study.design import StudyRuns, without_places
from pipeline.study.load_runs import (
    Records,
    changed_words,
    different_keys,
    example_tweets,
    failure_frame,
    load_outcomes,
    map_of_words,
    mean_confusion,
    parameters,
    probe_tables,
    read_records,
    run_frame,
    trial_frame,
)
from pipeline.study.report.answers.all import verdicts
from pipeline.study.report.methods import methods
from pipeline.study.report.phrases import with_crossover_sentences, with_difference_sentences
from pipeline.study.report.study_results import StudyResults, Verdict
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

METRIC_NAMES = {"accuracy": "accuracy", "macro_recall": "macro recall", "macro_f1": "macro F1", "nll": "nll"}
SPLITS = ("train", "validation", "test")
ENVIRONMENT = ("python", "platform", "cpu", "cores", "device", "libraries", "git_sha", "git_dirty")


@dataclass(frozen=True)
class Extension:
    """What a search adds to the report and the summary of a study.

    sections, figures, frames : as `write_report`, `write_figures` and `write_tables` take them.
    tags, params, metrics : of `study.json`; `params` in place of the study's design.
    """

    sections: Sequence[Any] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    frames: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)


def write_study(runs: StudyRuns, folder: Path) -> dict[str, Any]:
    """Compare the runs of a study and write its report into `folder`; returns the answers to log."""
    results = compare_runs(runs)
    results = replace(results, verdicts=study_answers(runs, results))
    return write_results(results, runs, folder)


def write_results(
    results: StudyResults, runs: StudyRuns, folder: Path, extension: Extension | None = None
) -> dict[str, Any]:
    """Write report, figures, tables and `study.json` into `folder`; returns the answers to log."""
    from pipeline.study.report.export import write_tables
    from pipeline.study.report.figures.all import write_figures
    from pipeline.study.report.html import write_report

    log.info("%s: statistics done, drawing", runs.study.config.stage)
    extension = extension or Extension(params={"study": study_design(runs.study.config.study)})
    figures = write_figures(results, folder / "figures", extension.figures)
    write_tables(results, folder / "tables", extension.frames)
    write_report(results, figures, folder, extension.sections)
    write_json(folder / "study.json", summary(results, runs, extension))
    warnings = [f"warning: {warning.text}" for warning in results.warnings]
    return {"answers": [*warnings, *(f"{verdict.question} {verdict.answer}" for verdict in results.verdicts)]}


def summary(results: StudyResults, runs: StudyRuns, extension: Extension) -> dict[str, Any]:
    """The content of `study.json`, from which MLflow's run of the study is made."""
    most_labels = results.scores[results.scores["label_budget"] == results.design["label_budgets"][-1]]
    return {
        "title": results.title,
        "tags": {
            "data": results.data["name"],
            "generated": str(results.generated).lower(),
            "warnings": " ".join(warning.code for warning in results.warnings) or "none",
            "runs": str(len(results.runs)),
            **extension.tags,
        },
        "params": {"data": results.data["name"], **extension.params},
        "metrics": {
            **{f"score/{row.variant}": float(row.mean) for row in most_labels.itertuples()},
            **extension.metrics,
        },
        "verdicts": [asdict(verdict) for verdict in results.verdicts],
        "warnings": [asdict(warning) for warning in results.warnings],
        "failures": runs.failures,
    }


def compare_runs(runs: StudyRuns, choices: Sequence[str] | None = None) -> StudyResults:
    """Read the records of a study or a search and compare them: everything but the answers to its questions.

    choices : the paragraphs on how settings were chosen, in place of those on learning rates.
    """
    config, facts = runs.study.config, runs.study.facts
    records = read_records(runs)
    outcomes = load_outcomes(runs)
    design = report_design(runs, outcomes)
    most_labels = design["label_budgets"][-1]
    frames = statistics_frames(runs, records, outcomes)
    results = StudyResults(
        title=report_title(runs),
        generated=bool(facts["generated"]),
        data={
            "name": data_name(config.data),
            "source": config.data.source,
            "fingerprint": facts["fingerprint"],
            "label_names": facts["label_names"],
            "rows": tweets_per_split(facts),
            "unlabelled": sum(count for source, count in facts["corpus"]["texts"].items() if source != "train"),
            "tokens": facts["corpus"]["tokens"],
        },
        design=design,
        verdicts=[],
        warnings=[],
        failures=failure_frame(runs),
        trials=trial_frame(runs),
        **frames,
        **probe_frames(runs, frames["runs"], most_labels),
        words_map=map_of_words(runs, most_labels),
        examples=example_tweets(runs, outcomes, most_labels),
        confusion=mean_confusion(runs, outcomes, most_labels),
        audit=audit_report(runs),
        methods=methods(design, {**facts, "rows": tweets_per_split(facts)}, config, choices),
        commands=report_commands(runs),
        environment={key: next(iter(records.values())).header["environment"].get(key) for key in ENVIRONMENT},
    )
    return replace(results, warnings=study_warnings(warning_inputs(runs, records, results)))


def statistics_frames(runs: StudyRuns, records: Records, outcomes: Outcomes) -> dict[str, pd.DataFrame]:
    """Scores, paired differences, factorial effects, crossovers and McNemar's test."""
    frame = run_frame(runs, records)
    smallest_effect = runs.study.config.study.smallest_effect
    started_from_vectors = [name for name in runs.study.variants if name.partition("_")[0] != "random"]
    scores = score_frame(outcomes, parameters(frame)).sort_values(
        ["kind", "variant", "label_budget"], ascending=[False, True, True]
    )
    differences = difference_frame(outcomes, runs.planned, runs.others, smallest_effect)
    crossover = crossover_frame(outcomes, started_from_vectors)
    return {
        "runs": frame,
        "scores": scores,
        "differences": with_difference_sentences(differences, smallest_effect),
        "factorial": factorial_frame(outcomes),
        "crossover": with_crossover_sentences(crossover, scores),
        "mcnemar": mcnemar_frame(outcomes, runs.planned[0]) if runs.planned else pd.DataFrame(),
    }


def probe_frames(runs: StudyRuns, frame: pd.DataFrame, budget: int) -> dict[str, pd.DataFrame]:
    """What the probes measured with the most labels; `frame` is `StudyResults.runs`."""
    # The scores on transfer tasks without any embedding.
    references = {task: stage.outcome["references"] for task, stage in runs.transfers.items()}
    return {
        "probes": probe_frame(frame, budget),
        "transfer": transfer_frame(frame, budget, references),
        "bands": drift_by_count_frame(probe_tables(runs, "drift_by_count", budget)),
        "unknown": score_by_unseen_frame(probe_tables(runs, "score_by_unseen", budget)),
        "changed": changed_words(runs, budget),
    }


def report_design(runs: StudyRuns, outcomes: Outcomes) -> dict[str, Any]:
    """`StudyResults.design`."""
    config, study = runs.study.config, runs.study.config.study
    budgets = sorted({budget for _, budget, _ in runs.folders})
    tweets = runs.study.facts["rows"]["train"]
    return {
        "variants": list(runs.study.variants),
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
        "transfer": list(config.probe.transfer),
        "baselines": sorted(outcomes.baselines),
    }


def report_title(runs: StudyRuns) -> str:
    """Data, score and number of variants; and whether emoticons were changed or the tweets are generated."""
    study = runs.study
    title = (
        f"{data_name(study.config.data)}: {METRIC_NAMES[study.config.study.metric]} of {len(study.variants)} variants"
    )
    modes = {mode for _, mode in study.variants.values()}
    if len(modes) == 1 and modes != {"keep"}:
        title += f" · text.emoticons={modes.pop()}"
    return title + (" · generated tweets" if study.facts["generated"] else "")


def tweets_per_split(facts: Mapping[str, Any]) -> dict[str, int]:
    """Tweets of train, validation and test, in this order."""
    return {split: facts["rows"][split] for split in SPLITS if split in facts["rows"]}


def audit_report(runs: StudyRuns) -> dict[str, Any]:
    """The audit of the data; with several values of `text.emoticons`, that of the first and all under `conditions`."""
    reports = {mode: stage.outcome for mode, stage in runs.audits.items()}
    first = next(iter(reports.values()), {})
    return first | {"conditions": reports} if len(reports) > 1 else first


def warning_inputs(runs: StudyRuns, records: Records, results: StudyResults) -> WarningInputs:
    """What the warnings are made from."""
    return WarningInputs(
        generated=results.generated,
        not_comparable=different_keys(records, sorted(runs.varied)),
        scores=results.scores,
        differences=results.differences,
        trials=results.trials,
        audits={mode: stage.outcome for mode, stage in runs.audits.items()},
        failures=runs.failures,
        notes=runs.notes,
        missing=[note for note in runs.study.facts["notes"] if "no row has the label" in note],
    )


def study_answers(runs: StudyRuns, results: StudyResults) -> list[Verdict]:
    """The answers to the questions of a study."""
    leak = next((f["text"] for f in results.audit.get("findings", []) if f["code"] == "label_leak"), None)
    tasks = {task: stage.outcome for task, stage in runs.transfers.items()}
    return verdicts(results.scores, results.differences, results.crossover, results.runs, leak, results.design, tasks)


def report_commands(runs: StudyRuns) -> list[str]:
    """The commands of the study and of one of its runs, without what only says where results go."""
    commands = [overrides for overrides in (without_places(runs.study.overrides), runs.example) if overrides]
    return [" ".join(["python -m pipeline", *map(shlex.quote, overrides)]) for overrides in commands]
