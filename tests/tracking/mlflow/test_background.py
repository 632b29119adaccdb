import pytest
from mlflow.tracking import MlflowClient

from pipeline.runtime.cached_folder import ensure_folder
from pipeline.tracking.mlflow import background as mlflow_beside
from pipeline.tracking.mlflow.background import Beside, start_process
from pipeline.tracking.write_record import write_record


@pytest.fixture
def process():
    with start_process() as started:
        yield started


@pytest.fixture
def folder(record, tmp_path):
    ensure_folder(tmp_path / "results" / record.name, {"stage": "train"}, lambda part: write_record(part, record))
    return tmp_path / "results" / record.name


def test_another_process_logs_a_record_as_this_one_does(process, folder, tmp_path, caplog):
    logger = Beside(process)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    logger.prepare(uri)
    run_id = logger.log_run(folder, uri, "mine", tmp_path / "files")
    (run,) = MlflowClient(uri).search_runs([MlflowClient(uri).get_experiment_by_name("mine").experiment_id])
    assert run.info.run_id == run_id
    assert run.data.metrics["test/accuracy"] == 0.5
    assert (tmp_path / "files" / run_id / "artifacts" / "note.md").is_file()
    assert Beside(None).log_run(folder, uri, "mine", tmp_path / "files") == run_id, "the same content stands once"
    assert process.poll() is None
    caplog.clear()
    assert logger.log_run(folder, "sqlite:////proc/none/mlflow.db", "mine", tmp_path / "files") is None
    (said,) = [entry.getMessage() for entry in caplog.records]
    assert said.startswith("MLflow at sqlite:////proc/none/mlflow.db did not take this run (")
    logger.close()
    assert process.returncode == 0


def test_a_process_that_died_is_replaced_by_this_one(process, folder, tmp_path):
    logger = Beside(process)
    process.kill()
    process.wait()
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    logger.prepare(uri)
    run_id = logger.log_run(folder, uri, "mine", tmp_path / "files")
    assert MlflowClient(uri).get_run(run_id).info.status == "FINISHED"
    logger.close()


def test_one_that_is_given_up_leaves_a_whole_store(process, tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    logger = Beside(process)
    logger.prepare(uri)
    logger.close()
    assert process.returncode is None, "nobody waits for what was not finished"
    assert process.wait(60) == 0
    assert [one.name for one in MlflowClient(uri).search_experiments()] == ["Default"]


def test_this_process_logs_where_mlflow_is_loaded_already(monkeypatch, tmp_path):
    monkeypatch.setattr(mlflow_beside, "start_process", None)
    mlflow_beside.mlflow_beside().prepare(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert list(tmp_path.iterdir()) == []
