"""Read a run's record from its folder: the small files, or the predictions."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray

from pipeline.runtime.files import read_csv, read_json
from pipeline.tracking.run_record import Predictions, StoredRun


def read_record(folder: Path) -> StoredRun:
    """Read the small files of a record. Raises OSError or ValueError where one is missing or damaged."""
    config = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
    if not isinstance(config, dict):
        raise ValueError(f"{folder / 'config.yaml'} is not a mapping")
    rows = read_csv(folder / "history.csv")
    return StoredRun(
        header=read_json(folder / "run.json"),
        config=config,
        metrics=read_json(folder / "metrics.json"),
        timings=read_json(folder / "timings.json"),
        history=[{key: float(value) for key, value in row.items() if value != ""} for row in rows],
        neighbours=read_csv(folder / "neighbours.csv"),
        note=(folder / "note.md").read_text("utf-8"),
    )


def load_test_probabilities(folder: Path) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """True labels (N,), as indices into the run's label names, and probabilities (N, C) of the test split; no texts."""
    names = read_json(folder / "run.json")["label_names"]
    columns = [f"p_{name}" for name in names]
    table = pq.read_table(folder / "predictions.parquet", columns=["split", "label", *columns])
    rows = table.filter(pc.equal(table["split"], "test"))
    return _label_indices(rows["label"], names), np.stack([rows[column].to_numpy() for column in columns], axis=1)


def load_predictions(folder: Path) -> dict[str, Predictions]:
    """Texts, labels and probabilities by split, with labels as indices into the run's label names."""
    names = read_json(folder / "run.json")["label_names"]
    table = pq.read_table(folder / "predictions.parquet")
    predictions = {}
    for split in table["split"].unique().to_pylist():
        rows = table.filter(pc.equal(table["split"], split))
        probabilities = np.stack([rows[f"p_{name}"].to_numpy() for name in names], axis=1)
        predictions[split] = Predictions(rows["text"].to_pylist(), _label_indices(rows["label"], names), probabilities)
    return predictions


def _label_indices(column: pa.ChunkedArray, names: list[str]) -> NDArray[np.int64]:
    return np.asarray(pc.index_in(column.combine_chunks(), pa.array(names)), np.int64)
