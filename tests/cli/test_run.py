"""The command `python -m pipeline`: exit codes, one line for each error, nothing left behind."""

import logging
import os
import re
import signal
import sys
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import pipeline.stages
from pipeline.cli.run import main
from pipeline.config.schema import Config
from pipeline.config.variants import variant_name
from pipeline.runtime.errors import RunError, UserError
from pipeline.runtime.files import read_json

Run = Callable[[Config], None]


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("pipeline")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], root.level, ours.level = before


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Run], list[Config]]:
    """Puts a function in the place of the stages, moves to an empty folder, gives the configurations that were run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def put(run: Run = lambda config: None) -> list[Config]:
        configs: list[Config] = []

        def record(config: Config, overrides: Sequence[str]) -> None:
            configs.append(config)
            run(config)

        module = types.ModuleType("pipeline.stages.run")
        module.run = record  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "pipeline.stages.run", module)
        monkeypatch.setattr(pipeline.stages, "run", module, raising=False)
        return configs

    return put


def fail_for(*variants: str, error: Exception) -> Run:
    def run(config: Config) -> None:
        if variant_name(config.embedding) in variants:
            raise error

    return run


class TestOneRun:
    def test_done(self, stages, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch, tmp_path_factory):
        configs = stages()
        monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        Path("~/a(1).csv").expanduser().write_text("text,label\nso good,a\n")
        assert main(["+experiment=cbow_frozen", "seed=4", "paths.root=out", "data=files", "data.path=~/a(1).csv"]) == 0
        (config,) = configs
        assert isinstance(config, Config)
        assert (variant_name(config.embedding), config.seed) == ("cbow_frozen", 4)
        assert config.paths.root == str(tmp_path / "out")
        assert config.data.path == os.path.expanduser("~/a(1).csv")
        assert capsys.readouterr() == ("", "")
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert files == []
        assert os.listdir(tmp_path) == ["out"]

    def test_messages_go_to_stderr_and_library_noise_does_not(self, stages, capsys: pytest.CaptureFixture[str]):
        def run(config: Config) -> None:
            logging.getLogger("pipeline").info("vocabulary: %d", 3)
            logging.getLogger("some.library").info("chatter")
            logging.getLogger("some.library").warning("careful")
            warnings.warn("old interface", FutureWarning, stacklevel=1)

        stages(run)
        assert main(["paths.root=out"]) == 0
        out, err = capsys.readouterr()
        assert out == ""
        first, second = err.splitlines()
        assert re.fullmatch(r"\[\d\d:\d\d:\d\d\] vocabulary: 3", first)
        assert second.endswith("] careful")

    def test_a_failed_run(self, stages, capsys: pytest.CaptureFixture[str]):
        stages(fail_for("random_trainable", error=RunError("the loss is nan\nin epoch 2")))
        assert main(["paths.root=out"]) == 1
        err = capsys.readouterr().err
        assert re.fullmatch(r"error: the loss is nan in epoch 2 \(pipeline/cli/run\.py:\d+\)\n", err)

    def test_an_unexpected_exception_names_type_and_place(self, stages, capsys: pytest.CaptureFixture[str]):
        stages(lambda config: read_json(Path("absent.json")))
        assert main(["paths.root=out"]) == 1
        err = capsys.readouterr().err
        assert re.fullmatch(r"error: FileNotFoundError: .*absent\.json' \(pipeline/runtime/files\.py:\d+\)\n", err)

    def test_an_input_that_is_wrong(self, stages, capsys: pytest.CaptureFixture[str]):
        stages(fail_for("random_trainable", error=UserError("tweets.csv, row 3: no label")))
        assert main(["paths.root=out"]) == 2
        assert capsys.readouterr().err == "error: tweets.csv, row 3: no label\n"

    def test_traceback_on_request(self, stages, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
        stages(fail_for("random_trainable", error=RunError("the loss is nan")))
        assert main(["paths.root=out"]) == 1
        err = capsys.readouterr().err
        assert err.startswith("Traceback (most recent call last):")
        assert "RunError: the loss is nan" in err
        assert main(["trian.x=1"]) == 2
        assert "Traceback" in capsys.readouterr().err
        assert os.environ["HYDRA_FULL_ERROR"] == "1"

    def test_the_process_is_left_as_it_was(self, stages):
        stages()
        argv, handler, filters = sys.argv, signal.getsignal(signal.SIGTERM), warnings.filters[:]
        assert main(["paths.root=out"]) == 0
        assert main(["data=smaple"]) == 2
        assert (sys.argv, signal.getsignal(signal.SIGTERM), warnings.filters[:]) == (argv, handler, filters)
        assert "HYDRA_FULL_ERROR" not in os.environ

    def test_a_folder_that_cannot_be_made(self, stages, capsys: pytest.CaptureFixture[str]):
        Path("file").touch()
        assert stages() == []
        assert main(["paths.root=file"]) == 2
        assert "file: found a file, expected a folder" in capsys.readouterr().err


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "line"),
        [
            (["+train.lrr=1"], "unknown key 'train.lrr'; did you mean 'train.lr_head'?"),
            (["data=smaple"], "unknown option data=smaple; did you mean 'sample'?"),
            (["experiment=course"], "'experiment=course' needs one plus: use +experiment=course"),
            (["-m", "seed=0,1,x"], "seed=x: expected a whole number"),
            (["seed=0,1"], "'seed=0,1' holds several values: add -m to run each"),
            (["--cfg", "job", "train.lrr=1"], "unknown key 'train.lrr'; did you mean 'train.lr_head'?"),
            (["--multrun"], "unknown flag --multrun; did you mean '--multirun'?"),
            (["--config-pth"], "unknown flag --config-pth; did you mean '--config-dir'?"),
            (["--help", "experimnt"], "unknown key 'experimnt'; did you mean 'experiment'?"),
            (["data=files", "data.path=nothing.csv"],
             "data.path: no file or folder {folder}/nothing.csv"),
            (["--cfg", "jbo"], "argument --cfg/-c: invalid choice: 'jbo' (choose from 'job', 'hydra', 'all')"),
            (["--experimental-rerun", "x.pickle"],
             "--experimental-rerun is not supported: it would load a pickle; repeat the command line instead"),
            (["--config-dir", "absent"], "--config-dir absent: no such folder"),
            (["--config-name", "x"],
             "--config-name is not supported: the configuration is in conf/; add your own files with "
             "--config-dir FOLDER"),
            (["hydra/launcher=jobib"], "unknown option hydra/launcher=jobib; did you mean 'joblib'?"),
            (["hydra/launcher=submitit_local"],
             "'hydra/launcher=submitit_local' is for sweeps, and without -m this process runs the job: add -m"),
            (["-m", "hydra/launcher=joblib", "hydra.launcher.n_job=4"],
             "unknown key 'hydra.launcher.n_job' with hydra/launcher=joblib; did you mean 'hydra.launcher.n_jobs'?"),
            (["-m", "hydra.launcher.n_jobs=4"], "unknown key 'hydra.launcher.n_jobs' with hydra/launcher=basic"),
            (["-m", "--cfg", "job"],
             "Only one of --run, --multirun, --cfg, --info and --shell_completion can be specified"),
        ],
    )  # fmt: skip
    def test_nothing_is_started(self, stages, capsys, arguments: list[str], line: str):
        configs = stages()
        assert main(arguments) == 2
        assert capsys.readouterr().err == f"error: {line.replace('{folder}', os.getcwd())}\n"
        assert configs == []
        assert os.listdir() == []


class TestMultirun:
    SWEEP = ("-m", "+experiment=random_trainable,cbow_frozen,cbow_finetuned", "paths.root=out")

    def test_done(self, stages, capsys: pytest.CaptureFixture[str], tmp_path: Path):
        configs = stages()
        assert main(["seed=0,1", *self.SWEEP]) == 0
        assert [(config.seed, variant_name(config.embedding)) for config in configs] == [
            (seed, name) for seed in (0, 1) for name in ("random_trainable", "cbow_frozen", "cbow_finetuned")
        ]
        out, err = capsys.readouterr()
        assert out == ""
        assert [re.sub(r"^\[.*?\] ", "", line) for line in err.splitlines()][1] == (
            "job 2 of 6 (seed=0 +experiment=cbow_frozen paths.root=out)"
        )
        assert os.listdir(tmp_path) == ["out"]
        assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == [
            "out/artifacts/hydra/multirun.yaml"
        ]

    def test_every_job_is_attempted_and_every_failure_named(self, stages, capsys: pytest.CaptureFixture[str]):
        def run(config: Config) -> None:
            if config.embedding.init == "cbow":
                raise RunError("x") if config.embedding.trainable else UserError("y")

        configs = stages(run)
        assert main([*self.SWEEP]) == 1
        assert len(configs) == 3
        lines = capsys.readouterr().err.splitlines()
        errors = [line for line in lines if line.startswith("error:")]
        assert lines[-2:] == errors
        assert errors[0] == "error: job 2 of 3 (+experiment=cbow_frozen paths.root=out): y"
        assert errors[1].startswith("error: job 3 of 3 (+experiment=cbow_finetuned paths.root=out): x (pipeline/")

    def test_only_wrong_inputs(self, stages):
        stages(fail_for("cbow_frozen", error=UserError("no such file")))
        assert main([*self.SWEEP]) == 2

    def test_a_launcher_in_another_process_hears_of_the_failure(self, stages, capsys, monkeypatch):
        def run(config: Config) -> None:
            monkeypatch.setattr(os, "getpid", lambda: -1)
            raise RunError("out of memory")

        stages(run)
        assert main(["paths.root=out"]) == 1
        assert "error: out of memory" in capsys.readouterr().err


class TestFlags:
    def test_configuration_without_a_run(self, stages, capsys: pytest.CaptureFixture[str]):
        configs = stages()
        assert main(["seed=5", "--cfg", "job", "+experiment=course", "--package", "embedding"]) == 0
        assert "dim: 256\n" in capsys.readouterr().out
        assert configs == []
        assert os.listdir() == []

    def test_own_recipes(self, stages, capsys: pytest.CaptureFixture[str], tmp_path: Path):
        configs = stages()
        recipes = tmp_path / "mine" / "experiment"
        recipes.mkdir(parents=True)
        (recipes / "small.yaml").write_text("# @package _global_\nembedding: {dim: 8}\n")
        (recipes / "wrong.yaml").write_text("# @package _global_\ntrain: {lrr: 8}\n")
        assert main(["--config-dir", "mine", "--help"]) == 0
        assert "\n  +experiment=small" in capsys.readouterr().out
        assert main(["--config-dir", "mine", "+experiment=small", "paths.root=out"]) == 0
        assert configs[0].embedding.dim == 8
        assert main(["--config-dir", "mine", "+experiment=wrong", "paths.root=out"]) == 2
        assert capsys.readouterr().err == "error: unknown key 'train.lrr'; did you mean 'train.lr_head'?\n"
