"""Ray for real: tasks that fail or die, a cluster of two nodes with a killed worker, and the study on it."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from pipeline.runtime.cached_folder import read_manifest
from pipeline.runtime.files import read_json
from pipeline.runtime.paths import project_root

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is not installed")

# A cluster listens on every interface: its tests have a network of their own with nothing in it but the loopback.
ALONE = """
import fcntl, os, socket, struct, sys
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x41))  # SIOCSIFFLAGS: up, running
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""

ERRANDS = """
import operator, os, signal, sys
from functools import partial
from pathlib import Path

def die(folder, name, times):
    (folder / f"{name}.{len(list(folder.glob(f'{name}.*')))}").touch()
    if len(list(folder.glob(f"{name}.*"))) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getcwd()

def listening():
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).open()]
    return sorted({line[1].partition(":")[0][-8:] for line in lines if line[3] == "0A"})

if __name__ == "__main__":
    import json, errands, logging
    from pipeline.config.compose import compose
    from pipeline.runtime.errors import UserError
    from pipeline.study.ray_pool import RayWorkerPool

    logging.basicConfig(level=logging.INFO)
    folder = Path(sys.argv[1])
    study = compose(["study.launcher=ray", "study.task_retries=1"]).study
    tasks = {"zero": partial(operator.truediv, 1, 0), "once": partial(errands.die, folder, "once", 1),
             "always": partial(errands.die, folder, "always", 9), ("a", 1): partial(pow, 2, 5)}
    tasks["listening"] = errands.listening
    with RayWorkerPool(2, study) as workers:
        found = workers.do(tasks, "errands")
        again = workers.do({7: partial(pow, 3, 2)}, "more")
        nothing = workers.do({}, "nothing")
    study.task_gpus = 0.5
    refused = []
    for study.address in (None, "nonsense", "127.0.0.1:1"):
        try:
            RayWorkerPool(2, study).__enter__()
        except UserError as error:
            refused.append(str(error))
    print(json.dumps([[str(key), done.value, done.reason] for key, done in found.items()]))
    print(json.dumps([again[7].get(), nothing, refused]))
"""

# Two nodes with one CPU each; the command is told where they are, and one of its workers is killed at its work.
CLUSTER = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
from ray.cluster_utils import Cluster

records, wanted, command = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
cluster = Cluster()
for _ in range(2):
    cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20, include_dashboard=False)
os.environ["RAY_ADDRESS"] = cluster.address
process = subprocess.Popen([sys.executable, "-m", "pipeline", *command])
killed, network = None, os.readlink("/proc/self/ns/net")
while wanted and killed is None and process.poll() is None:
    time.sleep(0.05)
    if len(list(records.glob("[!.]*/manifest.json"))) >= wanted:
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                ours = os.readlink(entry / "ns" / "net") == network
                if ours and (entry / "cmdline").read_bytes().startswith(b"ray::_run_job"):
                    killed = int(entry.name)
                    os.kill(killed, signal.SIGKILL)
                    break
            except OSError:
                continue
code = process.wait()
cluster.shutdown()
print(json.dumps([code, killed]))
"""

TINY = (
    "data.sample.labelled=200", "data.sample.unlabelled=100", "embedding.dim=8", "train.max_epochs=1",
    "train.min_epoch_steps=1", "train.device=cpu", "probe.similarity=[]",
)  # fmt: skip
STUDY = (
    "+experiment=compare", "data.sample.labelled=400", "data.sample.unlabelled=300", "embedding.dim=8",
    "cbow.epochs=2", "train.device=cpu", "train.max_epochs=2", "train.min_epoch_steps=20", "probe.similarity=[]",
    "study.variants=[random_trainable,cbow_frozen]", "study.label_budgets=[null,60]", "study.seeds=2",
    "study.trial_seeds=1", "study.lr_factors=[1,10]", "study.baselines=[majority,vader]", "study.resamples=100",
    "workers=2", "tracking.enabled=false",
)  # fmt: skip

Started = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Started]:
    """Runs a Python program in a network of its own; skips the test where that is not possible."""
    start = ["unshare", "--map-root-user", "--net", sys.executable, "-c", ALONE]
    try:
        tried = subprocess.run([*start, "-c", ""], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no unshare(1): Ray would listen on every interface")
    if tried.returncode:
        pytest.skip(f"no network of its own for Ray, which would listen on every interface: {tried.stderr.strip()}")
    ray_folder = tempfile.mkdtemp(prefix="ray")  # of a short name, as it holds sockets
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(project_root())]),
        "HOME": str(tmp_path),
        "RAY_TMPDIR": ray_folder,
        "RAY_DEDUP_LOGS": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    environment.pop("RAY_ADDRESS", None)

    def run(program: str, *arguments: str, seconds: int = 120) -> subprocess.CompletedProcess[str]:
        (tmp_path / "errands.py").write_text(program, "utf-8")
        return subprocess.run(
            [*start, str(tmp_path / "errands.py"), *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=seconds,
        )  # fmt: skip

    yield run
    shutil.rmtree(ray_folder, ignore_errors=True)


def test_tasks_that_fail_or_die(alone: Started, tmp_path: Path):
    (tmp_path / "noted").mkdir()
    done = alone(ERRANDS, str(tmp_path / "noted"))
    assert done.returncode == 0, done.stderr
    found, (again, nothing, refused) = map(json.loads, done.stdout.splitlines()[-2:])
    assert found == [
        ["zero", None, "ZeroDivisionError: division by zero"],
        ["once", str(tmp_path), None],
        ["always", None, "its process died (out of memory, or killed)"],
        ["('a', 1)", 32, None],
        ["listening", ["0100007F"], None],
    ]
    names = sorted(path.name for path in (tmp_path / "noted").iterdir())
    assert names == ["always.0", "always.1", "once.0", "once.1"]
    assert (again, nothing) == (9, {})
    assert refused == [
        "study.task_gpus=0.5: Ray here has 0",
        "study.address=nonsense: expected host:port of a Ray cluster, auto, or local",
        "study.address=127.0.0.1:1: nothing answers there (Connection refused); expected a Ray cluster",
    ]
    assert "WARNING" not in done.stderr
    assert "errands: 5 of 5, 2 failed" in done.stderr


@pytest.mark.slow
def test_a_sweep_of_forty_runs_outlives_a_killed_worker(alone: Started, tmp_path: Path):
    root = tmp_path / "out"
    seeds = ",".join(map(str, range(40)))
    sweep = ("-m", "hydra/launcher=ray", "+experiment=random_frozen", f"seed={seeds}", *TINY, "paths.root=out")
    done = alone(CLUSTER, str(root / "results"), "5", *sweep, seconds=600)
    code, killed = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    workers = {int(part.partition(")")[0]) for part in done.stderr.split("(_run_job pid=")[1:]}
    assert killed in workers
    assert len(workers) >= 3
    folders = list((root / "results").glob("[!.]*"))
    assert len(folders) == 40
    assert all(read_manifest(folder) for folder in folders)
    assert {int(read_json(folder / "run.json")["tags"]["seed"]) for folder in folders} == set(range(40))
    assert len(list((root / "artifacts" / "prepare").glob("[!.]*"))) == 1
    assert not list(root.rglob(".*.tmp-*"))
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    (experiment,) = [found for found in client.search_experiments() if found.name != "Default"]
    logged = client.search_runs([experiment.experiment_id], max_results=200)
    assert sorted(run.data.tags["pipeline.run"] for run in logged) == sorted(folder.name for folder in folders)
    assert {run.info.status for run in logged} == {"FINISHED"}


@pytest.mark.slow
def test_a_study_on_ray_is_the_study(alone: Started, tmp_path: Path):
    for name, more in (("here", []), ("ray", ["study.launcher=ray"])):
        done = alone(CLUSTER, str(tmp_path), "0", *STUDY, f"paths.root={name}", *more)
        assert json.loads(done.stdout.splitlines()[-1]) == [0, None], done.stderr
        assert ("on Ray" in done.stderr) == (name == "ray")
    (here,), (there,) = [list((tmp_path / name / "results" / "studies").glob("[!.]*")) for name in ("here", "ray")]
    assert here.name == there.name
    files = [path.relative_to(here) for path in sorted(here.rglob("*")) if path.is_file()]
    assert files == [path.relative_to(there) for path in sorted(there.rglob("*")) if path.is_file()]
    assert len(files) > 20
    same = [path for path in files if path.name != "manifest.json"]  # which says when, and how long it took
    assert [path for path in same if (here / path).read_bytes() != (there / path).read_bytes()] == []
