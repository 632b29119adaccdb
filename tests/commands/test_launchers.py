"""Sweeps by Hydra's launchers: the same records and the same exit codes, whatever process or machine does the jobs."""

import importlib.util
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import hydra
import pytest
from omegaconf import OmegaConf

from pipeline.config import launchers
from pipeline.config.compose import CONFIG_NAME, VERSION_BASE, compose, conf_folder
from pipeline.runtime import ray
from pipeline.runtime.cached_folder import read_manifest
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import read_json
from pipeline.runtime.paths import project_root

INSTALLED = all(importlib.util.find_spec(name) for name in ("joblib", "submitit", "ray"))
needs_extras = pytest.mark.skipif(not INSTALLED, reason="the extras joblib, submitit and ray are not installed")

# In every process of the command, a run leaves a file with its process and folder, fails for seed 1, dies for seed 2.
STAND_IN = """
import os, signal, sys, types
from pathlib import Path
import pipeline
from pipeline.runtime.errors import RunError, UserError

def run(config, overrides=()):
    root = Path(config.paths.root)
    root.mkdir(parents=True, exist_ok=True)
    (root / f"seed{config.seed}").write_text(f"{os.getpid()} {os.getcwd()}")
    if config.seed == 1:
        raise UserError("data.path: no file") if config.data.label_budget else RunError("loss is not finite")
    if config.seed == 2:
        os.kill(os.getpid(), signal.SIGKILL)

sys.modules["pipeline.stages.run"] = pipeline.stages = types.ModuleType("pipeline.stages.run")
pipeline.stages.run = run
"""
both = pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
Launch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """Runs a sweep with the stand-in for runs, from an empty folder."""
    (tmp_path / "standin").mkdir()
    (tmp_path / "standin" / "sitecustomize.py").write_text(STAND_IN, "utf-8")
    (tmp_path / "here").mkdir()
    path = os.pathsep.join([str(tmp_path / "standin"), str(project_root())])

    def started(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pipeline", "-m", *arguments, "paths.root=out"],
            cwd=tmp_path / "here", capture_output=True, text=True, timeout=120,
            env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip

    return started


def seeds(folder: Path) -> dict[int, tuple[int, str]]:
    """Process and folder of every run that was begun, by seed."""
    found = {}
    for path in (folder / "here" / "out").glob("seed*"):
        pid, cwd = path.read_text("utf-8").split()
        found[int(path.name.removeprefix("seed"))] = (int(pid), cwd)
    return found


@needs_extras
@both
class TestSweep:
    def test_jobs_run_elsewhere_and_paths_mean_the_folder_of_the_command(
        self, launch: Launch, tmp_path: Path, launcher: str
    ):
        done = launch(f"hydra/launcher={launcher}", "seed=0,3,4")
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith(f"hydra/launcher={launcher}: 3 jobs, records in {tmp_path}/here/out")
        found = seeds(tmp_path)
        assert set(found) == {0, 3, 4}
        assert {folder for _, folder in found.values()} == {str(tmp_path / "here")}
        assert os.listdir(tmp_path / "here") == ["out"]
        said = done.stderr.partition("their output is in ")[2].partition("\n")[0]
        assert bool(said) == (launcher == "submitit_local")
        assert not said or len(list(Path(said).glob("*/*_log.err"))) == 3

    def test_every_failure_is_named_and_none_stops_another(self, launch: Launch, tmp_path: Path, launcher: str):
        done = launch(f"hydra/launcher={launcher}", "seed=1,0", "data.label_budget=null,50")
        assert done.returncode == 1
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        label = r"error: job {} of 4 \(seed=1 data.label_budget={} paths.root=out\): {}"
        assert len(errors) == 2
        assert re.match(label.format(1, "null", "loss is not finite"), errors[0])
        assert re.match(label.format(2, 50, "data.path: no file"), errors[1])
        assert "Traceback" not in done.stderr
        assert set(seeds(tmp_path)) == {0, 1}

    def test_what_the_user_must_mend_is_exit_code_2(self, launch: Launch, launcher: str):
        done = launch(f"hydra/launcher={launcher}", "seed=1", "data.label_budget=50")
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].endswith(": data.path: no file")


@needs_extras
@pytest.mark.parametrize("launcher", ["joblib", pytest.param("submitit_local", marks=pytest.mark.slow)])
def test_a_process_that_dies_ends_in_one_line(launch: Launch, launcher: str):
    done = launch(f"hydra/launcher={launcher}", "seed=2")
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"error: hydra/launcher={launcher} stopped: ")
    assert "(finished jobs are kept: the same command continues from here)" in line
    assert len(line) < 600


@needs_extras
@pytest.mark.slow
def test_real_runs_in_jobs_of_submitit(tmp_path: Path):
    root = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "-m", "hydra/launcher=submitit_local", "+experiment=random_frozen",
         "seed=0,1", "data.sample.labelled=200", "data.sample.unlabelled=100", "embedding.dim=8", "train.max_epochs=1",
         "train.device=cpu", "probe.similarity=[]", "tracking.enabled=false", f"paths.root={root}"],
        cwd=project_root(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folders = list((root / "results").glob("[!.]*"))
    assert all(read_manifest(folder) for folder in folders)
    assert sorted(int(read_json(folder / "run.json")["tags"]["seed"]) for folder in folders) == [0, 1]
    assert len(list((root / "artifacts" / "prepare").glob("[!.]*"))) == 1


@needs_extras
# Our file goes before the plugin's configuration of the same name, and Hydra would rather it had another.
@pytest.mark.filterwarnings("ignore:\\n'hydra/launcher/ray' is validated")
class TestRay:
    def settings(self, *overrides: str) -> dict:
        with hydra.initialize_config_dir(str(conf_folder()), version_base=VERSION_BASE):
            composed = hydra.compose(CONFIG_NAME, ["hydra/launcher=ray", *overrides], return_hydra_config=True)
            return OmegaConf.to_container(composed.hydra.launcher.ray, resolve=True)

    def test_a_cluster_keeps_its_own_settings(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("RAY_ADDRESS", "10.1.2.3:6379")
        monkeypatch.setenv("NLTK_DATA", "/data/nltk")
        monkeypatch.setenv("PYTHONPATH", f"/else{os.pathsep}{project_root()}")
        found = self.settings("hydra.launcher.ray.remote.num_gpus=0.25")
        assert found["remote"] == {"num_cpus": 1, "num_gpus": 0.25, "max_retries": 3}
        variables = found["init"].pop("runtime_env")["env_vars"]
        assert variables["NLTK_DATA"] == "/data/nltk"
        assert variables["PYTHONPATH"] == f"{project_root()}{os.pathsep}/else"
        assert {key: value for key, value in found["init"].items() if value is not None} == {
            "address": "10.1.2.3:6379",
            "logging_level": "warning",
        }

    def test_an_address_on_the_command_line_counts_for_more(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("RAY_ADDRESS", "10.1.2.3:6379")
        found = self.settings("hydra.launcher.ray.init.address=local")["init"]
        assert (found["address"], found["_node_ip_address"], found["include_dashboard"]) == (
            "local",
            "127.0.0.1",
            False,
        )


class TestWhereRayIs:
    @pytest.mark.parametrize("address", ["local", "auto", "ray://head:10001", "${oc.env:HEAD}"])
    def test_what_ray_or_hydra_finds(self, monkeypatch: pytest.MonkeyPatch, address: str):
        monkeypatch.setattr(ray.os, "environ", {})
        ray.prepare_ray(address, "study.address")
        assert ray.os.environ.get("RAY_AUTH_MODE") == ("token" if address == "local" else None)

    def test_a_mode_that_is_set_stays(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(ray.os, "environ", {"RAY_AUTH_MODE": "disabled"})
        ray.prepare_ray("local", "study.address")
        assert ray.os.environ["RAY_AUTH_MODE"] == "disabled"

    @pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "[::1]")])
    def test_something_answers_or_does_not(self, monkeypatch: pytest.MonkeyPatch, family: int, host: str):
        monkeypatch.setattr(ray.os, "environ", {})
        with socket.socket(family) as server:
            try:
                server.bind((host.strip("[]"), 0))
            except OSError:
                pytest.skip(f"no {host} here")
            address = f"{host}:{server.getsockname()[1]}"
            with pytest.raises(UserError) as error:
                ray.prepare_ray(address, "RAY_ADDRESS")
            assert str(error.value).startswith(f"RAY_ADDRESS={address}: nothing answers there (")
            server.listen()
            ray.prepare_ray(address, "RAY_ADDRESS")

    @pytest.mark.parametrize("address", ["nonsense", "head:", ":6379", "head:port"])
    def test_no_address(self, monkeypatch: pytest.MonkeyPatch, address: str):
        monkeypatch.setattr(ray.os, "environ", {})
        with pytest.raises(UserError, match=r"expected host:port of a Ray cluster, auto, or local$"):
            ray.prepare_ray(address, "study.address")

    @needs_extras
    @pytest.mark.parametrize(
        ("variables", "overrides", "key"),
        [
            ({}, ["hydra.launcher.ray.init.address=127.0.0.1:1"], "hydra.launcher.ray.init.address"),
            ({"RAY_ADDRESS": "127.0.0.1:1"}, [], "RAY_ADDRESS"),
        ],
    )
    def test_a_sweep_for_a_cluster_that_is_not_there(
        self, launch: Launch, monkeypatch: pytest.MonkeyPatch, variables: dict, overrides: list[str], key: str
    ):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        done = launch("hydra/launcher=ray", *overrides)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {key}=127.0.0.1:1: nothing answers there (")
        assert len(done.stderr.splitlines()) == 1


class TestRefused:
    @pytest.fixture
    def _no_extras(self, monkeypatch: pytest.MonkeyPatch):
        def absent(name: str) -> None:
            raise metadata.PackageNotFoundError(name)

        # Of this module alone: Hydra asks for distributions too, where it loads its plugins.
        found = SimpleNamespace(distribution=absent, PackageNotFoundError=metadata.PackageNotFoundError)
        monkeypatch.setattr(launchers, "metadata", found)

    @pytest.mark.usefixtures("_no_extras")
    @pytest.mark.parametrize(
        ("launcher", "extra"),
        [("joblib", "joblib"), ("submitit_local", "submitit"), ("submitit_slurm", "submitit"), ("ray", "ray")],
    )
    def test_a_launcher_without_its_extra(self, launcher: str, extra: str):
        with pytest.raises(UserError, match=rf"^hydra/launcher={launcher} needs the extra '{extra}': ./scripts/setup "):
            compose([f"hydra/launcher={launcher}"])

    @pytest.mark.usefixtures("_no_extras")
    def test_a_study_on_ray_without_its_extra(self):
        with pytest.raises(UserError, match=r"^study.launcher=ray needs the extra 'ray': ./scripts/setup ray$"):
            compose(["study.launcher=ray"])

    @pytest.mark.usefixtures("_no_extras")
    def test_distilled_vectors_without_their_extra(self):
        with pytest.raises(UserError, match=r"^embedding.init=distilled needs the extra 'distill': ./scripts/setup d"):
            compose(["embedding=distilled_frozen"])

    def test_the_extras_are_those_of_the_package(self):
        found = {extra for extra in launchers.EXTRAS if f'\n{extra} = ["{launchers.EXTRAS[extra]}' in
                 (project_root() / "pyproject.toml").read_text("utf-8")}  # fmt: skip
        assert found == {"joblib", "submitit", "ray", "distill"}

    @needs_extras
    def test_slurm_without_slurm(self, launch: Launch):
        done = launch("hydra/launcher=submitit_slurm", "seed=0")
        assert done.returncode == 1
        assert re.search(
            r'error: hydra/launcher=submitit_slurm stopped: RuntimeError: Could not detect "srun"', done.stderr
        )
