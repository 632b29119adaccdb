import dataclasses
import gc
import json
import logging
import os
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from pipeline.runtime.cached_folder import ensure_folder
from pipeline.runtime.paths import project_root
from pipeline.tracking.mlflow.log import log_run, log_study
from pipeline.tracking.mlflow.store import mlflow_client
from pipeline.tracking.mlflow.values import metric_names, mlflow_params
from pipeline.tracking.write_record import write_record

PROJECT = project_root()
LOG_IN_PROCESSES = """
import json, multiprocessing, sys
from pathlib import Path
from pipeline.tracking.mlflow.log import log_run
uri, artifacts, *folders = sys.argv[1:]
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["pipeline.tracking.mlflow.log", "mlflow.tracking"])
with context.Pool(len(folders)) as pool:
    calls = [(Path(folder), uri, "tweets", Path(artifacts)) for folder in folders]
    print(json.dumps(pool.starmap(log_run, calls, chunksize=1)))
"""


@pytest.fixture(scope="session")
def made_store(tmp_path_factory):
    """An empty store, made once: that takes seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    with mlflow_client(f"sqlite:///{path}") as client:
        client.search_experiments()
    return path


@pytest.fixture
def fresh_store(tmp_path):
    """A place for a store, with signs in its path that URIs treat specially."""
    root = tmp_path / "my #1 root"
    return f"sqlite:///{root / 'mlflow.db'}", root / "artifacts" / "mlflow"


@pytest.fixture
def store(fresh_store, made_store):
    uri, _ = fresh_store
    path = Path(uri.removeprefix("sqlite:///"))
    path.parent.mkdir()
    shutil.copy(made_store, path)
    return fresh_store


def put(tmp_path, record, *, name=None, force=False):
    folder = tmp_path / "results" / (name or record.name)
    ensure_folder(folder, {"name": folder.name}, lambda path: write_record(path, record), force=force)
    return folder


def runs_of(uri):
    with mlflow_client(uri) as client:
        found = client.get_experiment_by_name("tweets")
        return [] if found is None else list(client.search_runs([found.experiment_id], max_results=1000))


def test_a_run_is_logged_completely(tmp_path, store, record, capfd, caplog):
    uri, artifacts = store
    folder = put(tmp_path, record)
    run_id = log_run(folder, uri, "tweets", artifacts)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
    with mlflow_client(uri) as client:
        run = client.get_run(run_id)
        curve = client.get_metric_history(run_id, "epoch/validation/accuracy")
        table = json.loads(Path(client.download_artifacts(run_id, "tables/neighbours.json", str(tmp_path))).read_text())
        files = {entry.path for entry in client.list_artifacts(run_id)}
        experiment = client.get_experiment(run.info.experiment_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", record.title)
    assert run.info.end_time - run.info.start_time < 60_000

    assert run.data.metrics["test/accuracy"] == 0.5
    assert run.data.metrics["validation/accuracy"] == 1.0
    assert run.data.metrics["time/train_seconds"] == 1.25
    assert "probe/similarity/simlex999/spearman" not in run.data.metrics
    assert [(point.step, point.value) for point in curve] == [(1, 1.0), (2, 0.0)]

    assert run.data.params["embedding.init"] == "cbow"
    assert run.data.params["train.lr_head"] == "0.001"
    assert run.data.params["data.path"] == "null"
    assert run.data.tags["mlflow.runColor"] == "#0072b2"
    assert json.loads(run.data.params["data.labels"]) == ["negative", "positive"]

    expected = {"variant": "cbow_finetuned", "seed": "3", "label_budget": "1000", "data": "sample"}
    expected |= {"git_sha": "a" * 40, "git_dirty": "true", "pipeline.run": folder.name}
    expected |= {"environment.cpu": "a processor", "environment.device": "cpu"}
    assert expected.items() <= run.data.tags.items()
    assert run.data.tags["mlflow.note.content"].startswith((folder / "note.md").read_text("utf-8")[:1000])
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"

    assert experiment.artifact_location == str(artifacts)
    names = {path.name for path in folder.iterdir()}
    assert files == names - {"embedding.safetensors"} | {"tables"}
    copied = artifacts / run_id / "artifacts" / "predictions.parquet"
    assert copied.read_bytes() == (folder / "predictions.parquet").read_bytes()
    assert table["columns"] == ["word", "rank", "before", "before_cosine", "after", "after_cosine"]
    assert table["data"][1] == ["good", "2", ":|", "0.5", "a|b", "0.25"]
    shown = [{"path": "tables/neighbours.json", "type": "table"}]
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == shown


def test_the_data_sets_are_inputs_with_context_and_digest(tmp_path, store, record):
    from mlflow.data import get_source

    uri, artifacts = store
    run_id = log_run(put(tmp_path, record), uri, "tweets", artifacts)
    with mlflow_client(uri) as client:
        inputs = client.get_run(run_id).inputs.dataset_inputs
    found = {
        tag.value: (given.dataset.name, given.dataset.digest, json.loads(given.dataset.profile)["num_rows"])
        for given in inputs
        for tag in given.tags
        if tag.key == "mlflow.data.context"
    }
    assert found == {
        "training": ("sample-train", "0123456789abcdef", 8000),
        "validation": ("sample-validation", "0123456789abcdef", 1),
        "test": ("sample-test", "0123456789abcdef", 4),
    }
    assert "generated by this project" in json.dumps(get_source(inputs[0]).to_dict())


def test_logging_the_same_record_again_gives_the_same_run(tmp_path, store, record):
    uri, artifacts = store
    folder = put(tmp_path, record)
    first = log_run(folder, uri, "tweets", artifacts)
    assert log_run(folder, uri, "tweets", artifacts) == first
    assert len(runs_of(uri)) == 1
    put(tmp_path, dataclasses.replace(record, metrics=record.metrics | {"test/accuracy": 0.75}), force=True)
    second = log_run(folder, uri, "tweets", artifacts)
    assert second != first
    assert {run.info.run_id: run.data.metrics["test/accuracy"] for run in runs_of(uri)} == {second: 0.75}
    with mlflow_client(uri) as client:
        assert client.get_run(first).info.lifecycle_stage == "deleted"


def test_a_broken_attempt_is_failed_and_then_replaced(tmp_path, store, record, monkeypatch, caplog):
    from mlflow.tracking import MlflowClient

    uri, artifacts = store
    folder = put(tmp_path, record)

    def full_disk(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifacts", full_disk)
        assert log_run(folder, uri, "tweets", artifacts) is None
    assert [run.info.status for run in runs_of(uri)] == ["FAILED"]
    assert "no space left" in caplog.text
    assert str(folder) in caplog.text
    again = log_run(folder, uri, "tweets", artifacts)
    assert [(run.info.run_id, run.info.status) for run in runs_of(uri)] == [(again, "FINISHED")]


def test_concurrent_processes_on_a_fresh_store_all_succeed(tmp_path, fresh_store, record):
    uri, artifacts = fresh_store
    folders = [put(tmp_path, record, name=f"run-{index}") for index in range(3)]
    folders.append(folders[0])
    done = subprocess.run(
        [sys.executable, "-c", LOG_IN_PROCESSES, uri, artifacts, *folders],
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == ""
    ids = json.loads(done.stdout)
    assert ids[0] == ids[3]
    found = runs_of(uri)
    assert {run.info.run_id for run in found} == set(ids)
    assert len(found) == 3
    assert {run.info.status for run in found} == {"FINISHED"}


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:9", "file:/nowhere", "nonsense://", "sqlite:////proc/none/mlflow.db"]
)
def test_a_store_that_cannot_be_reached_is_a_warning(tmp_path, record, caplog, uri):
    folder = put(tmp_path, record)
    start = time.perf_counter()
    assert log_run(folder, uri, "tweets", tmp_path / "artifacts") is None
    assert time.perf_counter() - start < 10
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    message = warning.getMessage()
    assert f"results are safe in {folder}" in message
    assert "\n" not in message


def test_a_folder_without_a_manifest_is_not_logged(tmp_path, store, record, caplog):
    uri, artifacts = store
    folder = tmp_path / "half"
    folder.mkdir()
    write_record(folder, record)
    assert log_run(folder, uri, "tweets", artifacts) is None
    assert "no manifest" in caplog.text
    assert runs_of(uri) == []


def test_awkward_values_do_not_stop_the_log(tmp_path, store, record):
    uri, artifacts = store
    words = [f"word{index}" for index in range(2000)]
    history = [{"epoch": 1.0, "train/loss": float("nan")}, {"epoch": 2.0, "train/loss": 0.5, "validation/f1[:(]": 0.2}]
    metrics = record.metrics | {"test/recall/[:)]": 0.25, "test/recall/[:(]": 0.75, "test/nan": float("nan")}
    config = record.config | {"probe": {"neighbour_words": words, "empty": {}}}
    awkward = dataclasses.replace(
        record, history=history, metrics=metrics, config=config, notes=["long " * 3000], neighbours=[], environment={}
    )
    folder = put(tmp_path, awkward)
    run_id = log_run(folder, uri, "tweets", artifacts)
    with mlflow_client(uri) as client:
        run = client.get_run(run_id)
        losses = [(point.step, point.value) for point in client.get_metric_history(run_id, "epoch/train/loss")]
    assert losses == [(2, 0.5)]
    assert not any(sign in name for name in run.data.metrics for sign in "[]()")
    recalls = [value for name, value in run.data.metrics.items() if name.startswith("test/recall")]
    assert sorted(recalls) == [0.25, 0.75]
    assert run.data.params["probe.empty"] == "{}"
    shown = run.data.params["probe.neighbour_words"]
    assert shown.startswith('["word0"')
    assert "fingerprint" in shown
    assert run.data.tags["git_dirty"] == "unknown"
    note = run.data.tags["mlflow.note.content"]
    assert len(note) <= 8000
    assert "the whole note is the artifact" in note


def test_a_different_long_value_has_a_different_fingerprint():
    one, other = (mlflow_params({"words": ["a" * 7000 + end]})["words"] for end in "xy")
    assert one != other
    assert len(one) < 300
    assert mlflow_params({"a": {"b": {"c": 1}}, "d": "x" * 6000}) == {"a.b.c": "1", "d": "x" * 6000}


def test_metric_names_are_valid_and_distinct():
    names = metric_names(["test/accuracy", "a[x]", "a(x)", "../b", "/c//d", "label/café: 1", "[[", "((", "x" * 300])
    from mlflow.utils.validation import _validate_metric_name

    for name in names.values():
        _validate_metric_name(name)
    assert len(set(names.values())) == 9
    assert names["test/accuracy"] == "test/accuracy"
    assert names["a[x]"] == "a_x_"


def test_nothing_but_logging_imports_mlflow():
    code = "import sys, pipeline.tracking.write_record, pipeline.tracking.mlflow.log; sys.exit('mlflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(PROJECT)}, check=True)


def test_other_warnings_still_show(store):
    uri, _ = store
    with mlflow_client(uri), pytest.warns(DeprecationWarning, match="another"):
        warnings.warn("another", DeprecationWarning, stacklevel=1)


def test_garbage_collection_is_paused_while_the_store_is_open(store):
    uri, _ = store
    assert gc.isenabled()
    with mlflow_client(uri):
        assert not gc.isenabled()
    assert gc.isenabled()


@pytest.fixture
def study(tmp_path):
    """The folder of a finished study, as `compare` leaves it."""

    def work(folder):
        (folder / "report.html").write_text("<!DOCTYPE html><p>the report", "utf-8")
        (folder / "report.md").write_text("# sample: macro recall\n\nThe answers.\n", "utf-8")
        (folder / "tables").mkdir()
        (folder / "tables" / "scores.csv").write_text("variant,mean\ncbow_frozen@keep,0.5\n", "utf-8")
        content = {
            "title": "sample: macro recall of 4 variants",
            "tags": {"data": "sample", "generated": "true", "warnings": "none", "runs": "2"},
            "params": {"study": {"seeds": 10, "label_budgets": [100, None]}, "data": "sample"},
            "metrics": {"score/cbow_frozen@keep": 0.5, "score/random_frozen": 0.25},
        }
        (folder / "study.json").write_text(json.dumps(content), "utf-8")

    folder = tmp_path / "results" / "studies" / "sample-0123"
    ensure_folder(folder, {"stage": "compare"}, work)
    return folder


class TestStudy:
    def test_its_runs_are_nested_under_it(self, tmp_path, store, record, study, caplog):
        uri, artifacts = store
        folders = [put(tmp_path, record, name=f"run-{index}") for index in range(2)]
        parent = log_study(study, uri, "tweets", artifacts)
        children = [log_run(folder, uri, "tweets", artifacts, parent=parent) for folder in folders]
        assert caplog.records == []
        with mlflow_client(uri) as client:
            experiment = client.get_experiment_by_name("tweets").experiment_id
            nested = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")
            run = client.get_run(parent)
            files = {entry.path for entry in client.list_artifacts(parent)}
            tables = {entry.path for entry in client.list_artifacts(parent, "tables")}
        assert {child.info.run_id for child in nested} == set(children)
        assert len(set(children)) == 2
        assert "mlflow.parentRunId" not in run.data.tags

        assert (run.info.status, run.info.run_name) == ("FINISHED", "sample: macro recall of 4 variants")
        assert files >= {"report.html", "report.md", "study.json", "manifest.json", "tables"}
        assert tables == {"tables/scores.csv"}
        logged = artifacts / parent / "artifacts" / "report.html"
        assert logged.read_bytes() == (study / "report.html").read_bytes()
        assert {"pipeline.study": "sample-0123", "generated": "true", "runs": "2"}.items() <= run.data.tags.items()
        assert run.data.tags["mlflow.note.content"] == (study / "report.md").read_text("utf-8")
        assert run.data.params == {"study.seeds": "10", "study.label_budgets": "[100, null]", "data": "sample"}
        assert sorted(run.data.metrics.values()) == [0.25, 0.5]
        assert run.data.metrics["score/random_frozen"] == 0.25

    def test_it_is_logged_once_and_so_are_its_runs(self, tmp_path, store, record, study):
        uri, artifacts = store
        folder = put(tmp_path, record)
        ids = []
        for _ in range(2):
            parent = log_study(study, uri, "tweets", artifacts)
            ids.append((parent, log_run(folder, uri, "tweets", artifacts, parent=parent)))
        assert ids[0] == ids[1]
        assert {run.info.run_id for run in runs_of(uri)} == set(ids[0])

    def test_a_run_logged_earlier_is_nested_under_its_latest_study(self, tmp_path, store, record, study):
        uri, artifacts = store
        folder = put(tmp_path, record)
        alone = log_run(folder, uri, "tweets", artifacts)
        first = log_study(study, uri, "tweets", artifacts)
        assert log_run(folder, uri, "tweets", artifacts, parent=first) == alone
        content = json.loads((study / "study.json").read_text("utf-8")) | {"title": "another"}
        (study / "study.json").write_text(json.dumps(content), "utf-8")
        second = log_study(study, uri, "tweets", artifacts)
        assert second != first
        assert log_run(folder, uri, "tweets", artifacts, parent=second) == alone
        # Logged again by itself, it stays where it was.
        assert log_run(folder, uri, "tweets", artifacts) == alone
        (run,) = (run for run in runs_of(uri) if run.info.run_id == alone)
        assert run.data.tags["mlflow.parentRunId"] == second

    def test_a_broken_attempt_is_replaced(self, store, study, monkeypatch, caplog):
        from mlflow.tracking import MlflowClient

        uri, artifacts = store

        def full_disk(*_):
            raise OSError("no space left")

        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, "log_artifacts", full_disk)
            assert log_study(study, uri, "tweets", artifacts) is None
        assert "no space left" in caplog.text
        assert [run.info.status for run in runs_of(uri)] == ["FAILED"]
        again = log_study(study, uri, "tweets", artifacts)
        assert [(run.info.run_id, run.info.status) for run in runs_of(uri)] == [(again, "FINISHED")]

    def test_a_long_report_is_cut_in_the_note_only(self, store, study):
        uri, artifacts = store
        (study / "report.md").write_text("A line of the report.\n" * 1000, "utf-8")
        parent = log_study(study, uri, "tweets", artifacts)
        (run,) = runs_of(uri)
        note = run.data.tags["mlflow.note.content"]
        assert len(note) <= 8000
        assert note.endswith("the whole note is the artifact `report.md` and sample-0123/report.md.\n")
        assert (artifacts / parent / "artifacts" / "report.md").stat().st_size == 22_000

    def test_an_incomplete_study_is_not_logged(self, store, study, caplog):
        uri, artifacts = store
        (study / "manifest.json").unlink()
        assert log_study(study, uri, "tweets", artifacts) is None
        assert "no manifest" in caplog.text
        assert runs_of(uri) == []
