"""Write a run's record as plain files: metrics, predictions, weights, tables, plots and note."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from safetensors.numpy import save

from pipeline.classifier.metrics import confusion_matrix
from pipeline.prediction.trained_model import EMBEDDING
from pipeline.runtime.files import write_json
from pipeline.tracking.note import neighbour_table, run_note
from pipeline.tracking.plots import plot_confusion, plot_curves
from pipeline.tracking.run_record import RunRecord

CHUNK_ROWS = 1 << 17  # predictions written at a time
HEADER = (
    *("name", "title", "tags", "label_names", "notes", "warnings", "dataset"),
    *("environment", "overrides", "chosen_epoch"),
)
NEIGHBOUR_COLUMNS = ("word", "rank", "before", "before_cosine", "after", "after_cosine")
SPEARMAN = ("spearman_before", "before_low", "before_high", "spearman", "low", "high")
SIMILARITY_COLUMNS = ("set", "n", "pairs", "coverage", *SPEARMAN)


def write_record(folder: Path, record: RunRecord) -> None:
    """Write every file of the record into an existing folder.

    Equal records give byte-equal files. A metric that is not a finite number is written as null, with a note.
    Raises ValueError where parts of the record are inconsistent (lengths, classes, a missing test split).
    """
    record = _checked(record)
    config = yaml.safe_dump(record.config, sort_keys=False, allow_unicode=True)
    (folder / "config.yaml").write_text(config, "utf-8")
    write_json(folder / "metrics.json", record.metrics)
    write_json(folder / "timings.json", {key: float(value) for key, value in record.timings.items()})
    write_json(folder / "run.json", {key: getattr(record, key) for key in HEADER})
    (folder / "history.csv").write_text(csv_text(record.history), "utf-8")
    _write_predictions(folder / "predictions.parquet", record)

    test = record.predictions["test"]
    confusion = confusion_matrix(test.labels, test.probabilities.argmax(axis=1), len(record.label_names))
    rows = [
        {"true \\ predicted": name} | dict(zip(record.label_names, counts, strict=True))
        for name, counts in zip(record.label_names, confusion.tolist(), strict=True)
    ]
    (folder / "confusion_matrix.csv").write_text(csv_text(rows), "utf-8")
    plot_confusion(folder / "confusion_matrix.png", confusion, record.label_names, record.title)
    monitor = str(record.config.get("train", {}).get("monitor", "accuracy"))
    plot_curves(folder / "curves.png", record.history, monitor, record.chosen_epoch, record.title)

    (folder / "neighbours.csv").write_text(csv_text(record.neighbours, NEIGHBOUR_COLUMNS), "utf-8")
    (folder / "neighbours.md").write_text(neighbour_table(record.neighbours), "utf-8")
    (folder / "similarity.csv").write_text(csv_text(record.similarity, SIMILARITY_COLUMNS), "utf-8")
    for name, rows in record.tables.items():
        (folder / f"{name}.csv").write_text(csv_text(rows), "utf-8")
    if record.keep_embedding:
        words = [_encodable(word) for word in record.words]
        write_json(folder / "vocabulary.json", {"words": words, "counts": [int(count) for count in record.counts]})
        initial, final = (np.ascontiguousarray(rows, np.float32) for rows in (record.initial, record.final))
        changed = {"final": final} if final.tobytes() != initial.tobytes() else {}
        (folder / EMBEDDING).write_bytes(save({"initial": initial, **changed}))
    weights = {name: np.ascontiguousarray(values) for name, values in sorted(record.weights.items())}
    (folder / "model.safetensors").write_bytes(save(weights))
    (folder / "note.md").write_text(run_note(record, confusion), "utf-8")


def _checked(record: RunRecord) -> RunRecord:
    """The record with plain numbers as metrics; raises ValueError where its parts are inconsistent."""
    if "test" not in record.predictions:
        raise ValueError("a record needs the predictions of the test split")
    classes = len(record.label_names)
    for split, predictions in record.predictions.items():
        shape = (len(predictions.texts), classes)
        if predictions.probabilities.shape != shape or predictions.labels.shape != shape[:1]:
            raise ValueError(
                f"{split}: {shape[0]} texts and {classes} labels do not fit labels of shape "
                f"{predictions.labels.shape} and probabilities of shape {predictions.probabilities.shape}"
            )
    if not len(record.words) == len(record.counts) == len(record.initial) == len(record.final):
        raise ValueError("words, counts and rows of the initial and final embedding matrix differ in number")
    metrics = {key: _finite(value) for key, value in record.metrics.items()}
    undefined = [key for key, value in record.metrics.items() if value is not None and metrics[key] is None]
    notes = [f"{key} came out as {record.metrics[key]} and is recorded as undefined." for key in undefined]
    return replace(record, metrics=metrics, notes=[*record.notes, *notes])


def _finite(value: float | None) -> float | int | None:
    """A plain int or float; None where the value is no finite number."""
    if value is None or not math.isfinite(value):
        return None
    return int(value) if isinstance(value, int | np.integer) else float(value)


def _write_predictions(path: Path, record: RunRecord) -> None:
    """One row per text: split, row, text, true and predicted label name, and a probability column per label."""
    names = pa.array(record.label_names, pa.string())
    strings = [(name, pa.string()) for name in ("text", "label", "predicted")]
    dtype = pa.from_numpy_dtype(record.predictions["test"].probabilities.dtype)
    probability_columns = [(f"p_{name}", dtype) for name in record.label_names]
    schema = pa.schema([("split", pa.string()), ("row", pa.int64()), *strings, *probability_columns])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for split, predictions in sorted(record.predictions.items(), reverse=True):
            for start in range(0, len(predictions.texts), CHUNK_ROWS):
                rows = slice(start, min(start + CHUNK_ROWS, len(predictions.texts)))
                texts, probabilities = predictions.texts[rows], predictions.probabilities[rows]
                columns = [
                    pa.array([split] * len(texts), pa.string()),
                    pa.array(range(rows.start, rows.stop), pa.int64()),
                    texts if isinstance(texts, pa.ChunkedArray) else pa.array(map(_encodable, texts), pa.string()),
                    names.take(pa.array(predictions.labels[rows])),
                    names.take(pa.array(probabilities.argmax(axis=1))),
                    *(pa.array(np.ascontiguousarray(column)) for column in probabilities.T),
                ]
                writer.write_table(pa.table(columns, schema=schema))


def _encodable(text: str) -> str:
    """The text with lone surrogates, which UTF-8 cannot hold, as backslash escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """Rows as CSV: `columns` first, then other keys as they appear. Absent and None are empty cells."""
    names = list(dict.fromkeys([*columns, *(key for row in rows for key in row)]))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return stream.getvalue()


def _cell(value: Any) -> Any:
    """A value as CSV holds it: whole floats as integers, other floats with all their digits."""
    if isinstance(value, float | np.floating):
        number = float(value)
        return int(number) if number.is_integer() and abs(number) < 2**53 else repr(number)
    return _encodable(value) if isinstance(value, str) else value
