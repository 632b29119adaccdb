"""The study (`stage=compare`) from top to bottom: design, vectors, learning rates, runs, statistics, report.

Every outcome (vectors, trials, runs, baselines, audit) is stored as soon as it is complete. A study that was
interrupted resumes where it stopped, and one that is complete is only read. A run that fails is reported and stops no
other.
"""

from collections.abc import Sequence
from pathlib import Path

from pipeline.config.schema import Config
from pipeline.config.variants import Variants
from pipeline.runtime.log import log
from pipeline.study import design
from pipeline.study.choices import choose_settings, with_chosen_settings
from pipeline.study.design import Study
from pipeline.study.jobs import train_cells, worker_pool
from pipeline.study.prerequisites import encode_tweets, run_prerequisites
from pipeline.study.publish import publish_study
from pipeline.study.resplits import run_resplits
from pipeline.study.study_runs import StudyRuns


def run(config: Config, variants: Variants, overrides: Sequence[str] = ()) -> Path:
    """Run a study: train all its runs, compare them, and write the report below results/studies/.

    variants : the embedding section and `text.emoticons` of each, from `config.compose.variants`.
    overrides : of the command line.
    Returns the folder of the report. Raises UserError where the study cannot be run, and RunError, after the report is
    written, where some of its runs failed.
    """
    # Design: every variant at every label budget with every seed.
    study = Study(config, variants, overrides, encode_tweets(config, variants))
    budgets, notes = design.label_budgets(config, study.facts["rows"]["train"])
    cells = design.study_cells(study, budgets)
    log_design(study, len(budgets), len(cells))

    with worker_pool(config) as workers:
        # Word vectors, data audit, transfer tasks and baselines.
        shared = run_prerequisites(workers, study, cells, budgets)

        # Settings: the same trials for every variant and label budget, scored on validation; each seed chooses.
        choices, without_setting = choose_settings(workers, study, cells, shared.vectors)
        chosen = with_chosen_settings(study, cells, choices)

        # Runs: each trained with the chosen settings, then read on the test split once. The longest come first.
        longest_first = sorted(chosen, key=lambda cell: (-cell.label_budget, cell.seed))
        folders, failed_runs = train_cells(workers, study, longest_first, shared.vectors, "compare: runs")

        # In distribution: the same on random resplits of the data set.
        resplits = run_resplits(workers, study, budgets)

    # Statistics and report.
    planned = design.planned_pairs(study)
    return publish_study(
        StudyRuns(
            study=study,
            folders=folders,
            planned=planned,
            others=design.other_pairs(study, planned),
            varied=design.varied_keys(study, planned),
            choices=choices,
            baselines=shared.baselines,
            audits=shared.audits,
            transfers=shared.transfers,
            failures=[*shared.failures, *without_setting, *failed_runs, *(resplits.failures if resplits else ())],
            resplits=resplits,
            notes=notes,
            example=study.example(chosen),
        )
    )


def log_design(study: Study, budgets: int, runs: int) -> None:
    """Log how many runs the study has, and where they are trained."""
    config = study.config
    where = f"up to {config.workers} at a time" if config.study.launcher == "local" else "on Ray"
    log.info(
        "compare: %d variants × %d label budgets × %d seeds = %d runs, %s",
        *(len(study.variants), budgets, config.study.seeds, runs, where),
    )
