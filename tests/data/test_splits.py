import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config.schema import SampleConfig
from pipeline.data.sample import generate as sample
from pipeline.data.source import source_fingerprint
from pipeline.data.splits import content_fingerprint, load
from pipeline.runtime.errors import UserError


@pytest.fixture
def csv(tmp_path, data_config):
    def make(rows, **changes):
        path = tmp_path / "tweets.csv"
        path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows), "utf-8")
        return data_config("files", path=str(path), **changes)

    return make


def hundred(share=4):
    return [(f"tweet {i}", "pos" if i % share == 0 else "neg") for i in range(100)]


def texts(part):
    return part["text"].to_pylist()


def test_fractions_and_numbers_of_rows_make_the_same_splits(csv, tmp_path):
    fractions = load(csv(hundred(), validation_size=0.2, test_size=0.12), tmp_path / "a")
    numbers = load(csv(hundred(), validation_size=20, test_size=12), tmp_path / "b")
    assert [len(part) for _, part in fractions.tables()] == [68, 20, 12]
    assert [sum(part["label"].to_pylist()) for _, part in fractions.tables()] == [17, 5, 3]
    assert content_fingerprint(fractions) == content_fingerprint(numbers)
    assert fractions.notes == [
        "test: 12 of 100 rows, stratified (data.test_size=0.12, data.split_seed=0)",
        "validation: 20 of 100 rows, stratified (data.validation_size=0.2, data.split_seed=0)",
    ]


def test_splits_are_disjoint_whole_and_in_the_order_of_the_source(csv, tmp_path):
    splits = load(csv(hundred()), tmp_path / "cache")
    parts = [texts(part) for _, part in splits.tables()]
    assert sorted(text for part in parts for text in part) == sorted(text for text, _ in hundred())
    assert all(part == sorted(part, key=lambda text: int(text.split()[1])) for part in parts)


def test_the_split_seed_decides_which_rows(csv, tmp_path):
    first, again, other = (load(csv(hundred(), split_seed=s), tmp_path / f"{i}") for i, s in enumerate((0, 0, 1)))
    assert texts(first.test) == texts(again.test) != texts(other.test)
    assert texts(first.validation) != texts(first.test)


def test_no_validation_split(csv, tmp_path):
    splits = load(csv(hundred(), validation_size=0), tmp_path / "cache")
    assert splits.validation is None
    assert [name for name, _ in splits.tables()] == ["train", "test"]
    assert len(splits.train) == 90


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"test_size": 0}, r"data\.test_size=0 of 100 rows is no row, and the source has no test split"),
        ({"test_size": 0.001}, r"data\.test_size=0\.001 of 100 rows is no row"),
        ({"validation_size": 0.004}, r"data\.validation_size=0\.004 of 100 rows is no row"),
        ({"test_size": 1.5}, r"data\.test_size=1\.5: expected a whole number of rows, or a fraction below 1"),
        (
            {"test_size": 60, "validation_size": 40},
            r"data\.test_size=60 and data\.validation_size=40 leave .* of the 100",
        ),
        ({"test_size": 0.5, "validation_size": 0.5}, r"leave no training row of the 100 that tweets\.csv has"),
        ({"test_size": 200, "validation_size": 0}, r"^data\.test_size=200 leave"),
    ],
)
def test_sizes_that_make_no_splits(csv, tmp_path, sizes, message):
    with pytest.raises(UserError, match=message):
        load(csv(hundred(), **sizes), tmp_path / "cache")


def test_rare_labels(csv, tmp_path):
    rows = [*hundred(), ("only one", "odd")]
    splits = load(csv(rows), tmp_path / "cache")
    assert "test: no row has the label 'odd'" in splits.notes
    assert "only one" in texts(splits.train)
    with pytest.raises(UserError, match=r"tweets\.csv: no training row has the label 'odd'"):
        load(csv(rows, test_size=98, validation_size=0), tmp_path / "cache")


REPEATS = [
    ("train.csv", "a  b,x\nA B,x\n@ann hi http://t.co/1,y\nfine,x\nv w,y\ngood,y\ngood,y\n"),
    ("validation.csv", " v\tw ,y\nz,x\n"),
    ("test.csv", "a b,x\n@bob  HI http://t.co/22,y\n"),
]


@pytest.mark.parametrize(
    ("deduplicate", "remaining"),
    [
        ("none", ["a  b", "A B", "@ann hi http://t.co/1", "fine", "v w", "good", "good"]),
        ("exact", ["A B", "@ann hi http://t.co/1", "fine", "good", "good"]),
        ("masked", ["fine", "good", "good"]),
    ],
)
def test_training_rows_that_repeat_held_out_ones_are_dropped(deduplicate, remaining, tmp_path, data_config):
    for name, rows in REPEATS:
        (tmp_path / name).write_text("text,label\n" + rows, "utf-8")
    splits = load(data_config("files", path=str(tmp_path), deduplicate=deduplicate), tmp_path / "cache")
    assert texts(splits.train) == remaining
    assert (len(splits.validation), len(splits.test)) == (2, 2)
    count = 7 - len(remaining)
    dropped = f"train: {count} of 7 rows dropped, their text is in another split (data.deduplicate={deduplicate})"
    assert splits.notes == ([] if deduplicate == "none" else [dropped])


def test_deduplication_within_one_file(csv, tmp_path):
    rows = [(f"tweet {i % 10}", "pos" if i % 2 else "neg") for i in range(100)]
    splits = load(csv(rows, deduplicate="exact", test_size=2, validation_size=2), tmp_path / "cache")
    held_out = set(texts(splits.test)) | set(texts(splits.validation))
    assert len(splits.train) == 96 - (10 * len(held_out) - 4)
    assert not held_out & set(texts(splits.train))


def test_deduplication_that_leaves_a_label_without_rows(csv, tmp_path):
    rows = [("same", "x")] * 10 + [(f"tweet {i}", "y") for i in range(10)]
    with pytest.raises(UserError, match=r"no training row has the label 'x' \(\d \w+ rows have it"):
        load(csv(rows, deduplicate="exact"), tmp_path / "cache")


def test_fingerprints_of_two_loads_are_equal(csv, tmp_path):
    config = csv(hundred())
    assert content_fingerprint(load(config, tmp_path / "a")) == content_fingerprint(load(config, tmp_path / "b"))
    assert source_fingerprint(config) == source_fingerprint(config)


def test_one_character_changes_both_fingerprints(csv, tmp_path):
    config = csv(hundred())
    before = content_fingerprint(load(config, tmp_path / "a")), source_fingerprint(config)
    config = csv([("tweet O", "pos"), *hundred()[1:]])
    after = content_fingerprint(load(config, tmp_path / "b")), source_fingerprint(config)
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_everything_read_counts_in_the_content_fingerprint(csv, tmp_path):
    splits = load(csv(hundred()), tmp_path / "cache")
    labelled = pa.table({"text": ["ab", "c"], "label": [0, 1]})
    moved = pa.table({"text": ["a", "bc"], "label": [0, 1]})
    flipped = pa.table({"text": ["ab", "c"], "label": [1, 0]})
    changed = [
        dataclasses.replace(splits, train=labelled),
        dataclasses.replace(splits, train=moved),
        dataclasses.replace(splits, train=flipped),
        dataclasses.replace(splits, test=labelled),
        dataclasses.replace(splits, validation=None),
        dataclasses.replace(splits, validation=splits.test, test=splits.validation),
        dataclasses.replace(splits, unlabelled=labelled.select(["text"])),
        dataclasses.replace(splits, label_names=["pos", "neg"]),
        splits,
    ]
    assert len({content_fingerprint(one) for one in changed}) == len(changed)


def test_source_fingerprints(data_config, tmp_path):
    assert source_fingerprint(data_config("tweet_eval", name="irony")) == "cardiffnlp/tweet_eval@main"
    assert source_fingerprint(data_config("sentiment140")) == "stanfordnlp/sentiment140@refs/convert/parquet"
    assert source_fingerprint(data_config("hub", path="a/b", revision="v1")) == "a/b@v1"
    (tmp_path / "train.csv").write_text("text,label\n", "utf-8")
    folder = source_fingerprint(data_config("hub", path=str(tmp_path)))
    (tmp_path / "test.csv").write_text("text,label\n", "utf-8")
    assert source_fingerprint(data_config("hub", path=str(tmp_path))) != folder
    with pytest.raises(UserError, match="no file or folder"):
        source_fingerprint(data_config("files", path=str(tmp_path / "absent")))


def test_sample_rows_are_the_generators(data_config, tmp_path):
    config = data_config("sample", sample=SampleConfig(labelled=300, unlabelled=50, seed=3, label_noise=0.1, leak=0.0))
    splits = load(config, tmp_path)
    drawn = [row for batch in sample.labelled_batches(config.sample) for row in zip(*batch, strict=True)]
    loaded = [
        row
        for name, part in splits.tables()
        if name != "unlabelled"
        for row in zip(part["text"].to_pylist(), part["label"].to_pylist(), strict=True)
    ]
    assert sorted(loaded) == sorted(drawn)
    assert [len(part) for _, part in splits.tables()] == [240, 30, 30, 50]
    assert texts(splits.unlabelled) == [text for batch in sample.unlabelled_batches(config.sample) for text in batch]
    assert splits.label_names == list(sample.LABEL_NAMES)
    assert splits.generated
    assert splits.notes[0] == "the tweets are generated, not real"
    other = dataclasses.replace(config, sample=dataclasses.replace(config.sample, seed=4))
    assert source_fingerprint(config) != source_fingerprint(other)
    none = dataclasses.replace(config, sample=dataclasses.replace(config.sample, unlabelled=0))
    assert load(none, tmp_path / "none").unlabelled is None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    counts=st.lists(st.integers(8, 40), min_size=2, max_size=4),
    validation=st.integers(1, 6),
    test=st.floats(0.1, 0.4),
    seed=st.integers(0, 99),
)
def test_made_splits_are_stratified(counts, validation, test, seed, csv, tmp_path):
    rows = [(f"{label} {i}", f"label{label}") for label, count in enumerate(counts) for i in range(count)]
    splits = load(csv(rows, validation_size=validation, test_size=test, split_seed=seed), tmp_path / "cache")
    assert len(splits.test) == int(np.floor(test * len(rows) + 0.5))
    assert len(splits.validation) == validation
    held = np.bincount(splits.test["label"].to_pylist(), minlength=len(counts))
    assert (np.abs(held - len(splits.test) * np.array(counts) / len(rows)) < 1).all()


def write_folder(folder, **splits):
    folder.mkdir(exist_ok=True)
    for name, rows in splits.items():
        lines = "".join(f"{text},{label}\n" for text, label in rows)
        (folder / f"{name}.csv").write_text("text,label\n" + lines, "utf-8")
    return str(folder)


def labelled(name, count):
    return [(f"{name} {i}", "pos" if i % 4 == 0 else "neg") for i in range(count)]


@pytest.fixture
def folder(tmp_path):
    rows = {"train": labelled("train", 160), "validation": labelled("validation", 20), "test": labelled("test", 60)}
    return write_folder(tmp_path / "set", **rows)


def test_a_resplit_deals_train_and_validation_and_leaves_test_out(folder, tmp_path, data_config):
    splits = load(data_config("files", path=folder, resplit=0), tmp_path / "cache")
    assert [(name, len(part)) for name, part in splits.tables()] == [("train", 133), ("validation", 20), ("test", 27)]
    assert [sum(part["label"].to_pylist()) for _, part in splits.tables()][1:] == [5, 7]  # of 5 and 6.75
    rows = sorted(text for _, part in splits.tables() for text in texts(part))
    assert rows == sorted(text for name, n in (("train", 160), ("validation", 20)) for text, _ in labelled(name, n))
    assert splits.notes == [
        "the splits are a random resplit (data.resplit=0, data.split_seed=0) of 180 rows "
        "(data.resplit_pool=[train,validation]), stratified, texts equal but for handles, links and case in one split: "
        "133 train, 27 test, 20 validation",
        "the data set's own test split is not used (60 rows)",
    ]


def test_a_resplit_of_all_splits_keeps_the_size_of_a_small_test_split(tmp_path, data_config):
    rows = {"train": labelled("train", 160), "validation": labelled("validation", 20), "test": labelled("test", 20)}
    config = data_config("files", path=write_folder(tmp_path / "set", **rows), resplit=0)
    config = dataclasses.replace(config, resplit_pool=["test", "validation", "train"])
    splits = load(config, tmp_path / "cache")
    assert [len(part) for _, part in splits.tables()] == [160, 20, 20]
    assert 0 < sum(text.startswith("test") for text in texts(splits.test)) < 10
    assert len(splits.notes) == 1


def test_seed_and_number_decide_a_resplit(csv, tmp_path):
    numbers = [(None, 0), (0, 0), (0, 0), (1, 0), (0, 1)]
    parts = [
        texts(load(csv(hundred(), resplit=number, split_seed=seed), tmp_path / f"{i}").test)
        for i, (number, seed) in enumerate(numbers)
    ]
    assert {len(part) for part in parts} == {10}  # as without a resplit, where the source has no test split
    assert parts[1] == parts[2]
    assert len({tuple(part) for part in parts}) == 4


def test_copies_of_a_text_are_dealt_to_one_split(csv, tmp_path):
    groups = [["@ann so good", "@bob SO  good"], ["see http://a.b/1", "see www.c.d"] * 30, ["x"] * 3]
    rows = [(text, "pos") for group in groups for text in group] + labelled("other", 60)
    for number in range(20):
        splits = load(csv(rows, resplit=number), tmp_path / "cache")
        by_split = {name: set(texts(part)) for name, part in splits.tables()}
        for group in groups:
            assert sum(bool(by_split[name] & set(group)) for name in by_split) == 1
        assert [len(part) for _, part in splits.tables()] == [99, 13, 13]


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        (hundred(), {"validation_size": 0}, r"data\.resplit_pool=\[train,validation\]: tweets\.csv has no validation"),
        (
            [("same", "x")] * 19 + [("Same", "y")],
            {},
            r"data\.resplit=0: 20 rows with 1 different texts of tweets\.csv leave no row for t",
        ),
        (hundred(), {"validation_size": 90, "test_size": 10}, r"leave no training row of the 100"),
    ],
)
def test_pools_that_make_no_resplit(csv, tmp_path, rows, changes, message):
    with pytest.raises(UserError, match=message):
        load(csv(rows, resplit=0, **changes), tmp_path / "cache")


def test_a_resplit_without_validation(csv, tmp_path):
    config = dataclasses.replace(csv(hundred(), validation_size=0, resplit=0), resplit_pool=["train"])
    assert [(name, len(part)) for name, part in load(config, tmp_path).tables()] == [("train", 90), ("test", 10)]
