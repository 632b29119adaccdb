import subprocess
import sys
from pathlib import Path

import datasets
import nltk
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from huggingface_hub.errors import OfflineModeIsEnabled
from nltk.corpus.reader import TwitterCorpusReader

from pipeline.data import nltk_twitter
from pipeline.data.arrow import open_rows
from pipeline.data.source import source_fingerprint
from pipeline.data.splits import load
from pipeline.runtime.errors import UserError
from pipeline.runtime.paths import project_root


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def nltk_path(monkeypatch):
    monkeypatch.setattr(nltk.data, "path", [])


def write_hub_folder(folder, splits, features=None):
    folder.mkdir(exist_ok=True)
    for name, columns in splits.items():
        Dataset.from_dict(columns, features=features).to_parquet(folder / f"{name}.parquet")
    return str(folder)


def test_tweet_eval_sentiment_is_the_published_data(shared, data_config, tmp_path):
    folder = shared("hub/cardiffnlp/tweet_eval")
    splits = load(data_config("tweet_eval", path=str(folder), name="sentiment"), tmp_path)
    assert [(name, len(part)) for name, part in splits.tables()] == [
        ("train", 45_615),
        ("validation", 2_000),
        ("test", 12_284),
    ]
    assert splits.label_names == ["negative", "neutral", "positive"]
    assert splits.notes == []
    for name, part in splits.tables():
        table = pq.read_table(next((folder / "sentiment").glob(f"{name}-*")))
        assert part.equals(table.replace_schema_metadata(None))
        assert part.schema == pa.schema([("text", pa.string()), ("label", pa.int64())])
    assert not any(path.name.startswith(".rows-") for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "names", "rows"),
    [
        ("emotion", ["anger", "joy", "optimism", "sadness"], 3_257),
        ("offensive", ["non-offensive", "offensive"], 11_916),
        ("irony", ["non_irony", "irony"], 2_862),
    ],
)
def test_other_tweet_eval_tasks(name, names, rows, shared, data_config, tmp_path):
    path = str(shared("hub/cardiffnlp/tweet_eval"))
    splits = load(data_config("tweet_eval", path=path, name=name), tmp_path)
    assert splits.label_names == names
    assert len(splits.train) == rows


@pytest.mark.parametrize(
    ("name", "names"), [("sentiment", ["negative", "neutral", "positive"]), ("other", ["0", "1", "2"])]
)
def test_tweet_eval_label_names_where_the_copy_declares_none(name, names, data_config, tmp_path):
    columns = {"text": ["a", "b", "c"], "label": [2, 0, 1]}
    path = write_hub_folder(tmp_path / "copy", {"train": columns, "test": columns})
    files = "".join(f"  - split: {split}\n    path: {split}.parquet\n" for split in ("train", "test"))
    readme = f"---\nconfigs:\n- config_name: {name}\n  data_files:\n{files}---\n"
    Path(path, "README.md").write_text(readme, "utf-8")
    splits = load(data_config("tweet_eval", path=path, name=name, validation_size=0), tmp_path / "cache")
    assert splits.label_names == names
    assert splits.train.to_pydict() == columns


def test_sentiment140_copy_of_100_000(shared, data_config, tmp_path):
    config = data_config(
        "sentiment140", path=str(shared("hub/sentiment140_100k")), label_column="sentiment", validation_size=0.02
    )
    splits = load(config, tmp_path)
    assert [len(part) for _, part in splits.tables()] == [98_000, 2_000, 359]
    assert splits.label_names == ["negative", "positive"]
    (first,) = splits.test.slice(0, 1).to_pylist()
    assert first["text"].startswith("@stellargirl I loooooooovvvvvveee my Kindle2")
    assert first["label"] == 1
    counts = np.bincount(splits.validation["label"].to_pylist())
    share = np.mean(np.concatenate([splits.train["label"].to_pylist(), splits.validation["label"].to_pylist()]))
    assert abs(counts[1] - 2_000 * share) <= 1
    assert splits.notes == [
        "validation: 2000 of 100000 rows, stratified (data.validation_size=0.02, data.split_seed=0)",
    ]


def test_sentiment140_in_the_coding_of_the_hub(data_config, tmp_path):
    path = write_hub_folder(
        tmp_path / "copy",
        {
            "train": {"text": list("abcdef"), "sentiment": [0, 4, 0, 4, 0, 4], "user": list("uvwxyz")},
            "test": {"text": list("ghij"), "sentiment": [4, 2, 0, 3], "user": list("uvwx")},
        },
    )
    splits = load(data_config("sentiment140", path=path, validation_size=2), tmp_path / "cache")
    assert splits.test.to_pydict() == {"text": ["g", "i"], "label": [1, 0]}
    assert sorted(splits.validation["label"].to_pylist()) == [0, 1]
    assert "test.parquet: 1 neutral rows (label 2) left out" in splits.notes
    assert any(note.endswith("label '3', expected one of negative, positive") for note in splits.notes)


def test_hub_folder_with_declared_names_and_secret_test_labels(data_config, tmp_path):
    features = Features({"sentence": Value("string"), "mood": ClassLabel(names=["sad", "glad"])})
    path = write_hub_folder(
        tmp_path / "set",
        {
            "train": {"sentence": [f"t{i}" for i in range(20)], "mood": [0, 1] * 10},
            "validation": {"sentence": ["v", "w", " "], "mood": [1, 0, 1]},
            "test": {"sentence": ["x", "y"], "mood": [-1, -1]},
        },
        features,
    )
    config = data_config("hub", path=path, text_column="sentence", label_column="mood", test_size=4)
    splits = load(config, tmp_path / "cache")
    assert splits.label_names == ["sad", "glad"]
    assert splits.validation.to_pydict() == {"text": ["v", "w"], "label": [1, 0]}
    assert len(splits.train) == 16
    assert sorted(splits.test["label"].to_pylist()) == [0, 0, 1, 1]
    assert "test.parquet: no row has a label, so the split is not used" in splits.notes
    assert "test: 4 of 20 rows, stratified (data.test_size=4, data.split_seed=0)" in splits.notes
    assert (
        "validation.parquet, row 3: no text (column 'sentence' is empty); expected a text and a label" in splits.notes
    )


def test_hub_folder_with_coded_labels_and_unlabelled_split(data_config, tmp_path):
    labelled = {"text": list("abcd"), "label": [0, 1, 0, 1]}
    unlabelled = {"text": ["e", None, "f"], "label": [-1, -1, -1]}
    folder = Path(write_hub_folder(tmp_path / "set", {"train": labelled, "test": labelled, "other": unlabelled}))
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n"
        + "".join(f"  - split: {s}\n    path: {f}.parquet\n" for s, f in [("train", "train"), ("test", "test")])
        + "  - split: unsupervised\n    path: other.parquet\n---\n",
        "utf-8",
    )
    config = data_config("hub", path=str(folder), labels=["neg", "pos"], validation_size=0)
    splits = load(config, tmp_path / "cache")
    assert splits.label_names == ["neg", "pos"]
    assert splits.train.to_pydict() == labelled
    assert splits.validation is None
    assert splits.unlabelled["text"].to_pylist() == ["e", "f"]


def test_nltk_twitter_is_the_course_split(shared, data_config, tmp_path, nltk_path):
    folder = shared("nltk_data")
    splits = load(data_config("nltk_twitter", path=str(folder), test_size=2000), tmp_path)
    reader = TwitterCorpusReader(nltk.data.find("corpora/twitter_samples", paths=[str(folder)]), r".*\.json")
    positive, negative = reader.strings("positive_tweets.json"), reader.strings("negative_tweets.json")
    assert splits.label_names == ["negative", "positive"]
    assert splits.test.to_pydict() == {"text": positive[4000:] + negative[4000:], "label": [1] * 1000 + [0] * 1000}
    assert (len(splits.train), len(splits.validation)) == (7_200, 800)
    pool = list(zip(positive[:4000] + negative[:4000], [1] * 4000 + [0] * 4000, strict=True))
    train = list(zip(splits.train["text"].to_pylist(), splits.train["label"].to_pylist(), strict=True))
    validation = list(zip(splits.validation["text"].to_pylist(), splits.validation["label"].to_pylist(), strict=True))
    assert sorted(train + validation) == sorted(pool)
    assert sum(label for _, label in validation) == 400
    rows = iter(pool)
    assert all(row in rows for row in train), "training rows keep the order of the corpus"
    assert sum("\n" in text for text, _ in train) > 0


def test_nltk_twitter_masked_duplicates(shared, data_config, tmp_path, nltk_path):
    config = data_config("nltk_twitter", path=str(shared("nltk_data")), validation_size=0, deduplicate="masked")
    splits = load(config, tmp_path)
    assert len(splits.train) == 8_000 - 165
    assert splits.validation is None
    assert splits.notes == ["train: 165 of 8000 rows dropped, their text is in another split (data.deduplicate=masked)"]


def test_nltk_twitter_through_nltks_own_folders(shared, data_config, nltk_path):
    folder = shared("nltk_data")
    named = source_fingerprint(data_config("nltk_twitter", path=str(folder)))
    nltk.data.path[:] = [str(folder)]
    assert source_fingerprint(data_config("nltk_twitter")) == named


def test_nltk_twitter_that_is_not_installed(data_config, tmp_path, nltk_path):
    expected = r"python -m nltk\.downloader twitter_samples; without a network, set NLTK_DATA .* data=sample"
    for path in (None, str(tmp_path)):
        with pytest.raises(UserError, match=expected):
            load(data_config("nltk_twitter", path=path), tmp_path / "cache")
    with pytest.raises(UserError, match=r"no folder .*nothing; data=nltk_twitter expects an nltk_data folder"):
        load(data_config("nltk_twitter", path=str(tmp_path / "nothing")), tmp_path / "cache")


def test_nltk_twitter_of_another_size(monkeypatch, data_config, tmp_path):
    monkeypatch.setattr(nltk_twitter, "read_corpus", lambda config: {"positive": ["a"], "negative": ["b"]})
    with pytest.raises(UserError, match=r"positive_tweets\.json: 1 tweets, expected 5000"):
        load(data_config("nltk_twitter"), tmp_path)


@pytest.mark.parametrize(
    ("source", "settings", "tried"),
    [
        ("tweet_eval", {"name": "sentiment"}, "cardiffnlp/tweet_eval (data.name=sentiment)"),
        ("sentiment140", {}, "stanfordnlp/sentiment140 at revision refs/convert/parquet"),
        ("hub", {"path": "some/thing", "revision": "v2"}, "some/thing at revision v2"),
    ],
)
def test_a_missing_network_is_one_line(source, settings, tried, data_config, tmp_path, offline):
    with pytest.raises(UserError) as caught:
        load(data_config(source, **settings), tmp_path)
    message = str(caught.value)
    assert message.startswith(f"data={source}: could not load {tried}: Couldn't reach")
    assert message.endswith(
        "the network may be missing or the name wrong: data.path=<local folder> or data=sample work offline"
    )
    assert "\n" not in message


@pytest.mark.parametrize(
    "error",
    [
        OfflineModeIsEnabled("offline"),
        datasets.exceptions.DatasetNotFoundError("Dataset 'a/b' doesn't exist\non the Hub"),
        ConnectionError("no route"),
        TimeoutError("timed out"),
        datasets.exceptions.DatasetGenerationError("An error occurred"),
    ],
)
def test_every_failed_download_is_one_line(error, monkeypatch, data_config, tmp_path):
    def fail(*args, **kwargs):
        assert "trust_remote_code" not in kwargs
        raise error

    monkeypatch.setattr(datasets, "load_dataset_builder", fail)
    with pytest.raises(UserError, match=r"^data=hub: could not load a/b: .*data=sample work offline$"):
        load(data_config("hub", path="a/b"), tmp_path)


def test_a_script_is_refused_in_one_line(data_config, tmp_path):
    folder = tmp_path / "scripted"
    folder.mkdir()
    (folder / "scripted.py").write_text("", "utf-8")
    with pytest.raises(UserError, match="it is a script, which datasets no longer runs"):
        load(data_config("hub", path=str(folder)), tmp_path / "cache")


def test_hub_folders_that_cannot_be_used(data_config, tmp_path):
    rows = {"text": ["a", "b"], "label": [0, 1]}
    only_test = write_hub_folder(tmp_path / "only_test", {"test": rows})
    no_text = write_hub_folder(tmp_path / "no_text", {"train": {"tweets": ["a"], "label": [0]}})
    (tmp_path / "empty").mkdir()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "train.parquet").write_text("text", "utf-8")
    for path, message in [
        (only_test, "no split train; it has test"),
        (no_text, r"no column 'text' \(data.text_column\); columns: tweets, label; did you mean 'tweets'\?"),
        (str(tmp_path / "empty"), "doesn't contain any data files"),
        (str(broken), r"broken/train\.parquet: not a readable Parquet file"),
        ("csv", "data.path=csv is no local file or folder, and no hub id either"),
        ("a/b/c", "data.path=a/b/c is no local file or folder, and no hub id either"),
        (str(broken / "train.parquet"), r"broken/train\.parquet: not a readable Parquet file"),
        (None, "data.path is not set"),
    ]:
        with pytest.raises(UserError, match=message) as caught:
            load(data_config("hub", path=path), tmp_path / "cache")
        assert "\n" not in str(caught.value)


def test_a_wrong_configuration_name_gets_the_nearest(shared, data_config, tmp_path):
    path = str(shared("hub/cardiffnlp/tweet_eval"))
    with pytest.raises(UserError, match=r"no task data.name=sentimnt; did you mean 'sentiment'\?; valid: emotion, "):
        load(data_config("tweet_eval", path=path, name="sentimnt"), tmp_path)
    with pytest.raises(
        UserError, match=r"no configuration data.name=ironi; did you mean 'irony'\?; valid: sentiment, "
    ):
        load(data_config("hub", path=path, name="ironi"), tmp_path)
    with pytest.raises(UserError, match=r"valid: sentiment, emotion, offensive, irony$"):
        load(data_config("hub", path=path), tmp_path)
    with pytest.raises(UserError, match=r"^data.name is not set; data=tweet_eval has emoji, "):
        load(data_config("tweet_eval", path=path), tmp_path)


def test_local_folders_leave_the_home_folder_alone(tmp_path):
    path = write_hub_folder(tmp_path / "set", {"train": {"text": list("abcd"), "label": [0, 1, 0, 1]}})
    home = tmp_path / "home"
    home.mkdir()
    script = (
        "import sys; from pathlib import Path\n"
        "from pipeline.data.splits import load; from pipeline.config.schema import *\n"
        "path, auto = sys.argv[1], ['auto'] * 4\n"
        "config = DataConfig('hub', path, None, None, 'text', 'label', *auto, None, 0, 2, 0, None, [], None, 'none')\n"
        "load(config, Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", script, path, str(tmp_path / "cache")]
    environment = {"HOME": str(home), "PATH": "", "PYTHONPATH": str(project_root()), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == ""
    assert list(home.rglob("*")) == []
    assert sorted(p.name for p in (tmp_path / "cache").iterdir()) == ["test.arrow", "train.arrow"]


def test_loaded_rows_are_mapped_and_not_held_in_memory(shared, data_config, tmp_path):
    splits = load(data_config("tweet_eval", path=str(shared("hub/cardiffnlp/tweet_eval")), name="irony"), tmp_path)
    assert len(splits.train) == 2_862
    assert splits.train.nbytes > 200_000
    before = pa.total_allocated_bytes()
    again = open_rows(tmp_path / "train.arrow")
    assert again.equals(splits.train)
    assert pa.total_allocated_bytes() - before < 10_000
