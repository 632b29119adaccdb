"""Runs logged to a tracking server that keeps them in PostgreSQL, as a team would have it."""

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.runtime.paths import project_root
from pipeline.tracking.mlflow.store import SETTINGS, mlflow_client

pytestmark = pytest.mark.slow

PROJECT = project_root()
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
FOUND = shutil.which("initdb", path=os.pathsep.join([os.environ.get("PATH", ""), *map(str, DEBIAN)]))
TINY = (
    "data.sample.labelled=300",
    "data.sample.unlabelled=100",
    "cbow.epochs=2",
    "embedding.dim=8",
    "train.max_epochs=2",
    "train.min_epoch_steps=5",
    "train.threads=1",
)


def unprivileged() -> dict[str, Any]:
    """How to start PostgreSQL, which refuses root: as another user, where there is one."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL refuses root, and there is no user 'postgres' or 'nobody'")


def wait_for(ready: Any, process: subprocess.Popen[bytes], what: str) -> None:
    end = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, f"{what} ended with {process.returncode}"
        assert time.monotonic() < end, f"{what} does not answer"
        time.sleep(0.1)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of an empty PostgreSQL, reached over a socket in a folder of its own."""
    if FOUND is None:
        pytest.skip("no PostgreSQL (initdb) on this machine")
    if importlib.util.find_spec("psycopg2") is None:
        pytest.skip("psycopg2 is not installed: pip install -e '.[server]'")
    import psycopg2

    programs, started_as = Path(FOUND).resolve().parent, unprivileged()
    # Not below pytest's folder, which other users may not enter; a socket's path must be short as well.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        if started_as:
            os.chown(folder, started_as["user"], started_as["group"])
        data = folder / "data"
        made = subprocess.run(
            [programs / "initdb", "-D", data, "-U", "mlflow", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            **started_as,
        )
        assert made.returncode == 0, made.stderr
        settings = ["listen_addresses=", f"unix_socket_directories={folder}", "fsync=off", "shared_buffers=16MB"]
        with (folder / "log").open("wb") as stream:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, *(part for one in settings for part in ("-c", one))],
                cwd=folder,
                stdout=stream,
                stderr=stream,
                **started_as,
            )

        def ready() -> bool:
            try:
                psycopg2.connect(host=str(folder), user="mlflow", dbname="postgres").close()
            except psycopg2.OperationalError:
                return False
            return True

        try:
            wait_for(ready, process, "PostgreSQL")
            # The driver is named, as SQLAlchemy's own choice differs between its versions.
            yield f"postgresql+psycopg2://mlflow@/postgres?host={folder}"
        finally:
            stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def server(database: str, artifacts: Path, port: int) -> Iterator[str]:
    """MLflow's server on the database and a folder of artifacts; the address."""
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database]
    command += ["--artifacts-destination", str(artifacts), "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = os.environ | SETTINGS | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = artifacts.parent / f"server-{time.monotonic_ns()}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=artifacts.parent, env=environment, stdout=stream, stderr=stream)
    address = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    try:
        wait_for(ready, process, "the MLflow server")
        yield address
    finally:
        stop(process)


def command(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    call = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(call, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_a_server_on_postgresql_holds_the_runs_and_gets_later_what_it_missed(tmp_path: Path, database: str) -> None:
    root, artifacts = tmp_path / "root", tmp_path / "artifacts"
    artifacts.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def train(seed: int) -> subprocess.CompletedProcess[str]:
        address = f"tracking.uri=http://127.0.0.1:{port}"
        return command("pipeline", "+experiment=cbow_frozen", *TINY, f"seed={seed}", address, f"paths.root={root}")

    with server(database, artifacts, port) as address:
        done = train(0)
        assert done.returncode == 0, done.stderr
        assert "did not take" not in done.stdout + done.stderr
        (folder,) = (path for path in (root / "results").glob("[!.]*") if path.is_dir())
        assert not (root / "mlflow.db").exists()
        assert not (root / "artifacts" / "mlflow").exists()
        with mlflow_client(address) as client:
            experiment = client.get_experiment_by_name("tweet-embeddings")
            (run,) = client.search_runs([experiment.experiment_id])
            curve = client.get_metric_history(run.info.run_id, "epoch/train/loss")
            inputs = {given.dataset.name for given in run.inputs.dataset_inputs}
            copy = Path(client.download_artifacts(run.info.run_id, "predictions.parquet", str(tmp_path)))
        assert run.info.status == "FINISHED"
        assert run.info.run_name == "cbow_frozen · n=all · seed 0 · generated tweets"
        assert run.info.artifact_uri.startswith("mlflow-artifacts:")
        assert run.data.params["embedding.dim"] == "8"
        assert 0 < run.data.metrics["test/accuracy"] < 1
        assert [point.step for point in curve] == [1, 2]
        assert {"sample-train", "sample-test"} <= inputs
        assert run.data.tags["mlflow.note.content"].startswith((folder / "note.md").read_text("utf-8")[:500])
        assert copy.read_bytes() == (folder / "predictions.parquet").read_bytes()
        assert any(artifacts.rglob("predictions.parquet"))
        assert "mlflow.sharedViewState.runs" in experiment.tags

    done = train(1)
    assert done.returncode == 0, done.stderr
    assert "logs them later" in done.stdout + done.stderr
    assert len([path for path in (root / "results").glob("[!.]*") if path.is_dir()]) == 2

    with server(database, artifacts, port) as address:
        done = command("pipeline", "sync", root, "--uri", address)
        assert done.returncode == 0, done.stderr
        assert "1 logged, 1 there already, 0 failed, 0 damaged" in done.stdout
        with mlflow_client(address) as client:
            found = client.search_runs([experiment.experiment_id], order_by=["tags.seed"])
        assert [other.data.tags["seed"] for other in found] == ["0", "1"]
        assert found[0].info.run_id == run.info.run_id
