"""The search (`stage=search`): a study whose settings were chosen by more trials, next to the default settings."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pipeline.config.schema import Config, data_name
from pipeline.runtime.errors import UserError
from pipeline.runtime.log import log
from pipeline.study.design import (
    Cell,
    LabelBudget,
    Study,
    StudyRuns,
    Variants,
    failure,
    planned_pairs,
    value_of,
    varied_keys,
    without_places,
)
from pipeline.study.foundations import encode_tweets
from pipeline.study.jobs import train_cells, worker_pool
from pipeline.study.publish import publish, report_key, report_name
from pipeline.study.search.sampler import require_optuna
from pipeline.study.search.search_results import DEFAULT, SearchResults
from pipeline.study.search.space import Range, search_space
from pipeline.study.search.trials import Trial, best_trials, failed_variants, run_trials, setting_cell, with_vectors


def run(config: Config, variants: Variants, overrides: Sequence[str] = ()) -> Path:
    """Search settings for every variant, train the best and the default ones, and report below results/searches/.

    Parameters
    ----------
    variants : the embedding section and `text.emoticons` of each, from `config.compose.variants`.
    overrides : of the command line.

    Returns
    -------
    The folder of the report. Raises UserError where the search cannot be run, and RunError, after the report is
    written, where some of its runs failed.
    """
    require_optuna()
    # Design: the same number of settings for every variant, at one label budget.
    ranges = search_space(config)
    searched = Study(config, variants, overrides, encode_tweets(config, variants))
    budget = search_budget(searched)
    log_design(searched)

    with worker_pool(config) as workers:
        # Trials: every setting scored on validation.
        trials = run_trials(workers, searched, ranges, budget)
        best = best_trials(trials, config.train.monitor)

        # Runs: the best and the default setting of every variant, each read on the test split once.
        study, cells = best_and_default(searched, best, budget)
        vectors = with_vectors(workers, cells, {})
        results = train_cells(workers, study, cells, vectors, "search: runs")

    # Statistics and report, as in a study.
    own_pairs = planned_pairs(study)
    finished = [cell for cell in cells if results[cell.key].reason is None]
    runs = StudyRuns(
        study=study,
        folders={cell.key: results[cell.key].get() for cell in finished},
        planned=[*((name, f"{name}{DEFAULT}") for name in best), *own_pairs],
        varied=varied_keys(own_pairs) | {range_.key for range_ in ranges},
        failures=[
            *(failure(*key, result.reason) for key, result in results.items() if result.reason is not None),
            *(
                failure(name, budget.tweets, None, f"no trial worked: {reason}")
                for name, reason in failed_variants(trials).items()
            ),
        ],
        example=without_places(study.command(finished[0])) if finished else [],
    )
    return publish_search(runs, trials, ranges)


def search_budget(study: Study) -> LabelBudget:
    """The label budget of all trials and runs; UserError where there are not so many training tweets."""
    tweets, labels = int(study.facts["rows"]["train"]), study.config.data.label_budget
    if (labels or 1) > tweets:
        raise UserError(f"data.label_budget={labels}: there are {tweets:,} training tweets")
    return LabelBudget(None if labels == tweets else labels, labels or tweets)


def log_design(study: Study) -> None:
    """Log how many trials and runs the search has."""
    config = study.config
    variants, trials, seeds = len(study.variants), config.search.trials, config.study.trial_seeds
    log.info(
        "search: %d variants × %d settings × %d seeds = %d trials on validation, then %d runs",
        *(variants, trials, seeds, variants * trials * seeds, 2 * variants * config.study.seeds),
    )


def best_and_default(searched: Study, best: Mapping[str, Trial], budget: LabelBudget) -> tuple[Study, list[Cell]]:
    """The study of the best setting of each variant under its name, and of the default one under NAME@default."""
    settings: dict[str, dict[str, Any]] = {}
    for name, trial in best.items():
        settings |= {name: trial.setting, f"{name}{DEFAULT}": {}}
    variants = {name: searched.variants[name.removesuffix(DEFAULT)] for name in settings}
    study = replace(searched, variants=variants)
    cells = [
        setting_cell(study, name, budget, seed, setting)
        for name, setting in settings.items()
        for seed in range(study.config.study.seeds)
    ]
    return study, cells


def publish_search(runs: StudyRuns, trials: Sequence[Trial], ranges: Sequence[Range]) -> Path:
    """Write the report of a search below results/searches/ and log it; RunError, after that, where runs failed."""
    config = runs.study.config
    labels = [f"n{config.data.label_budget or 'all'}", config.search.sampler]
    name = report_name(runs, labels, [asdict(config.search), config.data.label_budget])
    key = report_key(runs) | {"search": asdict(config.search), "trials": [asdict(trial) for trial in trials]}

    def write(folder: Path) -> dict[str, Any]:
        return write_search(runs, trials, ranges, folder)

    return publish(runs, "search", name, key, write)


def write_search(runs: StudyRuns, trials: Sequence[Trial], ranges: Sequence[Range], folder: Path) -> dict[str, Any]:
    """Compare what was tried and trained, and write the report into `folder`; returns the answers to log."""
    from pipeline.study.results import compare_runs, write_results
    from pipeline.study.search.answers import lead_sentences, search_answers, search_warnings
    from pipeline.study.search.report import search_extension, search_methods

    config, study = runs.study.config, runs.study.config.study
    search = SearchResults(
        trials=trials,
        ranges=ranges,
        defaults={range_.key: value_of(config, range_.key) for range_ in ranges},
        monitor=config.train.monitor,
        sampler=config.search.sampler,
        pairs=[(first, second) for first, second in study.pairs],
        resamples=study.resamples,
    )
    results = compare_runs(runs, search_methods(config, ranges))
    generated = " · generated tweets" if results.generated else ""
    results = replace(
        results,
        title=f"{data_name(config.data)}: settings searched for {len(search.best)} variants{generated}",
        warnings=[*results.warnings, *search_warnings(search)],
        verdicts=search_answers(search, results),
    )
    outcome = write_results(results, runs, folder, search_extension(search, config))
    return {"answers": [*outcome["answers"], *lead_sentences(search)]}
