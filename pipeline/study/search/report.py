"""What a search adds to the report of a study: answers, warnings, sections, tables and paragraphs on method."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config.literals import value_text
from pipeline.config.variants import prose_name
from pipeline.runtime.templates import render
from pipeline.study.design import value_of
from pipeline.study.report.blocks import Block, table_of
from pipeline.study.report.formatting import records, signed
from pipeline.study.report.phrases import listed, points
from pipeline.study.report.sections.all import Blocks, SectionSpec
from pipeline.study.report.study_results import StudyResults, StudyWarning, Verdict
from pipeline.study.results import compare_runs, write_results
from pipeline.study.search.figures import curves, slices
from pipeline.study.search.search_results import DEFAULT, TEXTS, SearchResults, curve_frame, lead_frame, trial_frame
from pipeline.study.statistics.expected_best import Band, best_so_far, crossing
from pipeline.study.study_runs import StudyRuns

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
    facts: dict[str, dict[str, Any]] = {
        "tags": {"kind": "search"},
        "params": {
            "search": asdict(search.config.search),
            "best": {name: trial.setting for name, trial in search.best.items()},
        },
        "metrics": {f"best_validation/{name}": trial.score for name, trial in search.best.items()},
    }
    figures = {"curves": partial(curves, search), "slices": partial(slices, search)}
    frames = {"trials": trial_frame(search), "curves": curve_frame(search), "leads": lead_frame(search)}
    outcome = write_results(results, runs, folder, facts, search_sections(search), figures, frames)
    return {"answers": [*outcome["answers"], *lead_sentences(search)]}


def search_sections(search: SearchResults) -> list[SectionSpec]:
    """The sections on the curves and on the best settings."""
    blocks: dict[str, Blocks] = {"curves": lambda _: curve_tables(search), "settings": lambda _: setting_table(search)}
    texts = TEXTS["sections"].items()
    return [(key, text["title"], text["guide"], tuple(text["figures"]), blocks[key]) for key, text in texts]


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
        default, edges = value_text(value_of(search.config, range_.key)), search.edges(range_)
        best = {
            prose_name(name): value_text(trial.setting[range_.key]) + (" ←" if name in edges else "")
            for name, trial in search.best.items()
        }
        rows.append({"hyper-parameter": range_.key, "searched": str(range_), "default": default, **best})
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


def lead_text(search: SearchResults, band: Band, trials: int) -> str:
    """How much better the first is with so many trials: `+3.2 points [+2.1, +4.3]`."""
    mean, low, high = (float(values[trials - 1]) for values in (band.mean, band.low, band.high))
    if search.sign == -1:
        return f"{signed(mean, 3)} nats [{signed(low, 3)}, {signed(high, 3)}]"
    return points(mean, low, high)


def search_answers(search: SearchResults, results: StudyResults) -> list[Verdict]:
    """Which variant is ahead at an equal number of trials, and what the best settings are worth on test."""
    return [_ahead(search), _gain(results), *_on_test(search, results)]


def _ahead(search: SearchResults) -> Verdict:
    ranked = sorted(search.bands, key=lambda variant: -search.bands[variant].mean[-1])
    best = [f"{prose_name(variant)} {search.score_text(search.bands[variant].mean[-1])}" for variant in ranked]
    answer = f"With {search.budget} settings each, the best {search.score_name} is: {'; '.join(best)}."
    note = TEXTS["notes"]["independent" if search.independent else "dependent"]
    filled = note.format(half=search.budget // 2, sampler=search.config.search.sampler)
    evidence = [*lead_sentences(search), filled]
    return Verdict(f"Which variant is best when each may try {search.budget} settings?", answer, evidence)


def lead_sentences(search: SearchResults) -> list[str]:
    """For each pair, by how much the expected best of one variant exceeds the other's, and from how many trials on."""
    budget, half = search.budget, max(1, search.budget // 2)
    sentences = []
    for pair, band in search.leads.items():
        if band.mean[-1] < 0:
            pair, band = pair[::-1], Band(-band.mean, -band.high, -band.low)
        first, second = map(prose_name, pair)
        text = f"At {budget} trials the expected best of {first} exceeds that of {second} by "
        text += lead_text(search, band, budget)
        text += f", at {half} by {lead_text(search, band, half)}" if half < budget else ""
        if any(band.low[k - 1] <= 0 <= band.high[k - 1] for k in (half, budget)):
            text += " (open, as zero is within an interval)"
        if (since := crossing(band.mean)) is not None:
            text += f"; {second} is ahead with fewer, the curves cross at k = {since}"
        elif budget > 1:
            text += "; the curves do not cross"
        sentences.append(f"{text}.")
    return sentences


def _gain(results: StudyResults) -> Verdict:
    """The best setting of each variant against the default settings, on test."""
    rows = [row for row in records(results.differences) if row["b"] == f"{row['a']}{DEFAULT}"]
    by_decision: dict[str, list[str]] = {}
    for row in rows:
        by_decision.setdefault(row["decision"], []).append(prose_name(row["a"]))
    clauses = [
        f"searched settings score {decision} than the default ones for {listed(by_decision.pop(decision))}"
        for decision in ("higher", "lower")
        if decision in by_decision
    ]
    metric, seeds = results.design["metric_name"], results.design["seeds"]
    if not clauses:
        answer = f"No gain in test {metric} was shown."
        if set(by_decision) == {"too few seeds"}:
            answer = f"{seeds} seeds are too few to tell: read the intervals."
    else:
        if undecided := [name for names in by_decision.values() for name in names]:
            clauses.append(f"no difference was shown for {listed(undecided)}")
        answer = f"In test {metric}, {'; '.join(clauses)}."
    evidence = [
        f"{prose_name(row['a'])}: {points(row['mean'], row['low_total'], row['high_total'])} ({row['decision']})"
        for row in rows
    ]
    evidence.append(f"{seeds} seeds each; 95 % intervals hold for other seeds and other test tweets.")
    return Verdict("Do searched settings beat the default ones?", answer, evidence)


def _on_test(search: SearchResults, results: StudyResults) -> list[Verdict]:
    rows = [row for row in records(results.differences) if DEFAULT not in row["b"]]
    if not rows:
        return []
    means = {row["variant"]: row["mean"] for row in records(results.scores)}
    ranked = sorted((name for name in search.best if name in means), key=lambda name: -means[name])
    scores = "; ".join(f"{prose_name(name)} {100 * means[name]:.1f}" for name in ranked)
    answer = f"Test {results.design['metric_name']} in percent, each with its own best setting: {scores}."
    return [Verdict("And on test, each with its own best setting?", answer, [f"{row['sentence']}." for row in rows])]


def search_warnings(search: SearchResults) -> list[StudyWarning]:
    """What a reader must know: `setting_at_edge`, `diverged_trials`, `dependent_trials`."""
    values: dict[str, dict[str, str]] = {}
    edges = [
        f"{range_.key} of {prose_name(name)} ({value_text(search.best[name].setting[range_.key])})"
        for range_ in search.ranges
        for name in search.edges(range_)
    ]
    if edges:
        rest = f" and {len(edges) - 6} more" if len(edges) > 6 else ""
        values["setting_at_edge"] = {"edges": f"{'; '.join(edges[:6])}{rest}"}
    if diverged := [trial for trial in search.trials if trial.score is None]:
        first, count = diverged[0], f"{len(diverged)} of {len(search.trials)}"
        named = f"{prose_name(first.variant)}, trial {first.number}: {(first.reason or '').rstrip('.')}"
        values["diverged_trials"] = {"count": count, "first": named}
    if not search.independent:
        values["dependent_trials"] = {"sampler": search.config.search.sampler}
    return [StudyWarning(code, TEXTS["warnings"][code].format(**parts)) for code, parts in values.items()]
