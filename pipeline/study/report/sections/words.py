"""Report sections on word vectors and tweets: probes, transfer, drift, unseen words, examples."""

from typing import Any

from pipeline.config.variants import prose_name
from pipeline.study.report.blocks import Block, Table, Tables, Text, filled_table, table_of
from pipeline.study.report.formatting import DASH, count_text, number, records, score_text, signed
from pipeline.study.report.study_results import StudyResults
from pipeline.study.report.tables import main_transfer, probe_table, transfer_table


def probes(results: StudyResults) -> list[Block]:
    """A row per probe and variant, before and after training."""
    caption = "Probes before and after training, mean ± half the 95 % interval"
    return table_of(caption, probe_table(results))


def transfer(results: StudyResults) -> list[Block]:
    """A row per variant and reference method, columns per task before and after training."""
    rows = transfer_table(results)
    if not rows:
        return []
    metrics = ", ".join(dict.fromkeys(str(row["metric"]).replace("_", " ") for row in records(main_transfer(results))))
    caption = f"Test {metrics} on other tasks in percent, mean ± half the 95 % interval over seeds"
    note = "Names in brackets are reference methods: they read the other task's texts and use no word vectors."
    return [*table_of(caption, rows), Text(note)]


def drift(results: StudyResults) -> list[Block]:
    """Drift by word frequency, then the words whose vectors changed most."""
    rows = [
        [
            *(prose_name(row["variant"]), str(row["band"]), count_text(row["rows"]), count_text(row["touched"])),
            *(_decimal(row["mean_drift"]), _decimal(row["mean_relative_l2"])),
        ]
        for row in records(results.bands)
    ]
    columns = ["variant", "occurrences in training", "words", "words read in training", "mean drift"]
    blocks = filled_table("Drift by word frequency", [*columns, "mean change / initial length"], rows)
    changed: dict[str, list[list[str]]] = {}
    for row in records(results.changed):
        direction = row["direction"]
        cells = [str(row["word"]), count_text(row["count"]), _decimal(row["drift"]), _decimal(row["relative_l2"])]
        cells.append(signed(float(direction), 3) if isinstance(direction, (int, float)) else str(direction))
        changed.setdefault(str(row["variant"]), []).append(cells)
    columns = ["word", "count", "drift", "relative L2", "direction"]
    tables = [Table(f"Words that changed most: {prose_name(name)}", columns, cells) for name, cells in changed.items()]
    return [*blocks, Tables(tables)] if tables else blocks


def _decimal(value: Any) -> str:
    known = number(value)
    return DASH if known is None else f"{known:.3f}"


def unknown(results: StudyResults) -> list[Block]:
    """A row per variant, a column per share of unseen tokens."""
    entries = records(results.unknown)
    columns = {str(row["band"]): f"{row['band']} ({count_text(row['tweets'])} tweets)" for row in entries}
    rows: dict[str, dict[str, str]] = {}
    for entry in entries:
        name = prose_name(entry["variant"])
        row = rows.setdefault(name, {"variant": name} | dict.fromkeys(columns.values(), DASH))
        row[columns[str(entry["band"])]] = score_text(entry["accuracy"], entry["low"], entry["high"])
    caption = "Test accuracy in percent by the share of a tweet's tokens that no labelled tweet contains"
    return table_of(caption, list(rows.values()))


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
