"""What the subcommands share: the command that they advise makes what they miss."""

import re
import shlex
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.cli.arguments import run_command
from pipeline.config.compose import compose
from pipeline.runtime.paths import project_root

COMMANDS = ("predict hi", "export --to x", "summary", "summary --studies", "sync")


@pytest.mark.parametrize("command", COMMANDS)
def test_where_there_is_no_run_the_advised_command_makes_one(command: str, tmp_path: Path, monkeypatch, capsys):
    root = tmp_path / "it's, (mine)"
    root.mkdir()
    monkeypatch.chdir(tmp_path)
    assert main([*command.split(), "--root", str(root)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    match = re.search(r"; try (.*)$", line)
    assert match, line
    script, *words = shlex.split(match[1])
    assert script == str(project_root() / "scripts" / "run")
    config = compose(words)
    assert config.paths.root == str(root)
    assert config.stage == ("compare" if "--studies" in command else "all")


def test_in_the_projects_folder_the_advice_is_short(monkeypatch):
    monkeypatch.chdir(project_root())
    assert run_command("compare", project_root()) == "./scripts/run +experiment=compare"
