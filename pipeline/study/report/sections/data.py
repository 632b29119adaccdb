"""Report section on the data audit: findings in sentences, then splits, duplicates, leaking tokens and examples."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.study.report.blocks import Block, Bullets, table_of
from pipeline.study.report.formatting import DASH, count_text, number
from pipeline.study.report.study_results import StudyResults

Audit = Mapping[str, Any]
NEAR = "nearly alike"
KINDS = ("exact", "masked", NEAR)


def audit(results: StudyResults) -> list[Block]:
    """The audit of the data, once for each value of `text.emoticons` that the study has."""
    if not results.audit:
        return []
    conditions = results.audit.get("conditions") or {"": results.audit}
    return [block for name, report in conditions.items() for block in _audit_blocks(str(name), report)]


def _audit_blocks(condition: str, report: Audit) -> list[Block]:
    end = f", text.emoticons={condition}" if condition else ""
    names = [str(record["split"]) for record in report["splits"]]
    sentences = [f"{finding['severity'].capitalize()}{end}: {finding['text']}" for finding in report["findings"]]
    deciding = report["leaks"]["deciding"]
    return [
        *([Bullets(sentences)] if sentences else []),
        *table_of(f"Splits{end}", list(_splits(report))),
        *table_of(f"Tweets that occur more than once{end}", list(_duplicates(report))),
        *table_of(
            f"Training tokens with the most information on the label{end}",
            [_token(record) for record in report["leaks"]["tokens"]],
        ),
        *table_of(
            f"Accuracy of a rule that reads only the {deciding['count']} deciding tokens{end}",
            [_rule(name, deciding["rule"][name]) for name in names if deciding["count"]],
        ),
        *table_of(f"Examples of duplicates between splits{end}", list(_examples(report))),
    ]


def _splits(report: Audit) -> Iterator[dict[str, str]]:
    for record in report["splits"]:
        median = number(record["tokens_per_text"].get("0.5"))
        row = {"split": str(record["split"]), "tweets": count_text(record["texts"])}
        row |= {f"labelled {name}": count_text(count) for name, count in record["classes"].items()}
        yield row | {
            "without text": count_text(record["empty"]),
            "only unknown words": count_text(record["only_unknown"]),
            "median tokens per tweet": DASH if median is None else f"{median:,.4g}",
            "tokens absent from training": _percent(record["unseen_tokens"]),
        }


def _duplicates(report: Audit) -> Iterator[dict[str, str]]:
    """Counts of duplicates by kind; near duplicates do not include the masked ones."""
    reports = [report["duplicates"]["exact"], report["duplicates"]["masked"], report["near_duplicates"]]
    for index, record in enumerate(reports[0]["within"]):
        counts = (count_text(kind["within"][index]["rows"]) for kind in reports)
        yield {"where": f"more than once in {record['split']}"} | dict(zip(KINDS, counts, strict=True))
    for index, record in enumerate(reports[0]["across"]):
        counts = (count_text(kind["across"][index]["rows_second"]) for kind in reports)
        where = f"tweets of {record['second']} that also occur in {record['first']}"
        yield {"where": where} | dict(zip(KINDS, counts, strict=True))
    counts = (count_text(kind["conflicts"]["rows"]) if "conflicts" in kind else DASH for kind in reports)
    yield {"where": "duplicates with different labels"} | dict(zip(KINDS, counts, strict=True))


def _token(record: Audit) -> dict[str, str]:
    return {
        "token": str(record["token"]),
        "label": str(record["label"]),
        "tweets": count_text(record["tweets"]),
        "of these with the label": _percent(record["label_share"]),
        "at least (95 %)": _percent(record["label_share_low"]),
        "bits": f"{record['bits']:.3f}",
        "test tweets": count_text(record["test_tweets"]),
        "of these test tweets with the label": _percent(record["test_label_share"]),
    }


def _rule(split: str, rule: Audit) -> dict[str, str]:
    return {
        "split": split,
        "tweets with such a token": count_text(rule["tweets"]),
        "share of all tweets": _percent(rule["coverage"]),
        "accuracy on them": _percent(rule["accuracy"]),
        "accuracy by class shares alone": _percent(rule["by_class_shares"]),
    }


def _examples(report: Audit) -> Iterator[dict[str, str]]:
    across = [(kind, record) for kind in ("exact", "masked") for record in report["duplicates"][kind]["across"]]
    across += [(NEAR, record) for record in report["near_duplicates"]["across"]]
    for kind, record in across:
        for example in record["examples"]:
            first, second = example["rows"] if isinstance(example, Mapping) else example
            yield {"kind": kind, "one tweet": _tweet(first), "other tweet": _tweet(second)}


def _tweet(record: Audit) -> str:
    return f"{record['split']} {record['row']:,}, {record['label']}: {' '.join(record['text'].split())}"


def _percent(value: Any) -> str:
    known = number(value)
    return DASH if known is None else f"{100 * known:.1f} %"
