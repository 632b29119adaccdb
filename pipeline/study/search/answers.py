"""The answers and warnings of a search, in sentences."""

from typing import Any

from pipeline.config.validate import value_text
from pipeline.config.variants import prose_name
from pipeline.study.report.formatting import records, signed
from pipeline.study.report.phrases import listed, points
from pipeline.study.report.study_results import StudyResults, StudyWarning, Verdict
from pipeline.study.search.search_results import DEFAULT, TEXTS, SearchResults
from pipeline.study.statistics.expected_best import Band, crossing


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
    note = TEXTS["notes"]["independent" if search.independent else "dependent"].format(
        half=search.budget // 2, sampler=search.config.search.sampler
    )
    evidence = [*lead_sentences(search), note]
    return Verdict(f"Which variant is best when each may try {search.budget} settings?", answer, evidence)


def lead_sentences(search: SearchResults) -> list[str]:
    """For each pair, by how much the expected best of one variant exceeds the other's, and from how many trials on."""
    return [_lead_sentence(search, pair, band) for pair, band in search.leads.items()]


def _lead_sentence(search: SearchResults, pair: tuple[str, str], band: Band) -> str:
    if band.mean[-1] < 0:
        pair, band = pair[::-1], Band(-band.mean, -band.high, -band.low)
    first, second = map(prose_name, pair)
    budget, half = search.budget, max(1, search.budget // 2)
    text = f"At {budget} trials the expected best of {first} exceeds that of {second} by "
    text += lead_text(search, band, budget)
    text += f", at {half} by {lead_text(search, band, half)}" if half < budget else ""
    if any(band.low[k - 1] <= 0 <= band.high[k - 1] for k in (half, budget)):
        text += " (open, as zero is within an interval)"
    if (since := crossing(band.mean)) is not None:
        return f"{text}; {second} is ahead with fewer, the curves cross at k = {since}."
    return f"{text}; the curves do not cross." if budget > 1 else f"{text}."


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
    values: dict[str, dict[str, Any]] = {}
    edges = [
        f"{range_.key} of {prose_name(name)} ({value_text(search.best[name].setting[range_.key])})"
        for range_ in search.ranges
        for name in search.edges(range_)
    ]
    if edges:
        rest = f" and {len(edges) - 6} more" if len(edges) > 6 else ""
        values["setting_at_edge"] = {"edges": f"{'; '.join(edges[:6])}{rest}"}
    if diverged := [trial for trial in search.trials if trial.score is None]:
        first, counts = diverged[0], {"diverged": len(diverged), "trials": len(search.trials)}
        reason = (first.reason or "").rstrip(".")
        values["diverged_trials"] = counts | {
            "name": prose_name(first.variant),
            "number": first.number,
            "reason": reason,
        }
    if not search.independent:
        values["dependent_trials"] = {"sampler": search.config.search.sampler}
    return [StudyWarning(code, TEXTS["warnings"][code].format(**parts)) for code, parts in values.items()]
