"""How the numbers of a search are said."""

from typing import Any

from pipeline.study.report.formatting import records, signed
from pipeline.study.report.phrases import listed, points
from pipeline.study.report.study_results import StudyWarning, Verdict
from pipeline.study.search.search_results import DEFAULT, SearchResults
from pipeline.study.statistics.expected_best import Band, crossing

INDEPENDENT = ("random",)  # samplers whose trials are independent draws
NAMES = {"macro_recall": "macro recall", "macro_f1": "macro F1"}


def monitor_name(found: SearchResults) -> str:
    """The validation score in words."""
    return NAMES.get(found.monitor, found.monitor)


def factor(found: SearchResults) -> int:
    """What a score is multiplied with to be shown: percent, or nats as they are."""
    return 1 if found.monitor == "nll" else 100


def unit(found: SearchResults) -> str:
    """The unit after a score's name: `, %`."""
    return ", nats" if found.monitor == "nll" else ", %"


def shown_score(found: SearchResults, value: float) -> str:
    """A validation score as it stands in tables: `81.3`, or nats `0.412`."""
    return f"{value:.3f}" if found.monitor == "nll" else f"{100 * value:.1f}"


def value_text(value: Any) -> str:
    """The value of a hyper-parameter."""
    return f"{value:g}" if isinstance(value, float) else "null" if value is None else str(value)


def lead_text(found: SearchResults, band: Band, trials: int) -> str:
    """How much better the first is with so many trials: `+3.2 points [+2.1, +4.3]`."""
    mean, low, high = (float(values[trials - 1]) for values in (band.mean, band.low, band.high))
    if found.monitor == "nll":
        return f"{signed(mean, 3)} nats [{signed(low, 3)}, {signed(high, 3)}]"
    return points(mean, low, high)


def answers(found: SearchResults) -> list[Verdict]:
    """What the search says: who is ahead at equal budget, and what the best settings are worth on test."""
    return [_ahead(found), _worth(found), *_on_test(found)]


def _ahead(found: SearchResults) -> Verdict:
    budget, name = found.budget, monitor_name(found)
    bands = found.bands()
    ranked = sorted(bands, key=lambda variant: -bands[variant].mean[-1])
    best = [f"{variant} {shown_score(found, found.sign * float(bands[variant].mean[-1]))}" for variant in ranked]
    answer = f"With {budget} settings each, the best validation {name}{unit(found)} is: {', '.join(best)}."
    evidence = [_lead_sentence(found, pair, band) for pair, band in found.leads().items()]
    if found.sampler in INDEPENDENT:
        evidence.append(
            "Intervals are 95 % over settings drawn again, other seeds and tweets aside. They are somewhat narrow for "
            f"more than {budget // 2} trials, as nothing is known beyond the best setting drawn."
        )
    else:
        evidence.append(
            f"The sampler {found.sampler} chose settings by earlier scores: its trials are not independent, and the "
            "expected best of fewer trials and all intervals only describe these trials in random order."
        )
    return Verdict(f"Which variant is best when each may try {budget} settings?", answer, evidence)


def _lead_sentence(found: SearchResults, pair: tuple[str, str], band: Band) -> str:
    """How far the expected best of one variant is above that of the other, where, and from how many trials on."""
    first, second = pair if band.mean[-1] >= 0 else pair[::-1]
    if first != pair[0]:
        band = Band(-band.mean, -band.high, -band.low)
    half = max(1, found.budget // 2)
    told = f"At {found.budget} trials the expected best of {first} exceeds that of {second} by "
    told += f"{lead_text(found, band, found.budget)}"
    told += f", at {half} by {lead_text(found, band, half)}" if half < found.budget else ""
    if any(band.low[k - 1] <= 0 <= band.high[k - 1] for k in (half, found.budget)):
        told += " (open, as zero is within an interval)"
    since = crossing(band.mean)
    if since is not None:
        return f"{told}; {second} is ahead with fewer, the curves cross at k = {since}."
    return f"{told}; the curves do not cross." if found.budget > 1 else f"{told}."


def _worth(found: SearchResults) -> Verdict:
    """The best setting of each variant against the default settings, on test."""
    design = found.findings.design
    rows = [row for row in records(found.findings.differences) if row["b"] == f"{row['a']}{DEFAULT}"]
    better = [row["a"] for row in rows if row["decision"] == "higher"]
    worse = [row["a"] for row in rows if row["decision"] == "lower"]
    told = []
    if better:
        told.append(f"the searched settings score higher than the default ones for {listed(better)}")
    if worse:
        told.append(f"lower for {listed(worse)}")
    if left := [row["a"] for row in rows if row["a"] not in {*better, *worse}]:
        told.append(f"no difference was shown for {listed(left)}" if told else f"not shown for {listed(left)}")
    metric = design["metric_name"]
    answer = f"In test {metric}, {'; '.join(told)}." if better or worse else f"No gain in test {metric} was shown."
    if rows and all(row["decision"] == "too few seeds" for row in rows):
        answer = f"{design['seeds']} seeds are too few to tell: read the intervals."
    evidence = [
        f"{row['a']}: {points(row['mean'], row['low_total'], row['high_total'])} ({row['decision']})" for row in rows
    ]
    evidence.append(f"{design['seeds']} seeds each; 95 % intervals hold for other seeds and other test tweets.")
    return Verdict("Do searched settings beat the default ones?", answer, evidence)


def _on_test(found: SearchResults) -> list[Verdict]:
    rows = [row for row in records(found.findings.differences) if DEFAULT not in row["b"]]
    if not rows:
        return []
    scores = {row["variant"]: row for row in records(found.findings.scores)}
    metric = found.findings.design["metric_name"]
    ranked = sorted(found.variants, key=lambda name: -scores[name]["mean"] if name in scores else 0.0)
    told = ", ".join(f"{name} {100 * scores[name]['mean']:.1f}" for name in ranked if name in scores)
    answer = f"Test {metric} in percent, each with its own best setting: {told}."
    return [Verdict("And on test, each with its own best setting?", answer, [f"{row['sentence']}." for row in rows])]


def search_warnings(found: SearchResults) -> list[StudyWarning]:
    """What a reader must know: `setting_at_edge`, `diverged_trials`, `dependent_trials`."""
    warned = []
    edges = [
        f"{space.key} of {name} ({value_text(space.best[name])})" for space in found.spaces for name in space.edges
    ]
    if edges:
        rest = f" and {len(edges) - 6} more" if len(edges) > 6 else ""
        text = f"The best value lies at an end of its range; a better one may lie beyond: {', '.join(edges[:6])}{rest}."
        warned.append(StudyWarning("setting_at_edge", text))
    lost = [trial for trial in found.trials if trial.score is None]
    if lost:
        text = (
            f"{len(lost)} of {len(found.trials)} trials diverged or failed. They count, with the worst score of the "
            f"search; the first: {lost[0].variant}, trial {lost[0].number}: {(lost[0].reason or '').rstrip('.')}."
        )
        warned.append(StudyWarning("diverged_trials", text))
    if found.sampler not in INDEPENDENT:
        text = f"Trials of {found.sampler} depend on each other: read the best so far, not the expected best of fewer."
        warned.append(StudyWarning("dependent_trials", text))
    return warned
