import gzip

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.data.source import source_fingerprint
from pipeline.data.splits import load
from pipeline.runtime.errors import UserError

TRAIN = "training.1600000.processed.noemoticon.csv"
TEST = "testdata.manual.2009.06.14.csv"
TEXTS = ['he said ""no"", really', "café \xbd", "a; b, c", "NA", "plain", "&lt;3 it", "two  blanks ", "null"]


def line(code, text):
    return f'"{code}","1467810369","Mon Apr 06 22:19:45 PDT 2009","NO_QUERY","_user_","{text}"'


@pytest.fixture
def read(data_config, tmp_path):
    def read_source(path, **settings):
        settings = {"label_column": "sentiment", "validation_size": 0, "test_size": 2} | settings
        return load(data_config("sentiment140", path=str(path), **settings), tmp_path / "cache")

    return read_source


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "archive"
    path.mkdir()
    lines = [line(4 * (index % 2), text) for index, text in enumerate(TEXTS)]
    (path / TRAIN).write_bytes("".join(f"{text}\n" for text in lines).encode("latin-1"))
    test = [line(4, "good"), line(2, "so so"), line(0, "bad"), line(2, "hm")]
    (path / TEST).write_bytes("".join(f"{text}\r\n" for text in test).encode("latin-1"))
    return path


def rows(splits):
    tables = (splits.train, splits.test)
    return sorted(
        row for table in tables for row in zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True)
    )


EXPECTED = sorted((text.replace('""', '"'), index % 2) for index, text in enumerate(TEXTS))


def test_the_original_archive(folder, read):
    splits = read(folder)
    assert splits.label_names == ["negative", "positive"]
    assert sorted(zip(splits.train["text"].to_pylist(), splits.train["label"].to_pylist(), strict=True)) == EXPECTED
    assert splits.test.to_pydict() == {"text": ["good", "bad"], "label": [1, 0]}
    assert splits.notes == [
        f"{TRAIN}: read as latin-1, without a header, label in column 0 and text in column 5",
        f"{TEST}: read as utf-8, without a header, label in column 0 and text in column 5",
        f"{TEST}: 2 neutral rows (label 2) left out",
    ]


@pytest.mark.parametrize("name", [TRAIN, "tweets.csv", "TWEETS.CSV", f"{TRAIN}.gz"])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_original_file_alone(name, encoding, end, folder, read, tmp_path):
    content = (folder / TRAIN).read_bytes().decode("latin-1").replace("\n", end).encode(encoding)
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    splits = read(path)
    assert splits.label_names == ["negative", "positive"]
    assert rows(splits) == EXPECTED


def test_other_copies_of_the_original_columns(folder, read, tmp_path):
    frame = pd.DataFrame([(4 * label, "u", text) for text, label in EXPECTED], columns=["target", "user", "text"])
    frame.to_csv(tmp_path / "header.csv", index=False)
    assert rows(read(tmp_path / "header.csv")) == EXPECTED
    table = pa.table({"text": [text for text, _ in EXPECTED], "label": [label for _, label in EXPECTED]})
    pq.write_table(table, tmp_path / "copy.parquet")
    assert rows(read(tmp_path / "copy.parquet")) == EXPECTED


def test_labels_of_the_configuration_name_the_codes(folder, read):
    splits = read(folder, labels={"0": "bad", "4": "good"})
    assert splits.label_names == ["bad", "good"]
    assert splits.test.to_pydict() == {"text": ["good", "bad"], "label": [1, 0]}
    assert read(folder, labels=["positive", "negative"]).test["label"].to_pylist() == [0, 1]


def test_faults_are_named(folder, read, data_config, tmp_path):
    with pytest.raises(UserError, match=r"byte 0xe9 is not valid in data.encoding=utf-8"):
        read(folder, encoding="utf-8")
    lines = (folder / TRAIN).read_bytes() + line(3, "odd").encode() + b"\n"
    (folder / TRAIN).write_bytes(lines)
    assert any(f"{TRAIN}, row 9 (line 9): label '3', expected one of" in note for note in read(folder).notes)
    (folder / "training.csv").write_bytes(lines)
    with pytest.raises(UserError, match=f"expected one train file, found {TRAIN}, training.csv"):
        read(folder)
    with pytest.raises(UserError, match=r"absent.csv is no local file or folder"):
        source_fingerprint(data_config("sentiment140", path=str(tmp_path / "absent.csv")))
    frame = pd.DataFrame({"tweet": ["a", "b"], "mood": [0, 4]})
    frame.to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(UserError, match=r"no column 'text' \(data.text_column\)"):
        read(tmp_path / "other.csv")
