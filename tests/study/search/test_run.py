"""The search as one command: its budget, its fairness, what it writes, and what happens when it is interrupted."""

import contextlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mlflow.tracking import MlflowClient

from pipeline.classifier import engine
from pipeline.cli.run import main
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.files import read_csv, read_json
from pipeline.runtime.worker_pool import TaskResult
from pipeline.study.search.trials import scored_trial
from pipeline.study.statistics.expected_best import expected_best

# Two variants, four settings each, one seed: 8 trials, and 8 runs with the best and the default settings.
VARIANTS = ("random_trainable", "cbow_frozen")
TINY = (
    "+experiment=search",
    "data.sample.labelled=400",
    "data.sample.unlabelled=300",
    "data.label_budget=null",
    "embedding.dim=8",
    "cbow.epochs=2",
    "train.device=cpu",
    "train.max_epochs=2",
    "train.min_epoch_steps=20",
    "probe.similarity=[]",
    "probe.polarity=none",
    "probe.antonyms=false",
    "study.variants=[random_trainable,cbow_frozen]",
    "study.seeds=2",
    "study.trial_seeds=1",
    "study.finalists=1",
    "train.monitor=macro_recall",
    "study.resamples=100",
    "search.trials=4",
    "search.batch=3",
)
ALONE = ("workers=1", "tracking.enabled=false")


@contextlib.contextmanager
def logging_restored() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("pipeline")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], root.level, ours.level = before


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    with logging_restored():
        yield


@dataclass
class SearchRun:
    """A search that was run to its end in this process, and every training of the engine."""

    root: Path
    code: int
    trainings: list[tuple[engine.Task, engine.Run]] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        (folder,) = (self.root / "results" / "searches").glob("[!.]*")
        return folder

    def table(self, name: str) -> list[dict[str, str]]:
        return read_csv(self.folder / "tables" / f"{name}.csv")


def searched(root: Path, *overrides: str, stop_after: int | None = None) -> SearchRun:
    """Run the tiny search; `stop_after` so many trainings it is interrupted, as by Ctrl-C."""
    finished = SearchRun(root, -1)
    train_batch = engine.train_batch

    def recorded(task: engine.Task, runs: Sequence[engine.Run], *args: Any, **kwargs: Any) -> Any:
        if stop_after is not None and len(finished.trainings) >= stop_after:
            raise KeyboardInterrupt
        finished.trainings.extend((task, run) for run in runs)
        return train_batch(task, runs, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch, logging_restored():
        patch.setattr(engine, "train_batch", recorded)
        finished.code = main([*TINY, *overrides, f"paths.root={root}"])
    return finished


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> SearchRun:
    return searched(tmp_path_factory.mktemp("finished"), *ALONE)


class TestSearch:
    def test_everything_is_there_and_the_pages_agree(self, finished: SearchRun):
        assert finished.code == 0
        names = {path.relative_to(finished.folder).as_posix() for path in finished.folder.rglob("*")}
        figures = {f"figures/{name}.{kind}" for name in ("curves", "slices", "differences") for kind in ("svg", "png")}
        tables = {f"tables/{name}.csv" for name in ("trials", "curves", "leads", "runs", "scores", "differences")}
        # What every study has: a digest, LaTeX tables, the confusion matrices.
        tables |= {"digest.md", "tables/scores.tex", "tables/confusion.csv", "figures/confusion.svg"}
        assert names >= {"report.html", "report.md", "study.json", "manifest.json", *figures, *tables}
        pages = [(finished.folder / name).read_text("utf-8") for name in ("report.md", "report.html")]
        verdicts = read_json(finished.folder / "study.json")["verdicts"]
        assert len(verdicts) == 3
        assert all(verdict["question"] in page for verdict in verdicts for page in pages)
        assert not any(str(finished.root) in page for page in pages)
        assert {warning["code"] for warning in read_json(finished.folder / "study.json")["warnings"]} == {
            "generated_data", "too_few_seeds", "setting_at_edge",
        }  # fmt: skip

    def test_every_variant_has_the_same_number_of_trials_and_no_trial_sees_the_test_split(self, finished: SearchRun):
        trials = finished.table("trials")
        assert Counter(row["variant"] for row in trials) == dict.fromkeys(VARIANTS, 4)
        kinds = Counter((task.test is None, run.embedding.init) for task, run in finished.trainings)
        assert kinds == {(seen, init): 4 for seen in (True, False) for init in ("random", "cbow")}
        # Drawn at random, the settings are the same for every variant.
        keys = ("model.dropout", "train.lr_embedding", "train.lr_head", "train.weight_decay", "train.batch_size")
        first, second = ([[row[key] for key in keys] for row in trials if row["variant"] == name] for name in VARIANTS)
        assert first == second
        assert len({tuple(row) for row in first}) == 4

    def test_the_best_on_validation_is_trained_with_every_seed_beside_the_default(self, finished: SearchRun):
        best = {row["variant"]: row for row in finished.table("trials") if row["best"] == "True"}
        assert set(best) == set(VARIANTS)
        runs = finished.table("runs")
        assert Counter(row["variant"] for row in runs) == {
            name: 2 for variant in VARIANTS for name in (variant, f"{variant}@default")
        }
        for row in runs:
            config = yaml.safe_load((finished.root / "results" / row["run"] / "config.yaml").read_text("utf-8"))
            variant, _, default = row["variant"].partition("@")
            setting = {"train.lr_head": 3e-3, "model.dropout": 0.3} if default else best[variant]
            assert config["train"]["lr_head"] == float(setting["train.lr_head"])
            assert config["model"]["dropout"] == float(setting["model.dropout"])
        for variant in VARIANTS:
            scores = [float(row["score"]) for row in finished.table("trials") if row["variant"] == variant]
            assert float(best[variant]["score"]) == max(scores)
            curve = [float(row["expected_best"]) for row in finished.table("curves") if row["variant"] == variant]
            assert curve == pytest.approx(expected_best(scores))

    def test_best_is_compared_with_default_and_with_other_variants_on_test(self, finished: SearchRun):
        differences = {(row["a"], row["b"]): float(row["mean"]) for row in finished.table("differences")}
        assert set(differences) == {
            *((name, f"{name}@default") for name in VARIANTS),
            ("cbow_frozen", "random_trainable"),
        }
        scores: dict[str, list[float]] = {}
        for row in finished.table("runs"):
            scores.setdefault(row["variant"], []).append(float(row["test/macro_recall"]))
        for (first, second), mean in differences.items():
            assert mean == pytest.approx(np.mean(scores[first]) - np.mean(scores[second]))

    def test_a_second_call_reads_what_is_there_and_mlflow_shows_runs_below_the_search(self, finished: SearchRun):
        before = (finished.folder / "manifest.json").stat().st_mtime_ns
        again = searched(finished.root, "workers=1")
        assert (again.code, again.trainings) == (0, [])
        assert (finished.folder / "manifest.json").stat().st_mtime_ns == before
        client = MlflowClient(f"sqlite:///{finished.root}/mlflow.db")
        experiment = client.get_experiment_by_name("tweet-embeddings")
        logged = client.search_runs([experiment.experiment_id])
        (parent,) = [run for run in logged if run.data.tags.get("kind") == "search"]
        nested = [run for run in logged if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
        assert len(nested) == 8
        assert parent.data.params["search.trials"] == "4"
        best = [row for row in finished.table("trials") if row["best"] == "True"]
        for row in best:
            assert float(parent.data.params[f"best.{row['variant']}.train.lr_head"]) == float(row["train.lr_head"])

    def test_one_that_was_interrupted_ends_as_if_it_had_not_been_whatever_the_workers(
        self, finished: SearchRun, tmp_path: Path
    ):
        assert searched(tmp_path, *ALONE, stop_after=5).code == 130
        assert not (tmp_path / "results" / "searches").exists()
        kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "artifacts" / "trial").glob("*/manifest.json")}
        assert len(kept) == 5
        rest = searched(tmp_path, "workers=2", "tracking.enabled=false")
        assert rest.code == 0
        assert same(rest, finished)
        assert {path: path.stat().st_mtime_ns for path in kept} == kept


def same(first: SearchRun, second: SearchRun) -> bool:
    """Whether two searches wrote the same bytes, but for manifests, which hold times."""
    files = [
        {path.relative_to(one.folder): path.read_bytes() for path in one.folder.rglob("*.*") if path.stem != "manifest"}
        for one in (first, second)
    ]
    return bool(files[0]) and first.folder.name == second.folder.name and files[0] == files[1]


class TestRefusals:
    def test_without_optuna_nothing_is_begun(self, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path):
        monkeypatch.setattr("pipeline.study.search.trials.util.find_spec", lambda name: None)
        assert main([*TINY, f"paths.root={tmp_path}"]) == 2
        assert capsys.readouterr().err == "error: stage=search needs the extra 'search': ./scripts/setup search\n"
        assert not (tmp_path / "artifacts" / "prepare").exists()

    def test_a_key_that_is_not_searched_ends_the_command(self, capsys: Any, tmp_path: Path):
        assert main([*TINY, "++search.space.train.lr_hed={low:1,high:2}", f"paths.root={tmp_path}"]) == 2
        assert "did you mean 'train.lr_head'?" in capsys.readouterr().err

    def test_more_labels_than_there_are(self, finished: SearchRun, capsys: Any):
        assert main([*TINY, *ALONE, "data.label_budget=5000", f"paths.root={finished.root}"]) == 2
        assert "error: data.label_budget=5000: there are 320 training tweets\n" in capsys.readouterr().err


def outcome(score: float | None, reason: str | None = None) -> TaskResult[Stage]:
    manifest = {"outcome": {"score": score} | ({"reason": reason} if reason else {})}
    return TaskResult(Stage(Path(), "", json.loads(json.dumps(manifest))))


class TestTrial:
    def test_a_score_is_the_mean_over_seeds(self):
        trial = scored_trial("a", 1, {}, [outcome(0.5), outcome(0.7)])
        assert (trial.number, trial.score, trial.reason) == (1, pytest.approx(0.6), None)

    @pytest.mark.parametrize(
        "bad", [outcome(None, "the loss is not finite"), TaskResult(None, "the loss is not finite")]
    )
    def test_with_one_seed_that_fails_there_is_none(self, bad: TaskResult[Stage]):
        trial = scored_trial("a", 1, {}, [outcome(0.5), bad])
        assert (trial.score, trial.reason) == (None, "the loss is not finite")
