"""The findings of an audit in sentences: warnings that can affect a comparison, and notes.

Most warnings start at one text in a hundred: such a share can change a score by one point, the smallest effect that
the study looks for by default. Label leaks start at one tweet in twenty: on fewer, a perfect rule improves a model of
80 % accuracy by at most one point.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from pipeline.data.labels import JOIN, SPELLINGS

TEXTS: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("findings.yaml").read_text("utf-8"))

NOTABLE_SHARE = 0.01  # of the texts of a split
NOTABLE_COVERAGE = 0.05  # of the training tweets, and of the test tweets, that contain a deciding token
MIN_REMOVED = 0.5  # share of the error by class shares that the rule must remove on test to count as a leak
SMALL_P, NOTABLE_V = 0.001, 0.1  # of the test of equal class shares; 0.1 is a small effect after Cohen (1988)
NOTABLE_UNSEEN = 0.1  # of the tokens of a split
# Lower end of the interval of the AUC of training against another split. Random splits of one data set stay below .55.
SHIFT_NOTED, SHIFT_WARNED = 0.55, 0.65
TOKENS_NAMED = 6


@dataclass(frozen=True)
class Finding:
    """One finding; its code is that of its text in `findings.yaml`, and its values are those in the text."""

    code: str
    severity: Literal["warning", "note"]
    text: str
    values: dict[str, Any] = field(default_factory=dict)


def findings(report: dict[str, Any]) -> list[Finding]:
    """The findings of an audit report, warnings first, then by code and text."""
    listed = [
        *_label_leak(report["leaks"]["deciding"]),
        *_duplicates_between_splits(report),
        *_duplicates_in_train(report),
        *_label_conflicts(report),
        *_texts_and_tokens(report["splits"]),
        *_class_shares(report["class_shares"]),
        *_split_shift(report["shift"]),
        *_near_sampled(report["near_duplicates"]),
    ]
    return sorted(listed, key=lambda finding: (finding.severity != "warning", finding.code, finding.text))


def label_findings(notes: Iterable[str]) -> list[dict[str, str]]:
    """The warnings among the notes of a data source: labels that differ in spelling alone, each with its remedy."""
    parts = [note.partition(JOIN) for note in notes if SPELLINGS in note]
    return [
        {"code": "label_spellings", "severity": "warning", "text": f"{text}.", "remedy": f"Set {key}."}
        for text, _, key in parts
    ]


def make_finding(code: str, warns: bool = True, /, **values: Any) -> Finding:
    """The finding `code` with its text."""
    return Finding(code, "warning" if warns else "note", TEXTS[code].format(**values), values)


def _label_leak(deciding: dict[str, Any]) -> list[Finding]:
    count = deciding["count"]
    if not count:
        return []
    named = [(record["token"], record["label"]) for record in deciding["tokens"][:TOKENS_NAMED]]
    tokens = [f"{_quoted(token)} ({label})" for token, label in named]
    train, test = deciding["rule"]["train"], deciding["rule"]["test"]
    rule = TEXTS["rule"].format(
        subject="1 token almost determines" if count == 1 else f"{count:,} tokens almost determine",
        names=", ".join(tokens),
        others=f" and {count - TOKENS_NAMED} more" if count > TOKENS_NAMED else "",
        occur="It occurs" if count == 1 else "They occur",
        train=_percent(train["coverage"]),
        test=_percent(test["coverage"]),
    )
    if test["accuracy"] is not None:
        rule += TEXTS["rule_accuracy"].format(accuracy=_percent(test["accuracy"]))
    if train["coverage"] < NOTABLE_COVERAGE:
        return [make_finding("deciding_tokens", False, rule=rule)]
    holds = test["removed"] is not None and test["removed"] >= MIN_REMOVED and test["coverage"] >= NOTABLE_COVERAGE
    return [make_finding("label_leak" if holds else "shortcut", True, rule=rule)]


def _duplicates_between_splits(report: dict[str, Any]) -> list[Finding]:
    listed = []
    texts = {record["split"]: record["texts"] for record in report["splits"]}
    pairs = [report["duplicates"][kind]["across"] for kind in ("exact", "masked")]
    for records in zip(*pairs, report["near_duplicates"]["across"], strict=True):
        exact, masked, near = (record["rows_second"] for record in records)
        names = {side: records[0][side] for side in ("first", "second")}
        count, total = masked + near, texts[names["second"]]
        if count:
            values = names | {"count": count, "total": total, "share": _percent(count / total)}
            values |= {"exact": exact, "masked": masked - exact, "near": near}
            listed.append(make_finding("duplicates_between_splits", count / total >= NOTABLE_SHARE, **values))
    return listed


def _duplicates_in_train(report: dict[str, Any]) -> list[Finding]:
    total = report["splits"][0]["texts"]
    exact, masked = (report["duplicates"][kind]["within"][0]["repeats"] for kind in ("exact", "masked"))
    near = report["near_duplicates"]["within"][0]["rows"]
    if not masked + near:
        return []
    values = {"count": masked, "total": total, "share": _percent(masked / total)}
    return [make_finding("duplicates_in_train", False, **values, exact=exact, masked=masked - exact, near=near)]


def _label_conflicts(report: dict[str, Any]) -> list[Finding]:
    total = sum(record["texts"] for record in report["splits"])
    exact, masked = (report["duplicates"][kind]["conflicts"] for kind in ("exact", "masked"))
    if not masked["groups"]:
        return []
    share = masked["rows"] / total
    values = {"exact": exact["groups"], "masked": masked["groups"], "rows": masked["rows"], "total": total}
    return [make_finding("label_conflicts", share >= NOTABLE_SHARE, **values, share=_percent(share))]


def _texts_and_tokens(splits: list[dict[str, Any]]) -> list[Finding]:
    listed = []
    for record in splits:
        name, total = record["split"].replace("train", "training"), record["texts"]
        for code, key in (("empty_texts", "without_tokens"), ("unknown_texts", "only_unknown")):
            if count := record[key]:
                values = {"split": name.capitalize(), "count": count, "total": total, "empty": record["empty"]}
                listed.append(make_finding(code, count / total >= NOTABLE_SHARE, **values))
        if (unseen := record["unseen_tokens"]) is not None and unseen >= NOTABLE_UNSEEN:
            listed.append(make_finding("unseen_tokens", False, split=name, share=_percent(unseen)))
    return listed


def _class_shares(test: dict[str, Any]) -> list[Finding]:
    if test["p"] is None or test["p"] >= SMALL_P:
        return []
    return [make_finding("class_shares", test["v"] >= NOTABLE_V, **test, limit=SMALL_P)]


def _split_shift(records: list[dict[str, Any]]) -> list[Finding]:
    """A warning for test; a note for validation, whose scores are no result."""
    return [
        make_finding(
            "split_shift",
            record["split"] == "test" and record["low"] >= SHIFT_WARNED,
            **{key: record[key] for key in ("split", "auc", "low", "high")},
            train=", ".join(map(_quoted, record["train_tokens"])),
            other=", ".join(map(_quoted, record["tokens"])),
        )
        for record in records
        if record["auc"] is not None and record["low"] >= SHIFT_NOTED
    ]


def _near_sampled(near: dict[str, Any]) -> list[Finding]:
    return [
        make_finding("near_sampled", False, split=name, compared=compared, distinct=near["distinct"][name])
        for name, compared in near["compared"].items()
        if compared < near["distinct"][name]
    ]


def _quoted(token: str) -> str:
    return f"“{token if token.isprintable() else ascii(token)[1:-1]}”"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.1f} %"
