"""The findings of an audit in sentences: warnings that can affect a comparison, and notes.

Most warnings start at one text in a hundred: such a share can change a score by one point, the smallest effect that
the study looks for by default. Label leaks start at one tweet in twenty: on fewer, a perfect rule improves a model of
80 % accuracy by at most one point.
"""

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["warning", "note"]

NOTABLE_SHARE = 0.01  # of the texts of a split
NOTABLE_COVERAGE = 0.05  # of the training tweets, and of the test tweets, that contain a deciding token
MIN_REMOVED = 0.5  # share of the error by class shares that the rule must remove on test to count as a leak
SMALL_P, NOTABLE_V = 0.001, 0.1  # of the test of equal class shares; 0.1 is a small effect after Cohen (1988)
NOTABLE_UNSEEN = 0.1  # of the tokens of a split
TOKENS_NAMED = 6


@dataclass(frozen=True)
class Finding:
    """One finding.

    Codes: `label_leak`, `shortcut`, `deciding_tokens`, `duplicates_between_splits`, `duplicates_in_train`,
    `label_conflicts`, `empty_texts`, `unknown_texts`, `class_shares`, `unseen_tokens`, `near_sampled`.
    """

    code: str
    severity: Severity
    text: str


def findings(report: dict[str, Any]) -> list[Finding]:
    """The findings of an audit report, warnings first, then by code and text."""
    listed = [
        *_label_leak(report["leaks"]["deciding"]),
        *_duplicates_between_splits(report),
        *_duplicates_in_train(report),
        *_label_conflicts(report),
        *_texts_and_tokens(report["splits"]),
        *_class_shares(report["class_shares"]),
        *_near_sampled(report["near_duplicates"]),
    ]
    return sorted(listed, key=lambda finding: (finding.severity != "warning", finding.code, finding.text))


def _label_leak(deciding: dict[str, Any]) -> list[Finding]:
    count = deciding["count"]
    if not count:
        return []
    names = ", ".join(
        f"“{_printable(record['token'])}” ({record['label']})" for record in deciding["tokens"][:TOKENS_NAMED]
    )
    others = f" and {count - TOKENS_NAMED} more" if count > TOKENS_NAMED else ""
    train, test = deciding["rule"]["train"], deciding["rule"]["test"]
    subject = "1 token almost determines" if count == 1 else f"{count:,} tokens almost determine"
    text = (
        f"{subject} the label: {names}{others}. {'It occurs' if count == 1 else 'They occur'} in "
        f"{_percent(train['coverage'])} of training tweets and in {_percent(test['coverage'])} of test tweets."
    )
    if test["accuracy"] is not None:
        accuracy = _percent(test["accuracy"])
        text += f" On these test tweets, the token alone predicts the label with {accuracy} accuracy."
    if train["coverage"] < NOTABLE_COVERAGE:
        return [Finding("deciding_tokens", "note", f"Strong tokens, too rare for a notable label leak: {text}")]
    holds = test["removed"] is not None and test["removed"] >= MIN_REMOVED
    if holds and test["coverage"] >= NOTABLE_COVERAGE:
        return [Finding("label_leak", "warning", f"Label leak: {text}")]
    return [Finding("shortcut", "warning", f"Shortcut in training that does not transfer to test: {text}")]


def _duplicates_between_splits(report: dict[str, Any]) -> list[Finding]:
    listed = []
    texts = {record["split"]: record["texts"] for record in report["splits"]}
    kinds = [report["duplicates"]["exact"]["across"], report["duplicates"]["masked"]["across"]]
    for exact, masked, near in zip(*kinds, report["near_duplicates"]["across"], strict=True):
        held_out, total = masked["second"], texts[masked["second"]]
        duplicates = masked["rows_second"] + near["rows_second"]
        if duplicates:
            text = (
                f"Duplicates between {masked['first']} and {held_out}: {duplicates:,} of {total:,} {held_out} texts "
                f"({_percent(duplicates / total)}). {exact['rows_second']:,} are exact, "
                f"{masked['rows_second'] - exact['rows_second']:,} differ in handles, links or case only, and "
                f"{near['rows_second']:,} are near duplicates."
            )
            listed.append(Finding("duplicates_between_splits", _severity(duplicates / total), text))
    return listed


def _duplicates_in_train(report: dict[str, Any]) -> list[Finding]:
    total = report["splits"][0]["texts"]
    exact, masked = (report["duplicates"][kind]["within"][0]["repeats"] for kind in ("exact", "masked"))
    near = report["near_duplicates"]["within"][0]["rows"]
    if not masked + near:
        return []
    text = (
        f"Duplicates in training: {masked:,} of {total:,} texts ({_percent(masked / total)}) repeat an earlier one. "
        f"{exact:,} are exact, {masked - exact:,} differ in handles, links or case only. Texts with a near duplicate: "
        f"{near:,}."
    )
    return [Finding("duplicates_in_train", "note", text)]


def _label_conflicts(report: dict[str, Any]) -> list[Finding]:
    total = sum(record["texts"] for record in report["splits"])
    exact, masked = (report["duplicates"][kind]["conflicts"] for kind in ("exact", "masked"))
    if not masked["groups"]:
        return []
    share = masked["rows"] / total
    text = (
        f"Texts with conflicting labels: {exact['groups']:,} among exact duplicates, {masked['groups']:,} if handles, "
        f"links and case are ignored. These are {masked['rows']:,} of {total:,} rows ({_percent(share)}). At least one "
        "label of each text is wrong or doubtful."
    )
    return [Finding("label_conflicts", _severity(share), text)]


def _texts_and_tokens(splits: list[dict[str, Any]]) -> list[Finding]:
    listed = []
    for record in splits:
        name, total = record["split"].replace("train", "training"), record["texts"]
        texts = f"{name.capitalize()} texts"
        if count := record["without_tokens"]:
            text = f"{texts} without tokens: {count:,} of {total:,}, of which empty: {record['empty']:,}."
            listed.append(Finding("empty_texts", _severity(count / total), text))
        if count := record["only_unknown"]:
            text = f"{texts} of out-of-vocabulary words only: {count:,} of {total:,}."
            listed.append(Finding("unknown_texts", _severity(count / total), text))
        if (unseen := record["unseen_tokens"]) is not None and unseen >= NOTABLE_UNSEEN:
            text = (
                f"Unseen tokens in {name}: {_percent(unseen)} of its tokens do not occur in the training texts, or too "
                "rarely for the vocabulary."
            )
            listed.append(Finding("unseen_tokens", "note", text))
    return listed


def _class_shares(test: dict[str, Any]) -> list[Finding]:
    if test["p"] is None or test["p"] >= SMALL_P:
        return []
    text = (
        f"Class shares differ between the splits: chi-square {test['chi2']:.1f} with {test['degrees']} degrees of "
        f"freedom, p < {SMALL_P}, Cramér's V {test['v']:.3f}."
    )
    return [Finding("class_shares", "warning" if test["v"] >= NOTABLE_V else "note", text)]


def _near_sampled(near: dict[str, Any]) -> list[Finding]:
    return [
        Finding(
            "near_sampled",
            "note",
            f"Near duplicates are counted among {compared:,} of {near['distinct'][name]:,} distinct {name} texts, "
            "sampled at even intervals. The true number is higher.",
        )
        for name, compared in near["compared"].items()
        if compared < near["distinct"][name]
    ]


def _severity(share: float) -> Severity:
    return "warning" if share >= NOTABLE_SHARE else "note"


def _printable(token: str) -> str:
    return token if token.isprintable() else ascii(token)[1:-1]


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.1f} %"
