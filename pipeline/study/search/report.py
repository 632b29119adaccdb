"""The report of a search: `report.html`, `report.md` and its tables as CSV."""

import csv
from collections.abc import Sequence
from pathlib import Path

from pipeline.config.variants import prose_name
from pipeline.study.report.blocks import Block, Commands, Page, Plot, Section, Text, table_of
from pipeline.study.report.figures.all import Figure
from pipeline.study.report.formatting import records, score_text
from pipeline.study.report.html import page_html
from pipeline.study.report.markdown import page_markdown
from pipeline.study.report.sections import scores as sections_runs
from pipeline.study.report.tables import difference_table, environment_table
from pipeline.study.search.answers import (
    INDEPENDENT,
    lead_text,
    monitor_name,
    shown_score,
    unit,
    value_text,
)
from pipeline.study.search.search_results import DEFAULT, SearchResults, curve_frame, lead_frame, trial_frame
from pipeline.study.statistics.expected_best import best_so_far, crossing


def write_search_report(found: SearchResults, figures: Sequence[Figure], folder: Path) -> None:
    """Write the report and the folder `tables` into `folder`; equal findings give equal bytes.

    figures : what `write_search_figures` wrote into `folder`/figures.
    """
    page = search_page(found, figures)
    files = {figure.name: f"figures/{figure.png.name}" for figure in figures}
    texts = {"report.html": page_html(page, folder), "report.md": page_markdown(page, files)}
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8", errors="replace", newline="\n")
    tables = folder / "tables"
    tables.mkdir()
    frames = {"trials": trial_frame(found), "curves": curve_frame(found), "leads": lead_frame(found)}
    frames |= {name: getattr(found.findings, name) for name in ("runs", "scores", "differences", "failures")}
    for name, frame in frames.items():
        frame.to_csv(tables / f"{name}.csv", index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)


def search_page(found: SearchResults, figures: Sequence[Figure]) -> Page:
    """The report's content."""
    findings, design = found.findings, found.findings.design
    drawn = {figure.name: [Plot(figure)] for figure in figures}
    rows = ", ".join(f"{count:,} {split}" for split, count in findings.data["rows"].items())
    sections: list[tuple[str, str, str, Sequence[Block]]] = [
        (
            "curves",
            "Best validation score by number of settings tried",
            "A curve that lies higher finds more with the same number of trials; where two curves cross, which of the "
            "two is better depends on how many settings one can afford to try.",
            [*drawn.get("curves", []), *_curves(found)],
        ),
        (
            "settings",
            "Best settings",
            "What was searched, the default, and the best setting of each variant on validation; ← marks a value at an "
            "end of its range.",
            [*_settings(found), *drawn.get("slices", [])],
        ),
        (
            "test",
            "Best and default settings on test",
            f"Every variant was trained anew with its best setting and, as {DEFAULT.removeprefix('@')}, with the "
            f"settings of the configuration, {design['seeds']} seeds each, and read on the test tweets once.",
            [*_scores(found), *drawn.get("differences", []), *sections_runs.differences(findings)],
        ),
        ("failures", "What failed", "This is missing in every number above.", sections_runs.failures(findings)),
        ("methods", "Methods", "What stands behind the numbers.", [Text(text) for text in findings.methods]),
        (
            "commands",
            "Commands",
            "The search again, and one of its runs by itself; one click selects a line.",
            [Commands(findings.commands)],
        ),
        (
            "environment",
            "Environment",
            "Where it ran; other versions can move the last digits.",
            table_of("Libraries and machine", environment_table(findings.environment)),
        ),
    ]
    ran = "\u00a0· ".join(
        [
            f"{findings.data['name']}: {rows} tweets",
            f"{len(found.variants)} variants × {found.budget} settings ({found.sampler}) at "
            f"{design['budget_names'][0]} labels",
            f"chosen by {monitor_name(found)} on validation",
            f"{design['encoder']} encoder",
        ]
    )
    shown = [Section(key, title, guide, list(blocks)) for key, title, guide, blocks in sections if blocks]
    return Page(findings.title, findings.generated, ran, findings.warnings, findings.verdicts, shown)


def _curves(found: SearchResults) -> list[Block]:
    """Expected best of some numbers of trials, and the pairs."""
    counts = sorted({1, *(k for k in (2, 3, 5, 10, 20, 50, 100, 200, 500) if k < found.budget), found.budget})
    scores, bands = found.scores(), found.bands()
    rows = []
    for name, band in bands.items():
        row = {"variant": name}
        for k in counts:
            low, high = sorted(found.sign * float(end[k - 1]) for end in (band.low, band.high))
            mean = shown_score(found, found.sign * float(band.mean[k - 1]))
            row[f"k = {k}"] = f"{mean} ± {shown_score(found, (high - low) / 2)}"
        if found.sampler not in INDEPENDENT:
            so_far = found.sign * best_so_far(scores[name])
            row |= {f"best after {k}": shown_score(found, float(so_far[k - 1])) for k in counts}
        rows.append(row)
    halves = sorted({max(1, found.budget // 2), found.budget})
    crossings = {pair: crossing(band.mean) for pair, band in found.leads().items()}
    pairs = [
        {"first − second": " − ".join(pair)}
        | {f"k = {k}": lead_text(found, band, k) for k in halves}
        | {"curves cross at": "–" if crossings[pair] is None else f"k = {crossings[pair]}"}
        for pair, band in found.leads().items()
    ]
    name = f"validation {monitor_name(found)}{unit(found)}"
    return [
        *table_of(f"Expected best {name}, of k trials: mean ± half the 95 % band", rows),
        *table_of("How much better the expected best of the first is", pairs),
    ]


def _settings(found: SearchResults) -> list[Block]:
    rows = [
        {"hyper-parameter": space.key, "searched": space.range, "default": value_text(space.default)}
        | {name: value_text(space.best[name]) + (" ←" if name in space.edges else "") for name in found.variants}
        for space in found.spaces
    ]
    best = {name: found.best(name) for name in found.variants}
    score = {name: shown_score(found, trial.score or 0.0) for name, trial in best.items()}
    label = f"validation {monitor_name(found)}{unit(found)}"
    rows.append({"hyper-parameter": label, "searched": "–", "default": "–"} | score)
    numbers = {name: str(trial.number) for name, trial in best.items()}
    rows.append({"hyper-parameter": "found at trial", "searched": "–", "default": "–"} | numbers)
    return table_of("Best setting of each variant", rows)


def _scores(found: SearchResults) -> list[Block]:
    """Test scores, best beside default."""
    scores = {row["variant"]: row for row in records(found.findings.scores)}
    gains = {row["first − second"]: row["points"] for row in difference_table(found.findings)}
    rows = []
    for name in found.variants:
        row = {"variant": name}
        for told, key in (("best setting", name), ("default", f"{name}{DEFAULT}")):
            cell = scores.get(key)
            row[told] = score_text(cell["mean"], cell["low"], cell["high"]) if cell else "–"
        rows.append(
            row | {"best − default, points": gains.get(f"{prose_name(name)} − {prose_name(name + DEFAULT)}", "–")}
        )
    metric = found.findings.design["metric_name"]
    return table_of(f"Test {metric} in percent: mean ± half the 95 % interval over seeds", rows)
