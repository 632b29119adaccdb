"""Overrides as printed: a shell and Hydra read the same values back, from any folder."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.compose import compose, compose_all
from pipeline.config.overrides import PATHS, override_text, parse_override, repeatable
from pipeline.config.validate import KEYS
from pipeline.runtime.paths import project_root

TEXTS = [
    *("a,b", "a b", " a ", "it's", 'say "x"', "$HOME", "${seed}", r"\${seed}", "a${", "{x}", "{", "[x]", "]", "(x"),
    *("x(1)", "a=b", "#x", "!x", "~x", "a\\b", "a\\", "\\'", "`id`", "$(id)", "ü ñ 😀", "-x", "--y", "null", "true"),
    *("False", "1e3", "007", "+1", "nan", "no", "a;b", "a|b", "a&b", "*", "?", "a\tb", "a\nb"),
    *("%", "@x", ":", "'", '"', "''", "a,'b"),
]  # fmt: skip
# A command line and a file name hold no NUL, and UTF-8 no lone surrogate; `???` is OmegaConf's mark of a missing value.
any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
special = st.text("ab\\${}[]()'\",:= \n#!~`*?&|;<>%@e1.+-", min_size=1, max_size=8)
texts = (any_text | special).filter(lambda text: text != "???")


def after_shell(words: list[str]) -> list[str]:
    """The words of a printed command line as bash passes them on."""
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {shlex.join(words)}"], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


@settings(max_examples=40)
@given(st.lists(texts, min_size=1, max_size=10))
def test_a_printed_text_is_read_back(values: list[str]):
    words = [override_text("probe.neighbour_words", values), override_text("data.text_column", values[0])]
    config = compose(after_shell(words))
    assert (config.probe.neighbour_words, config.data.text_column) == (values, values[0])


def test_texts_that_mean_something_to_a_shell_or_to_hydra_are_read_back():
    words = [override_text("probe.neighbour_words", TEXTS)]
    (config,) = compose_all(after_shell(words), multirun=True)
    assert config.probe.neighbour_words == TEXTS
    for text in TEXTS:
        (config,) = compose_all(after_shell([override_text("data.text_column", text)]), multirun=True)
        assert config.data.text_column == text


@pytest.mark.parametrize("value", [None, True, False, 3, 0.1, 1e-05, [], [1, None], ["a", "b"], "plain/text-1.csv"])
def test_what_needs_no_quotes_has_none(value):
    line = override_text("data.name", value)
    assert not {"'", '"'} & set(line)
    assert parse_override(line).value() == value


@pytest.mark.parametrize("text", ["1e3", "007", "true", "+1", "1_000", "a(1)", "it's"])
def test_a_text_stays_as_it_is_written(text: str):
    assert compose([f"data.text_column={text}"]).data.text_column == text


def test_every_path_is_absolute_and_quoted(tmp_path: Path, monkeypatch):
    folder = tmp_path / "it's, ${mine} (1)"
    folder.mkdir()
    monkeypatch.chdir(folder)
    names = ["tweets,v2.csv", "-x", "~b", "a b.txt"]
    for name in names:
        Path(name).touch()
    files = [f"./{name}" for name in names]
    relative = {
        **{key: files[number] for number, key in enumerate(PATHS[:3])},
        "probe.similarity_files": files[:2],
        "probe.transfer_path": "./a b.txt",
        "probe.transfer": ["irony", "sentiment140@./a b.txt"],
        "distill.model": "./a b.txt",
        "study.model2vec": "./a b.txt",
        "paths.root": "out",
        "paths.dvc": "d",
    }
    assert relative.keys() == set(PATHS)
    config = compose(["data=files", *(override_text(key, value) for key, value in relative.items())])
    assert config.probe.transfer == ["irony", f"sentiment140@{folder}/a b.txt"]
    words = repeatable(["data=files", *(f"{key}=x" for key in PATHS)], config)
    monkeypatch.chdir(tmp_path)
    assert compose(after_shell(words)) == config
    assert config.data.path == str(folder / "tweets,v2.csv")
    assert config.paths.root == str(folder / "out")


def test_paths_of_a_recipe_and_of_a_mapping_are_added(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = compose(["data=files", "data={path: mine.csv}", "seed=3"])
    words = repeatable(["data=files", "data={path: mine.csv}", "seed=3"], config)
    assert words == ["data=files", "data={path: mine.csv}", "seed=3", f"data.path={tmp_path}/mine.csv"]


def test_what_is_no_path_stays(monkeypatch):
    monkeypatch.chdir(project_root())
    words = ["data=hub", "data.path=owner/name", "probe.transfer=[irony]", "embedding.path=null", "++seed=1"]
    assert repeatable(words, compose(words)) == words
    assert repeatable(["paths.root=."], compose(["paths.root=."])) == [f"paths.root={os.getcwd()}"]


def test_all_keys_of_paths_are_listed():
    named = {key for key in KEYS if key.endswith(("path", "_files", "extra_text")) or key.startswith("paths.")}
    assert named | {"distill.model", "study.model2vec", "probe.transfer"} == set(PATHS)


def documented() -> list[str]:
    """The complete commands in README, docs/ and the headers of conf/: no placeholder, no subcommand."""
    root = project_root()
    files = [root / "README.md", *root.glob("docs/*.md"), *root.glob("conf/*/*.yaml")]
    lines = "\n".join(path.read_text("utf-8").replace("\\\n", " ") for path in files)
    commands = re.findall(r"^(?:# )?(?:python -m pipeline|\./scripts/run) (.*)$", lines, re.M)
    others = r"[|…]|\b[A-Z]{3,}|hydra/launcher"  # a launcher needs its extra
    return sorted(line for line in commands if re.match(r"-m |\S+=", line) and not re.search(others, line))


@pytest.mark.parametrize("line", documented())
def test_a_documented_command_composes(line: str):
    words = shlex.split(line, comments=True)
    assert compose_all([word for word in words if word != "-m"], multirun="-m" in words)
