"""Report sections on word vectors, tweets and data: probes, transfer, drift, unseen words, examples, audit."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.config.variants import prose_name
from pipeline.study.report.blocks import Block, Part, Table, Tables, filled_table, table_of
from pipeline.study.report.formatting import (
    DASH,
    budget_name,
    count_text,
    number,
    points_text,
    records,
    score_text,
    share_text,
    signed,
)
from pipeline.study.report.study_results import StudyResults
from pipeline.study.report.tables import probe_table, transfer_table

Audit = Mapping[str, Any]
NEAR = "nearly alike"
KINDS = ("exact", "masked", NEAR)


def probes(results: StudyResults) -> list[Block]:
    """A row per probe and variant, before and after training."""
    caption = "Probes before and after training, mean ± half the 95 % interval"
    return table_of(caption, probe_table(results))


def transfer(results: StudyResults) -> list[Block]:
    """A row per task and variant or reference method, with scores before and after training, gain and lead."""
    rows = transfer_table(results)
    if not rows:
        return []
    caption = (
        "Macro recall on the test tweets of other tasks in percent, mean ± half the 95 % interval; gains in points"
    )
    note = (
        "Names in brackets are reference methods: they read the other task's texts and use no word vectors. The "
        "interval of a mean of other tasks is over tasks."
    )
    return [*table_of(caption, rows), Part("text", note)]


def drift(results: StudyResults) -> list[Block]:
    """Drift by word frequency, then the words whose vectors changed most."""
    rows = [
        [
            *(prose_name(row["variant"]), str(row["band"]), count_text(row["rows"]), count_text(row["touched"])),
            *(score_text(row[name], factor=1, decimals=3) for name in ("mean_drift", "mean_relative_l2")),
        ]
        for row in records(results.bands)
    ]
    columns = ["variant", "occurrences in training", "words", "words read in training", "mean drift"]
    blocks = filled_table("Drift by word frequency", [*columns, "mean change / initial length"], rows)
    changed: dict[str, list[list[str]]] = {}
    for row in records(results.changed):
        direction = row["direction"]
        sizes = [score_text(row[name], factor=1, decimals=3) for name in ("drift", "relative_l2")]
        cells = [str(row["word"]), count_text(row["count"]), *sizes]
        cells.append(signed(float(direction), 3) if isinstance(direction, (int, float)) else str(direction))
        changed.setdefault(str(row["variant"]), []).append(cells)
    columns = ["word", "count", "drift", "relative L2", "direction"]
    tables = [Table(f"Words that changed most: {prose_name(name)}", columns, cells) for name, cells in changed.items()]
    return [*blocks, Tables(tables)] if tables else blocks


def unknown(results: StudyResults) -> list[Block]:
    """A row per variant, a column per share of unseen tokens; likewise the leads over vectors learned from scratch."""
    entries = records(results.unknown)
    columns = {str(row["band"]): f"{row['band']} ({count_text(row['tweets'])} tweets)" for row in entries}
    rows: dict[str, dict[str, str]] = {}
    for entry in entries:
        name = prose_name(entry["variant"])
        row = rows.setdefault(name, {"variant": name} | dict.fromkeys(columns.values(), DASH))
        row[columns[str(entry["band"])]] = score_text(entry["accuracy"], entry["low"], entry["high"])
    caption = "Test accuracy in percent by the share of a tweet's tokens that no labelled tweet contains"
    leads: dict[tuple[str, str], dict[str, str]] = {}
    bands = dict.fromkeys((str(row["band"]) for row in records(results.unseen_leads)), DASH)
    for entry in records(results.unseen_leads):
        key = f"{prose_name(entry['a'])} − {prose_name(entry['b'])}", budget_name(results, entry["label_budget"])
        row = leads.setdefault(key, dict(zip(("first − second", "labels"), key, strict=True)) | bands)
        row[str(entry["band"])] = points_text(entry["mean"], entry["low"], entry["high"])
    lead_caption = "Differences in test accuracy, in points, by the same share"
    return [*table_of(caption, list(rows.values())), *table_of(lead_caption, list(leads.values()))]


def examples(results: StudyResults) -> list[Block]:
    """A row per tweet, with each variant's prediction."""
    frame = results.examples
    if not len(frame):
        return []
    variants = [str(column) for column in frame.columns if column not in ("text", "label")]
    rows = []
    for row in records(frame):
        predictions = [f"{'✓' if row[name] == row['label'] else '✗'} {row[name]}" for name in variants]
        rows.append([" ".join(str(row["text"]).split()), str(row["label"]), *predictions])
    tweets = "Generated test tweets" if results.generated else "Test tweets"
    columns = ["tweet", "label", *map(prose_name, variants)]
    return [Table(f"{tweets} on which the variants disagree", columns, rows)]


def audit(results: StudyResults) -> list[Block]:
    """The audit of the data, once for each value of `text.emoticons` that the study has."""
    if not results.audit:
        return []
    conditions = results.audit.get("conditions") or {"": results.audit}
    return [block for name, report in conditions.items() for block in _audit_blocks(str(name), report)]


def _audit_blocks(condition: str, report: Audit) -> list[Block]:
    end = f", {condition}" if condition else ""
    sentences = [f"{finding['severity'].capitalize()}{end}: {finding['text']}" for finding in report["findings"]]
    deciding = report["leaks"]["deciding"]
    tokens = [_token(record) for record in report["leaks"]["tokens"]]
    names = [str(record["split"]) for record in report["splits"] if deciding["count"]]
    rules = [_rule(name, deciding["rule"][name]) for name in names]
    return [
        *([Part("bullets", sentences)] if sentences else []),
        *table_of(f"Splits{end}", list(_splits(report))),
        *table_of(f"Tweets that occur more than once{end}", list(_duplicates(report))),
        *table_of(f"Training tokens with the most information on the label{end}", tokens),
        *table_of(f"Accuracy of a rule that reads only the {deciding['count']} deciding tokens{end}", rules),
        *table_of(f"Examples of duplicates between splits{end}", list(_duplicate_examples(report))),
    ]


def _splits(report: Audit) -> Iterator[dict[str, str]]:
    shifts = {record["split"]: record for record in report["shift"]}
    for record in report["splits"]:
        shift = shifts.get(record["split"], {})
        median = number(record["tokens_per_text"].get("0.5"))
        row = {"split": str(record["split"]), "tweets": count_text(record["texts"])}
        row |= {f"labelled {name}": count_text(count) for name, count in record["classes"].items()}
        yield row | {
            "without text": count_text(record["empty"]),
            "only unknown words": count_text(record["only_unknown"]),
            "median tokens per tweet": DASH if median is None else f"{median:,.4g}",
            "tokens absent from training": _percent(record["unseen_tokens"]),
            "AUC against training": share_text(shift.get("auc"), shift.get("low"), shift.get("high")),
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


def _duplicate_examples(report: Audit) -> Iterator[dict[str, str]]:
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
