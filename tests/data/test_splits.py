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
