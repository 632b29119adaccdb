"""The search (`stage=search`): a study whose settings were chosen by more trials, next to the default settings."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pipeline.config.schema import Config
from pipeline.config.variants import Variants
from pipeline.runtime.errors import UserError
from pipeline.runtime.log import log
from pipeline.study import design
from pipeline.study.choices import choose_by_seed
from pipeline.study.design import Cell, LabelBudget, RunKey, Study
from pipeline.study.jobs import train_cells, worker_pool
from pipeline.study.prerequisites import encode_tweets
from pipeline.study.publish import publish, report_key, report_name
from pipeline.study.search.search_results import DEFAULT, SearchResults
from pipeline.study.search.space import search_space
from pipeline.study.search.trials import Trial, require_optuna, run_trials, setting_cell, with_vectors
from pipeline.study.study_runs import StudyRuns


def run(config: Config, variants: Variants, overrides: Sequence[str] = ()) -> Path:
    """Search settings for every variant, train the best and the default ones, and report below results/searches/.

    variants : the embedding section and `text.emoticons` of each, from `config.compose.variants`.
    overrides : of the command line.
    Returns the folder of the report. Raises UserError where the search cannot be run, and RunError, after the report is
    written, where some of its runs failed.
    """
    require_optuna()
    # Design: the same number of settings for every variant, at one label budget.
    ranges = search_space(config)
    searched = Study(config, variants, overrides, encode_tweets(config, variants))
    budget = search_budget(searched)
    trials, seeds = config.search.trials, config.study.trial_seeds
    log.info(
        "search: %d variants × %d settings × %d seeds = %d trials on validation, then %d runs",
        *(len(variants), trials, seeds, len(variants) * trials * seeds, 2 * len(variants) * config.study.seeds),
    )

    with worker_pool(config) as workers:
        # Trials: every setting scored on validation.
        search = SearchResults(config, ranges, run_trials(workers, searched, ranges, budget))

        # Settings: each seed chooses among the best ones of its variant.
        study = best_and_default(searched, search.best)
        candidates = run_candidates(study, search, budget)
        of_all = [cell for cells in candidates.values() for cell in cells.values()]
        vectors = with_vectors(workers, of_all, {})
        search.chosen, without_setting = choose_by_seed(workers, candidates, vectors, "search: trials of every seed")

        # Runs: the chosen and the default setting of every variant, each read on the test split once.
        cells = [candidates[key][number] for key, number in search.chosen.items()]
        folders, failed_runs = train_cells(workers, study, cells, vectors, "search: runs")

    # Statistics and report, as in a study.
    between_variants = design.planned_pairs(study)
    failed_variants = [
        design.failure(name, budget.tweets, None, f"no trial worked: {reason}")
        for name, reason in search.failed.items()
    ]
    runs = StudyRuns(
        study=study,
        folders=folders,
        planned=[*((name, f"{name}{DEFAULT}") for name in search.best), *between_variants],
        varied=design.varied_keys(searched, between_variants) | {range_.key for range_ in ranges},
        failures=[*failed_runs, *without_setting, *failed_variants],
        example=study.example([cell for cell in cells if cell.key in folders]),
    )
    return publish_search(runs, search)


def search_budget(study: Study) -> LabelBudget:
    """The label budget of all trials and runs; UserError where there are not so many training tweets."""
    tweets, labels = int(study.facts["rows"]["train"]), study.config.data.label_budget
    if (labels or 1) > tweets:
        raise UserError(f"data.label_budget={labels}: there are {tweets:,} training tweets")
    return LabelBudget(None if labels == tweets else labels, labels or tweets)


def best_and_default(searched: Study, best: Mapping[str, Trial]) -> Study:
    """The study of each searched variant, and of its default setting under NAME@default."""
    names = [name for variant in best for name in (variant, f"{variant}{DEFAULT}")]
    return replace(
        searched,
        variants={name: searched.variants[name.removesuffix(DEFAULT)] for name in names},
        prepared={name: searched.prepared[name.removesuffix(DEFAULT)] for name in names},
    )


def run_candidates(study: Study, search: SearchResults, budget: LabelBudget) -> dict[RunKey, dict[int, Cell]]:
    """For every run its candidate settings by the number of their trial; the default setting has the number 0."""
    candidates = {}
    for name, seed in itertools.product(study.variants, range(study.config.study.seeds)):
        settings = {0: {}} if name.endswith(DEFAULT) else search.finalists(name)
        key = (name, budget.tweets, seed)
        candidates[key] = {n: setting_cell(study, name, budget, seed, setting) for n, setting in settings.items()}
    return candidates


def publish_search(runs: StudyRuns, search: SearchResults) -> Path:
    """Write the report of a search below results/searches/ and log it; RunError, after that, where runs failed."""
    config = runs.study.config
    labels = [f"n{config.data.label_budget or 'all'}", config.search.sampler]
    name = report_name(runs, labels, [asdict(config.search), config.data.label_budget])
    key = report_key(runs) | {"search": asdict(config.search), "trials": [asdict(trial) for trial in search.trials]}
    key |= {"chosen": sorted(search.chosen.items())}

    def write(folder: Path) -> dict[str, Any]:
        from pipeline.study.search.report import write_search

        return write_search(runs, search, folder)

    return publish(runs, "search", name, key, write)
