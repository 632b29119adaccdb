"""What a command loads: no library that it does not use. Each command runs in a process of its own, on tiny data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runtime.paths import project_root

HEAVY = {"torch", "gensim", "datasets", "pandas", "sklearn", "mlflow", "matplotlib", "statsmodels"}
HEAVY |= {"vaderSentiment", "nltk", "scipy", "pyarrow", "numpy"}
LOADED = """
import json, runpy, sys
try:
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
finally:
    print("loaded", json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
TINY = (
    *("data.sample.labelled=200", "data.sample.unlabelled=100", "embedding.dim=4", "cbow.epochs=1", "workers=1"),
    *("train.max_epochs=1", "train.threads=1", "tracking.enabled=false"),
)


def loaded(module: str, *arguments: str, said: str = "") -> set[str]:
    """The heavy libraries that a command loads; `said` must stand in what it logs."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, module, *arguments], capture_output=True, text=True, timeout=300, check=False,
        cwd=project_root(), env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert said in done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("loaded "))
    return set(json.loads(line.removeprefix("loaded "))) & HEAVY


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.mark.parametrize("flags", [("--help",), ("--cfg", "job")])
def test_help_and_configuration_load_nothing_heavy(flags):
    assert loaded("pipeline", *flags) == set()


def test_each_stage_loads_what_it_uses(root):
    place = f"paths.root={root}"
    frozen, tuned = "embedding=cbow_frozen", "embedding=cbow_finetuned"
    prepare = loaded("pipeline", *TINY, place, "stage=prepare", frozen, said="prepare: done in")
    assert prepare >= {"nltk", "pyarrow"}
    assert not prepare & {"torch", "gensim", "datasets", "mlflow", "matplotlib"}
    look = loaded("pipeline", *TINY, place, "stage=look", said="look: ")
    assert not look & {"torch", "gensim", "datasets", "mlflow", "matplotlib"}
    cbow = loaded("pipeline", *TINY, place, "stage=cbow", frozen, said="cbow: done in")
    assert cbow >= {"gensim"}
    assert not cbow & {"torch", "datasets", "mlflow", "matplotlib", "nltk", "sklearn", "pandas"}
    again = loaded("pipeline", *TINY, place, "stage=cbow", frozen, said="cbow: reused")
    assert again == set(), "what is reused needs no library"
    train = loaded("pipeline", *TINY, place, tuned, said="cbow: reused")
    assert train >= {"torch"}
    assert not train & {"gensim", "datasets", "mlflow", "statsmodels", "vaderSentiment"}
    (record,) = (root / "results").glob("sample-*")
    predict = loaded("pipeline", "predict", "so happy", "--run", str(record))
    assert predict >= {"torch", "nltk"}
    assert not predict & {"mlflow", "datasets", "gensim", "matplotlib", "pyarrow", "statsmodels"}
