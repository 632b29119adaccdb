"""What a reader must know of an audit, in plain sentences: warnings that can move a comparison, and notes.

A warning is due from one text in a hundred on, so that it can move a score by a point, the smallest effect that the
study looks for by default. Leaks are due from one tweet in twenty on: on fewer, a perfect rule gains a model that is
right about four times in five no more than a point.
"""

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["warning", "note"]

NOTABLE_SHARE = 0.01  # of the texts of a split
NOTABLE_COVERAGE = 0.05  # of training tweets that hold a deciding token, and of test tweets
HOLDS = 0.5  # share of the error by class shares that the rule must take away on test to hold there
SMALL_P, NOTABLE_V = 0.001, 0.1  # of the test of equal class shares; 0.1 is a small effect after Cohen (1988)
NOTABLE_UNSEEN = 0.1  # of the running tokens of a split
TOKENS_NAMED = 6


@dataclass(frozen=True)
class Finding:
    """One thing to know.

    Codes: `label_leak`, `shortcut`, `deciding_tokens`, `duplicates_between_splits`, `duplicates_in_train`,
    `label_conflicts`, `empty_texts`, `unknown_texts`, `class_shares`, `unseen_tokens`, `near_sampled`.
    """

    code: str
    severity: Severity
    text: str


def findings(report: dict[str, Any]) -> list[Finding]:
    """The findings of an audit report, warnings first, then by code and text."""
    found = [
        *_leak(report["leaks"]["deciding"]),
        *_between_splits(report),
        *_in_train(report),
        *_conflicts(report),
        *_texts(report["splits"]),
        *_class_shares(report["class_shares"]),
        *_near_sampled(report["near_duplicates"]),
    ]
    return sorted(found, key=lambda finding: (finding.severity != "warning", finding.code, finding.text))


def _leak(deciding: dict[str, Any]) -> list[Finding]:
    if not deciding["count"]:
        return []
    names = ", ".join(
        f"“{_shown(record['token'])}” ({record['label']})" for record in deciding["tokens"][:TOKENS_NAMED]
    )
    more = deciding["count"] - TOKENS_NAMED
    one = deciding["count"] == 1
    train, test = deciding["rule"]["train"], deciding["rule"]["test"]
    told = (
        f"{_count(deciding['count'], 'token')} nearly {'decides' if one else 'decide'} the label, "
        f"{names}{f' and {more} more' if more > 0 else ''}: "
        f"{'it stands' if one else 'they stand'} in {_percent(train['coverage'])} of training tweets and in "
        f"{_percent(test['coverage'])} of test tweets"
    )
    accuracy = test["accuracy"]
    right = "" if accuracy is None else f", where going by the token alone is right {_percent(accuracy)} of the time"
    holds = test["removed"] is not None and test["removed"] >= HOLDS
    if train["coverage"] >= NOTABLE_COVERAGE:
        if holds and test["coverage"] >= NOTABLE_COVERAGE:
            return [Finding("label_leak", "warning", f"{told}{right}: the label can be read off.")]
        told += f"{right}: what training can learn from {'it' if one else 'them'} does not carry over to test."
        return [Finding("shortcut", "warning", told)]
    return [Finding("deciding_tokens", "note", f"{told}{right}: too few tweets for a leak to matter much.")]


def _between_splits(report: dict[str, Any]) -> list[Finding]:
    found = []
    texts = {record["split"]: record["texts"] for record in report["splits"]}
    kinds = [report["duplicates"]["exact"]["across"], report["duplicates"]["masked"]["across"]]
    for exact, masked, near in zip(*kinds, report["near_duplicates"]["across"], strict=True):
        held_out, total = masked["second"], texts[masked["second"]]
        copies = masked["rows_second"] + near["rows_second"]
        if copies:
            text = (
                f"Copies of {masked['first']} texts among the {held_out} texts: {copies:,} of {total:,} "
                f"({_percent(copies / total)}), {exact['rows_second']:,} exactly, "
                f"{masked['rows_second'] - exact['rows_second']:,} but for handles, links and case, "
                f"{near['rows_second']:,} nearly."
            )
            severity: Severity = "warning" if copies / total >= NOTABLE_SHARE else "note"
            found.append(Finding("duplicates_between_splits", severity, text))
    return found


def _in_train(report: dict[str, Any]) -> list[Finding]:
    total = report["splits"][0]["texts"]
    exact, masked = (report["duplicates"][kind]["within"][0]["repeats"] for kind in ("exact", "masked"))
    near = report["near_duplicates"]["within"][0]["rows"]
    if not masked + near:
        return []
    text = (
        f"Training texts that repeat an earlier one: {masked:,} of {total:,} ({_percent(masked / total)}), {exact:,} "
        f"exactly, the others but for handles, links and case; with a near-duplicate: {near:,}."
    )
    return [Finding("duplicates_in_train", "note", text)]


def _conflicts(report: dict[str, Any]) -> list[Finding]:
    total = sum(record["texts"] for record in report["splits"])
    exact, masked = (report["duplicates"][kind]["conflicts"] for kind in ("exact", "masked"))
    if not masked["groups"]:
        return []
    text = (
        f"Texts under different labels: {exact['groups']:,}, or {masked['groups']:,} when handles, links and case do "
        f"not count: {masked['rows']:,} of {total:,} rows ({_percent(masked['rows'] / total)}), at least one of each "
        "text labelled wrongly or in doubt."
    )
    severity: Severity = "warning" if masked["rows"] / total >= NOTABLE_SHARE else "note"
    return [Finding("label_conflicts", severity, text)]


def _texts(splits: list[dict[str, Any]]) -> list[Finding]:
    found = []
    for record in splits:
        name, total = record["split"].replace("train", "training"), record["texts"]
        if nothing := record["without_tokens"]:
            severity: Severity = "warning" if nothing / total >= NOTABLE_SHARE else "note"
            text = f"{name.capitalize()} texts without tokens: {nothing:,} of {total:,}, empty: {record['empty']:,}."
            found.append(Finding("empty_texts", severity, text))
        if unknown := record["only_unknown"]:
            severity = "warning" if unknown / total >= NOTABLE_SHARE else "note"
            text = f"{name.capitalize()} texts without a word of the vocabulary: {unknown:,} of {total:,}."
            found.append(Finding("unknown_texts", severity, text))
        if (unseen := record["unseen_tokens"]) is not None and unseen >= NOTABLE_UNSEEN:
            text = f"{_percent(unseen)} of the running tokens of {name} are words that training lacks or drops as rare."
            found.append(Finding("unseen_tokens", "note", text))
    return found


def _class_shares(test: dict[str, Any]) -> list[Finding]:
    if test["p"] is None or test["p"] >= SMALL_P:
        return []
    text = (
        f"The splits share their classes differently (chi-square {test['chi2']:.1f} with {test['degrees']} degrees of "
        f"freedom, p < {SMALL_P}, Cramér's V {test['v']:.3f})."
    )
    return [Finding("class_shares", "warning" if test["v"] >= NOTABLE_V else "note", text)]


def _near_sampled(near: dict[str, Any]) -> list[Finding]:
    return [
        Finding(
            "near_sampled",
            "note",
            f"Near-duplicates were looked for among {compared:,} of {near['distinct'][name]:,} distinct {name} texts, "
            "evenly spaced: there are more than were counted.",
        )
        for name, compared in near["compared"].items()
        if compared < near["distinct"][name]
    ]


def _shown(token: str) -> str:
    return token if token.isprintable() else ascii(token)[1:-1]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.1f} %"
