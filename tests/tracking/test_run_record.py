import csv
import dataclasses
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from matplotlib.image import imread
from safetensors.numpy import load_file

from pipeline.prediction.trained_model import load_embedding
from pipeline.runtime.files import read_json
from pipeline.tracking.read_record import load_predictions, read_record
from pipeline.tracking.run_record import Predictions
from pipeline.tracking.write_record import write_record

FILES = {
    "config.yaml",
    "confusion_matrix.csv",
    "confusion_matrix.png",
    "curves.png",
    "embedding.safetensors",
    "history.csv",
    "metrics.json",
    "model.safetensors",
    "neighbours.csv",
    "neighbours.md",
    "note.md",
    "predictions.parquet",
    "run.json",
    "similarity.csv",
    "timings.json",
    "vocabulary.json",
}


def written(folder, record):
    folder.mkdir()
    write_record(folder, record)
    return folder


def test_every_file_is_written_and_reads_back(record, tmp_path):
    folder = written(tmp_path / "run", record)
    assert {path.name for path in folder.iterdir()} == FILES
    stored = read_record(folder)
    assert stored.config == record.config
    assert stored.metrics == record.metrics
    assert stored.timings == record.timings
    assert stored.history == record.history
    assert stored.header["tags"] == record.tags
    assert stored.header["dataset"] == record.dataset
    assert [row["after"] for row in stored.neighbours] == ["great", "a|b"]
    assert stored.note == (folder / "note.md").read_text("utf-8")
    assert read_json(folder / "vocabulary.json") == {"words": record.words, "counts": [0, 0, 9, 4]}
    assert np.array_equal(load_file(folder / "model.safetensors")["head.weight"], record.weights["head.weight"])


def test_predictions_hold_every_text_with_its_probabilities(record, tmp_path):
    folder = written(tmp_path / "run", record)
    rows = pq.read_table(folder / "predictions.parquet").to_pylist()
    assert list(rows[0]) == ["split", "row", "text", "label", "predicted", "p_negative", "p_positive"]
    assert [(row["split"], row["row"]) for row in rows] == [("validation", 0), *(("test", i) for i in range(4))]
    assert rows[1] | {"p_negative": 0, "p_positive": 0} == {
        "split": "test",
        "row": 0,
        "text": 'two\nlines, "quoted" 😀',
        "label": "negative",
        "predicted": "negative",
        "p_negative": 0,
        "p_positive": 0,
    }
    found = load_predictions(folder)
    for split, expected in record.predictions.items():
        assert found[split].texts == expected.texts
        assert np.array_equal(found[split].labels, expected.labels)
        assert found[split].probabilities.dtype == np.float32
        assert np.array_equal(found[split].probabilities, expected.probabilities)


def test_predictions_of_a_mapped_column_in_slices_are_those_of_a_list(record, tmp_path, monkeypatch):
    write_record(tmp_path, record)
    whole = pq.read_table(tmp_path / "predictions.parquet")
    mapped = {
        split: dataclasses.replace(found, texts=pa.chunked_array([found.texts[:1], found.texts[1:]], pa.string()))
        for split, found in record.predictions.items()
    }
    monkeypatch.setattr("pipeline.tracking.write_record.CHUNK_ROWS", 3)
    write_record(tmp_path, dataclasses.replace(record, predictions=mapped))
    assert pq.read_table(tmp_path / "predictions.parquet").equals(whole)
    assert pq.ParquetFile(tmp_path / "predictions.parquet").num_row_groups == 3
    assert load_predictions(tmp_path)["test"].texts == record.predictions["test"].texts


def test_confusion_matrix_counts_true_labels_as_rows(record, tmp_path):
    folder = written(tmp_path / "run", record)
    with (folder / "confusion_matrix.csv").open(encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert rows == [["true \\ predicted", "negative", "positive"], ["negative", "1", "0"], ["positive", "2", "1"]]


def test_equal_records_give_equal_bytes(record, tmp_path):
    first = written(tmp_path / "a", record)
    reordered = dict(reversed(record.metrics.items()))
    second = written(
        tmp_path / "b", dataclasses.replace(record, metrics=reordered, timings={"time/train_seconds": 9.0})
    )
    differing = {path.name for path in first.iterdir() if path.read_bytes() != (second / path.name).read_bytes()}
    assert differing == {"timings.json", "note.md"}


def test_a_changed_probability_changes_the_predictions_file(record, tmp_path):
    first = written(tmp_path / "a", record)
    test = record.predictions["test"]
    probabilities = test.probabilities.copy()
    probabilities[0, 0] = np.nextafter(probabilities[0, 0], np.float32(1))
    moved = record.predictions | {"test": dataclasses.replace(test, probabilities=probabilities)}
    second = written(tmp_path / "b", dataclasses.replace(record, predictions=moved))
    name = "predictions.parquet"
    assert (first / name).read_bytes() != (second / name).read_bytes()


def test_final_embedding_is_left_out_only_when_no_bit_changed(record, tmp_path):
    still = written(tmp_path / "still", dataclasses.replace(record, final=record.initial.copy()))
    assert set(load_file(still / "embedding.safetensors")) == {"initial"}
    initial, final = load_embedding(still)
    assert np.array_equal(initial, record.initial)
    assert np.array_equal(final, record.initial)

    final = record.initial.copy()
    final[0, 0] = -0.0  # equal as a number, not as bits
    moved = written(tmp_path / "moved", dataclasses.replace(record, final=final))
    assert math.copysign(1, load_embedding(moved)[1][0, 0]) == -1
    assert math.copysign(1, load_embedding(moved)[0][0, 0]) == 1


def test_undefined_metrics_are_null_and_named_in_the_notes(record, tmp_path):
    metrics = record.metrics | {"test/nll": math.inf, "probe/x": math.nan, "count": np.int64(3), "f": np.float32(0.5)}
    folder = written(tmp_path / "run", dataclasses.replace(record, metrics=metrics))
    stored = read_record(folder)
    assert stored.metrics["test/nll"] is None
    assert stored.metrics["probe/x"] is None
    assert stored.metrics["count"] == 3
    assert stored.metrics["f"] == 0.5
    assert "test/nll came out as inf and is recorded as undefined." in stored.header["notes"]
    assert not any("probe/similarity/simlex999" in note for note in stored.header["notes"])


def test_history_keeps_gaps_and_full_precision(record, tmp_path):
    history = [
        {"epoch": 1, "train/loss": 1 / 3},
        {"epoch": 2, "train/loss": math.nan, "validation/accuracy": 0.1},
    ]
    stored = read_record(written(tmp_path / "run", dataclasses.replace(record, history=history)))
    assert stored.history[0] == {"epoch": 1.0, "train/loss": 1 / 3}
    assert math.isnan(stored.history[1]["train/loss"])
    assert stored.history[1]["validation/accuracy"] == 0.1


def test_awkward_texts_and_labels_survive(record, tmp_path):
    texts = ["\ud83d lone half", "nul \x00 and tab\t", "", "$x^2$ | _a_"]
    labels = np.array([0, 1, 1, 1])
    found = Predictions(texts, labels, record.predictions["test"].probabilities)
    names = ["$neg$", "日本 😀"]
    config = record.config | {"yes": "no", "small": 1e-05, "number": "007", "text": "a: b\n# c"}
    changed = dataclasses.replace(record, label_names=names, predictions={"test": found}, config=config)
    folder = written(tmp_path / "run", changed)
    assert load_predictions(folder)["test"].texts == ["\\ud83d lone half", *texts[1:]]
    assert yaml.safe_load((folder / "config.yaml").read_text("utf-8")) == config
    assert read_record(folder).config == config


def test_an_inconsistent_record_is_an_error(record, tmp_path):
    test = record.predictions["test"]
    for wrong in (
        {"predictions": {}},
        {"label_names": ["one"]},
        {"predictions": {"test": dataclasses.replace(test, texts=test.texts[1:])}},
        {"words": record.words[1:]},
    ):
        with pytest.raises(ValueError, match=r"record needs|do not fit|differ in number"):
            write_record(tmp_path, dataclasses.replace(record, **wrong))
    assert list(tmp_path.iterdir()) == []


def test_plots_are_not_empty_and_mark_the_chosen_epoch(record, tmp_path):
    folder = written(tmp_path / "run", record)
    confusion = imread(folder / "confusion_matrix.png")
    assert min(confusion.shape[:2]) >= 400
    assert confusion[..., :3].std() > 0.05
    other = written(tmp_path / "other", dataclasses.replace(record, chosen_epoch=2))
    assert (folder / "curves.png").read_bytes() != (other / "curves.png").read_bytes()
    bare = written(tmp_path / "bare", dataclasses.replace(record, history=[], chosen_epoch=None))
    assert imread(bare / "curves.png").shape == imread(folder / "curves.png").shape
