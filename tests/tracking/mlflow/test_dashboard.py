import json
import os
import re
import shlex
import socket
import subprocess
import time
import urllib.request

import pytest

from pipeline.config.compose import compose
from pipeline.runtime.cached_folder import ensure_folder
from pipeline.runtime.paths import project_root
from pipeline.tracking.mlflow.log import log_run
from pipeline.tracking.mlflow.store import mlflow_client
from pipeline.tracking.write_record import write_record

DASHBOARD = project_root() / "scripts" / "dashboard"


def answer(url, tries=240):
    for _ in range(tries):
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                return reply.read().decode()
        except OSError:
            time.sleep(0.25)
    raise AssertionError(f"no answer from {url}")


def processes(parent):
    """How many processes a process has become, counting itself."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    children = [int(pid) for pid, above in map(str.split, listed.splitlines()) if int(above) == parent]
    return 1 + sum(processes(pid) for pid in children)


def test_without_a_store_it_names_the_command_to_run_first(tmp_path):
    done = subprocess.run([DASHBOARD, tmp_path], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    script, *words = shlex.split(done.stderr.partition("make a run first: ")[2])
    assert script == str(DASHBOARD.with_name("run"))
    assert compose(words).paths.root == str(tmp_path)
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_it_shows_the_runs_and_serves_as_a_tracking_server(tmp_path, record):
    root = tmp_path / "root"
    folder = tmp_path / "results" / record.name
    ensure_folder(folder, {}, lambda path: write_record(path, record))
    run_id = log_run(folder, f"sqlite:///{root / 'mlflow.db'}", "tweets", root / "artifacts" / "mlflow")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        environment = os.environ | {"PORT": str(busy)}
        server = subprocess.Popen([DASHBOARD, root], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            link = re.search(
                r"http://127\.0\.0\.1:(\d+)/#/experiments/(\d+)/runs\?workflowType=machine_learning&viewStateShareKey=runs$",
                server.stdout.readline().rstrip(),
            )
            address = f"http://127.0.0.1:{link[1]}"
            assert int(link[1]) > busy
            assert answer(f"{address}/health") == "OK"
            assert "<title>MLflow</title>" in answer(f"{address}/")
            run = json.loads(answer(f"{address}/api/2.0/mlflow/runs/get?run_id={run_id}"))["run"]
            assert run["info"]["experiment_id"] == link[2]
            found = json.loads(answer(f"{address}/api/2.0/mlflow/experiments/get?experiment_id={link[2]}"))
            assert "mlflow.sharedViewState.runs" in {tag["key"] for tag in found["experiment"]["tags"]}
            # One worker beside the process that watches it; job execution would add three more.
            assert processes(server.pid) <= 2
            note = answer(f"{address}/get-artifact?path=note.md&run_id={run_id}")
            assert note == (folder / "note.md").read_text("utf-8")

            remote = log_run(folder, address, "from afar", tmp_path / "unused")
            with mlflow_client(address) as client:
                found = client.get_run(remote)
                names = {entry.path for entry in client.list_artifacts(remote)}
            assert found.info.status == "FINISHED"
            assert found.info.artifact_uri.startswith("mlflow-artifacts:")
            assert found.data.metrics["test/accuracy"] == 0.5
            assert {"note.md", "curves.png", "tables"} <= names
            assert not (tmp_path / "unused").exists()
        finally:
            server.terminate()
            server.wait(30)
            server.stdout.close()
    assert {path.name for path in tmp_path.iterdir()} == {"root", "results"}
    assert {path.name for path in root.iterdir()} == {"mlflow.db", ".mlflow.db.lock", "artifacts"}
