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


def row_names():
    rows = "".join(f'"{row}" "{text}" "{label}"\n' for row, (text, label) in enumerate(ROWS))
    return "train.txt", f'"text" "label"\n{rows}'.encode(), ROWS, {"delimiter": "space"}


def row_names_tabs():
    rows = "".join(f"{row}\t{text}\t{label}\n" for row, (text, label) in enumerate(ROWS))
    return "train.tsv", f"text\tlabel\n{rows}".encode(), ROWS, {}


def trailing_delimiters():
    rows = "".join(f"{text},{label},\r\n" for text, label in ROWS)
    return "train.csv", f"text,label\r\n{rows}".encode(), ROWS, {}


def trailing_delimiter_in_the_header():
    return "train.csv", f"text,label,\n{as_csv(ROWS, None)}".encode(), ROWS, {}


def blanks_before_quotes():
    rows = "".join(f'"{label}", "{text}"\n' for text, label in ROWS)
    return "train.csv", f"label, text\n{rows}".encode(), ROWS, {}


def headers_of_joined_files():
    table = [row for number, row in enumerate(ROWS) for row in ([("text", "label"), row] if number % 6 == 5 else [row])]
    return "train.csv", as_csv(table).encode(), ROWS, {}


def sql_nulls():
    rows = [(str(row), text, label) for row, (text, label) in enumerate(ROWS)]
    rows += [("90", "so happy", "\\N"), ("91", "\\N", "positive")]
    return "train.tsv", as_csv(rows, ("id", "text", "label"), "\t").encode(), ROWS, {}


def nul_characters():
    return "train.tsv", as_csv([*ROWS, ("so\0happy", "positive")], delimiter="\t").encode(), ROWS, {}


def fasttext_with_commas():
    return "train.csv", "".join(f"__label__{label},{text}\n" for text, label in ROWS).encode(), ROWS, {}


def json_lines_of_another_name():
    records = [{"text": text, "label": label} for text, label in ROWS]
    return "train.txt", "\n".join(map(json.dumps, records)).encode(), ROWS, {}


@pytest.mark.parametrize(
    "case",
    [
        row_names,
        row_names_tabs,
        trailing_delimiters,
        trailing_delimiter_in_the_header,
        blanks_before_quotes,
        headers_of_joined_files,
        sql_nulls,
        nul_characters,
        fasttext_with_commas,
        json_lines_of_another_name,
    ],
)
def test_further_layouts(case, tmp_path, data_config):
    name, content, expected, keys = case()
    path = tmp_path / name
    path.write_bytes(content)
    splits = load(data_config("files", path=str(path), **keys), tmp_path / "cache")
    assert rows_of(splits) == Counter(expected)


@pytest.mark.parametrize("content", ["12", "true", "NaN", '"a"', "null"])
def test_json_without_objects_is_one_line(content, tmp_path, data_config):
    path = tmp_path / "t.json"
    path.write_text(content, "utf-8")
    with pytest.raises(UserError, match=r"t\.json: "):
        load(data_config("files", path=str(path)), tmp_path / "cache")


def test_a_test_split_of_placeholders_is_not_used(tmp_path, data_config):
    (tmp_path / "train.csv").write_text(as_csv(ROWS), "utf-8")
    (tmp_path / "test.csv").write_text(as_csv([(text, "?") for text, _ in ROWS]), "utf-8")
    with pytest.raises(UserError, match=r"name the labels to use in data\.labels"):
        load(data_config("files", path=str(tmp_path)), tmp_path / "cache")
    names = ["negative", "neutral", "positive"]
    splits = load(data_config("files", path=str(tmp_path), labels=names), tmp_path / "cache")
    assert "test.csv: no row has a label but ?, so the split is not used" in splits.notes
    assert rows_of(splits) == Counter(ROWS)


def test_files_named_like_a_split_that_are_not_read_are_named(tmp_path, data_config):
    (tmp_path / "train.csv").write_text(as_csv(ROWS), "utf-8")
    (tmp_path / "test.xlsx").write_bytes(b"x")
    (tmp_path / "dev").mkdir()
    splits = load(data_config("files", path=str(tmp_path)), tmp_path / "cache")
    assert f"{tmp_path.name}: not read: dev, test.xlsx" in splits.notes


def test_words_for_a_missing_label_beside_text_labels_are_named(tmp_path, data_config):
    path = tmp_path / "t.csv"
    path.write_text(as_csv([*ROWS, ("so", "NULL"), ("sad", "NULL"), ("day", "NULL")]), "utf-8")
    splits = load(data_config("files", path=str(path)), tmp_path / "cache")
    (note,) = [note for note in splits.notes if "missing label" in note]
    assert "'NULL' (3 rows) may stand for a missing label" in note
    assert '\'data.labels=["negative","neutral","positive"]\' leaves it out' in note


@pytest.mark.parametrize("source", ["files", "hub"])
def test_two_files_for_one_split_are_refused(source, tmp_path, data_config):
    (tmp_path / "train.csv").write_text(as_csv(ROWS), "utf-8")
    (tmp_path / "train.csv.gz").write_bytes(gzip.compress(as_csv(ROWS).encode()))
    with pytest.raises(UserError, match=r"expected one train file, found train\.csv, train\.csv\.gz"):
        load(data_config(source, path=str(tmp_path)), tmp_path / "cache")
