"""Files with the traits that people reported trouble with: each is read with its values, by every source of data."""

import csv
import gzip
import io
import json
import zipfile
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.data.splits import load
from pipeline.runtime.errors import UserError

ROWS = [
    (f"the {thing} was {word} and {other} number {number}", ("negative", "positive", "neutral")[number % 3])
    for number, (thing, word, other) in enumerate(
        zip(["bus", "soup", "film"] * 8, ["dull", "great", "plain"] * 8, ["bad", "fine", "usual"] * 8, strict=True)
    )
]


def as_csv(rows, header=("text", "label"), delimiter=",", **style):
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter, **style).writerows([*([header] if header else []), *rows])
    return stream.getvalue()


def lone_quotes():
    rows = [
        (f'"{text}' if row == 4 else f'{text}"' if row == 19 else text, label) for row, (text, label) in enumerate(ROWS)
    ]
    rows[9] = ('"so" it begins', rows[9][1])
    content = "".join(f"{9000 + row}\t{label}\t{text}\n" for row, (text, label) in enumerate(rows))
    return "train.tsv", f"id\tlabel\ttext\n{content}".encode(), rows, {}


def semicolons():
    return "train.csv", as_csv(ROWS, delimiter=";").encode("utf-8-sig"), ROWS, {}


def separator_line():
    return "train.csv", f"sep=;\r\n{as_csv(ROWS, delimiter=';')}".encode(), ROWS, {}


def excel_unicode_text():
    return "train.csv", as_csv(ROWS, delimiter="\t").encode("utf-16"), ROWS, {}


def without_header():
    rows = [(f"{text} café", label) for text, label in ROWS]
    codes = {"negative": "0", "neutral": "2", "positive": "4"}
    table = [(codes[label], row, "NO_QUERY", text) for row, (text, label) in enumerate(rows)]
    content = as_csv(table, None, quoting=csv.QUOTE_ALL).encode("latin-1")
    keys = {"header": "false", "encoding": "latin-1", "text_column": "3", "label_column": "0"}
    return "train.csv", content, rows, keys | {"labels": {value: name for name, value in codes.items()}}


def class_called_none():
    names = {"negative": "AGAINST", "positive": "FAVOR", "neutral": "None"}
    rows = [(text, names[label]) for text, label in ROWS]
    rows[3:5] = [("null", "AGAINST"), ("NA", "FAVOR")]
    return "train.csv", as_csv(rows).encode(), rows, {}


def blank_header():
    content = '\ufeff"id", text , "label"\n' + "".join(
        f'{row}, "{text}, ok", {label}\n' for row, (text, label) in enumerate(ROWS)
    )
    return "train.csv", content.encode(), [(f"{text}, ok", label) for text, label in ROWS], {}


def decimals():
    codes = ["negative", "positive", "neutral"]
    table = {"text": [text for text, _ in ROWS], "label": [Decimal(codes.index(label)) for _, label in ROWS]}
    stream = io.BytesIO()
    pq.write_table(pa.table(table), stream)
    return "train.parquet", stream.getvalue(), [(text, str(codes.index(label))) for text, label in ROWS], {}


def gzipped():
    return "train.csv.gz", gzip.compress(as_csv(ROWS).encode()), ROWS, {}


def json_list():
    records = [{"text": text, "label": label} for text, label in ROWS]
    return "train.json", json.dumps(records, indent=1).encode(), ROWS, {}


def json_lines():
    records = [{"label": label, "text": text} for text, label in ROWS]
    return "train.jsonl", "\n".join(map(json.dumps, records)).encode(), ROWS, {}


def fasttext():
    return "train.txt", "".join(f"__label__{label} {text}\n" for text, label in ROWS).encode(), ROWS, {}


def multi_line_texts():
    rows = [(f"{text},\nso\n\n{label}," if row % 4 == 0 else text, label) for row, (text, label) in enumerate(ROWS)]
    return "train.csv", as_csv(rows).encode(), rows, {}


def numbers_with_missing_words():
    codes = {"negative": "0.0", "positive": "1", "neutral": "2.0"}
    rows = [(text, codes[label].removesuffix(".0")) for text, label in ROWS]
    table = [(text, codes[label]) for text, label in ROWS] + [("lost a", "nan"), ("lost b", "N/A"), ("lost c", "")]
    return "train.csv", as_csv(table).encode(), rows, {}


CASES = [
    lone_quotes,
    semicolons,
    separator_line,
    excel_unicode_text,
    without_header,
    class_called_none,
    blank_header,
    decimals,
    gzipped,
    json_list,
    json_lines,
    fasttext,
    multi_line_texts,
    numbers_with_missing_words,
]


def rows_of(splits):
    return Counter(
        (row["text"], splits.label_names[row["label"]]) for _, table in splits.tables() for row in table.to_pylist()
    )


@pytest.mark.parametrize("door", ["file", "folder", "hub folder"])
@pytest.mark.parametrize("case", CASES)
def test_every_door_reads_the_same_rows(case, door, tmp_path, data_config):
    name, content, expected, keys = case()
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / name).write_bytes(content)
    source, path = {"file": ("files", folder / name), "folder": ("files", folder), "hub folder": ("hub", folder)}[door]
    splits = load(data_config(source, path=str(path), **keys), tmp_path / "cache")
    assert rows_of(splits) == Counter(expected)


@pytest.mark.parametrize("source", ["files", "hub"])
def test_a_folder_of_a_competition(source, tmp_path, data_config):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.csv").write_text(as_csv(ROWS), "utf-8")
    (folder / "test.csv").write_text(
        as_csv([(row, text) for row, (text, _) in enumerate(ROWS)], ("id", "text")), "utf-8"
    )
    (folder / "sample_submission.csv").write_text("id,label\n0,positive\n", "utf-8")
    splits = load(data_config(source, path=str(folder)), tmp_path / "cache")
    assert rows_of(splits) == Counter(ROWS)
    assert any("test" in note and "so the split is not used" in note for note in splits.notes)
    assert "set: not read: sample_submission.csv" in splits.notes


def test_tables_of_a_folder_that_are_not_read_are_named(tmp_path, data_config):
    folder = tmp_path / "set"
    folder.mkdir()
    for name in ("train.csv", "train-2.csv", "notes.txt"):
        (folder / name).write_text(as_csv(ROWS), "utf-8")
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        archive.writestr("a.png", "")
        archive.writestr("b.png", "")
    splits = load(data_config("files", path=str(folder)), tmp_path / "cache")
    assert "set: not read: notes.txt, train-2.csv" in splits.notes


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        (pa.array([["a"], ["b"]] * 4), "holds ['a'], expected a label"),
        (pa.array([b"a", b"b"] * 4), "holds b'a', expected a label"),
        (pa.array([{"name": "a"}] * 8), "holds {'name': 'a'}, expected a label"),
    ],
)
def test_labels_that_are_no_values_are_one_line(label, problem, tmp_path, data_config):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"text": list("abcdefgh"), "label": label}), path)
    with pytest.raises(UserError) as caught:
        load(data_config("files", path=str(path)), tmp_path / "cache")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("values", [pd.Categorical(["a", "b"] * 4), pd.array([0, 1] * 4, "Int8"), [0.0, 1.0] * 4])
def test_labels_of_other_types(values, tmp_path, data_config):
    path = Path(tmp_path / "t.parquet")
    pd.DataFrame({"text": list("abcdefgh"), "label": values}).to_parquet(path)
    splits = load(data_config("files", path=str(path), validation_size=0, test_size=2), tmp_path / "cache")
    assert splits.label_names in (["a", "b"], ["0", "1"])
    assert sum(rows_of(splits).values()) == 8
