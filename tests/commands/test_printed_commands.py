"""Commands that a run prints, pasted into bash: each repeats what it says, whatever its folder, paths and texts."""

import dataclasses
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.config.compose import compose_all
from pipeline.config.schema import Config
from pipeline.config.variants import variant_name
from pipeline.runtime.files import flatten
from pipeline.runtime.paths import project_root

TINY = (
    *("data.validation_size=0.2", "data.test_size=0.2", "embedding.dim=4", "cbow.epochs=1", "cbow.min_count=1"),
    *("train.max_epochs=1", "train.device=cpu", "workers=1", "probe.antonyms=false", "text.min_count=1"),
    *("probe.polarity=none", "probe.similarity=[]", "tracking.enabled=false", "embedding.path=~vectors.txt"),
)
RECIPE = "# @package _global_\ncbow: {extra_text: 'more, texts.txt'}\nmodel: {dropout: 0.1}\n"
WORDS = ["a b", "$HOME", "null", "it's", "x,y", "{z}", "#1"]


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A printed command in bash, with the Python of the tests instead of the one that `./scripts/run` installs."""
    assert command.startswith("./scripts/run ")
    command = f"{shlex.quote(sys.executable)} -m pipeline {command.removeprefix('./scripts/run ')}"
    environment = {**os.environ, "PYTHONPATH": str(project_root()), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def started_in(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("it's") / "ünï (1), $x"
    (folder / "mine" / "experiment").mkdir(parents=True)
    (folder / "mine" / "experiment" / "small.yaml").write_text(RECIPE, "utf-8")
    rows = [f"so {'good' if n % 2 else 'bad'} tweet {n},{'pos' if n % 2 else 'neg'}" for n in range(60)]
    (folder / "tweets,v2.csv").write_text("\n".join(["text,label", *rows, ""]), "utf-8")
    (folder / "more, texts.txt").write_text("more good texts\nmore bad texts\n", "utf-8")
    (folder / "~vectors.txt").write_text("good 1 2 3 4\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
def log(started_in: Path) -> str:
    overrides = ["--config-dir", "mine", "+experiment=small", "data=files", 'data.path="tweets,v2.csv"', *TINY]
    words = ["./scripts/run", *overrides, f"probe.neighbour_words={WORDS}", "paths.root=-out"]
    done = shell(shlex.join(words), started_in)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture
def note(started_in: Path, log: str) -> Path:
    (path,) = started_in.glob("-out/results/*/note.md")
    return path


def commands(note: Path) -> tuple[str, str]:
    """The commands in a note: the sweep that compares variants, and the repetition."""
    sweep, repetition = re.findall(r"^```\n(.*)\n```$", note.read_text("utf-8"), re.M)
    return sweep, repetition


def composed(command: str, monkeypatch, folder: Path) -> list[Config]:
    monkeypatch.chdir(folder)
    script, *words = shlex.split(command)
    assert script == "./scripts/run"
    return compose_all([word for word in words if word != "-m"], multirun="-m" in words)


def test_the_last_line_of_the_log_names_the_note(started_in: Path, log: str, note: Path):
    (line,) = re.findall(r"\] read (.*)$", log, re.M)
    shown = subprocess.run(["bash", "-c", f"cat {line}"], cwd=started_in, capture_output=True, text=True, check=True)
    assert shown.stdout == note.read_text("utf-8")


def test_the_repetition_gives_the_configuration_of_the_run(started_in: Path, note: Path, tmp_path: Path, monkeypatch):
    (config,) = composed(commands(note)[1], monkeypatch, tmp_path)
    assert config.data.path == str(started_in / "tweets,v2.csv")
    assert config.cbow.extra_text == str(started_in / "more, texts.txt")
    assert config.embedding.path == str(started_in / "~vectors.txt")
    assert config.probe.neighbour_words == WORDS
    recorded = flatten(yaml.safe_load((note.parent / "config.yaml").read_text("utf-8")))
    repeated = flatten(dataclasses.asdict(config))
    assert {key: value for key, value in recorded.items() if repeated[key] != value} == {}


def test_the_sweep_varies_variant_and_seed_alone(note: Path, tmp_path: Path, monkeypatch):
    configs = composed(commands(note)[0], monkeypatch, tmp_path)
    variants = ("random_trainable", "cbow_frozen", "cbow_finetuned")
    assert [(variant_name(config.embedding), config.seed) for config in configs] == [
        (variant, seed) for variant in variants for seed in range(5)
    ]
    for config in configs:
        assert (config.model.dropout, config.data.path) == (0.1, configs[0].data.path)


def test_both_run_from_the_projects_folder(note: Path):
    sweep, repetition = commands(note)
    done = shell(repetition, project_root())
    assert done.returncode == 0, done.stderr
    assert "this run was finished before" in done.stderr
    done = shell(sweep, project_root())
    assert done.returncode == 0, done.stderr
    assert len(list(note.parents[1].glob("[!.]*/note.md"))) == 15
