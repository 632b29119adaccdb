"""From a search's trials and records on disk to its findings, and the folder of its report."""

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.schema import Config, data_name
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.files import write_json
from pipeline.study.design import Variants, repeatable
from pipeline.study.load_runs import parameters
from pipeline.study.report.phrases import with_difference_sentences
from pipeline.study.report.study_results import StudyResults
from pipeline.study.report.warnings import WarningInputs, study_warnings
from pipeline.study.search.answers import INDEPENDENT, answers, search_warnings
from pipeline.study.search.search_results import DEFAULT, SearchResults, Space, Trial
from pipeline.study.search.space import Range, value_of
from pipeline.study.statistics.frames import Cell, Outcomes, difference_frame, score_frame
from pipeline.tracking.read_record import load_predicted_labels, read_record
from pipeline.tracking.run_record import StoredRun

METRIC_NAMES = {"accuracy": "accuracy", "macro_recall": "macro recall"}
SPLITS = ("train", "validation", "test")
EMPTY = pd.DataFrame()


@dataclass(frozen=True)
class Ended:
    """What a search left on disk; `folders` of records by variant (or NAME@default), label budget and seed."""

    config: Config
    searched: Sequence[Range]
    variants: Variants
    prepared: Mapping[str, Stage]
    trials: list[Trial]
    chosen: Mapping[str, Trial]
    folders: dict[tuple[str, int, int], Path]
    failures: list[dict[str, Any]]
    overrides: list[str]
    example: list[str]


def write_search(ended: Ended, folder: Path) -> dict[str, Any]:
    """Compare what was tried and trained; write report, plots, tables and `study.json`; returns the answers."""
    from pipeline.study.search.figures import write_search_figures
    from pipeline.study.search.report import write_search_report

    found = collect_search(ended)
    findings = found.findings
    figures = write_search_figures(found, folder / "figures")
    write_search_report(found, figures, folder)
    best = {name: found.best(name) for name in found.variants}
    scores = {f"score/{name}": float(mean) for name, mean in findings.scores.set_index("variant")["mean"].items()}
    write_json(
        folder / "study.json",
        {
            "title": findings.title,
            "tags": {
                "kind": "search",
                "data": findings.data["name"],
                "generated": str(findings.generated).lower(),
                "warnings": " ".join(warning.code for warning in findings.warnings) or "none",
                "runs": str(len(findings.runs)),
            },
            "params": {
                "search": dataclasses.asdict(ended.config.search),
                "best": {name: trial.setting for name, trial in best.items()},
                "data": findings.data["name"],
            },
            "metrics": scores | {f"best_validation/{name}": trial.score for name, trial in best.items()},
            "verdicts": [dataclasses.asdict(verdict) for verdict in findings.verdicts],
            "warnings": [dataclasses.asdict(warning) for warning in findings.warnings],
            "failures": ended.failures,
        },
    )
    told = [f"{verdict.question} {verdict.answer}" for verdict in findings.verdicts]
    leads = findings.verdicts[0].evidence[:-1]
    warnings = [f"warning: {warning.text}" for warning in findings.warnings]
    return {"answers": [*warnings, told[0], *leads, *told[1:]]}


def collect_search(ended: Ended) -> SearchResults:
    """Read the records of a search and compare them."""
    config, study = ended.config, ended.config.study
    records = {key: read_record(folder) for key, folder in ended.folders.items()}
    names = list(dict.fromkeys(name for name, _, _ in records))
    found = SearchResults(
        findings=_on_test(ended, records, names),
        trials=sorted(ended.trials, key=lambda trial: (list(ended.variants).index(trial.variant), trial.number)),
        spaces=[_space(ended, range_) for range_ in ended.searched],
        monitor=config.train.monitor,
        sampler=config.search.sampler,
        pairs=[(first, second) for first, second in study.pairs],
        resamples=study.resamples,
    )
    own = study_warnings(
        WarningInputs(
            generated=found.findings.generated,
            not_comparable=[],
            scores=found.findings.scores,
            differences=found.findings.differences,
            trials=EMPTY,
            audits={},
            failures=ended.failures,
            notes=[],
        )
    )
    findings = dataclasses.replace(found.findings, warnings=[*own, *search_warnings(found)], verdicts=answers(found))
    return dataclasses.replace(found, findings=findings)


def _space(ended: Ended, range_: Range) -> Space:
    best = {name: trial.setting[range_.key] for name, trial in ended.chosen.items()}
    edges = [name for name, value in best.items() if range_.at_edge(value)]
    default = value_of(ended.config, range_.key)
    ends = None if range_.choices else (range_.low, range_.high)
    return Space(range_.key, str(range_), ends, range_.log, list(range_.choices), default, best, edges)


def _on_test(ended: Ended, records: Mapping[tuple[str, int, int], StoredRun], names: Sequence[str]) -> StudyResults:
    """The runs with the best and the default settings, compared as in a study."""
    config, study = ended.config, ended.config.study
    facts = next(iter(ended.prepared.values())).outcome
    predictions: dict[Cell, dict[int, Any]] = {}
    labels = np.empty(0, np.int64)
    for (name, budget, seed), folder in ended.folders.items():
        labels, predicted = load_predicted_labels(folder)
        predictions.setdefault((name, budget), {})[seed] = predicted
    outcomes = Outcomes(labels, predictions, frozenset(), study.metric, study.resamples)
    rows: list[dict[str, Any]] = [
        {"kind": "variant", "variant": name, "label_budget": budget, "seed": seed, "run": record.header["name"]}
        | record.metrics
        for (name, budget, seed), record in records.items()
    ]
    runs = pd.DataFrame(rows)
    planned = [(name, f"{name}{DEFAULT}") for name in names if f"{name}{DEFAULT}" in names]
    planned += [(first, second) for first, second in study.pairs if {first, second} <= set(names)]
    budget = next(budget for _, budget, _ in records)
    metric = METRIC_NAMES[study.metric]
    first = next(iter(records.values()))
    data = data_name(config.data)
    return StudyResults(
        title=f"{data}: settings searched for {len(ended.chosen)} variants"
        + (" · generated tweets" if facts["generated"] else ""),
        generated=bool(facts["generated"]),
        data={
            "name": data,
            "label_names": facts["label_names"],
            "rows": {split: facts["rows"][split] for split in SPLITS if split in facts["rows"]},
        },
        design={
            "variants": list(names),
            "label_budgets": [budget],
            "budget_names": [f"{budget:,}" if budget < facts["rows"]["train"] else f"all ({budget:,})"],
            "seeds": study.seeds,
            "metric": study.metric,
            "metric_name": metric,
            "smallest_effect": study.smallest_effect,
            "encoder": config.model.encoder,
            "dim": config.embedding.dim,
        },
        verdicts=[],
        warnings=[],
        runs=runs,
        failures=pd.DataFrame(
            [row | {"seed": "all" if row["seed"] is None else f"{row['seed']}"} for row in ended.failures],
            columns=["variant", "label_budget", "seed", "reason"],
        ),
        scores=score_frame(outcomes, parameters(runs)),
        differences=with_difference_sentences(
            difference_frame(outcomes, planned, [], study.smallest_effect), study.smallest_effect
        ),
        **dict.fromkeys(UNUSED, EMPTY),
        words_map={},
        confusion={},
        audit={},
        methods=_methods(ended),
        commands=[
            " ".join(["python -m pipeline", *map(shlex.quote, overrides)])
            for overrides in (repeatable(ended.overrides), ended.example)
            if overrides
        ],
        environment={
            key: first.header["environment"].get(key)
            for key in ("python", "platform", "cpu", "cores", "device", "libraries", "git_sha", "git_dirty")
        },
    )


UNUSED = (
    "trials",
    "factorial",
    "crossover",
    "mcnemar",
    "probes",
    "transfer",
    "bands",
    "unknown",
    "changed",
    "examples",
)


def _methods(ended: Ended) -> list[str]:
    """How it was done, in paragraphs."""
    config, search, study = ended.config, ended.config.search, ended.config.study
    how = (
        "drawn at random, the same ones for every variant"
        if search.sampler in INDEPENDENT
        else "chosen by optuna's TPE sampler, the first ten at random, later ones by the scores of the batches before"
    )
    seeds = f"{study.trial_seeds} seed{'s' if study.trial_seeds > 1 else ''}"
    searched = "; ".join(f"{range_.key} ({range_})" for range_ in ended.searched)
    return [
        f"What was tuned where: {searched}. Every variant had {search.trials} settings, {how} (batches of "
        f"{search.batch}, search.seed={search.seed}); trials that diverged or failed count. A trial is the mean "
        f"{config.train.monitor} on validation over {seeds}, at one label budget; no trial reads a test tweet. "
        "Everything else is as configured, and the default settings are those of the configuration.",
        "Expected best: the mean best score of k of a variant's trials over all subsets of k, which has no bias for "
        "independent trials, as random search gives them. The estimator of Dodge et al. (2019, Show Your Work), with "
        "replacement, is too low for k near the number of trials (Tang et al. 2020, Showing Your Work Doesn't Always "
        "Work); it stands in tables/curves.csv as with_replacement. A trial without a score counts with the worst "
        "score of the search. Bands are the estimate ± Student's t times the bootstrap's standard error over trials "
        f"({study.resamples:,} resamples), drawn in pairs for differences. They are "
        "said to be of 95 %; in simulations of 20 trials they held the truth in 81 to 94 % of the cases at half of the "
        "trials and in 75 to 95 % at all of them, depending on how rare good settings are.",
        "A best validation score is too high by having been chosen. So each variant was trained anew, with its best "
        f"and with the default setting, {study.seeds} seeds each, and read on test once. These differences are paired "
        "by seed and tested as in a study: exact sign-flip test over seeds, intervals for other seeds and other test "
        "tweets, Holm's correction over all planned pairs. They hold for the settings found; another search would find "
        "others, which no interval holds.",
    ]
