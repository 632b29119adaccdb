"""Every exception ends a command in one line and an exit code; a misspelt subcommand is named."""

import os
import re
import signal
import subprocess
import sys

import pytest

from pipeline.__main__ import main
from pipeline.cli.exit_codes import command
from pipeline.cli.subcommands import SUBCOMMANDS
from pipeline.runtime.errors import RunError, UserError
from pipeline.runtime.paths import project_root


def ends_with(error: BaseException | None) -> int:
    @command
    def run(arguments: list[str]) -> int:
        if error is not None:
            raise error
        return 0

    return run([])


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (None, 0, ""),
        (UserError("two\nlines"), 2, "error: two lines\n"),
        (RunError("the check failed"), 1, "error: the check failed\n"),
        (FileNotFoundError("gone"), 1, "error: FileNotFoundError: gone\n"),
        (KeyError("bug"), 1, "error: KeyError: 'bug'\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (SystemExit(143), 143, "error: terminated\n"),
        (SystemExit(1), 2, ""),
        (SystemExit(0), 0, ""),
    ],
)
def test_exit_code_and_line(monkeypatch, capsys, error, code, line):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    handler = signal.getsignal(signal.SIGTERM)
    assert ends_with(error) == code
    err = capsys.readouterr().err
    assert re.sub(r" \(pipeline/cli/exit_codes\.py:\d+\)", "", err) == line
    assert signal.getsignal(signal.SIGTERM) is handler


def test_traceback_on_request(monkeypatch, capsys):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert ends_with(UserError("no label")) == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):")
    assert err.endswith("error: no label\n")


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("pedict", "did you mean 'predict'?"),
        ("PREDICT", "did you mean 'predict'?"),
        ("vectros", "did you mean 'vectors'?"),
        ("train", "did you mean 'stage=train'?"),
        ("cbow_frozn", "did you mean '+experiment=cbow_frozen'?"),
        ("zzz", f"valid: {', '.join(SUBCOMMANDS)}, or key=value"),
    ],
)
def test_a_word_that_is_no_subcommand(capsys, word, hint):
    assert main([word, "x"]) == 2
    assert capsys.readouterr() == ("", f"error: unknown subcommand '{word}'; {hint}\n")


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_has_help_and_names_a_wrong_option(capsys, name):
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m pipeline {name} ")
    root_help = "folder that holds results/ and mlflow.db (default: the project)"
    assert root_help in " ".join(text.split())
    assert main([name, *(("--to", "x.txt") if "--to" in text else ()), "--rooot", "x"]) == 2
    assert capsys.readouterr().err == "error: unknown option --rooot; did you mean '--root'?\n"


def test_a_closed_pipe_is_no_error(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(project_root())}
    script = f"{sys.executable} -m pipeline --help all | head -c 20 >/dev/null; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in ("0", "141")
    assert done.stderr == ""


def test_only_one_module_uses_the_private_interface_of_hydra():
    sources = {path: path.read_text("utf-8") for path in (project_root() / "pipeline").rglob("*.py")}
    assert {path.name for path, text in sources.items() if "hydra._internal" in text} == {"compose.py"}


def test_one_command_line():
    folder = project_root() / "pipeline" / "cli"
    assert [path.name for path in folder.glob("*.py") if "__main__" in path.read_text("utf-8")] == []
    assert len((project_root() / "pipeline" / "__main__.py").read_text("utf-8").splitlines()) <= 30
