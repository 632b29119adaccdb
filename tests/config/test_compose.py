"""The composed configuration: defaults, recipes, checks and paths."""

import dataclasses
import json
import os
import re
from itertools import product
from pathlib import Path

import hydra
import pytest
import yaml
from hydra.plugins.sweeper import Sweeper
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.compose import (
    compose,
    compose_all,
    conf_folder,
    cpu_count,
    hydra_application,
    project_root,
    to_typed,
)
from pipeline.config.schema import Config, data_name
from pipeline.config.validate import FIELDS, KEYS
from pipeline.config.variants import variant_name

EXPERIMENTS = ("random_trainable", "random_frozen", "cbow_frozen", "cbow_finetuned", "course", "trec")
VARIANTS = EXPERIMENTS[:4]
FILES = sorted(conf_folder().rglob("*.yaml"))


def flat(config: Config) -> dict[str, object]:
    """Dotted key → value."""

    def walk(values: dict, prefix: str):
        for name, value in values.items():
            if isinstance(value, dict):
                yield from walk(value, f"{prefix}{name}.")
            else:
                yield prefix + name, value

    return dict(walk(dataclasses.asdict(config), ""))


class TestFiles:
    @pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(conf_folder())))
    def test_every_key_has_a_comment(self, file: Path):
        lines = file.read_text("utf-8").splitlines()
        if file.parent.name == "experiment":
            assert lines[0] == "# @package _global_"
            assert any(f"python -m pipeline +experiment={file.stem}" in line for line in lines)
            assert len(lines) <= 13
            return
        settings_of_hydra = lines.index("hydra:") if "hydra:" in lines else len(lines)
        keys = [line for line in lines[:settings_of_hydra] if re.match(r" *\w+:", line)]
        bare = [line for line in keys if not re.search(r" # \S.{3,}", line) and not re.match(r"defaults:|\w+:$", line)]
        assert keys
        assert bare == []
        assert lines[0].startswith("# ")

    def test_every_key_of_the_schema_is_in_a_default_file(self):
        said = set()
        for group, option in {
            "data": "sample", "text": "tweet", "cbow": "reproducible", "ppmi": "default", "distill": "default",
            "study": "default", "embedding": "random_trainable", "model": "mean", "train": "default",
            "probe": "default", "tracking": "default", "search": "default",
        }.items():  # fmt: skip
            values = yaml.safe_load((conf_folder() / group / f"{option}.yaml").read_text("utf-8"))
            nested = {f"sample.{name}" for name in values.get("sample", {})} if group == "data" else set()
            said |= {f"{group}.{name}" for name in [*values, *nested]}
        said |= {"paths.root", "paths.dvc", "seed", "stage", "force", "workers"}
        assert said - {"data.sample"} == set(KEYS)

    def test_dataclasses_hold_no_values(self):
        valued = [name for name, field in KEYS.items() if field.default != "???"]
        assert valued == []


class TestComposed:
    def test_defaults(self):
        config = compose()
        assert (config.data.source, config.data.path, config.data.validation_size) == ("sample", None, 0.1)
        assert dataclasses.asdict(config.data.sample) == {
            "labelled": 10_000, "unlabelled": 40_000, "seed": 0, "label_noise": 0.05, "leak": 0.0,
        }  # fmt: skip
        assert (config.text.tokenizer, config.text.min_count, config.text.max_tokens) == ("tweet", 2, 256)
        assert (config.cbow.workers, config.cbow.sg, config.cbow.vector_size, config.cbow.seed) == (1, 0, 200, 0)
        assert variant_name(config.embedding) == "random_trainable"
        assert (config.model.encoder, config.model.widths, config.train.monitor) == ("mean", [3, 4, 5], "nll")
        assert (config.seed, config.stage, config.force, config.workers) == (0, "all", False, cpu_count())
        assert config.paths.root == str(project_root())
        assert config.tracking.uri == f"sqlite:///{project_root()}/mlflow.db"
        assert (project_root() / "pipeline" / "config" / "compose.py").is_file()

    @pytest.mark.parametrize("name", EXPERIMENTS)
    def test_an_experiment_changes_what_it_says(self, name: str):
        default, config = flat(compose()), flat(compose([f"+experiment={name}"]))
        changed = {key: value for key, value in config.items() if default.get(key, "absent") != value}
        assert changed == {
            "random_trainable": {},
            "random_frozen": {"embedding.trainable": False},
            "cbow_frozen": {"embedding.init": "cbow", "embedding.trainable": False},
            "cbow_finetuned": {"embedding.init": "cbow"},
            "course": {
                "data.source": "nltk_twitter", "data.validation_size": 0.0, "data.test_size": 2000.0,
                "data.sample": None, "text.tokenizer": "course", "text.handles": "strip", "text.links": "strip",
                "text.min_count": 1, "text.unlabelled_min_count": None, "text.max_tokens": None,
                "cbow.vector_size": 256, "embedding.dim": 256,
                "model.dropout": 0.0, "train.max_epochs": config["train.max_epochs"], "train.patience": None,
            },
            "trec": {
                "data.source": "files", "data.path": str(Path("trec").absolute()), "data.sample": None,
                "text.tokenizer": "treebank", "text.lowercase": False, "text.handles": "keep", "text.links": "keep",
                "text.min_count": 1, "cbow.vector_size": 300, "embedding.dim": 300, "embedding.scale": 0.144,
                "model.encoder": "cnn", "model.dropout": 0.5, "train.batch_size": 50, "train.monitor": "accuracy",
            },
        }[name]  # fmt: skip

    def test_variants_differ_only_under_embedding(self):
        configs = [flat(compose([f"+experiment={name}", "data=nltk_twitter", "seed=3"])) for name in VARIANTS]
        for other in configs[1:]:
            assert other.keys() == configs[0].keys()
            differing = {key for key in other if other[key] != configs[0][key]}
            assert differing
            assert all(key.startswith("embedding.") for key in differing)

    def test_the_command_line_wins_over_an_experiment(self):
        config = compose(["embedding.dim=32", "data=sample", "+experiment=course", "train.patience=2", "model=cnn",
                          "data.validation_size=0.2"])  # fmt: skip
        assert (config.embedding.dim, config.cbow.vector_size, config.data.source) == (32, 32, "sample")
        assert (config.train.patience, config.model.encoder, config.data.validation_size) == (2, "cnn", 0.2)
        assert config.data.sample is not None
        assert config.text.tokenizer == "course"

    def test_a_group_and_an_experiment(self):
        pair = ["data=nltk_twitter", "+experiment=cbow_frozen"]
        for overrides in (pair, pair[::-1]):
            config = compose(overrides)
            assert (config.data.source, config.data.sample) == ("nltk_twitter", None)
            assert variant_name(config.embedding) == "cbow_frozen"

    @pytest.mark.parametrize(
        ("override", "key", "value"),
        [
            ("data=tweet_eval", "data.name", "sentiment"),
            ("data=tweet_eval", "data.path", "cardiffnlp/tweet_eval"),
            ("data=sentiment140", "data.revision", "refs/convert/parquet"),
            ("data=sentiment140", "data.validation_size", 0.02),
            ("text=course", "text.min_count", 1),
            ("text=whitespace", "text.handles", "keep"),
            ("text=sentence", "text.lowercase", False),
            ("cbow=fast", "cbow.workers", cpu_count()),
            ("cbow=skipgram", "cbow.sg", 1),
            ("cbow=fasttext", "cbow.algorithm", "fasttext"),
            ("model=cnn", "model.dropout", 0.5),
            ("model=gru", "model.hidden", 128),
            ("model=meanmax", "model.encoder", "meanmax"),
        ],
    )
    def test_options(self, override: str, key: str, value: object):
        config = compose([override])
        assert flat(config)[key] == value

    def test_seed_reaches_cbow(self):
        config = compose(["seed=7"])
        assert (config.seed, config.cbow.seed, config.data.split_seed) == (7, 7, 0)

    def test_resolved_is_plain(self):
        values = dataclasses.asdict(compose(["cbow=fast"]))
        assert json.loads(json.dumps(values)) == values
        assert yaml.safe_load(yaml.safe_dump(values)) == values
        assert "${" not in json.dumps(values)

    def test_values_of_every_form(self):
        config = compose(["++train.lr_head=2", "model={dropout: 0.1, hidden: 3}", "data.labels=[no,yes]",
                          "train.clip_norm=null", "+hydra.job.env_set.X=1"])  # fmt: skip
        assert config.train.lr_head == 2.0
        assert isinstance(config.train.lr_head, float)
        assert (config.model.dropout, config.model.hidden, config.model.filters) == (0.1, 3, 100)
        assert config.data.labels == ["no", "yes"]
        assert config.train.clip_norm is None

    @settings(max_examples=10, deadline=None)
    @given(st.floats(1e-12, 1e6), st.integers(1, 10**6), st.text("aé ~()#'=&.", max_size=8))
    def test_what_is_given_is_what_is_composed(self, rate: float, batch: int, column: str):
        overrides = [f"train.lr_head={rate!r}", f"train.batch_size={batch}", f"data.text_column=x{column}x"]
        config = compose(overrides)
        assert config.train.lr_head == rate
        assert config.train.batch_size == batch
        assert config.data.text_column == f"x{column}x"


class TestSweep:
    SWEPT = ("model=mean,cnn", "seed=1,2", "train={lr_head: 0.5}", "train.lr_head=0.1,0.2", "++model.dropout=0.4")

    def test_files_are_composed_once_for_jobs_that_differ_in_values(self, monkeypatch: pytest.MonkeyPatch):
        composed = []
        compose_with_hydra = hydra.compose

        def spy(*arguments, **keywords):
            composed.append(keywords["overrides"])
            return compose_with_hydra(*arguments, **keywords)

        monkeypatch.setattr(hydra, "compose", spy)
        configs = compose_all(self.SWEPT, multirun=True)
        assert composed == [["model=mean"], ["model=cnn"]]
        found = [(config.model.encoder, config.seed, config.train.lr_head) for config in configs]
        assert found == list(product(("mean", "cnn"), (1, 2), (0.1, 0.2)))
        assert {config.model.dropout for config in configs} == {0.4}

    def test_a_job_is_what_hydra_composes_for_it(self):
        configs = compose_all(self.SWEPT, multirun=True)
        for config, (model, seed, rate) in zip(configs, product(("mean", "cnn"), (1, 2), (0.1, 0.2)), strict=True):
            job = [f"model={model}", f"seed={seed}", self.SWEPT[2], f"train.lr_head={rate}", self.SWEPT[4]]
            with hydra.initialize_config_dir(str(conf_folder()), version_base="1.3"):
                assert to_typed(hydra.compose("config", overrides=job)) == config

    @pytest.mark.parametrize(
        "rates", ["train.lr_head=0.1 train={lr_head: 0.5}", "train={lr_head: 0.5} train.lr_head=0.1"]
    )
    def test_the_last_value_counts(self, rates: str):
        first, last = re.split(" (?=train)", rates)
        assert compose([first, last]).train.lr_head == float(re.search(r"[\d.]+", last.partition("=")[2])[0])

    def test_hydra_takes_jobs_that_were_composed_before(self):
        validate = Sweeper.validate_batch_is_legal
        with hydra_application():
            assert Sweeper.validate_batch_is_legal(None, [["not=there"]]) is None
        assert Sweeper.validate_batch_is_legal is validate


class TestPaths:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def test_relative_paths_start_where_the_command_did(self, tmp_path: Path):
        config = compose(["paths.root=out", "cbow.extra_text=../more.txt.gz", "embedding=pretrained",
                          "embedding.path=~/v.txt", "probe.similarity_files=[a.txt,/b.txt]"])  # fmt: skip
        assert config.paths.root == str(tmp_path / "out")
        assert config.tracking.uri == f"sqlite:///{tmp_path}/out/mlflow.db"
        assert config.cbow.extra_text == str(tmp_path.parent / "more.txt.gz")
        assert config.embedding.path == str(tmp_path / "home" / "v.txt")
        assert config.probe.similarity_files == [str(tmp_path / "a.txt"), "/b.txt"]
        assert compose(["tracking.uri=http://127.0.0.1:5000"]).tracking.uri == "http://127.0.0.1:5000"

    @pytest.mark.parametrize(
        "name", ["tweets.csv", "~/tweets.csv", "tw eets(1).csv", "it's.csv", "café#1=2.csv", "it\\'s(1)\\"]
    )
    def test_files(self, name: str, tmp_path: Path):
        config = compose(["data=files", f"data.path={name}"])
        assert config.data.path == str(tmp_path / name.replace("~", "home"))

    def test_hub_id_or_local_folder(self, tmp_path: Path):
        assert compose(["data=hub", "data.path=owner/name"]).data.path == "owner/name"
        assert compose(["data=hub", "data.path=./name"]).data.path == str(tmp_path / "name")
        (tmp_path / "owner" / "name").mkdir(parents=True)
        assert compose(["data=hub", "data.path=owner/name"]).data.path == str(tmp_path / "owner" / "name")

    def test_composing_leaves_nothing_behind(self, tmp_path: Path):
        compose(["+experiment=cbow_frozen"])
        assert os.listdir(tmp_path) == []


def test_sections_and_keys_of_the_schema():
    assert "data.sample" in FIELDS
    assert "data.sample" not in KEYS
    assert "data.sample.labelled" in KEYS


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "sample"),
        (["data=tweet_eval"], "tweet_eval-sentiment"),
        (["data=files", "data.path=/some/my tweets (1).csv"], "my_tweets_1_"),
        (["data=files", "data.path=/some/folder/"], "folder"),
        (["data=tweet_eval", "data.resplit=3"], "tweet_eval-sentiment-resplit3"),
        (["data=hub", "data.path=owner/set", "data.name=a/b"], "set-a_b"),
    ],
)
def test_data_names_are_fit_for_a_folder(overrides: list[str], name: str):
    assert data_name(compose(overrides).data) == name
