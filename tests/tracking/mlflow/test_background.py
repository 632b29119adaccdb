import signal

import pytest
from mlflow.tracking import MlflowClient

from pipeline.runtime.cached_folder import ensure_folder
from pipeline.tracking.mlflow import background
from pipeline.tracking.mlflow.background import BackgroundLogger, start_process
from pipeline.tracking.write_record import write_record


@pytest.fixture
def process():
    with start_process() as started:
        yield started


@pytest.fixture
def folder(record, tmp_path):
    ensure_folder(tmp_path / "results" / record.name, {"stage": "train"}, lambda path: write_record(path, record))
    return tmp_path / "results" / record.name


def test_the_background_process_logs_a_record_as_this_process_does(process, folder, tmp_path, caplog):
    logger = BackgroundLogger(process)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    logger.prepare(uri)
    run_id = logger.log_run(folder, uri, "mine", tmp_path / "files")
    (run,) = MlflowClient(uri).search_runs([MlflowClient(uri).get_experiment_by_name("mine").experiment_id])
    assert run.info.run_id == run_id
    assert run.data.metrics["test/accuracy"] == 0.5
    assert (tmp_path / "files" / run_id / "artifacts" / "note.md").is_file()
    assert BackgroundLogger(None).log_run(folder, uri, "mine", tmp_path / "files") == run_id, (
        "the same content is logged once"
    )
    assert process.poll() is None
    caplog.clear()
    assert logger.log_run(folder, "sqlite:////proc/none/mlflow.db", "mine", tmp_path / "files") is None
    (message,) = [entry.getMessage() for entry in caplog.records]
    assert message.startswith("MLflow at sqlite:////proc/none/mlflow.db did not take this run (")
    logger.close()
    assert process.returncode == 0


def test_a_dead_background_process_is_replaced_by_this_one(process, folder, tmp_path):
    logger = BackgroundLogger(process)
    process.kill()
    process.wait()
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    logger.prepare(uri)
    run_id = logger.log_run(folder, uri, "mine", tmp_path / "files")
    assert MlflowClient(uri).get_run(run_id).info.status == "FINISHED"
    logger.close()


def test_a_process_that_logged_nothing_is_ended_at_once(process):
    BackgroundLogger(process).close()
    assert process.returncode == -signal.SIGTERM


def test_a_closed_background_process_leaves_a_complete_store(process, tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    logger = BackgroundLogger(process)
    logger.prepare(uri)
    logger.close()
    assert process.returncode is None, "closing does not wait for a request in progress"
    assert process.wait(60) == 0
    assert [one.name for one in MlflowClient(uri).search_experiments()] == ["Default"]


def test_this_process_logs_where_mlflow_is_loaded_already(monkeypatch, tmp_path):
    monkeypatch.setattr(background, "start_process", None)
    background.background_logger().prepare(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert list(tmp_path.iterdir()) == []
