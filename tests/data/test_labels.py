"""Label values as files and configurations hold them."""

import json
import shlex

import pytest

from pipeline.config.compose import compose
from pipeline.data.labels import label_coding
from pipeline.data.splits import load
from pipeline.runtime.errors import UserError

TRICKY = [
    "true",
    "no",
    "null",
    "1e3",
    "+1",
    "-1",
    "None",
    "nan",
    "0x1F",
    "1_000",
    "~",
    "on",
    "a: b",
    "x,y",
    "it's",
    '"q"',
    "é 👍",
]


def labels_of(override):
    return compose(["data=files", "data.path=t.csv", override]).data.labels


def test_labels_of_a_command_are_the_characters_that_stand_there():
    assert labels_of("data.labels=[true,no,null,1e3,+1,-1]") == ["true", "no", "null", "1e3", "+1", "-1"]
    assert labels_of("data.labels=" + json.dumps(TRICKY, ensure_ascii=False)) == TRICKY
    mapping = {value: f"class {number}" for number, value in enumerate(TRICKY)}
    assert labels_of("data.labels=" + json.dumps(mapping, ensure_ascii=False)) == mapping
    assert labels_of("data.labels={0: negative, 4: positive}") == {"0": "negative", "4": "positive"}
    assert labels_of("data.labels={0:negative,4:positive}") == {"0": "negative", "4": "positive"}
    assert labels_of("data.labels=null") is None


@pytest.mark.parametrize(
    "override", ["data.labels=yes", "data.labels=3", "data.labels=[[a],[b]]", "data.labels={a: [b]}"]
)
def test_labels_of_another_shape_are_one_line(override):
    with pytest.raises(UserError, match=r"^data\.labels"):
        labels_of(override)


@pytest.fixture
def read(tmp_path, data_config):
    def read_rows(values, **changes):
        path = tmp_path / "t.jsonl"
        rows = [{"text": f"text {row}", "label": value} for row, value in enumerate(values)]
        path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
        splits = load(data_config("files", path=str(path), validation_size=0, test_size=2, **changes), tmp_path / "c")
        labels = {
            row["text"]: splits.label_names[row["label"]] for _, table in splits.tables() for row in table.to_pylist()
        }
        return [labels.get(f"text {row}") for row in range(len(values))], splits

    return read_rows


@pytest.mark.parametrize(
    "pair", [("true", "no"), ("null", "None"), ("1e3", "x"), ("+1", "-1"), ("nan", "text"), ("on", "off")]
)
def test_a_file_and_a_command_mean_the_same_label(pair, read):
    values = [*pair] * 4
    assert read(values)[0] == values
    labels = labels_of(f"data.labels=[{pair[1]},{pair[0]}]")
    names, splits = read(values, labels=labels)
    assert names == values
    assert splits.label_names == [pair[1], pair[0]]


def test_a_mapping_names_and_joins_values_and_leaves_out_the_rest(read):
    labels = {"0": "negative", "1": "negative", "3": "positive", "4": "positive"}
    names, splits = read([0, 1, 2, 3, "4", 4.0, "0", 1, 3, 4], labels=labels)
    negative, positive = "negative", "positive"
    assert names == [negative, negative, None, positive, positive, positive, negative, negative, positive, positive]
    assert splits.label_names == [negative, positive]
    assert "t.jsonl, row 3 (line 3): label '2', expected one of 0, 1, 3, 4" in splits.notes


def test_spellings_of_one_label_are_named_and_joined_by_the_suggested_key(read):
    values = [
        "positive",
        "Positive",
        "POSITIVE",
        "positive\u200b",
        "negative",
        "ＮＥＧＡＴＩＶＥ",
        "negative\u00a0",
        "neg  ative",
    ] * 2
    names, splits = read([*values, "negative", "positive"])
    assert len(splits.label_names) == 7
    (note,) = [note for note in splits.notes if "differ in case" in note]
    assert "'positive' (3 rows), 'POSITIVE' (2 rows)" in note
    assert "'positive\\u200b' (2 rows)" in note
    (override,) = shlex.split(note.partition("join them with ")[2])
    names, splits = read([*values, "negative", "positive"], labels=labels_of(override))
    assert splits.label_names == ["neg  ative", "negative", "positive"]
    assert names[:8] == ["positive"] * 4 + ["negative"] * 3 + ["neg  ative"]
    assert any(note.startswith("t.jsonl: 2 rows with the label 'POSITIVE' count as positive") for note in splits.notes)


def test_words_for_a_missing_label_beside_numbers_are_left_out_and_named(read):
    values = [0.0, 1.0, 0, 1, "nan", "NaN", "N/A", None, "0", "1.0", 0, 1]
    names, splits = read(values)
    assert splits.label_names == ["0", "1"]
    assert names == ["0", "1", "0", "1", None, None, None, None, "0", "1", "0", "1"]
    assert splits.notes[0] == "t.jsonl: 4 of 12 rows left out"
    assert "t.jsonl, row 6 (line 6): label 'NaN', expected one of 0, 1" in splits.notes
    names, splits = read(values, labels=["0", "1", "N/A", "nan"])
    assert names[4:8] == ["nan", "nan", "N/A", None]


def test_a_class_called_none_beside_text_labels_is_a_class(read):
    values = ["FAVOR", "None", "AGAINST"] * 4
    names, splits = read(values)
    assert names == values
    assert splits.label_names == ["AGAINST", "FAVOR", "None"]


def test_numbers_are_sorted_by_value():
    coding = label_coding("t", {"10": 1, "9": 1, "-1": 1, "0.5": 1}, None, None, [])
    assert coding.names == ["-1", "0.5", "9", "10"]


def test_an_exact_value_comes_before_a_spelling_of_another():
    coding = label_coding("t", {"US": 5, "us": 5, "Us": 1}, ["US", "us"], None, [])
    assert coding.classes == {"US": 0, "us": 1}
