"""Whole runs, from raw tweets to the record and MLflow."""

import csv
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from mlflow.tracking import MlflowClient

from pipeline.classifier.batch import Texts, take
from pipeline.classifier.model import Classifier, Embedding
from pipeline.config.compose import compose
from pipeline.evaluation.probes.similarity import load_pairs, similarity
from pipeline.prediction.explain.model import read_trained_run
from pipeline.prediction.explain.terminal import lesson_text
from pipeline.prediction.explain.trace import trace_text
from pipeline.prediction.export import export, read_export
from pipeline.prediction.torch_model import torch_predictor
from pipeline.prediction.trained_model import load_embedding, read_model
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import read_json
from pipeline.runtime.paths import project_root
from pipeline.stages import run as stages
from pipeline.stages.inputs import check_inputs
from pipeline.tracking.read_record import load_predictions

SMALL = (
    "data.sample.labelled=400",
    "data.sample.unlabelled=600",
    "embedding.dim=12",
    "cbow.epochs=2",
    "train.max_epochs=2",
    "train.min_epoch_steps=1",
    "train.device=cpu",
    "probe.neighbour_words=[good,coffee,nosuchword]",
)
QUIET = "tracking.enabled=false"


def run(root: Path, *overrides: str) -> Path:
    folder = stages.run(compose([*SMALL, f"paths.root={root}", *overrides]), overrides)
    assert folder is not None
    return folder


def run_data(root: Path, *overrides: str) -> Path:
    folder = stages.run(compose([f"paths.root={root}", QUIET, "train.device=cpu", *overrides]), overrides)
    assert folder is not None
    return folder


def metrics(folder: Path) -> dict[str, float]:
    found: dict[str, float] = read_json(folder / "metrics.json")
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One run of each variant in one root."""
    root = tmp_path_factory.mktemp("finished")
    variants = ("random_trainable", "random_frozen", "cbow_frozen", "cbow_finetuned")
    return {variant: run(root, f"+experiment={variant}") for variant in variants}


class TestRecord:
    def test_it_holds_what_a_reader_needs(self, finished: dict[str, Path]):
        folder = finished["cbow_finetuned"]
        assert folder.name.startswith("sample-cbow_finetuned-nall-s0-")
        assert {path.name for path in folder.iterdir()} == {
            "config.yaml", "confusion_matrix.csv", "confusion_matrix.png", "curves.png", "embedding.safetensors",
            "history.csv", "manifest.json", "metrics.json", "model.safetensors", "neighbours.csv", "neighbours.md",
            "note.md", "predictions.parquet", "run.json", "similarity.csv", "timings.json", "vocabulary.json",
            "antonyms.csv", "drift_by_count.csv", "most_changed.csv", "polarity.csv", "score_by_unseen.csv",
        }  # fmt: skip

    def test_metrics_follow_from_the_predictions(self, finished: dict[str, Path]):
        folder = finished["cbow_finetuned"]
        table = pq.read_table(folder / "predictions.parquet").to_pandas()
        test = table[table["split"] == "test"]
        assert len(test) == 40
        assert metrics(folder)["test/accuracy"] == pytest.approx((test["label"] == test["predicted"]).mean())
        recall = (test["label"] == test["predicted"]).groupby(test["label"]).mean().mean()
        assert metrics(folder)["test/macro_recall"] == pytest.approx(recall)
        assert np.allclose(test[["p_negative", "p_positive"]].sum(axis=1), 1)

    def test_parameter_counts(self, finished: dict[str, Path]):
        rows = len(read_json(finished["random_frozen"] / "vocabulary.json")["words"])
        for variant, folder in finished.items():
            found = metrics(folder)
            head = 12 * 2 + 2
            assert found["params/embedding"] == rows * 12
            assert found["params/total"] == rows * 12 + head
            assert found["params/trainable"] == head + (0 if variant.endswith("frozen") else rows * 12)

    def test_frozen_rows_are_bit_equal_and_trained_ones_are_not(self, finished: dict[str, Path]):
        for variant, folder in finished.items():
            initial, final = load_embedding(folder)
            assert np.array_equal(initial, final) == variant.endswith("frozen")
            assert not initial[0].any()
            assert not final[0].any()
            assert metrics(folder)["probe/drift/moved_untouched"] == 0

    def test_cbow_variants_start_alike_and_random_ones_too(self, finished: dict[str, Path]):
        start = {variant: load_embedding(folder)[0] for variant, folder in finished.items()}
        assert np.array_equal(start["cbow_frozen"], start["cbow_finetuned"])
        assert np.array_equal(start["random_frozen"], start["random_trainable"])
        assert start["random_frozen"][2:].std() == pytest.approx(1 / np.sqrt(12), rel=0.05)

    def test_configurations_differ_under_embedding_alone(self, finished: dict[str, Path]):
        import yaml

        configs = [yaml.safe_load((folder / "config.yaml").read_text("utf-8")) for folder in finished.values()]
        for config in configs:
            del config["embedding"]
        assert all(config == configs[0] for config in configs)

    def test_the_record_is_enough_to_predict_again(self, finished: dict[str, Path]):
        import torch
        from safetensors.torch import load_file

        folder = finished["random_trainable"]
        config = compose([*SMALL, "+experiment=random_trainable"])
        final = torch.from_numpy(load_embedding(folder)[1])
        model = Classifier(Embedding(final), config.model, 2, torch.Generator())
        model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
        words = read_json(folder / "vocabulary.json")["words"]
        ids = {word: row for row, word in enumerate(words)}
        table = pq.read_table(folder / "predictions.parquet").to_pandas()
        tweet = table[table["split"] == "test"].iloc[0]
        from pipeline.text.presets import build_tokenizer

        tokens = [ids.get(token, 1) for token in build_tokenizer(config.text)(tweet["text"])]
        texts = Texts.from_arrays(np.array(tokens), np.array([0, len(tokens)]), np.array([0]))
        with torch.no_grad():
            probability = float(model(take(texts, torch.tensor([0]))).softmax(1)[0, 1])
        assert probability == pytest.approx(tweet["p_positive"], abs=1e-6)

    def test_similarity_and_neighbours_before_and_after(self, finished: dict[str, Path]):
        folder = finished["cbow_finetuned"]
        found = metrics(folder)
        for name in ("wordsim353", "simlex999"):
            assert 0 < found[f"probe/similarity/{name}/coverage"] < 1
            assert found[f"probe/similarity/{name}/spearman"] != found[f"probe/similarity/{name}/spearman_before"]
        frozen = metrics(finished["cbow_frozen"])
        assert frozen["probe/similarity/simlex999/spearman"] == found["probe/similarity/simlex999/spearman_before"]
        with (folder / "neighbours.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        assert [row["word"] for row in rows] == ["good"] * 5 + ["coffee"] * 5 + ["nosuchword"]
        assert rows[-1]["before"] == ""

    def test_coverage_is_logged_for_cbow_alone(self, finished: dict[str, Path]):
        assert (
            0.5
            < metrics(finished["cbow_frozen"])["coverage/types"]
            <= metrics(finished["cbow_frozen"])["coverage/tokens"]
        )
        assert "coverage/types" not in metrics(finished["random_frozen"])

    def test_the_note_says_that_the_tweets_are_generated(self, finished: dict[str, Path]):
        note = (finished["cbow_frozen"] / "note.md").read_text("utf-8")
        assert "THESE TWEETS ARE GENERATED" in note
        assert "+experiment=cbow_frozen" in note


class TestReuse:
    def test_the_second_variant_reuses_tokens_and_vectors(self, tmp_path: Path, caplog: pytest.LogCaptureFixture):
        with caplog.at_level(logging.INFO, "pipeline"):
            run(tmp_path, "+experiment=cbow_frozen", QUIET)
            caplog.clear()
            run(tmp_path, "+experiment=cbow_finetuned", QUIET)
            said = [text for text in caplog.messages if "reused" in text]
            assert [text.partition(" reused")[0] for text in said] == ["prepare:", "cbow:", "audit:"]
            caplog.clear()
            folder = run(tmp_path, "+experiment=cbow_finetuned", QUIET)
            assert "this run was finished before" in caplog.text
            written = (folder / "manifest.json").stat().st_mtime_ns
            run(tmp_path, "+experiment=cbow_finetuned", QUIET, "force=true")
        assert (folder / "manifest.json").stat().st_mtime_ns > written

    def test_a_training_key_changes_training_alone(self, tmp_path: Path, caplog: pytest.LogCaptureFixture):
        one = run(tmp_path, "+experiment=cbow_frozen", QUIET)
        with caplog.at_level(logging.INFO, "pipeline"):
            two = run(tmp_path, "+experiment=cbow_frozen", QUIET, "train.lr_head=0.1")
        assert one != two
        assert "cbow: reused" in caplog.text

    def test_stages_one_by_one_equal_all_at_once(self, tmp_path: Path):
        for stage in ("prepare", "cbow"):
            assert stages.run(compose([*SMALL, f"paths.root={tmp_path / 'a'}", f"stage={stage}", QUIET])) is None
        one = run(tmp_path / "a", "+experiment=cbow_frozen", "stage=train", QUIET)
        two = run(tmp_path / "b", "+experiment=cbow_frozen", QUIET)
        assert (one / "metrics.json").read_bytes() == (two / "metrics.json").read_bytes()


class TestReproducible:
    @pytest.mark.parametrize("variant", ["random_trainable", "cbow_finetuned"])
    def test_same_seed_twice_gives_the_same_bytes(self, tmp_path: Path, variant: str):
        arguments = (f"+experiment={variant}", "data.label_budget=100", "seed=3", QUIET)
        one, two = (run(tmp_path / root, *arguments) for root in ("a", "b"))
        assert one.name == two.name
        for name in ("metrics.json", "predictions.parquet", "history.csv", "embedding.safetensors", "neighbours.csv"):
            assert (one / name).read_bytes() == (two / name).read_bytes(), name

    def test_seeds_differ_and_budgets_are_nested(self, tmp_path: Path):
        zero, one = (run(tmp_path, "+experiment=random_trainable", f"seed={seed}", QUIET) for seed in (0, 1))
        assert (zero / "predictions.parquet").read_bytes() != (one / "predictions.parquet").read_bytes()
        few = run(tmp_path, "+experiment=random_trainable", "data.label_budget=50", QUIET)
        assert few.name.startswith("sample-random_trainable-n50-s0-")
        assert metrics(few)["params/touched_rows"] < metrics(zero)["params/touched_rows"]


class TestMlflow:
    def test_a_run_stands_in_mlflow_once(self, tmp_path: Path):
        for _ in range(2):
            folder = run(tmp_path, "+experiment=cbow_frozen", "seed=1")
        client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
        (experiment,) = client.search_experiments(filter_string="name = 'tweet-embeddings'")
        (logged,) = client.search_runs([experiment.experiment_id])
        assert logged.info.run_name == "cbow_frozen · n=all · seed 1 · generated tweets"
        assert logged.info.status == "FINISHED"
        assert logged.data.tags["variant"] == "cbow_frozen"
        assert logged.data.tags["seed"] == "1"
        assert logged.data.tags["label_budget"] == "all"
        assert logged.data.tags["data"] == "sample"
        stored = metrics(folder)
        assert logged.data.metrics["test/accuracy"] == stored["test/accuracy"]
        assert logged.data.metrics["params/trainable"] == stored["params/trainable"]
        assert logged.data.metrics["time/train_seconds"] > 0
        assert {item.dataset.name for item in logged.inputs.dataset_inputs} >= {"sample-train", "sample-test"}
        assert "GENERATED" in logged.data.tags["mlflow.note.content"]
        assert {item.path for item in client.list_artifacts(logged.info.run_id)} >= {"note.md", "confusion_matrix.png"}


HEADER = "\ufeffid,text,label\r\n"
BAD = ['7,"no label here",\r\n', "8,,good\r\n", "9,too,many,fields\r\n"]


LEAK = ("+experiment=random_trainable", "data.sample.labelled=1500", "data.sample.leak=0.5", "train.max_epochs=4")


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder of results, and the log of its run."""
    root = tmp_path_factory.mktemp("leaking")
    lines: list[str] = []
    handler, logger = logging.Handler(), logging.getLogger("pipeline")
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    folder = run(root, *LEAK)
    logger.removeHandler(handler)
    logger.setLevel(level)
    return folder, "\n".join(lines)


class TestWarnings:
    """A run on data with a leak: each place where its warnings stand, in the same words."""

    def test_record_note_and_log_say_the_same(self, leaking: tuple[Path, str]):
        folder, log = leaking
        warnings = read_json(folder / "run.json")["warnings"]
        assert warnings[0]["code"] == "label_leak"
        assert warnings[0]["remedy"].startswith("Set data.sample.leak=0:")
        assert {warning["code"] for warning in warnings} == {"label_leak", "duplicates_between_splits"}
        lines = [line for line in log.splitlines() if line.startswith("warning: ")]
        assert lines == [f"warning: {warning['text']} {warning['remedy']}" for warning in warnings]
        done = [number for number, line in enumerate(log.splitlines()) if line.startswith("train: done")]
        assert log.splitlines()[done[0] + 1 : done[0] + 1 + len(lines)] == lines
        note = (folder / "note.md").read_text("utf-8")
        section = note.split("## Warnings\n")[1].split("\nThis classifier")[0]
        assert section.count("\n- `") == section.count("**Remedy**: ") == len(warnings)
        assert note.index("## Warnings") < note.index("## Result")

    def test_it_is_registered_but_no_champion(self, leaking: tuple[Path, str]):
        folder, log = leaking
        client = MlflowClient(f"sqlite:///{folder.parents[1] / 'mlflow.db'}")
        (experiment,) = client.search_experiments(filter_string="name = 'tweet-embeddings'")
        (logged,) = client.search_runs([experiment.experiment_id])
        assert logged.data.tags["warnings"] == "label_leak duplicates_between_splits"
        assert "## Warnings" in logged.data.tags["mlflow.note.content"]
        model = client.get_registered_model("tweet-sentiment-sample")
        assert (len(model.latest_versions), model.aliases) == (1, {})
        card = str(model.latest_versions[0].description)
        assert "- `label_leak` Label leak: " in card
        assert f"--run models:/{logged.outputs.model_outputs[0].model_id}" in card
        assert f"{folder.name} is not made the champion of tweet-sentiment-sample: its data has a label leak" in log

    def test_the_remedy_ends_the_leak_and_gives_a_champion(self, leaking: tuple[Path, str]):
        root = leaking[0].parents[1]
        folder = run(root, *LEAK, "data.sample.leak=0")
        assert "label_leak" not in {warning["code"] for warning in read_json(folder / "run.json")["warnings"]}
        model = MlflowClient(f"sqlite:///{root / 'mlflow.db'}").get_registered_model("tweet-sentiment-sample")
        assert model.aliases == {"champion": 2}

    def test_the_audit_is_done_once_for_all_runs_on_the_data(self, tmp_path: Path, caplog: pytest.LogCaptureFixture):
        with caplog.at_level(logging.INFO, "pipeline"):
            run(tmp_path, "+experiment=random_frozen", QUIET)
            assert "audit: done in" in caplog.text
            caplog.clear()
            run(tmp_path, "+experiment=random_frozen", "seed=1", QUIET)
            assert "audit: reused" in caplog.text

    def test_the_record_does_not_depend_on_when_the_audit_ran(self, tmp_path: Path):
        first = run(tmp_path / "one", "+experiment=random_frozen", QUIET)
        from pipeline.stages.audit import audit
        from pipeline.stages.prepare import prepare

        config = compose([*SMALL, f"paths.root={tmp_path / 'two'}"])
        audit(config, prepare(config))
        second = run(tmp_path / "two", "+experiment=random_frozen", QUIET)
        assert first.name == second.name
        assert read_json(first / "run.json")["warnings"] == read_json(second / "run.json")["warnings"]
        identities = [read_json(folder / "manifest.json")["identity"] for folder in (first, second)]
        assert identities[0] == identities[1]

    def test_hate_speech(self, shared: Callable[[str], Path], tmp_path: Path):
        """TweetEval's hate speech: validation far above a test score that is below the majority's share."""
        source = shared("tweeteval_files/hate")
        for name, split in (("train", "train"), ("val", "validation"), ("test", "test")):
            texts = (source / f"{name}_text.txt").read_text("utf-8").split("\n")
            labels = (source / f"{name}_labels.txt").read_text("utf-8").split()
            with (tmp_path / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([("text", "label"), *zip(texts, labels, strict=False)])
        data = ("data=files", f"data.path={tmp_path}", "data.labels=[none,hate]", "train.max_epochs=6")
        folder = run_data(tmp_path / "root", *data)
        assert metrics(folder)["test/accuracy"] < 0.56
        found = {warning["code"]: warning for warning in read_json(folder / "run.json")["warnings"]}
        assert {"below_majority", "validation_above_test", "duplicates_between_splits", "label_conflicts"} <= set(found)
        assert "below 0.578, which always predicting “none” gives" in found["below_majority"]["text"]
        copies = [w for w in read_json(folder / "run.json")["warnings"] if w["code"] == "duplicates_between_splits"]
        assert "of 2,970 test texts" in copies[0]["text"]
        assert copies[0]["remedy"].startswith("Set data.deduplicate=exact:")


class TestOwnFile:
    def table(self, path: Path) -> Path:
        rng = np.random.default_rng(0)
        rows = []
        for number in range(120):
            label = ("good", "bad")[number % 2]
            word = rng.choice({"good": ["lovely", "great", "😀"], "bad": ["awful", "poor", "😡"]}[label])
            rows.append(f'{number},"a ""{word}"" day,\nreally {word} NA {number % 7}",{label}\r\n')
        path.write_text(HEADER + "".join(rows[:60] + BAD + rows[60:]), "utf-8", newline="")
        return path

    def test_good_rows_train_and_each_bad_row_is_named(self, tmp_path: Path, caplog: pytest.LogCaptureFixture):
        path = self.table(tmp_path / "tweets.csv")
        with caplog.at_level(logging.INFO, "pipeline"):
            folder = run_data(
                tmp_path, "data=files", f"data.path={path}", "embedding.dim=8", "train.max_epochs=8", "cbow.epochs=2"
            )
        for row, found in ((61, "no label"), (62, "no text"), (63, "4 fields, expected 3")):
            assert f"tweets.csv, row {row} (line " in caplog.text
            assert found in caplog.text
        rows = read_json(folder / "run.json")["dataset"]["rows"]
        assert sum(rows.values()) == 120
        assert read_json(folder / "run.json")["label_names"] == ["bad", "good"]
        assert metrics(folder)["test/accuracy"] == 1.0
        assert {"😀", "😡"} < set(read_json(folder / "vocabulary.json")["words"])

    def test_a_changed_file_is_a_new_run(self, tmp_path: Path):
        path = self.table(tmp_path / "tweets.csv")
        arguments = ("data=files", f"data.path={path}", "embedding.dim=8", "train.max_epochs=1")
        one = run_data(tmp_path, *arguments)
        path.write_text(path.read_text("utf-8").replace("lovely", "lovable"), "utf-8")
        assert run_data(tmp_path, *arguments) != one

    def test_extra_text_is_read_but_for_what_is_held_out(self, tmp_path: Path, caplog: pytest.LogCaptureFixture):
        path, extra = self.table(tmp_path / "tweets.csv"), tmp_path / "more.txt"
        test = run_data(tmp_path, "data=files", f"data.path={path}", "embedding.dim=8", "train.max_epochs=1")
        table = pq.read_table(test / "predictions.parquet").to_pandas()
        held_out = " ".join(table[table["split"] == "test"].iloc[0]["text"].split())
        extra.write_text(f"{held_out}\nsome more words here\nsome more words there\nsome more words\n", "utf-8")
        with caplog.at_level(logging.INFO, "pipeline"):
            run_data(
                tmp_path, "+experiment=cbow_frozen", "data=files", f"data.path={path}", f"cbow.extra_text={extra}",
                "embedding.dim=8", "train.max_epochs=1", "cbow.epochs=1",
            )  # fmt: skip
        assert "3 texts from extra_text" in caplog.text
        assert "left out 1 unlabelled texts" in caplog.text

    def test_extra_text_in_another_encoding_or_damaged(self, tmp_path: Path, caplog: pytest.LogCaptureFixture):
        path, extra = self.table(tmp_path / "tweets.csv"), tmp_path / "more.txt"
        extra.write_bytes("le café était très bon\ndéjà vu à la plage\n".encode("cp1252"))
        arguments = ("stage=prepare", "data=files", f"data.path={path}", f"cbow.extra_text={extra}")

        def prepared(*overrides: str) -> None:
            stages.run(compose([f"paths.root={tmp_path}", QUIET, *overrides]), overrides)

        with pytest.raises(UserError, match=r"more\.txt, line 1: byte 0xe9 is not UTF-8.*extra_encoding=cp1252"):
            prepared(*arguments)
        with caplog.at_level(logging.INFO, "pipeline"):
            prepared(*arguments, "cbow.extra_encoding=cp1252")
            extra.write_bytes("déjà\n".encode() * 9 + b"d\xe9j\xe0\n")
            prepared(*arguments)
        assert "2 texts from extra_text" in caplog.text
        assert "9 texts from extra_text" in caplog.text
        assert "note: more.txt: lines left out for NUL bytes, or bytes that are not UTF-8: 1" in caplog.text


class TestWrongInput:
    @pytest.mark.parametrize(
        ("overrides", "message"),
        [
            (["data.label_budget=5000"], "5,?000"),
            (["+experiment=cbow_frozen", "cbow.extra_text={}/absent.txt"], r"cbow\.extra_text=.*no such file"),
            (
                ["+experiment=cbow_frozen", "cbow.extra_text={}/blank.txt"],
                r"extra_text: .*blank\.txt holds no text",
            ),
            (["embedding=pretrained", "embedding.path={}/absent.vec"], r"embedding\.path=.*no such file"),
            (["probe.similarity_files=[{}/absent.txt]"], r"probe\.similarity_files=.*no such file"),
            (["text.min_count=100000", "text.unlabelled_min_count=null"], r"text\.min_count=100000"),
            (["+experiment=cbow_frozen", "cbow.min_count=100000"], r"cbow\.min_count"),
        ],
    )
    def test_one_clear_line_and_nothing_half_written(self, tmp_path: Path, overrides: list[str], message: str):
        (tmp_path / "blank.txt").write_text("\n \n", "utf-8")
        with pytest.raises(UserError, match=message):
            run(tmp_path, QUIET, *(text.format(tmp_path) for text in overrides))
        assert not (tmp_path / "results").exists() or not list((tmp_path / "results").glob("[!.]*"))
        assert not list(tmp_path.rglob("*.tmp-*"))

    def test_an_absent_data_file_is_named(self, tmp_path: Path):
        with pytest.raises(UserError, match=r"absent\.csv"):
            run_data(tmp_path, "data=files", f"data.path={tmp_path / 'absent.csv'}")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CBOW vectors, trained, beside frozen PPMI vectors."""
    tables = ("embedding.init=[cbow,ppmi]", "embedding.trainable=[true,false]", "train.max_epochs=4")
    return run(tmp_path_factory.mktemp("mixed"), QUIET, *tables)


class TestTablesSideBySide:
    def test_every_back_end_gives_the_recorded_predictions(self, mixed: Path, tmp_path: Path):
        pytest.importorskip("onnx")
        assert mixed.name.startswith("sample-ppmi_frozen_cbow_finetuned-nall-s0-")
        trained, recorded = read_model(mixed), load_predictions(mixed)["test"]
        predictors = [torch_predictor(trained)]
        for kind in ("compact", "onnx"):
            export(trained, tmp_path / kind, kind, "# card", recorded.texts, recorded.labels.tolist())
            predictors.append(read_export(tmp_path / kind))
        for predictor in predictors:
            probabilities = predictor.probabilities(recorded.texts)
            np.testing.assert_allclose(probabilities, recorded.probabilities, rtol=0, atol=1e-5)

    def test_a_lesson_says_which_numbers_are_frozen(self, mixed: Path):
        text = lesson_text(trace_text(read_trained_run(mixed), "what a good day"))
        assert "the first 12 numbers of a word vector are frozen, the others are trained" in " ".join(text.split())

    def test_the_record_has_a_row_for_each_table(self, mixed: Path, finished: dict[str, Path]):
        initial, final = load_embedding(mixed)
        assert initial.shape[1] == 24
        words = read_json(mixed / "vocabulary.json")["words"]
        id_of = {word: row for row, word in enumerate(words)}
        with (mixed / "embedding_tables.csv").open(encoding="utf-8") as file:
            frozen, trained = list(csv.DictReader(file))
        for row, init, columns in ((frozen, "ppmi", slice(12)), (trained, "cbow", slice(12, 24))):
            assert (row["init"], row["trainable"]) == (init, str(init == "cbow"))
            assert (row["dimensions"], row["parameters"]) == ("12", str(12 * len(words)))
            for moment, matrix in (("before", initial), ("after", final)):
                for name in ("wordsim353", "simlex999"):
                    rho = similarity(matrix[:, columns], load_pairs(name), id_of.get)["spearman"]
                    assert float(row[f"{name}_{moment}"]) == pytest.approx(rho)
        assert initial[:, :12].tobytes() == final[:, :12].tobytes()
        assert float(frozen["mean_drift"]) == 0 < float(trained["mean_drift"])
        note = (mixed / "note.md").read_text("utf-8")
        assert f"| ppmi | no | 12 | {12 * len(words):,} | 0.000 |" in note
        assert "2 tables of word vectors stand side by side" in note
        assert "the ppmi vectors were trained on" in note
        assert metrics(mixed).keys() == metrics(finished["cbow_finetuned"]).keys()


class TestVectorsOfARun:
    def test_another_run_starts_where_a_finished_one_ended(self, tmp_path: Path, finished: dict[str, Path]):
        source = finished["cbow_finetuned"]
        other = ("embedding=run", f"embedding.path={source}", "data.sample.seed=5", "data.sample.labelled=300")
        folder = run(tmp_path, QUIET, *other)
        assert folder.name.startswith("sample-run_frozen-")
        ended = dict(
            zip(read_json(source / "vocabulary.json")["words"][2:], load_embedding(source)[1][2:], strict=True)
        )
        words, starts = read_json(folder / "vocabulary.json")["words"], load_embedding(folder)[0]
        shared = [row for row, word in enumerate(words) if word in ended]
        assert 100 < len(shared) < len(words) - 2
        assert all(np.array_equal(starts[row], ended[words[row]]) for row in shared)
        (note,) = (note for note in read_json(folder / "run.json")["notes"] if "the run" in note)
        assert source.name in note
        assert "cbow_finetuned" in note
        assert "data set sample" in note
        shutil.copytree(source, tmp_path / "moved")  # the contents count, not where they lie
        assert run(tmp_path, QUIET, *other, f"embedding.path={tmp_path / 'moved'}") == folder
        tuned = run(tmp_path, QUIET, *other, "embedding.trainable=true")
        assert tuned.name.startswith("sample-run_finetuned-")
        assert np.array_equal(load_embedding(tuned)[0], starts)

    def test_a_run_that_cannot_serve_is_refused_in_one_line(self, tmp_path: Path, finished: dict[str, Path]):
        def refusal(*overrides: str) -> str:
            config = compose([*SMALL, f"paths.root={tmp_path}", QUIET, "embedding=run", *overrides])
            try:
                check_inputs([config])
                stages.run(config)
            except UserError as error:
                return str(error)
            return "none"

        source = finished["cbow_frozen"]
        absent = f"embedding.path={tmp_path}/none"
        assert (
            refusal(absent) == f"{absent}: not the record of a run; expected a folder of results/ that holds run.json"
        )
        shutil.copytree(source, tmp_path / "bare", ignore=shutil.ignore_patterns("embedding.safetensors"))
        advice = "kept no embedding: repeat the run (its command is in note.md) with tracking.keep_embedding=true"
        assert refusal(f"embedding.path={tmp_path}/bare") == f"embedding.path=bare {advice}"
        message = "embedding.dim=8, but the vectors have 12 dimensions: set embedding.dim=12"
        assert refusal(f"embedding.path={source}", "embedding.dim=8") == message


class TestPretrained:
    def test_vectors_from_a_file_start_the_embedding(self, tmp_path: Path, finished: dict[str, Path]):
        words = read_json(finished["cbow_frozen"] / "vocabulary.json")["words"]
        rows = np.round(np.random.default_rng(0).standard_normal((len(words), 12)), 4).astype(np.float32)
        path = tmp_path / "vectors.txt"
        lines = [f"{word} {' '.join(map(str, row))}\n" for word, row in zip(words[2:], rows[2:], strict=True)]
        path.write_text(f"{len(lines)} 12\n{''.join(lines)}", "utf-8")
        folder = run(tmp_path, QUIET, "embedding=pretrained", f"embedding.path={path}", "embedding.trainable=false")
        assert folder.name.startswith("sample-pretrained_frozen-")
        assert np.array_equal(load_embedding(folder)[1][2:], rows[2:])
        assert metrics(folder)["coverage/tokens"] > 0.9

    def test_what_was_guessed_about_the_file_stands_in_the_record(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ):
        caplog.set_level(logging.INFO)
        texts = ["@pal the soup is good http://t.co/a", "@pal the soup is bad http://t.co/b"]
        (tmp_path / "t.csv").write_text(
            "text,label\n" + "".join(f"{texts[i % 2]}{i},{i % 2}\n" for i in range(80)), "utf-8"
        )
        path = tmp_path / "glove.txt"
        path.write_text("9 3\n<user>\t1\t2\t3\n<url>\t4\t5\t6\ngood\t7\t8\t9\nbad\t0\t0\t0\ngood\t1\t1\t1\n", "utf-8")
        data = ("data=files", f"data.path={tmp_path / 't.csv'}", "train.max_epochs=1", "embedding.trainable=false")
        vectors = ("embedding=pretrained", f"embedding.path={path}")
        with pytest.raises(UserError, match=r"glove\.txt: .*: set embedding\.dim=3$") as caught:
            run_data(tmp_path, *data, *vectors, "embedding.dim=12")
        folder = run_data(tmp_path, *data, *vectors, str(caught.value).rpartition("set ")[2])
        words, initial = read_json(folder / "vocabulary.json")["words"], load_embedding(folder)[0]
        rows = dict(zip(words, initial.tolist(), strict=True))
        assert (rows["@user"], rows["http"], rows["good"]) == ([1, 2, 3], [4, 5, 6], [7, 8, 9])
        assert any(rows["bad"])
        notes = [
            "5 rows, read as word2vec_text with tabs between fields",
            "the header announces 9 rows of 3 dimensions, the file has 5 of 3: all were read",
            "words with a vector of zeros: 1, such as 'bad'; they start at random, like words that the file lacks",
            "rows that repeat a word: 1, such as 'good'; the first row of each word counts",
            "no vector for '@user': it starts with that of '<user>'",
            "no vector for 'http': it starts with that of '<url>'",
        ]
        assert [note for note in read_json(folder / "run.json")["notes"] if "glove" in note] == [
            f"glove.txt: {note}" for note in notes
        ]
        assert all(f"note: glove.txt: {note}" in caplog.messages for note in notes)
        assert "a vector of zeros" in (folder / "note.md").read_text("utf-8").partition("## Result")[0]
        assert metrics(folder)["coverage/types"] == pytest.approx(3 / 7)  # of @user http good bad the soup is


class TestProcesses:
    def command(self, root: Path, *overrides: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline", *SMALL, f"paths.root={root}", *overrides],
            cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(project_root())},
        )  # fmt: skip

    def test_two_at_once_share_the_work_and_both_finish(self, tmp_path: Path):
        processes = [self.command(tmp_path, f"+experiment={name}") for name in ("cbow_frozen", "cbow_finetuned")]
        outputs = [process.communicate(timeout=240) for process in processes]
        assert [process.returncode for process in processes] == [0, 0], outputs
        together = "".join(text for _, text in outputs)
        for stage in ("prepare", "cbow"):
            assert together.count(f"{stage}: done in") == together.count(f"{stage}: reused") == 1
        client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
        (experiment,) = client.search_experiments(filter_string="name = 'tweet-embeddings'")
        assert len(client.search_runs([experiment.experiment_id])) == 2

    def test_killed_in_the_middle_and_started_again(self, tmp_path: Path):
        long = ("+experiment=cbow_frozen", QUIET, "train.max_epochs=100000", "train.patience=null")
        process = self.command(tmp_path, *long)
        assert process.stderr is not None
        for line in process.stderr:
            if "train: epoch 3," in line:
                break
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert list((tmp_path / "results").glob("[!.]*")) == []
        again = self.command(tmp_path, "+experiment=cbow_frozen", QUIET)
        _, log = again.communicate(timeout=240)
        assert (again.returncode, log.count("reused")) == (0, 3), log
        (folder,) = (tmp_path / "results").glob("[!.]*")
        assert json.loads((folder / "metrics.json").read_text("utf-8"))["test/accuracy"] > 0


class TestRealTweets:
    """The facts of the course forum, and the scores to expect; each line of the README's table has its command."""

    def nltk(self, shared: Callable[[str], Path]) -> str:
        return f"data.path={shared('nltk_data')}"

    def test_course(self, shared: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        import nltk

        monkeypatch.setattr(nltk.data, "path", [str(shared("nltk_data"))])
        found = metrics(run_data(tmp_path, "+experiment=course"))
        assert found["test/accuracy"] >= 0.990
        assert found["params/embedding"] == 9_086 * 256
        assert found["params/total"] == 9_086 * 256 + 256 * 2 + 2

    def test_without_emoticons(self, shared: Callable[[str], Path], tmp_path: Path):
        arguments = ("+experiment=random_trainable", "data=nltk_twitter", self.nltk(shared))
        kept = metrics(run_data(tmp_path, *arguments))
        stripped = metrics(run_data(tmp_path, *arguments, "text.emoticons=strip"))
        fragments = metrics(run_data(tmp_path, *arguments, "text.emoticons=strip_fragments"))
        assert kept["test/accuracy"] >= 0.99
        assert 0.76 <= stripped["test/accuracy"] <= 0.80
        assert 0.73 <= fragments["test/accuracy"] < stripped["test/accuracy"]

    @pytest.mark.slow
    def test_trec_scores_are_those_published(self, shared: Callable[[str], Path], tmp_path: Path):
        def accuracy(*overrides: str) -> float:
            runs = [run_data(tmp_path, *overrides, f"data.path={shared('trec')}", f"seed={seed}") for seed in (0, 1)]
            return float(np.mean([metrics(folder)["test/accuracy"] for folder in runs]))

        assert abs(accuracy("+experiment=trec") - 0.912) <= 0.01
        sentence, tweet = (accuracy("data=files", f"text={text}") for text in ("sentence", "tweet"))
        assert 0.86 <= sentence <= 0.88
        assert tweet < sentence

    @pytest.mark.slow
    def test_tweet_eval_sentiment(self, shared: Callable[[str], Path], tmp_path: Path):
        data = ("data=tweet_eval", f"data.path={shared('hub/cardiffnlp/tweet_eval')}")
        extra = (
            f"cbow.extra_text={shared('unlabelled/tweets.txt.gz')}",
            "cbow.epochs=5",
        )  # the default's 20 give 0.635
        random = metrics(run_data(tmp_path, "+experiment=random_trainable", *data))
        finetuned = metrics(run_data(tmp_path, "+experiment=cbow_finetuned", *data, *extra))
        assert random["test/macro_recall"] >= 0.58
        assert finetuned["test/macro_recall"] >= 0.615
        assert finetuned["test/macro_recall"] >= random["test/macro_recall"] + 0.015
