"""Sections about words and tweets: probes, transfer, drift, unknown words, examples."""

from collections.abc import Mapping
from typing import Any

from pipeline.study.report.blocks import Block, Table, Tables, Text, table_of
from pipeline.study.report.formatting import DASH, count_text, number, records, score_text, signed
from pipeline.study.report.study_results import StudyResults
from pipeline.study.report.tables import main_transfer, probe_table, transfer_table


def probes(findings: StudyResults) -> list[Block]:
    """A row per probe and variant."""
    return table_of("Probes before and after training, mean ± half the 95 % interval", probe_table(findings))


def transfer(findings: StudyResults) -> list[Block]:
    """A row per variant, columns per task."""
    rows = transfer_table(findings)
    if not rows:
        return []
    names = ", ".join(dict.fromkeys(str(row["metric"]).replace("_", " ") for row in records(main_transfer(findings))))
    caption = f"Test {names} on other tasks in percent, mean ± half the 95 % interval over seeds"
    return [
        *table_of(caption, rows),
        Text("Names in brackets are references that read the other task's own texts and use no vectors of ours."),
    ]


def drift(findings: StudyResults) -> list[Block]:
    """Drift per frequency band, then the words that changed most."""
    rows = [
        {
            "variant": str(row["variant"]),
            "times in training": str(row["band"]),
            "rows": count_text(row["rows"]),
            "rows that training read": count_text(row["touched"]),
            "mean drift": _decimal(row["mean_drift"]),
            "mean change / initial length": _decimal(row["mean_relative_l2"]),
        }
        for row in records(findings.bands)
    ]
    blocks = table_of("Drift by how often a word occurs", rows)
    changed: dict[str, list[list[str]]] = {}
    for row in records(findings.changed):
        cells = [str(row["word"]), count_text(row["count"]), _decimal(row["drift"]), _decimal(row["relative_l2"])]
        changed.setdefault(str(row["variant"]), []).append([*cells, _direction(row["direction"])])
    columns = ["word", "count", "drift", "relative L2", "direction"]
    tables = [Table(f"Words that changed most: {name}", columns, cells) for name, cells in changed.items()]
    return [*blocks, Tables(tables)] if tables else blocks


def unknown(findings: StudyResults) -> list[Block]:
    """A row per variant, a column per share of unknown words."""
    rows: dict[str, dict[str, str]] = {}
    bands = {str(row["band"]): count_text(row["tweets"]) for row in records(findings.unknown)}
    for row in records(findings.unknown):
        empty = {"variant": str(row["variant"])} | {_band(band, bands): DASH for band in bands}
        entry = rows.setdefault(str(row["variant"]), empty)
        entry[_band(str(row["band"]), bands)] = score_text(row["accuracy"], row["low"], row["high"])
    caption = "Test accuracy in percent by the share of a tweet's tokens that no labelled tweet had"
    return table_of(caption, list(rows.values()))


def _band(band: str, tweets: Mapping[str, str]) -> str:
    return f"{band} ({tweets[band]} tweets)"


def examples(findings: StudyResults) -> list[Block]:
    """A row per tweet, with what each variant said."""
    frame = findings.examples
    if not len(frame):
        return []
    variants = [str(column) for column in frame.columns if column not in ("text", "label")]
    rows = [
        [_one_line(row["text"]), str(row["label"]), *(_said(row[name], row["label"]) for name in variants)]
        for row in records(frame)
    ]
    generated = "Generated test tweets" if findings.generated else "Test tweets"
    return [Table(f"{generated} that divide the variants", ["tweet", "label", *variants], rows)]


def _said(said: Any, label: Any) -> str:
    return f"{'✓' if said == label else '✗'} {said}"


def _one_line(text: Any) -> str:
    return " ".join(str(text).split())


def _direction(value: Any) -> str:
    return signed(float(value), 3) if isinstance(value, (int, float)) else str(value)


def _decimal(value: Any) -> str:
    known = number(value)
    return DASH if known is None else f"{known:.3f}"
