"""The command `python -m pipeline` as a process of its own, started from another folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runtime.paths import project_root

# The command with a stand-in for the stages, so that only the command line is under test.
STAND_IN = """
import sys, types, pipeline
stages = types.ModuleType("pipeline.stages.run")
{body}
stages.run = run
sys.modules["pipeline.stages.run"] = pipeline.stages = stages
from pipeline.cli.run import main
sys.exit(main(sys.argv[1:]))
"""


def command(*arguments: str, cwd: Path, body: str | None = None) -> subprocess.CompletedProcess[str]:
    start = ["-c", STAND_IN.format(body=body)] if body else ["-m", "pipeline"]
    return subprocess.run(
        [sys.executable, *start, *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(project_root())},
        # What a shell starts in the background ignores Ctrl-C, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


class TestProcess:
    def test_help_loads_nothing_heavy(self, tmp_path: Path):
        script = (
            "import sys; from pipeline.__main__ import main; code = main(['--help']);"
            "heavy = {'torch', 'mlflow', 'gensim', 'datasets', 'pandas', 'numpy', 'nltk', 'sklearn', 'matplotlib'};"
            "print('heavy:', sorted(heavy & set(sys.modules)), code)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60,
            env={**os.environ, "PYTHONPATH": str(project_root())},
        )  # fmt: skip
        assert done.stdout.splitlines()[-1] == "heavy: [] 0"
        assert done.stderr == ""
        assert os.listdir(tmp_path) == []

    def test_a_wrong_key_from_another_folder(self, tmp_path: Path):
        done = command("++train.lrr=1", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "error: unknown key 'train.lrr'; did you mean 'train.lr_head'?\n"
        assert os.listdir(tmp_path) == []

    def test_a_run_from_another_folder(self, tmp_path: Path):
        body = "def run(config, overrides=()): print(config.cbow.extra_text, config.embedding.init)"
        (tmp_path / "t.gz").touch()
        done = command("+experiment=cbow_frozen", "cbow.extra_text=t.gz", "paths.root=.", cwd=tmp_path, body=body)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{tmp_path / 't.gz'} cbow\n"

    @pytest.mark.parametrize(
        ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
    )
    def test_signals_end_cleanly(self, tmp_path: Path, number: int, code: int, word: str):
        body = (
            "import os, time\n"
            "def run(config, overrides=()):\n"
            "    try:\n"
            f"        os.kill(os.getpid(), {int(number)}); time.sleep(30)\n"
            "    finally:\n"
            "        print('cleaned up')\n"
        )
        done = command("-m", "seed=0,1", "paths.root=.", cwd=tmp_path, body=body)
        assert (done.returncode, done.stdout) == (code, "cleaned up\n")
        assert done.stderr.splitlines()[-1] == f"error: {word}"
        assert "Traceback" not in done.stderr
