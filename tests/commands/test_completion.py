"""Shell completion as the README says, in a real bash."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runtime.paths import project_root

LINE = 'eval "$(./scripts/run -sc install=bash)"'
# What bash does when Tab is pressed after COMP_LINE.
COMPLETE = """
{line}
complete -p run
COMP_LINE='{words}' COMP_POINT={point} COMP_CWORD={word}
hydra_bash_completion
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("./scripts/run +experiment=cbow", ["+experiment=cbow_finetuned", "+experiment=cbow_frozen"]),
        ("./scripts/run train.lr", ["train.lr_embedding=", "train.lr_head=", "train.lr_schedule="]),
        ("./scripts/run -m seed=0,1 model=m", ["model=mean", "model=meanmax"]),
    ],
)
def test_bash_completes(tmp_path: Path, words: str, completions: list[str]):
    # The project's script, without the installation that comes first.
    script = tmp_path / "scripts" / "run"
    script.parent.mkdir()
    script.write_text(f'#!/usr/bin/env bash\nexec "{sys.executable}" -m pipeline "$@"\n')
    script.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", COMPLETE.format(line=LINE, words=words, point=len(words), word=len(words.split()) - 1)],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
        env=os.environ | {"PYTHONPATH": str(project_root())},
    )  # fmt: skip
    registered, *replies = done.stdout.splitlines()
    assert re.fullmatch(r"complete .*-F hydra_bash_completion run", registered)
    assert replies == completions
    assert done.stderr == ""


def test_the_readme_has_the_tested_line():
    assert LINE in (project_root() / "README.md").read_text("utf-8")
