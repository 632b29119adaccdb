import datasets
import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from pipeline.data.splits import load
from pipeline.runtime.errors import UserError

ROWS = [
    ("null", "None"),
    ("NA", "yes"),
    ('he said "no", twice', "no"),
    ("007", "yes"),
    ("1e3", "None"),
    ("café ½", "no"),
    ("#N/A n/a", "yes"),
    ("two\nlines", "None"),
    ("  padded ", "no"),
]
TABLES = {  # the same rows in the layouts in which people have them
    "comma.csv": lambda frame, path: frame.to_csv(path, index=False),
    "excel.csv": lambda frame, path: frame.to_csv(path, index=False, sep=";", encoding="utf-8-sig"),
    "utf16.csv": lambda frame, path: frame.to_csv(path, index=False, sep="\t", encoding="utf-16"),
    "rows.csv.gz": lambda frame, path: frame.to_csv(path, index=False),
    "quoted.tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "lines.jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
    "list.json": lambda frame, path: frame.to_json(path, orient="records", indent=1),
    "rows.parquet": lambda frame, path: frame.to_parquet(path),
    "pipe.txt": lambda frame, path: frame.to_csv(path, index=False, sep="|"),
}


def rows_of(splits, name):
    table = getattr(splits, name)
    labels = [splits.label_names[label] for label in table["label"].to_pylist()]
    return sorted(zip(table["text"].to_pylist(), labels, strict=True))


def all_rows(splits):
    return sorted(
        row for name in ("train", "validation", "test") if getattr(splits, name) for row in rows_of(splits, name)
    )


@pytest.fixture
def read(data_config, tmp_path):
    def read_source(source, path, **settings):
        return load(data_config(source, path=str(path), **({"validation_size": 0} | settings)), tmp_path / "cache")

    return read_source


def card(folder, files, *lines, settings=()):
    splits = [f"  - split: {split}\n    path: {path}" for split, path in files.items()]
    configs = ["configs:", "- config_name: default", *settings, "  data_files:", *splits]
    (folder / "README.md").write_text("\n".join(["---", *configs, *lines, "---", ""]), "utf-8")


@pytest.mark.parametrize("name", TABLES)
def test_every_door_gives_the_same_rows(name, read, tmp_path):
    path = tmp_path / "set" / name
    path.parent.mkdir()
    TABLES[name](pd.DataFrame(ROWS * 2, columns=["text", "label"]), path)
    assert all_rows(read("files", path, test_size=2)) == sorted(ROWS * 2)
    assert all_rows(read("hub", path, test_size=2)) == sorted(ROWS * 2)
    # A folder as data=files reads it, in shards as only the hub has them, and with a data card.
    suffix = name[name.index(".") :]
    for files in (("train", "test"), ("train-00000-of-00001", "test-00000-of-00001"), ("a", "b")):
        folder = tmp_path / files[0]
        folder.mkdir()
        for file in files:
            (folder / f"{file}{suffix}").write_bytes(path.read_bytes())
        if files[0] == "a":
            card(folder, {"train": f"a{suffix}", "test": f"b{suffix}"})
        for source in ("files", "hub") if files[0] == "train" else ("hub",):
            splits = read(source, folder)
            assert rows_of(splits, "train") == rows_of(splits, "test") == sorted(ROWS * 2)


def test_lone_quotes_are_text_at_both_doors(read, tmp_path):
    texts = ['"Starts with one', "plain", 'ends with one"', "more"] * 5
    path = tmp_path / "train.tsv"
    path.write_text("text\tlabel\n" + "".join(f"{text}\t{i % 2}\n" for i, text in enumerate(texts)))
    for source, origin in (("files", path), ("hub", path), ("files", tmp_path), ("hub", tmp_path)):
        assert sorted(text for text, _ in all_rows(read(source, origin, test_size=4))) == sorted(texts)


@pytest.mark.parametrize("source", ["files", "hub"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_test_file_without_labels_counts_as_absent(source, suffix, read, tmp_path):
    frame = pd.DataFrame({"id": range(40), "tweet": [f"t{i}" for i in range(40)], "label": ["a", "b"] * 20})
    for name, table in {
        "train": frame,
        "test": frame.drop(columns="label"),
        "sample_submission": frame[["id"]],
    }.items():
        path = tmp_path / f"{name}.{suffix}"
        TABLES[{"csv": "comma.csv", "jsonl": "lines.jsonl", "parquet": "rows.parquet"}[suffix]](table, path)
    splits = read(source, tmp_path, text_column="tweet", test_size=4)
    assert (len(splits.train), len(splits.test)) == (36, 4)
    assert f"test.{suffix}: no column 'label', so the split is not used; predict labels it" in splits.notes


@pytest.mark.parametrize("source", ["files", "hub"])
@pytest.mark.parametrize("folder", [True, False])
def test_class_names_in_the_schema_of_parquet(source, folder, read, tmp_path):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["sad", "glad"])})
    rows = {"text": list("abcdef"), "label": [0, 1, 0, 1, -1, 1]}
    Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "train.parquet")
    splits = read(source, tmp_path if folder else tmp_path / "train.parquet", test_size=2)
    assert splits.label_names == ["sad", "glad"]
    assert all_rows(splits) == [("a", "sad"), ("b", "glad"), ("c", "sad"), ("d", "glad"), ("f", "glad")]
    assert "train.parquet: 1 of 6 rows left out" in splits.notes
    for labels in (["low", "high"], {"0": "low", "1": "high"}):
        assert read(source, tmp_path, test_size=2, labels=labels).label_names == ["low", "high"]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("text,label\na,0\nb,1\nc,-1\nd,2\n", ["1", "2", "3"]),
        (
            '{"text":"a","label":"1"}\n{"text":"b","label":"2"}\n{"text":"c"}\n{"text":"d","label":"3"}\n',
            ["1", "2", "3"],
        ),
        (
            '{"text":"a","label":0}\n{"text":"b","label":1}\n{"text":"c","label":-1}\n{"text":"d","label":2}\n',
            ["1", "2", "3"],
        ),
        ("text,label\na,low\nb,mid\nc,\nd,high\n", ["low", "mid", "high"]),
    ],
)
def test_class_names_of_a_data_card(content, names, read, tmp_path):
    suffix = "csv" if content.startswith("text,") else "jsonl"
    for split in ("train", "test"):
        (tmp_path / f"{split}.{suffix}").write_text(content)
    quoted = [f"        '{index}': '{name}'" for index, name in enumerate(names)]
    card(
        tmp_path,
        {split: f"{split}.{suffix}" for split in ("train", "test")},
        *("dataset_info:", "  features:", "  - name: text", "    dtype: string", "  - name: label", "    dtype:"),
        *("      class_label:", "       names:", *quoted),
    )
    splits = read("hub", tmp_path)
    assert splits.label_names == names
    assert rows_of(splits, "train") == [("a", names[0]), ("b", names[1]), ("d", names[2])]


def test_files_of_one_split_follow_each_other(read, tmp_path):
    for shard, texts in enumerate((["a", "b", ""], ["c", "", "d"])):
        frame = pd.DataFrame({"text": texts, "label": ["x", "y", "x"]})
        frame.to_csv(tmp_path / f"train-0000{shard}-of-00002.csv", index=False)
    splits = read("hub", tmp_path, test_size=1)
    assert all_rows(splits) == [("a", "x"), ("b", "y"), ("c", "x"), ("d", "x")]
    assert splits.notes[:4] == [
        "train: train-00000-of-00002.csv, train-00001-of-00002.csv",
        f"{tmp_path} train: 2 of 6 rows left out",
        "train-00000-of-00002.csv, row 3 (line 4): no text (column 'text' is empty); expected a text and a label",
        "train-00001-of-00002.csv, row 2 (line 3): no text (column 'text' is empty); expected a text and a label",
    ]


def test_the_layout_that_a_data_card_declares(read, tmp_path):
    (tmp_path / "a.csv").write_bytes('text~label\n"caf\xe9~None\nNA~x\nbad "~x\n'.encode("latin-1") * 1)
    card(tmp_path, {"train": "a.csv"}, settings=["  sep: '~'", "  quoting: 3", "  encoding: latin-1"])
    assert all_rows(read("hub", tmp_path, test_size=1)) == [('"café', "None"), ("NA", "x"), ('bad "', "x")]


def test_files_that_only_datasets_reads(read, tmp_path):
    rows = {"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]}
    folder = tmp_path / "arrow"
    Dataset.from_dict(rows).save_to_disk(tmp_path / "saved")
    folder.mkdir()
    next((tmp_path / "saved").glob("*.arrow")).rename(folder / "train.arrow")
    assert all_rows(read("hub", folder, test_size=2)) == sorted(ROWS)
    # Options of pandas that we have no key for: texts such as NA stay, as far as pandas can.
    table = tmp_path / "table"
    table.mkdir()
    (table / "a.csv").write_text(
        "# made by hand\ntext,label\n" + "".join(f"t{i},{'None' if i % 2 else 'NA'}\n" for i in range(8))
    )
    card(table, {"train": "a.csv"}, settings=["  comment: '#'"])
    assert read("hub", table, test_size=2).label_names == ["NA", "None"]


def test_a_hub_id_is_downloaded_and_read_as_files_are(read, tmp_path, monkeypatch):
    (tmp_path / "train.csv").write_text(
        "text,label\n" + "".join(f"t{i},{'None' if i % 2 else 'x'}\n" for i in range(8))
    )
    builder = datasets.load_dataset_builder(str(tmp_path), cache_dir=str(tmp_path / "cache"))
    builder.config.data_files = {"train": ["hf://datasets/own/set@main/train.csv"]}
    calls = []

    def load_builder(path, name, **options):
        calls.append((path, name, options))
        return builder

    class Manager:
        def __init__(self, download_config):
            pass

        def download(self, urls):
            assert urls == {"train": ["hf://datasets/own/set@main/train.csv"]}
            return {"train": [str(tmp_path / "train.csv")]}

    monkeypatch.setattr(datasets, "load_dataset_builder", load_builder)
    monkeypatch.setattr(datasets, "DownloadManager", Manager)
    splits = read("hub", "own/set", revision="v1", test_size=2)
    assert splits.label_names == ["None", "x"]
    assert len(all_rows(splits)) == 8
    assert calls == [("own/set", None, {"revision": "v1", "cache_dir": None})]


def test_an_earlier_download_serves_without_a_network(read, tmp_path, monkeypatch):
    folder = tmp_path / "hub" / "datasets--own--set"
    files = folder / "snapshots" / ("a" * 40)
    files.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("a" * 40)
    (files / "a.csv").write_text("text,label\n" + "".join(f"t{i},{'None' if i % 2 else 'x'}\n" for i in range(8)))
    card(files, {"train": "a.csv"})
    for constant in ("datasets.config.HF_HUB_OFFLINE", "huggingface_hub.constants.HF_HUB_OFFLINE"):
        monkeypatch.setattr(constant, True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    assert len(all_rows(read("hub", "own/set", test_size=2))) == 8
    with pytest.raises(UserError, match="could not load own/other: Couldn't reach"):
        read("hub", "own/other")
