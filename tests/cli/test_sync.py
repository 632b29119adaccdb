import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import sync
from pipeline.runtime.cached_folder import ensure_folder
from pipeline.runtime.files import read_json, write_json
from pipeline.runtime.paths import project_root
from pipeline.tracking.mlflow.log import log_run
from pipeline.tracking.mlflow.store import mlflow_client
from pipeline.tracking.run_record import Predictions, RunRecord
from pipeline.tracking.write_record import write_record

REFUSED = "http://127.0.0.1:9"


def record(name: str, seed: int = 0, accuracy: float = 0.5) -> RunRecord:
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7]], np.float32)
    rows = np.ones((3, 2), np.float32)
    return RunRecord(
        name=name,
        title=f"cbow_frozen · n=10 · seed {seed}",
        config={
            "embedding": {"init": "cbow", "trainable": False, "dim": 2},
            "tracking": {"experiment": "mine", "uri": "nowhere"},
            "seed": seed,
        },
        tags={"variant": "cbow_frozen", "seed": str(seed), "label_budget": "10", "data": "sample", "generated": "true"},
        label_names=["negative", "positive"],
        notes=[],
        dataset={
            "name": "sample",
            "source": "here",
            "fingerprint": "0",
            "rows": {"train": 10, "test": 2},
            "labelled_used": 10,
        },
        metrics={"test/accuracy": accuracy, "params/trainable": 3, "params/total": 3, "params/embedding": 6},
        timings={"time/train_seconds": 1.0},
        history=[{"epoch": 1.0, "train/loss": 0.7}],
        predictions={"test": Predictions(["a", "b"], np.array([0, 1]), probabilities)},
        words=["<pad>", "<unk>", "good"],
        counts=[0, 0, 3],
        initial=rows,
        final=rows,
        weights={"head.bias": np.zeros(2, np.float32)},
        keep_embedding=False,
    )


def put_run(root: Path, name: str, *, finished: str = "", force: bool = False, **changed: float) -> Path:
    folder = root / "results" / name
    ensure_folder(folder, {}, lambda path: write_record(path, record(name, **changed)), force=force)
    return date(folder, finished) if finished else folder


def put_study(root: Path, name: str, runs: list[str], finished: str) -> Path:
    def work(folder: Path) -> None:
        told = {"title": name, "tags": {"data": "sample"}, "params": {}, "metrics": {"score/cbow_frozen": 0.5}}
        write_json(folder / "study.json", told)
        (folder / "report.md").write_text("# report\n", "utf-8")
        (folder / "tables").mkdir()
        rows = ["kind,variant,run", *(f"variant,cbow_frozen,{run}" for run in runs), "baseline,vader,0123"]
        (folder / "tables" / "runs.csv").write_text("\n".join(rows) + "\n", "utf-8")

    folder = root / "results" / "studies" / name
    ensure_folder(folder, {}, work)
    return date(folder, finished)


def date(folder: Path, finished: str) -> Path:
    write_json(folder / "manifest.json", read_json(folder / "manifest.json") | {"finished": finished})
    return folder


def shown(uri: str, experiment: str = "mine") -> dict[str, tuple[str, str | None]]:
    """Every run by its record's or study's name: its id, and the name of the study above it."""
    with mlflow_client(uri) as client:
        found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    names = {run.info.run_id: run.data.tags.get("pipeline.run") or run.data.tags["pipeline.study"] for run in found}
    assert len(set(names.values())) == len(names)
    return {
        names[run.info.run_id]: (run.info.run_id, names.get(run.data.tags.get("mlflow.parentRunId", "")))
        for run in found
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four runs, of which `both` belongs to two studies and `alone` to none."""
    for seed, name in enumerate(("first", "both", "second", "alone")):
        put_run(tmp_path, name, seed=seed)
    # Named so that the order of names is not that of time.
    put_study(tmp_path, "b-older", ["first", "both", "gone"], "2026-01-01T00:00:00+00:00")
    put_study(tmp_path, "a-newer", ["both", "second"], "2026-01-02T00:00:00+00:00")
    return tmp_path


def run_sync(*arguments: object) -> int:
    return sync.main([str(argument) for argument in arguments])


def test_an_empty_mlflow_is_rebuilt_from_results_alone(root, capsys):
    uri = f"sqlite:///{root / 'mlflow.db'}"
    assert run_sync(root) == 0
    assert "6 logged, 0 there already, 0 failed, 0 damaged" in capsys.readouterr().out
    before = shown(uri)
    parents = {name: parent for name, (_, parent) in before.items()}
    assert parents == {
        "first": "b-older",
        "both": "a-newer",
        "second": "a-newer",
        "alone": None,
        "a-newer": None,
        "b-older": None,
    }
    assert (root / "artifacts" / "mlflow" / before["a-newer"][0] / "artifacts" / "tables" / "runs.csv").is_file()

    assert run_sync(root) == 0
    assert "0 logged, 6 there already" in capsys.readouterr().out
    assert shown(uri) == before

    shutil.copytree(root / "results", root / "elsewhere" / "results")
    assert run_sync(root / "elsewhere") == 0
    assert "6 logged, 0 there already" in capsys.readouterr().out
    again = shown(f"sqlite:///{root / 'elsewhere' / 'mlflow.db'}")
    assert {name: parent for name, (_, parent) in again.items()} == parents


def test_runs_logged_before_move_under_their_study_and_new_ones_are_added(root, capsys):
    uri = f"sqlite:///{root / 'mlflow.db'}"
    alone = log_run(root / "results" / "both", uri, "mine", root / "artifacts" / "mlflow")
    assert run_sync(root) == 0
    assert "5 logged, 1 there already" in capsys.readouterr().out
    assert shown(uri)["both"] == (alone, "a-newer")


def test_what_an_unreachable_server_missed_comes_later(root, caplog, capsys):
    folder = root / "results" / "alone"
    assert log_run(folder, REFUSED, "mine", root / "artifacts") is None
    (warning,) = caplog.messages
    assert f"safe in {folder}" in warning
    assert f"`./scripts/run sync --root {root} --uri {REFUSED}` logs them later" in warning

    assert run_sync(root, "--uri", REFUSED) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert f"MLflow at {REFUSED} cannot be reached" in error
    assert run_sync(root) == 0


def test_damaged_records_are_named_and_the_rest_is_logged(root, capsys):
    results = root / "results"
    (results / "first" / "metrics.json").write_text("{}", "utf-8")
    (results / "second" / "manifest.json").unlink()
    (results / "alone" / "config.yaml").write_bytes(
        (results / "alone" / "config.yaml").read_bytes().replace(b":", b"]")
    )
    (results / "studies" / "b-older" / "report.md").unlink()
    (results / ".first.tmp-1").mkdir()
    (results / "notes.txt").write_text("mine")
    assert run_sync(root) == 1
    told = capsys.readouterr()
    named = {line.split(": ", 2)[1]: line.split(": ", 2)[2] for line in told.err.splitlines()}
    assert set(named) == {str(results / name) for name in ("first", "second", "alone", "studies/b-older")}
    assert named[str(results / "first")] == "metrics.json is missing or cut short"
    assert named[str(results / "second")] == "no manifest.json that can be read"
    assert named[str(results / "studies" / "b-older")] == "report.md is missing or cut short"
    assert "2 logged, 0 there already, 0 failed, 4 damaged" in told.out
    assert set(shown(f"sqlite:///{root / 'mlflow.db'}")) == {"both", "a-newer"}


def test_of_two_records_of_one_name_the_later_stands_whoever_logs_last(tmp_path, capsys):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    roots = [tmp_path / "here", tmp_path / "there"]
    put_run(roots[0], "run", accuracy=0.25, finished="2026-01-01T00:00:00+00:00")
    put_run(roots[1], "run", accuracy=0.75, finished="2026-01-02T00:00:00+00:00")
    for root in (*roots, *roots):
        assert run_sync(root, "--uri", uri) == 0
    told = [line.partition("results: ")[2].split(",")[0] for line in capsys.readouterr().out.splitlines()]
    assert told == ["1 logged", "1 logged", "0 logged", "0 logged"]
    with mlflow_client(uri) as client:
        (run,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert run.data.metrics["test/accuracy"] == 0.75


def test_nothing_to_log_and_a_wrong_address_are_told_in_one_line(tmp_path, capsys):
    assert run_sync(tmp_path) == 2
    assert "no finished run" in capsys.readouterr().err
    assert run_sync(tmp_path, "--uri", "file:/somewhere") == 2
    assert "--uri file:/somewhere: expected" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_one_line(tmp_path):
    put_run(tmp_path, "run")
    command = [sys.executable, "-m", "pipeline", "sync", "--root", tmp_path]
    environment = os.environ | {"PYTHONPATH": str(project_root())}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    assert "1 logged" in done.stdout


def test_views_are_made_once_and_renewed(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    put_run(tmp_path, "run")
    assert run_sync(tmp_path) == 0
    with mlflow_client(uri) as client:
        experiment = client.get_experiment_by_name("mine")
        client.set_experiment_tag(experiment.experiment_id, "mlflow.sharedViewState.runs", "an older view")
        client.set_experiment_tag(experiment.experiment_id, "mlflow.note.content", "my own note")
    assert run_sync(tmp_path) == 0
    with mlflow_client(uri) as client:
        tags = client.get_experiment_by_name("mine").tags
    view = json.loads(tags["mlflow.sharedViewState.runs"])
    assert view["name"] == "Runs by score"
    assert json.loads(view["state"])["orderByKey"] == "metrics.`test/macro_recall`"
    assert tags["mlflow.note.content"] == "my own note"
    assert max(len(value) for value in tags.values()) <= 20_000
