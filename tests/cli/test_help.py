"""`--help`: one screen, and the meaning of every key."""

import re
import shlex

import pytest

from pipeline.__main__ import main
from pipeline.cli.subcommands import SUBCOMMANDS
from pipeline.config.comments import conf_folder, header, meanings
from pipeline.config.compose import compose_all
from pipeline.config.validate import KEYS, expected_text

RECIPES = {file.stem: header(file) for file in (conf_folder() / "experiment").glob("*.yaml")}


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_the_first_screen_holds_examples_recipes_and_subcommands(capsys):
    lines = printed(capsys, "--help").splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 100
    recipes = dict(
        re.fullmatch(r"  \+experiment=(\w+) +(.+)", line).groups() for line in lines if "  +experiment=" in line
    )
    assert recipes == RECIPES
    assert all(recipes.values())
    subcommands = {line.split()[0] for line in lines[lines.index("Subcommands:") + 1 : -1]}
    assert subcommands == set(SUBCOMMANDS)


def test_examples_are_valid_commands(capsys):
    examples = re.findall(r"^ +python -m pipeline (.*?) +#", printed(capsys, "--help"), re.M)
    assert len(examples) == 5
    for example in examples:
        words = [word for word in shlex.split(example) if word not in ("--cfg", "job")]
        if words[0] in SUBCOMMANDS:
            continue
        sweep = "-m" in words
        jobs = compose_all([word for word in words if word != "-m"], multirun=sweep)
        assert len(jobs) == (4 if sweep else 1)


def test_a_key_has_meaning_default_and_range(capsys):
    assert printed(capsys, "--help", "train.lr_head").splitlines() == [
        "train.lr_head: learning rate of all other parameters, above 0",
        "  default: 0.003",
        "  expected: a number above 0",
    ]
    assert printed(capsys, "--help", "cbow.seed", "seed=7").splitlines()[1:] == [
        "  default: 7 (from ${seed})",
        "  expected: a whole number from 0 to 4,294,967,295",
    ]
    text = printed(capsys, "--help", "stage")
    assert "expected: one of look, prepare, cbow, train, compare, search, all" in text
    assert "search (hyper-parameters, then a comparison)" in " ".join(text.split())


def test_a_group_has_its_options_and_keys(capsys):
    text = printed(capsys, "--help", "data")
    for option in (conf_folder() / "data").glob("*.yaml"):
        assert f"  data={option.stem} " in text
    for key in (key for key in KEYS if key.startswith("data.")):
        assert re.search(rf"^  {key}=", text, re.M), key
    assert "+experiment=course" in printed(capsys, "--help", "experiment")
    assert "data.sample.leak=0.0" in printed(capsys, "--help", "data.sample")


def test_all_keys_and_groups(capsys):
    text = printed(capsys, "--help", "all")
    for key in KEYS:
        assert re.search(rf"^  {key}(=|$| )", text, re.M), key
    for group in ("experiment", "cbow", "data", "embedding", "model", "probe", "text", "tracking", "train"):
        assert f"\n{group}: options\n" in f"\n{text}"
    assert "dim=12" in printed(capsys, "--help", "embedding.dim=12")


@pytest.mark.parametrize(
    ("topic", "line"),
    [
        ("trian", "unknown key 'trian'; did you mean 'train'?"),
        ("train.lrr", "unknown key 'train.lrr'; did you mean 'train.lr_head'?"),
        ("search.space.train.lr_head", "unknown key 'train.lr_head'"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(capsys, topic: str, line: str):
    assert main(["--help", topic]) == 2
    assert capsys.readouterr().err.startswith(f"error: {line}")


def test_help_of_a_subcommand(capsys):
    assert printed(capsys, "--help", "predict") == printed(capsys, "predict", "--help")


def test_every_key_has_a_meaning():
    comments = meanings()
    assert [key for key in KEYS if len(comments.get(key, "").split()) < 2] == []
    assert all(expected_text(key) for key in KEYS)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("train.clip_norm", "a number above 0 or null"),
        ("train.device", "one of auto, cpu, cuda"),
        ("model.widths", "a list, each a whole number from 1"),
        ("study.label_budgets", "a list, each a whole number or null from 1"),
        ("data.labels", "a list of names, or a mapping from value to name"),
        ("embedding.trainable", "true or false, or a list"),
        ("probe.similarity", "list of wordsim353, simlex999"),
        ("data.sample.label_noise", "a number from 0 to 0.5"),
    ],
)
def test_expected_values_in_words(key: str, text: str):
    assert expected_text(key) == text
