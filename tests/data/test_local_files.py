import gzip
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.data.splits import load
from pipeline.runtime.errors import UserError

GOOD = [
    ("so\ngood", "positive"),
    ('NA "quoted", and comma', "negative"),
    ("null", "positive"),
    ("👍🏽 day", "positive"),
    (" padded ", "negative"),
    ("sad", "negative"),
]
SIZES = {"validation_size": 0, "test_size": 2}


def all_rows(splits):
    rows = []
    for _, part in splits.tables():
        rows += [
            (text, splits.label_names[label])
            for text, label in zip(part["text"].to_pylist(), part["label"].to_pylist(), strict=True)
        ]
    return sorted(rows)


def frame():
    return pd.DataFrame(GOOD, columns=["text", "label"]).assign(id=range(len(GOOD)))


def write_table(path):
    if path.suffix == ".csv":
        frame().to_csv(path, index=False)
    elif path.suffix == ".tsv":
        frame().to_csv(path, index=False, sep="\t")
    elif path.suffix == ".parquet":
        frame().to_parquet(path)
    else:
        frame().to_json(path, orient="records", lines=True)


@pytest.fixture
def read(tmp_path, data_config):
    def read_text(name, content, **changes):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load(data_config("files", path=str(path), **(SIZES | changes)), tmp_path / "cache")

    return read_text


def test_csv_with_quoted_newline_bom_emoji_and_missing_label(read):
    content = (
        '\ufeffid,text,label\r\n1,"so\ngood 👍🏽",positive\r\n2,lost,\r\n3,bad,negative\r\n'
        "4,well,positive\r\n5,sad,negative\r\n"
    )
    splits = read("my tweets.csv", content)
    expected = [("bad", "negative"), ("sad", "negative"), ("so\ngood 👍🏽", "positive"), ("well", "positive")]
    assert all_rows(splits) == expected
    line = "my tweets.csv, row 2 (line 4): no label (column 'label' is empty); expected a text and a label"
    assert "my tweets.csv: 1 of 5 rows left out" in splits.notes
    assert line in splits.notes


def test_one_long_text_does_not_refuse_the_file(read):
    splits = read("t.csv", "text,label\n" + "a,1\nb,0\n" * 4 + f"{'long ' * 40_000},1\n")
    assert max(len(text) for text, _ in all_rows(splits)) >= 199_999


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"])
def test_every_format_gives_the_same_rows(suffix, tmp_path, data_config):
    write_table(tmp_path / f"tweets{suffix}")
    splits = load(data_config("files", path=str(tmp_path / f"tweets{suffix}"), **SIZES), tmp_path / "cache")
    assert all_rows(splits) == sorted(GOOD)
    assert splits.label_names == ["negative", "positive"]
    assert not splits.generated


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "text,label\na,x\nb,y\nc,x\nd,y"),
        ("t.tsv", "text\tlabel\ra\tx\rb\ty\rc\tx\rd\ty\r"),
        (
            "t.jsonl",
            "\r\n".join(json.dumps({"text": t, "label": label}) for t, label in zip("abcd", "xyxy", strict=True)),
        ),
    ],
)
def test_a_bom_is_no_part_of_the_first_column_and_any_line_end_will_do(read, name, content):
    splits = read(name, "\ufeff" + content)
    assert all_rows(splits) == [("a", "x"), ("b", "y"), ("c", "x"), ("d", "y")]
    assert not any("left out" in note for note in splits.notes)


def test_each_bad_row_is_named(read):
    content = "text,label\ngood,1\n,1\ntoo,many,1\nfew\n   ,\nbad,0\n\nfine,1\nsad,0\n"
    splits = read("t.csv", content)
    assert all_rows(splits) == [("bad", "0"), ("fine", "1"), ("good", "1"), ("sad", "0")]
    assert splits.notes[:5] == [
        "t.csv: 4 of 8 rows left out",
        "t.csv, row 2 (line 3): no text (column 'text' is empty); expected a text and a label",
        "t.csv, row 3 (line 4): 3 fields, expected 2 (text, label)",
        "t.csv, row 4 (line 5): 1 field, expected 2 (text, label)",
        "t.csv, row 5 (line 6): no text (column 'text' is empty) and no label (column 'label' is empty); "
        "expected a text and a label",
    ]


def test_the_list_of_bad_rows_ends_after_twenty(read):
    content = "text,label\n" + "lost,\n" * 30 + "odd,maybe\n" + "good,1\nbad,0\n" * 3
    splits = read("t.csv", content, labels=["0", "1"])
    assert splits.notes[0] == "t.csv: 31 of 37 rows left out; the first 20 are named"
    named = [note for note in splits.notes if ", row " in note]
    assert len(named) == 20
    assert "row 20 (line 21)" in named[-1]


def test_a_label_outside_data_labels_is_a_bad_row(read):
    splits = read("t.csv", "text,label\na,pos\nb,neg\nc,meh\nd,pos\ne,neg\n", labels=["pos", "neg"])
    assert splits.label_names == ["pos", "neg"]
    assert "t.csv, row 3 (line 4): label 'meh', expected one of pos, neg" in splits.notes
    assert all_rows(splits) == [("a", "pos"), ("b", "neg"), ("d", "pos"), ("e", "neg")]


def test_codes_are_named_by_data_labels_in_order(read):
    splits = read("t.csv", "text,label\na,1\nb,0\nc,1.0\nd,0\n", labels=["neg", "pos"])
    assert all_rows(splits) == [("a", "pos"), ("b", "neg"), ("c", "pos"), ("d", "neg")]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([10, 9, 10, 9, 9, 10], ["9", "10"]),
        ([1.0, 0.0, 1.0, 0.0, 0.0, 1.0], ["0", "1"]),
        ([True, False, True, False, False, True], ["False", "True"]),
        (["b", "a", "b", "a", "a", "b"], ["a", "b"]),
        (["-1", "2", "-1 ", "2.0", "2", " -1"], ["-1", "2"]),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_labels_of_every_type_sorted_as_numbers_where_they_are(labels, names, suffix, tmp_path, data_config):
    path = tmp_path / f"t.{suffix}"
    table = pd.DataFrame({"text": list("uvwxyz"), "label": labels})
    writers = {"csv": table.to_csv, "parquet": table.to_parquet, "jsonl": table.to_json}
    writers[suffix](path, **({"orient": "records", "lines": True} if suffix == "jsonl" else {"index": False}))
    splits = load(data_config("files", path=str(path), **SIZES), tmp_path / "cache")
    assert splits.label_names == names
    label_of_text = dict(all_rows(splits))
    assert label_of_text["u"] == label_of_text["w"] == label_of_text["z"] != label_of_text["v"]
    assert label_of_text["v"] == label_of_text["x"] == label_of_text["y"]


def test_jsonl_rows_that_are_no_objects_are_named(read):
    lines = [json.dumps({"text": t, "label": label}) for t, label in GOOD]
    bad = [
        "[1, 2]",
        "{broken",
        '{"text": "\\ud83d", "label": "x"}',
        '{"label": "positive"}',
        '{"text": ["a"], "label": 1}',
    ]
    splits = read("t.jsonl", "\n".join([*lines[:1], "", *bad, *lines[1:]]))
    assert all_rows(splits) == sorted(GOOD)
    assert splits.notes[0] == "t.jsonl: 5 of 11 rows left out"
    assert splits.notes[1] == "t.jsonl, row 2 (line 3): found [1, 2], expected a JSON object"
    assert splits.notes[2].startswith("t.jsonl, row 3 (line 4): not JSON (")
    assert "half a surrogate pair" in splits.notes[3]
    assert "no text (column 'text' is missing)" in splits.notes[4]
    assert "column 'text' holds ['a'], expected text" in splits.notes[5]


def test_missing_labels_of_a_parquet_file(tmp_path, data_config):
    table = pa.table({"text": ["a", "b", None, "d", "e"], "label": [1.0, 0.0, 1.0, None, float("nan")]})
    pq.write_table(pa.concat_tables([table, table]), tmp_path / "t.parquet")
    splits = load(data_config("files", path=str(tmp_path / "t.parquet"), **SIZES), tmp_path / "cache")
    assert all_rows(splits) == [("a", "1")] * 2 + [("b", "0")] * 2
    assert splits.notes[0] == "t.parquet: 6 of 10 rows left out"
    assert splits.notes[1].startswith("t.parquet, row 3: no text (column 'text' is missing)")


def test_a_folder_of_splits_and_unlabelled_text(tmp_path, data_config):
    (tmp_path / "train.csv").write_text("text,label\na,x\nb,y\n", "utf-8")
    (tmp_path / "dev.jsonl").write_text('{"text": "c", "label": "y"}\n', "utf-8")
    (tmp_path / "test.tsv").write_text("text\tlabel\nd\tx\ne\ty\n", "utf-8")
    (tmp_path / "unlabelled.txt").write_text("\ufefff g\n\n h\u2028i\r\n", "utf-8")
    splits = load(data_config("files", path=str(tmp_path)), tmp_path / "cache")
    assert splits.train.to_pydict() == {"text": ["a", "b"], "label": [0, 1]}
    assert splits.validation.to_pydict() == {"text": ["c"], "label": [1]}
    assert splits.test.to_pydict() == {"text": ["d", "e"], "label": [0, 1]}
    assert splits.unlabelled.to_pydict() == {"text": ["f g", " h\u2028i"]}
    assert splits.notes == ["validation: no row has the label 'x'"]
    (tmp_path / "unlabelled.txt").unlink()
    (tmp_path / "unlabelled.txt.gz").write_bytes(gzip.compress("é\n".encode() * 9 + b"a\0\nf\xe9\n"))
    splits = load(data_config("files", path=str(tmp_path)), tmp_path / "cache")
    assert splits.unlabelled.to_pydict() == {"text": ["é"] * 9}
    assert splits.notes[0] == "unlabelled.txt.gz: lines left out for NUL bytes, or bytes that are not UTF-8: 2"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "t.csv: the file is empty"),
        ("t.csv", "\n\n", "t.csv: the file holds nothing but blank lines"),
        ("t.jsonl", "\n\n", "t.jsonl: the file holds nothing but blank lines"),
        ("t.csv", "text,label\n", "t.csv: no usable row; it has no rows"),
        ("t.csv", "text,label\n,1\n,2\n", "t.csv, row 1 (line 2): no text"),
        ("t.csv", "text,label\na,1\nb,1\nc,1\n", "t.csv: only one label, '1'"),
        ("t.csv", "tweet,lable,id\na,1,2\n", "t.csv: no column 'text' (data.text_column); columns: tweet, lable, id"),
        (
            "t.csv",
            "text,lable\na,1\n",
            "no column 'label' (data.label_column); columns: text, lable; did you mean 'lable'?",
        ),
        ("t.csv", "text,text,label\na,b,1\n", "t.csv: 2 columns are called 'text'"),
        ("t.jsonl", '{"tweet": "a", "label": 1}', "no column 'text' (data.text_column); columns: tweet, label"),
        ("t.jsonl", '[{"text": "a", "label": 1},', "t.jsonl: not JSON (Expecting"),
        ("t.json", '{"text": {"0": "a"}, "label": {"0": 1}}', "t.json: the first object holds whole columns"),
        (
            "t.csv",
            b"text,label\na,1\n\xe9t\xe9,0\n",
            "t.csv, line 3: byte 0xe9 is not UTF-8; the encoding may be",
        ),
        ("t.csv.gz", b"\x1f\x8b\x08\x00cut", "t.csv.gz: cannot be read ("),
        ("t.parquet", "text,label\na,1\n", "t.parquet: not a readable Parquet file"),
        ("t.xlsx", "text", "expected a file ending in .csv, .tsv, .tab, .txt, .json, .jsonl, .ndjson, .parquet"),
        ("t.csv", "text,label\n" + "".join(f"a,{n}\n" for n in range(1001)), "has more than 1000 different values"),
    ],
)
def test_files_that_cannot_be_used_are_one_line(read, name, content, message):
    with pytest.raises(UserError) as caught:
        read(name, content)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_paths_that_cannot_be_used_are_one_line(tmp_path, data_config):
    (tmp_path / "tweets.csv").write_text("text,label\na,x\nb,y\n", "utf-8")
    folder = tmp_path / "folder"
    folder.mkdir()
    for path, message in [
        (None, "data.path is not set"),
        (str(tmp_path / "tweet.csv"), "no file or folder .*tweet.csv; did you mean 'tweets.csv'?"),
        (str(folder), r"folder: no file train\.\*"),
    ]:
        with pytest.raises(UserError, match=message):
            load(data_config("files", path=path), tmp_path / "cache")
    (folder / "train.csv").touch()
    (folder / "train.tsv").touch()
    with pytest.raises(UserError, match=r"expected one train file, found train\.csv, train\.tsv"):
        load(data_config("files", path=str(folder)), tmp_path / "cache")


@pytest.mark.parametrize("labels", [["a", "a"], ["1", "1.0"], ["a", ""], []])
def test_labels_named_twice_or_empty(read, labels):
    with pytest.raises(UserError, match=r"data\.labels=.* holds a label twice"):
        read("t.csv", "text,label\na,a\nb,b\n", labels=labels)


def test_a_label_that_no_training_row_has(read):
    with pytest.raises(UserError, match=r"no training row has the label 'c'"):
        read("t.csv", "text,label\n" + "x,a\ny,b\n" * 5, labels=["a", "b", "c"])
