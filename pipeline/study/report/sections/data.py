"""The audit's section: what to know in sentences, then splits, copies, telling tokens and examples as tables."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.study.report.blocks import Block, Points, table_of
from pipeline.study.report.formatting import DASH, count_text, number
from pipeline.study.report.study_results import StudyResults

Audit = Mapping[str, Any]
KINDS = ("exact", "masked", "nearly alike")


def audit(findings: StudyResults) -> list[Block]:
    """What was found in the data, for each condition of the text where there are several."""
    conditions = findings.audit.get("conditions") or {"": findings.audit}
    return [block for name, report in conditions.items() for block in _report(str(name), report)]


def _report(condition: str, report: Audit) -> list[Block]:
    """The blocks of one audit."""
    if not report:
        return []
    end = f", text.emoticons={condition}" if condition else ""
    names = [str(record["split"]) for record in report["splits"]]
    told = [f"{found['severity'].capitalize()}{end}: {found['text']}" for found in report["findings"]]
    deciding = report["leaks"]["deciding"]
    return [
        *([Points(told)] if told else []),
        *table_of(f"Splits{end}", list(_splits(report))),
        *table_of(f"Tweets that stand more than once{end}", list(_copies(report))),
        *table_of(
            f"Tokens that tell most about the label, in training tweets{end}",
            [_token(record) for record in report["leaks"]["tokens"]],
        ),
        *table_of(
            f"What the label would be worth to one who reads only the deciding tokens, {deciding['count']} in all{end}",
            [_rule(name, deciding["rule"][name]) for name in names if deciding["count"]],
        ),
        *table_of(f"Examples of copies between splits{end}", list(_examples(report))),
    ]


def _splits(report: Audit) -> Iterator[dict[str, str]]:
    for record in report["splits"]:
        row = {"split": str(record["split"]), "tweets": count_text(record["texts"])}
        row |= {f"labelled {name}": count_text(count) for name, count in record["classes"].items()}
        yield row | {
            "without text": count_text(record["empty"]),
            "of unknown words alone": count_text(record["only_unknown"]),
            "tokens of the median tweet": _median(record["tokens_per_text"].get("0.5")),
            "tokens no training tweet has": _percent(record["unseen_tokens"]),
        }


def _copies(report: Audit) -> Iterator[dict[str, str]]:
    """Counts of tweets by kind of copy; near copies are counted besides the masked ones."""
    kinds = [report["duplicates"]["exact"], report["duplicates"]["masked"], report["near_duplicates"]]
    for place, record in enumerate(kinds[0]["within"]):
        counts = (count_text(kind["within"][place]["rows"]) for kind in kinds)
        yield {"where": f"more than once in {record['split']}"} | dict(zip(KINDS, counts, strict=True))
    for place, record in enumerate(kinds[0]["across"]):
        counts = (count_text(kind["across"][place]["rows_second"]) for kind in kinds)
        where = f"tweets of {record['second']} that stand in {record['first']} too"
        yield {"where": where} | dict(zip(KINDS, counts, strict=True))
    counts = (count_text(kind["conflicts"]["rows"]) if "conflicts" in kind else DASH for kind in kinds)
    yield {"where": "copies under different labels"} | dict(zip(KINDS, counts, strict=True))


def _token(record: Audit) -> dict[str, str]:
    return {
        "token": str(record["token"]),
        "label": str(record["label"]),
        "tweets": count_text(record["tweets"]),
        "of these with the label": _percent(record["label_share"]),
        "at least (95 %)": _percent(record["label_share_low"]),
        "bits": f"{record['bits']:.3f}",
        "test tweets": count_text(record["test_tweets"]),
        "of these with it": _percent(record["test_label_share"]),
    }


def _rule(split: str, rule: Audit) -> dict[str, str]:
    return {
        "split": split,
        "tweets with such a token": count_text(rule["tweets"]),
        "share of all": _percent(rule["coverage"]),
        "right on them": _percent(rule["accuracy"]),
        "right by class shares alone": _percent(rule["by_class_shares"]),
    }


def _examples(report: Audit) -> Iterator[dict[str, str]]:
    across = [(kind, record) for kind in ("exact", "masked") for record in report["duplicates"][kind]["across"]]
    across += [("nearly alike", record) for record in report["near_duplicates"]["across"]]
    for kind, record in across:
        for example in record["examples"]:
            first, second = example["rows"] if isinstance(example, Mapping) else example
            yield {"kind": kind, "one tweet": _tweet(first), "other tweet": _tweet(second)}


def _tweet(record: Audit) -> str:
    return f"{record['split']} {record['row']:,}, {record['label']}: {' '.join(record['text'].split())}"


def _median(value: Any) -> str:
    known = number(value)
    return DASH if known is None else f"{known:.4g}"


def _percent(value: Any) -> str:
    known = number(value)
    return DASH if known is None else f"{100 * known:.1f} %"
