"""What a search adds to the report of a study: sections, figures, tables and a paragraph on method."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config.validate import value_text
from pipeline.config.variants import prose_name
from pipeline.study.design import StudyRuns, value_of
from pipeline.study.report.blocks import Block, table_of
from pipeline.study.report.sections.all import SectionSpec
from pipeline.study.results import Extension, compare_runs, write_results
from pipeline.study.search.answers import lead_sentences, lead_text, search_answers, search_warnings
from pipeline.study.search.figures import curves, slices
from pipeline.study.search.search_results import (
    SearchResults,
    curve_frame,
    lead_frame,
    trial_frame,
)
from pipeline.study.statistics.expected_best import best_so_far, crossing

TRIAL_COUNTS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500)  # at which the curves stand in a table


def write_search(runs: StudyRuns, search: SearchResults, folder: Path) -> dict[str, Any]:
    """Compare the runs of a search and write its report into `folder`; returns the answers to log."""
    results = compare_runs(runs, search_methods(search))
    title = f"{results.data['name']}: settings searched for {len(search.best)} variants"
    results = replace(
        results,
        title=f"{title} · generated tweets" if results.generated else title,
        warnings=[*results.warnings, *search_warnings(search)],
        verdicts=search_answers(search, results),
    )
    outcome = write_results(results, runs, folder, search_extension(search))
    return {"answers": [*outcome["answers"], *lead_sentences(search)]}


def search_extension(search: SearchResults) -> Extension:
    """What a search adds to the files that a study writes."""
    best = search.best
    return Extension(
        sections=search_sections(search),
        figures={"curves": partial(curves, search), "slices": partial(slices, search)},
        frames={"trials": trial_frame(search), "curves": curve_frame(search), "leads": lead_frame(search)},
        tags={"kind": "search"},
        params={
            "search": asdict(search.config.search),
            "best": {name: trial.setting for name, trial in best.items()},
        },
        metrics={f"best_validation/{name}": trial.score for name, trial in best.items()},
    )


def search_sections(search: SearchResults) -> list[SectionSpec]:
    """The sections on the curves and on the best settings."""
    return [
        (
            "curves",
            "Best validation score by number of settings tried",
            "A curve that lies higher reaches a better score with the same number of trials; where two curves cross, "
            "which variant is better depends on how many settings one can afford to try.",
            ("curves",),
            lambda results: curve_tables(search),
        ),
        (
            "settings",
            "Best settings",
            "What was searched, the default, and the best setting of each variant on validation; ← marks a value at an "
            "end of its range.",
            ("slices",),
            lambda results: setting_table(search),
        ),
    ]


def curve_tables(search: SearchResults) -> list[Block]:
    """Expected best of some numbers of trials, and the differences between pairs."""
    counts = sorted({*(k for k in TRIAL_COUNTS if k < search.budget), search.budget})
    rows = []
    for variant, band in search.bands.items():
        row = {"variant": prose_name(variant)}
        for k in counts:
            half = search.sign * (band.high[k - 1] - band.low[k - 1]) / 2
            row[f"k = {k}"] = f"{search.score_text(band.mean[k - 1])} ± {search.score_text(half)}"
        if not search.independent:
            so_far = best_so_far(search.scores[variant])
            row |= {f"best after {k}": search.score_text(so_far[k - 1]) for k in counts}
        rows.append(row)
    halves = sorted({max(1, search.budget // 2), search.budget})
    pairs = []
    for pair, band in search.leads.items():
        since = crossing(band.mean)
        row = {"first − second": " − ".join(map(prose_name, pair))}
        row |= {f"k = {k}": lead_text(search, band, k) for k in halves}
        pairs.append(row | {"curves cross at": "–" if since is None else f"k = {since}"})
    return [
        *table_of(f"Expected best {search.score_name}, of k trials: mean ± half the 95 % band", rows),
        *table_of("How much better the expected best of the first is", pairs),
    ]


def setting_table(search: SearchResults) -> list[Block]:
    """The best setting of each variant, with its validation score and the number of its trial."""
    rows = []
    for range_ in search.ranges:
        row = {"hyper-parameter": range_.key, "searched": str(range_)}
        row["default"] = value_text(value_of(search.config, range_.key))
        edges = search.edges(range_)
        for name, trial in search.best.items():
            mark = " ←" if name in edges else ""
            row[prose_name(name)] = f"{value_text(trial.setting[range_.key])}{mark}"
        rows.append(row)
    blank = {"searched": "–", "default": "–"}
    scores = {prose_name(name): search.score_text(scores.max()) for name, scores in search.scores.items()}
    numbers = {prose_name(name): str(trial.number) for name, trial in search.best.items()}
    rows.append({"hyper-parameter": search.score_name, **blank, **scores})
    rows.append({"hyper-parameter": "found at trial", **blank, **numbers})
    return table_of("Best setting of each variant", rows)


def search_methods(results: SearchResults) -> list[str]:
    """How settings were chosen, in paragraphs."""
    search, study = results.config.search, results.config.study
    drawn = (
        "drawn at random, the same ones for every variant"
        if results.independent
        else "chosen by optuna's TPE sampler, the first ten at random, later ones by the scores of the batches before"
    )
    seeds = f"{study.trial_seeds} seed{'s' if study.trial_seeds > 1 else ''}"
    searched = "; ".join(f"{range_.key} ({range_})" for range_ in results.ranges)
    return [
        f"What was tuned: {searched}. Every variant had {search.trials} settings, {drawn} (batches of {search.batch}, "
        f"search.seed={search.seed}); trials that diverged or failed count. The score of a trial is the mean "
        f"{results.config.train.monitor} on validation over {seeds}, at one label budget; no trial reads a test tweet. "
        "Everything else is as configured, and the default settings are those of the configuration.",
        "Expected best: the mean best score of k of a variant's trials over all subsets of k, which has no bias for "
        "independent trials, as random search gives them. The estimator of Dodge et al. (2019, Show Your Work), with "
        "replacement, is too low for k near the number of trials (Tang et al. 2020, Showing Your Work Doesn't Always "
        "Work); it is in tables/curves.csv as with_replacement. A trial without a score counts with the worst score of "
        "the search. Bands are the estimate ± Student's t times the bootstrap's standard error over trials "
        f"({study.resamples:,} resamples), resampled in pairs for differences. Their nominal level is 95 %; in "
        "simulations of 20 trials they held the truth in 81 to 94 % of the cases at half of the trials and in 75 to "
        "95 % at all of them, depending on how rare good settings are.",
        "A best validation score is too high, as it was selected. So each variant was trained anew with its best and "
        f"with the default setting, {study.seeds} seeds each, and read on the test split once. The differences hold "
        "for these settings; another search would choose others, which no interval covers.",
    ]
