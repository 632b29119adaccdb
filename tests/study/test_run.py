"""The study as one command: its design, its fairness, what it writes, and what happens when it fails or is killed."""

import contextlib
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mlflow.tracking import MlflowClient

from pipeline.classifier import engine
from pipeline.cli.run import main
from pipeline.config.compose import compose
from pipeline.evaluation.line_search import validation_resample
from pipeline.runtime.cached_folder import read_manifest
from pipeline.runtime.errors import RunError
from pipeline.runtime.files import flatten, read_csv, read_json
from pipeline.runtime.paths import project_root
from pipeline.stages import vectors
from pipeline.stages.run import run as run_stages
from pipeline.study import jobs
from pipeline.text.encoded_split import EncodedSplit

# Two variants, two budgets, two seeds on 320 training tweets: 8 runs, 12 trials with the first seed, and 8 with the
# other one, of the two best settings.
TINY = (
    "+experiment=compare",
    "data.sample.labelled=400",
    "data.sample.unlabelled=300",
    "embedding.dim=8",
    "cbow.epochs=2",
    "train.device=cpu",
    "train.max_epochs=2",
    "train.min_epoch_steps=20",
    "probe.similarity=[]",
    "study.variants=[random_trainable,cbow_frozen]",
    "study.label_budgets=[null,60,5000]",
    "study.seeds=2",
    "study.trial_seeds=1",
    "study.lr_factors=[1,10,30]",
    "study.dropouts=[null]",
    "study.extra_trials=0",
    "study.finalists=2",
    "study.baselines=[majority,vader]",
    "study.resamples=100",
)
SMALLER = (*TINY, "study.lr_factors=[1]", "study.label_budgets=[60]", "study.baselines=[]")
ALONE = ("workers=1", "tracking.enabled=false")
VARIANTS, BUDGETS, SEEDS, FACTORS = ("random_trainable", "cbow_frozen"), (60, 320), (0, 1), (1.0, 10.0, 30.0)
CELLS = tuple(product(VARIANTS, BUDGETS, SEEDS))
Rows = list[dict[str, str]]


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


def only(folder: Path, pattern: str = "*") -> Path:
    (path,) = folder.glob(pattern)
    return path


def table(study: Path, name: str) -> Rows:
    return read_csv(study / "tables" / f"{name}.csv")


def manifests(folder: Path) -> dict[Path, tuple[bytes, int]]:
    """Contents and times of manifests below a folder, without MLflow's copies: what changes where work is repeated."""
    paths = [path for path in folder.rglob("manifest.json") if "mlflow" not in path.parts]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def runs_of(root: Path) -> dict[tuple[str, int, int], Path]:
    """The finished runs below a root by variant, label budget and seed."""
    folders = {}
    for path in (root / "results").glob("[!.]*/manifest.json"):  # hidden folders are incomplete
        run = read_json(path.parent / "run.json")
        folders[run["tags"]["variant"], run["dataset"]["labelled_used"], int(run["tags"]["seed"])] = path.parent
    return folders


@dataclass
class FinishedStudy:
    """A study that was run to its end in this process, and every training of the engine."""

    root: Path
    code: int
    folder: Path
    trainings: list[tuple[engine.Task, engine.Run]] = field(default_factory=list)

    def trained(self, *, test: bool) -> dict[tuple[str, int, int], list[engine.Run]]:
        runs: dict[tuple[str, int, int], list[engine.Run]] = {}
        for task, run in self.trainings:
            if (task.test is not None) == test:
                variant = "cbow_frozen" if run.embedding.init == "cbow" else "random_trainable"
                runs.setdefault((variant, len(run.rows_N), run.seed), []).append(run)
        return runs


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedStudy:
    root = tmp_path_factory.mktemp("finished")
    trainings: list[tuple[engine.Task, engine.Run]] = []
    train_batch = engine.train_batch

    def recorded(task: engine.Task, runs: Sequence[engine.Run], *args: Any, **kwargs: Any) -> Any:
        trainings.extend((task, run) for run in runs)
        return train_batch(task, runs, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch, logging_restored():
        patch.setattr(engine, "train_batch", recorded)
        code = main([*TINY, *ALONE, "probe.transfer=[sample_topic]", f"paths.root={root}"])
    return FinishedStudy(root, code, only(root / "results" / "studies", "sample-*"), trainings)


class TestReport:
    def test_everything_is_there(self, finished: FinishedStudy):
        assert finished.code == 0
        files = {path.name for path in finished.folder.iterdir()}
        assert {"report.html", "report.md", "study.json", "manifest.json", "tables", "figures"} <= files
        figures = {path.stem for path in (finished.folder / "figures").glob("*.svg")}
        assert {"score_curves", "differences", "learning_rates", "confusion"} <= figures
        assert figures == {path.stem for path in (finished.folder / "figures").glob("*.png")}
        tables = {path.name for path in (finished.folder / "tables").iterdir()}
        assert {"runs.csv", "scores.csv", "scores.tex", "differences.csv", "differences.tex", "trials.csv"} <= tables

    def test_the_pages_agree_and_point_at_files_that_exist(self, finished: FinishedStudy):
        study = read_json(finished.folder / "study.json")
        pages = {name: (finished.folder / name).read_text("utf-8") for name in ("report.md", "report.html")}
        for verdict in study["verdicts"]:
            assert verdict["question"] in pages["report.md"]
            assert verdict["question"] in pages["report.html"]
        assert len(study["verdicts"]) == 3
        links = re.findall(r"\]\(([^)#][^)]*)\)", pages["report.md"])
        assert links
        assert all((finished.folder / link).is_file() for link in links)
        assert not re.search(r'(src|href)="(https?:)?//', pages["report.html"])

    def test_scores_and_differences_follow_from_the_records(self, finished: FinishedStudy):
        score = {
            cell: read_json(folder / "metrics.json")["test/macro_recall"]
            for cell, folder in runs_of(finished.root).items()
        }
        assert set(score) == set(CELLS)
        means = {(row["variant"], int(row["label_budget"])): row for row in table(finished.folder, "scores")}
        for variant, budget in product(VARIANTS, BUDGETS):
            scores = [score[variant, budget, seed] for seed in SEEDS]
            assert float(means[variant, budget]["mean"]) == pytest.approx(np.mean(scores))
            assert float(means[variant, budget]["sd"]) == pytest.approx(np.std(scores, ddof=1))
            assert means[variant, budget]["n"] == "2"
        assert {(row["variant"], row["label_budget"], row["n"]) for row in table(finished.folder, "ensembles")} == {
            (variant, str(budget), "2") for variant, budget in product(VARIANTS, BUDGETS)
        }
        leads = {row["band"]: row for row in table(finished.folder, "unseen_leads") if row["label_budget"] == "60"}
        bands = [read_csv(runs_of(finished.root)["cbow_frozen", 60, seed] / "score_by_unseen.csv") for seed in SEEDS]
        assert len(leads) > 2
        for rows in zip(*bands, strict=True):
            if counts := [float(row["tweets"]) for row in rows if row["tweets"] != "0"]:
                assert float(leads[rows[0]["unseen"]]["tweets"]) == np.mean(counts), "the tweets of the runs' own table"
        differences = table(finished.folder, "differences")
        for row in differences:
            runs = [runs_of(finished.root)[row["a"], int(row["label_budget"]), seed] for seed in SEEDS]
            others = [runs_of(finished.root)[row["b"], int(row["label_budget"]), seed] for seed in SEEDS]
            means = [np.mean([read_json(f / "metrics.json")["test/nll"] for f in fs]) for fs in (runs, others)]
            assert float(row["nll"]) == pytest.approx(means[0] - means[1], abs=1e-6)
        assert [(row["a"], row["b"], int(row["label_budget"])) for row in differences] == [
            ("cbow_frozen", "random_trainable", budget) for budget in BUDGETS
        ]
        for row, budget in zip(differences, BUDGETS, strict=True):
            paired = [score["cbow_frozen", budget, seed] - score["random_trainable", budget, seed] for seed in SEEDS]
            assert float(row["mean"]) == pytest.approx(np.mean(paired))
            assert float(row["p_smallest"]) == 0.5  # 2 of 2² signs

    def test_warnings_say_what_applies(self, finished: FinishedStudy):
        texts = {warning["code"]: warning["text"] for warning in read_json(finished.folder / "study.json")["warnings"]}
        assert {"generated_data", "too_few_seeds", "left_out"} <= set(texts)
        assert texts["left_out"] == "label budget 5,000 is left out: there are 320 training tweets."
        assert {"not_comparable", "failed_runs"} & set(texts) == set()
        page = (finished.folder / "report.md").read_text("utf-8").replace("\\", "")
        assert [text for text in texts.values() if text not in page] == []

    def test_where_results_lie_is_not_in_them(self, finished: FinishedStudy):
        for path in finished.folder.rglob("*"):
            if path.is_file():
                assert str(finished.root).encode() not in path.read_bytes(), path.name

    def test_the_commands_repeat_the_study_and_a_run(self, finished: FinishedStudy):
        page = (finished.folder / "report.md").read_text("utf-8")
        commands = re.findall(r"^./scripts/run .*", page, flags=re.MULTILINE)
        assert len(commands) == 2
        assert all(text.partition("=")[0] in commands[0] for text in TINY)
        assert "stage=all" in commands[1]
        assert not [command for command in commands if "workers=" in command or "paths.root" in command]
        assert [compose(shlex.split(command)[1:]).stage for command in commands] == ["compare", "all"]


class TestFairness:
    def test_variants_share_labelled_tweets_and_smaller_budgets_are_nested(self, finished: FinishedStudy):
        runs = finished.trained(test=True)
        assert {cell: len(trained) for cell, trained in runs.items()} == dict.fromkeys(CELLS, 1)
        rows = {cell: set(run.rows_N.tolist()) for cell, (run,) in runs.items()}
        for seed in SEEDS:
            for budget in BUDGETS:
                assert rows["cbow_frozen", budget, seed] == rows["random_trainable", budget, seed]
            assert rows["cbow_frozen", 60, seed] < rows["cbow_frozen", 320, seed]
        assert rows["cbow_frozen", 60, 0] != rows["cbow_frozen", 60, 1]

    def test_variants_share_token_ids(self, finished: FinishedStudy):
        keys = {read_manifest(folder)["identity"]["prepare"] for folder in runs_of(finished.root).values()}
        assert len(keys) == 1
        ids = {task.train.ids.numpy().tobytes() for task, _ in finished.trainings}
        assert len(ids) == 1

    def test_configurations_differ_only_as_said(self, finished: FinishedStudy):
        configs = {
            cell: flatten(yaml.safe_load((folder / "config.yaml").read_text("utf-8")))
            for cell, folder in runs_of(finished.root).items()
        }
        for one, other in combinations(configs, 2):
            keys = configs[one].keys() | configs[other].keys()
            different = {key for key in keys if configs[one].get(key) != configs[other].get(key)}
            allowed = {"train.lr_head", "train.lr_embedding", "tracking.keep_embedding"}
            allowed |= {"embedding.init", "embedding.trainable"} if one[0] != other[0] else set()
            allowed |= {"data.label_budget", "probe.transfer"} if one[1] != other[1] else set()
            allowed |= {"seed", "cbow.seed"} if one[2] != other[2] else set()
            assert different <= allowed, (one, other)

    def test_embeddings_are_kept_and_transferred_where_it_was_said(self, finished: FinishedStudy):
        for (_, budget, seed), folder in runs_of(finished.root).items():
            assert (folder / "embedding.safetensors").exists() == (budget == 320 and seed == 0)
            transferred = [key for key in read_json(folder / "metrics.json") if "transfer/sample_topic" in key]
            assert bool(transferred) == (budget == 320)


class TestSettings:
    def test_every_variant_and_budget_has_the_same_trials(self, finished: FinishedStudy):
        trials = finished.trained(test=False)
        assert set(trials) == set(CELLS)
        for (_, _, seed), runs in trials.items():
            rates = sorted((run.train.lr_head, run.train.lr_embedding) for run in runs)
            every = [(0.003, 0.001), (0.03, 0.01), (0.09, 0.03)]
            assert rates == every if seed == 0 else len(rates) == 2 and set(rates) < set(every)
        assert len(finished.trainings) == len(CELLS) + 20

    def test_trials_never_see_the_test_split_and_runs_do_once(self, finished: FinishedStudy):
        assert [task.test is None for task, _ in finished.trainings] == [True] * 20 + [False] * len(CELLS)
        assert all(task.validation is not None for task, _ in finished.trainings)

    def test_every_seed_chooses_the_best_of_the_two_best(self, finished: FinishedStudy):
        trials: dict[tuple[str, int, int], dict[float, tuple[Path, float]]] = {}
        for path in (finished.root / "artifacts" / "trial").glob("*/manifest.json"):
            manifest = read_json(path)
            identity = manifest["identity"]
            variant = "cbow_frozen" if identity["embedding"]["init"] == "cbow" else "random_trainable"
            cell = (variant, identity["label_budget"] or 320, identity["seed"])
            trials.setdefault(cell, {})[identity["train"]["lr_head"]] = path.parent, manifest["outcome"]["score"]
        prepared = only(finished.root / "artifacts" / "prepare", "*/manifest.json").parent
        labels = EncodedSplit.open(prepared, "validation").labels
        rows, runs = table(finished.folder, "trials"), finished.trained(test=True)
        assert len(rows) == 12
        for variant, budget in product(VARIANTS, BUDGETS):
            of_cell = [row for row in rows if (row["variant"], int(row["label_budget"])) == (variant, budget)]
            assert [float(row["factor"]) for row in of_cell] == list(FACTORS)
            first_seed = trials[variant, budget, 0]
            for row in of_cell:
                assert float(row["score"]) == pytest.approx(first_seed[float(row["lr_head"])][1])
            best = sorted(first_seed, key=lambda rate: first_seed[rate][1])[:2]
            chosen = []
            for seed in SEEDS:
                resample = validation_resample(len(labels), seed)
                losses = {}
                for rate in best:
                    probability = np.load(trials[variant, budget, seed][rate][0] / "true_probability.npy")
                    losses[rate] = -np.log(probability[resample].astype(float)).mean()
                (run,) = runs[variant, budget, seed]
                assert run.train.lr_head == min(losses, key=lambda rate: losses[rate])
                assert run.train.lr_embedding == pytest.approx(run.train.lr_head / 3)
                chosen.append(run.train.lr_head)
            for row in of_cell:
                assert int(row["seeds"]) == chosen.count(float(row["lr_head"]))
                assert (row["edge"] == "True") == (row["seeds"] != "0" and row["factor"] != "10.0")


class TestAgain:
    def test_a_second_call_does_nothing_again(
        self, finished: FinishedStudy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ):
        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise AssertionError("this was done before")

        monkeypatch.setattr(engine, "train_batch", refuse)
        monkeypatch.setattr("pipeline.study.results.write_study", refuse)
        before = manifests(finished.root)
        code = main([*TINY, *ALONE, "probe.transfer=[sample_topic]", f"paths.root={finished.root}"])
        assert code == 0
        assert manifests(finished.root) == before
        stderr = capsys.readouterr().err
        assert "this study was finished before" in stderr
        assert stderr.count("this run was finished before") == len(CELLS)
        assert "done" not in stderr

    def test_a_run_by_itself_is_the_run_of_the_study(self, finished: FinishedStudy, capsys: pytest.CaptureFixture[str]):
        before = manifests(finished.root)
        runs = runs_of(finished.root)
        for cell in (("cbow_frozen", 320, 0), ("random_trainable", 60, 1)):
            overrides = read_json(runs[cell] / "run.json")["overrides"]
            assert run_stages(compose(overrides), overrides) == runs[cell]
            assert main(overrides) == 0
            assert "this run was finished before" in capsys.readouterr().err
        assert manifests(finished.root) == before


class TestFailures:
    def test_one_failed_run_is_reported_and_the_others_are_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ):
        train = jobs.train

        def fail_one(config: Any, *args: Any) -> Path:
            if (config.embedding.init, config.seed) == ("cbow", 1):
                raise RunError("the loss is not a number")
            return train(config, *args)

        with monkeypatch.context() as patch:
            patch.setattr(jobs, "train", fail_one)
            assert main([*SMALLER, *ALONE, f"paths.root={tmp_path}"]) == 1
        stderr = capsys.readouterr().err
        (last,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
        assert "failures in the study: 1, the first: " in last
        assert "cbow_frozen at 60 labels: the loss is not a number" in last
        assert set(runs_of(tmp_path)) == set(product(VARIANTS, (60,), (0, 1))) - {("cbow_frozen", 60, 1)}
        folder = only(tmp_path / "results" / "studies", "sample-*")
        assert table(folder, "failures") == [
            {"variant": "cbow_frozen", "label_budget": "60", "seed": "1", "reason": "the loss is not a number"}
        ]
        for page in ("report.md", "report.html"):
            assert "the loss is not a number" in (folder / page).read_text("utf-8")
        assert "failed_runs" in read_json(folder / "study.json")["tags"]["warnings"]

        # The next call repeats what failed, and nothing else.
        before = manifests(tmp_path / "artifacts") | manifests(runs_of(tmp_path)["cbow_frozen", 60, 0])
        monkeypatch.setattr("pipeline.study.results.write_study", lambda *_: {"answers": []})
        assert main([*SMALLER, *ALONE, f"paths.root={tmp_path}"]) == 0
        assert before.items() <= manifests(tmp_path).items()
        assert set(runs_of(tmp_path)) == set(product(VARIANTS, (60,), (0, 1)))

    def test_a_variant_without_vectors_fails_by_itself(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ):
        cbow = vectors.MAKERS["cbow"]

        def fail(config: Any, prepared: Any) -> Any:
            if config.seed == 0:
                raise RunError("no word is frequent enough")
            return cbow(config, prepared)

        written: list[Any] = []
        monkeypatch.setattr(
            "pipeline.study.results.write_study", lambda runs, _: written.append(runs) or {"answers": []}
        )
        monkeypatch.setitem(vectors.MAKERS, "cbow", fail)
        assert main([*SMALLER, *ALONE, f"paths.root={tmp_path}"]) == 1
        # With a single setting there are no trials: the seed with vectors is trained.
        reason = "its word vectors: no word is frequent enough"
        assert [tuple(failure.values()) for failure in written[0].failures] == [("cbow_frozen", 60, 0, reason)]
        runs = {*product(["random_trainable"], (60,), (0, 1)), ("cbow_frozen", 60, 1)}
        assert set(written[0].folders) == set(runs_of(tmp_path)) == runs
        # With trials of seed 0 nothing can be chosen: one row for all seeds.
        assert main([*SMALLER, *ALONE, "study.lr_factors=[1,10]", f"paths.root={tmp_path}"]) == 1
        reason = f"no trial of a setting worked: {reason}"
        assert [tuple(failure.values()) for failure in written[1].failures] == [("cbow_frozen", 60, None, reason)]

    def test_no_run_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
        def fail(*args: Any) -> Any:
            raise RunError("the loss is not a number")

        monkeypatch.setattr(jobs, "train", fail)
        assert main([*SMALLER, *ALONE, f"paths.root={tmp_path}"]) == 1
        assert "error: no run of the study worked: the loss is not a number" in capsys.readouterr().err
        assert not list((tmp_path / "results").glob("studies/sample-*"))


class TestOtherData:
    def test_classes_without_polarity_and_two_treatments_of_emoticons(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ):
        """A table of one's own, named by a relative path; the sounds tell the animals apart, now and then a smile."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("pipeline.study.report.figures.all.write_figures", lambda *_: [])
        draws = np.random.default_rng(0)
        sounds = {"cat": ["meow", "purr", "hiss"], "dog": ["woof", "growl"], "owl": ["hoot", "screech", "hush"]}
        lines = ["text,label"]
        for number in range(300):
            animal = list(sounds)[number % 3]
            words = [*draws.choice(sounds[animal], 2), *draws.choice(["the", "one", "at", "night", "again", ":)"], 5)]
            lines.append(f"{' '.join(words)} {number},{animal}")
        (tmp_path / "animals.csv").write_text("\n".join(lines) + "\n", "utf-8")
        variants = "[random_trainable,random_trainable@strip]"
        study = [f"study.variants={variants}", f"study.pairs=[{variants}]", "study.baselines=[vader,majority]"]
        data = ["data=files", "data.path=animals.csv", "study.label_budgets=[30,null]"]
        assert (
            main(
                [
                    *(text for text in SMALLER if "sample" not in text),
                    *ALONE,
                    *data,
                    *study,
                    "train.lr_embedding=0.02",
                    "paths.root=out",
                ]
            )
            == 0
        )
        assert re.search(r"no baseline vader: .*cat", capsys.readouterr().err)

        folder = only(tmp_path / "out" / "results" / "studies", "animals-*")
        scores = table(folder, "scores")
        assert {row["variant"] for row in scores} == {"random_trainable", "random_trainable@strip", "majority"}
        (last,) = [row for row in scores if (row["variant"], row["label_budget"]) == ("random_trainable@strip", "240")]
        assert float(last["mean"]) > 0.9
        warnings = {warning["code"]: warning["text"] for warning in read_json(folder / "study.json")["warnings"]}
        assert "not_comparable" not in warnings  # one variant with and without emoticons differs on purpose
        assert "generated_data" not in warnings

        emoticons = {}
        for run in table(folder, "runs"):
            if run["kind"] == "variant":
                config = yaml.safe_load((tmp_path / "out" / "results" / run["run"] / "config.yaml").read_text("utf-8"))
                emoticons.setdefault(run["variant"], set()).add(config["text"]["emoticons"])
        assert emoticons == {"random_trainable": {"keep"}, "random_trainable@strip": {"strip"}}


class TestWrong:
    @pytest.mark.parametrize(
        ("overrides", "line"),
        [
            (["study.variants=[random_trainable,cbow_frozen,cbow_frosen]"], "'cbow_frosen' is no option of conf/"),
            (["study.variants=[random_trainable,cbow_frozen,cbow_frozen@stripp]"], "'stripp' is not a choice"),
            (["study.variants=[cbow_frozen,cbow_frozen]"], "cbow_frozen is repeated"),
            (["study.variants=[random_trainable]"], "expected two variants or more"),
            (["study.variants=[]"], "expected two variants or more"),
            (["study.pairs=[[cbow_frozen,cbow_frozen]]"], "expected two different variants"),
            (["study.pairs=[[cbow_frozen]]"], "expected two different variants"),
            (["embedding.trainable=false"], "choose them with study.variants"),
            (["data.validation_size=0", "train.patience=null"], "chooses learning rates on validation"),
            (["study.pairs=[[cbow_frozen,random_trainable],[random_trainable,cbow_frozen]]"], "is repeated"),
            (["study.pairs=[[cbow_frozen,nosuch]]"], "'nosuch' is no option of conf/"),
            (["study.baselines=[majorty]"], "'majorty' is not a choice; did you mean 'majority'?"),
            (["study.lr_factors=[]"], "study.lr_factors=[]: expected at least one"),
            (["study.lr_factors=[1,0]"], "expected a number above 0"),
            (["study.lr_factors=[1,1.0]"], "is repeated"),
            (["study.label_budgets=[]"], "study.label_budgets=[]: expected at least one"),
            (["study.label_budgets=[0]"], "expected a whole number from 1"),
            (["study.seeds=1"], "study.seeds=1: expected a whole number from 2"),
            (["study.trial_seeds=4"], "study.trial_seeds=4: expected at most study.seeds=2"),
            (["study.smallest_effect=0"], "expected a number above 0"),
            (["study.metric=nll"], "'nll' is not a choice"),
            (["study.variant=[]"], "unknown key 'study.variant'; did you mean 'study.variants'?"),
            (["data.validation_size=0", "train.patience=null"], "the study chooses learning rates on validation"),
        ],
    )  # fmt: skip
    def test_one_line_and_exit_code_2(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], line: str
    ):
        assert main([*TINY, *ALONE, f"paths.root={tmp_path}", *overrides]) == 2
        stderr = capsys.readouterr().err
        errors = [text for text in stderr.splitlines() if not text.startswith("[")]
        assert len(errors) == 1
        assert errors[0].startswith("error: ")
        assert line in errors[0]
        assert "Traceback" not in stderr
        assert not (tmp_path / "results").exists()


COMMAND = (sys.executable, "-m", "pipeline", *TINY, "probe.transfer=[sample_topic]")


def started(root: Path, *overrides: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, f"paths.root={root}", *overrides],
        cwd=root, env={**os.environ, "PYTHONPATH": str(project_root())}, text=True, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def within(seconds: float, reached: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not reached() and time.monotonic() < end:
        time.sleep(0.05)
    return reached()


def test_a_study_that_is_killed_and_then_started_twice_at_once(finished: FinishedStudy, tmp_path: Path):
    first = started(tmp_path, "workers=2", "tracking.enabled=false")
    try:
        assert within(300, lambda: len(runs_of(tmp_path)) >= 2 or first.poll() is not None)
    finally:
        first.kill()
        first.communicate()
    assert first.returncode == -signal.SIGKILL, "it ended before it was killed"
    kept = manifests(tmp_path)
    done = {folder / "manifest.json" for folder in runs_of(tmp_path).values()}
    assert len(done) < len(CELLS)

    both = [started(tmp_path, "workers=1"), started(tmp_path, "workers=1")]
    try:
        said = [process.communicate(timeout=600)[1] for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], said
    # Whatever the killed one had finished by the time its workers were gone too is kept as it was.
    now = manifests(tmp_path)
    assert kept.items() <= now.items()
    check_that_each_piece_was_done_once("".join(said), now.keys() - kept.keys())
    assert [path for path in tmp_path.rglob("*") if ".tmp-" in path.name] == []
    assert set(runs_of(tmp_path)) == set(CELLS)
    check_that_reports_are_equal(only(tmp_path / "results" / "studies", "sample-*"), finished.folder)
    check_that_mlflow_shows_each_run_once(tmp_path)


def check_that_each_piece_was_done_once(said: str, new: set[Path]) -> None:
    """As often as the two commands say that they did a stage, so many folders of it are new."""
    for stage in ("cbow", "audit", "transfer", "baseline", "trial"):
        count = sum(path.parent.parent.name == stage for path in new)
        assert len(re.findall(rf"\] {stage}: done in", said)) == count, stage
    assert len(re.findall("train: done", said)) == sum((path.parent / "run.json").exists() for path in new)
    assert said.count("compare: report, tables and figures written to") == 1
    assert said.count("compare: this study was finished before") == 1


def check_that_reports_are_equal(one: Path, other: Path) -> None:
    assert one.name == other.name
    names = {path.relative_to(one) for path in one.rglob("*") if path.is_file()}
    assert names == {path.relative_to(other) for path in other.rglob("*") if path.is_file()}
    different = [str(name) for name in names if (one / name).read_bytes() != (other / name).read_bytes()]
    assert different == ["manifest.json"], "but for the times in the manifest they are the same"


def check_that_mlflow_shows_each_run_once(root: Path) -> None:
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    (experiment,) = [found for found in client.search_experiments() if found.name != "Default"]
    shown = [run.data.tags for run in client.search_runs([experiment.experiment_id])]
    (parent,) = [tags for tags in shown if "mlflow.parentRunId" not in tags]
    study = client.search_runs([experiment.experiment_id], f"tags.`pipeline.study` = '{parent['pipeline.study']}'")[0]
    children = sorted((tags["pipeline.run"], tags["mlflow.parentRunId"]) for tags in shown if tags is not parent)
    assert children == sorted((folder.name, study.info.run_id) for folder in runs_of(root).values())
