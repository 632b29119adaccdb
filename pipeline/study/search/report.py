"""What a search adds to the report of a study: sections, figures, tables and a paragraph on method."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config.validate import value_text
from pipeline.config.variants import prose_name
from pipeline.runtime.templates import render
from pipeline.study.design import StudyRuns, value_of
from pipeline.study.report.blocks import Block, table_of
from pipeline.study.report.sections.all import SectionSpec
from pipeline.study.results import Extension, compare_runs, write_results
from pipeline.study.search.answers import lead_sentences, lead_text, search_answers, search_warnings
from pipeline.study.search.figures import curves, slices
from pipeline.study.search.search_results import TEXTS, SearchResults, curve_frame, lead_frame, trial_frame
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
    sections = (("curves", "curves", curve_tables), ("settings", "slices", setting_table))
    texts = TEXTS["sections"]
    return [
        (key, texts[key]["title"], texts[key]["guide"], (figure,), lambda _, blocks=blocks: blocks(search))
        for key, figure, blocks in sections
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


def search_methods(search: SearchResults) -> list[str]:
    """How settings were chosen, in paragraphs."""
    values = {"config": search.config, "ranges": search.ranges, "independent": search.independent}
    text = render("pipeline.study.search", "methods.txt.j2", **values)
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
