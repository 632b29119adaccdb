"""All probes of a run, and the stages audit, baseline and transfer, on one small generated data set."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, recall_score

from pipeline.classifier.engine import RunResult
from pipeline.config.compose import compose
from pipeline.config.schema import Config
from pipeline.data.arrow import read_texts
from pipeline.data.label_budget import budget_rows
from pipeline.evaluation.probes.drift import drift
from pipeline.evaluation.probes.neighbours import neighbours_before_after
from pipeline.evaluation.probes.run import ProbeResults, probe_run
from pipeline.evaluation.probes.transfer import open_task, transfer_score
from pipeline.runtime.cached_folder import Stage
from pipeline.stages import run as stages
from pipeline.stages.audit import audit_splits
from pipeline.stages.baseline import fit_baseline
from pipeline.stages.transfer import encode_transfer, transfer
from pipeline.text.encoded_split import EncodedSplit
from pipeline.text.vocabulary import VOCABULARY, Vocabulary

DIM = 6
TASK = "probe.transfer=[sample_topic]"


def settings(root: Path, *overrides: str) -> Config:
    small = ("data.sample.labelled=400", "data.sample.unlabelled=300", "train.device=cpu", f"embedding.dim={DIM}")
    small += ("probe.similarity=[]",)
    return compose([*small, f"paths.root={root}", *overrides])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("probing")


@pytest.fixture(scope="module")
def prepared(root: Path) -> Stage:
    return stages.prepare(settings(root, "data.sample.leak=0.5"))


@pytest.fixture(scope="module")
def vocabulary(prepared: Stage) -> Vocabulary:
    return Vocabulary.load(prepared.folder / VOCABULARY)


@pytest.fixture(scope="module")
def task(root: Path, prepared: Stage) -> Stage:
    return transfer(settings(root, "data.sample.leak=0.5", TASK), prepared, "sample_topic")


def result(vocabulary: Vocabulary, test: EncodedSplit, *, moved: bool = True, **layers: np.ndarray) -> RunResult:
    """A made-up run: random vectors; training read every other one and moved it along the first axis."""
    generator = np.random.default_rng(0)
    initial = generator.normal(size=(len(vocabulary), DIM)).astype(np.float32)
    initial[0] = 0
    touched = np.arange(len(vocabulary)) % 2 == 0
    touched[:2] = False
    final = initial.copy()
    if moved:
        final[touched, 0] += np.float32(2)
    scores = generator.dirichlet([1, 1], size=len(test)).astype(np.float32)
    return RunResult(initial, final, layers, touched, {"test": scores}, {}, [], 1, "cpu", 0.0)


def probed(config: Config, prepared: Stage, vocabulary: Vocabulary, run: RunResult, **tasks: Stage) -> ProbeResults:
    splits = {name: EncodedSplit.open(prepared.folder, name) for name in ("train", "validation", "test")}
    rows, known = np.arange(50), np.zeros(len(vocabulary), dtype=bool)
    return probe_run(config, vocabulary, splits, rows, known, run, tasks)


class TestProbes:
    def test_every_probe_runs(self, root: Path, prepared: Stage, vocabulary: Vocabulary, task: Stage):
        test = EncodedSplit.open(prepared.folder, "test")
        run = result(vocabulary, test)
        overrides = (
            "probe.neighbour_words=[good,Bad,two words]",
            "probe.neighbours=3",
            "probe.similarity=[wordsim353]",
        )
        config = settings(root, *overrides)
        probes = probed(config, prepared, vocabulary, run, sample_topic=task)
        metrics = probes.metrics
        assert {name.split("/")[1] for name in metrics} == {
            "drift", "similarity", "polarity", "antonyms", "unseen_tokens", "transfer",
        }  # fmt: skip
        expected = drift(run.initial_VE, run.embedding_VE, run.touched_V)
        assert {f"probe/drift/{key}": value for key, value in expected.items()}.items() <= metrics.items()

        # Query words are normalized by the tokenizer, unless they are not a single token.
        assert probes.neighbours == neighbours_before_after(
            run.initial_VE, run.embedding_VE, vocabulary.words, ["good", "bad", "two words"], 3
        )
        assert [row["word"] for row in probes.neighbours if row["rank"] == 3] == ["good", "bad"]

        opened = open_task(task.folder, "sample_topic", len(task.outcome["label_names"]), len(vocabulary))
        after, before = (transfer_score(matrix, opened)[0] for matrix in (run.embedding_VE, run.initial_VE))
        assert metrics["probe/transfer/sample_topic/macro_recall"] == after["macro_recall"]
        assert metrics["probe/transfer/sample_topic/macro_recall_before"] == before["macro_recall"]

        accuracy = (run.probabilities["test"].argmax(axis=1) == test.labels).mean()
        bands = [row for row in probes.tables["score_by_unseen"] if row["tweets"]]
        hits = sum(row["tweets"] * row["accuracy"] for row in bands)
        assert hits / len(test) == pytest.approx(accuracy)
        assert list(probes.tables) == [
            "polarity", "antonyms", "drift_by_count", "most_changed", "score_by_unseen", "transfer",
        ]  # fmt: skip
        assert {row["set"] for row in probes.tables["antonyms"]} == {"planted"}

    def test_counts_are_of_the_labelled_tweets_of_the_run(self, root: Path, prepared: Stage, vocabulary: Vocabulary):
        probes = probed(
            settings(root), prepared, vocabulary, result(vocabulary, EncodedSplit.open(prepared.folder, "test"))
        )
        train = EncodedSplit.open(prepared.folder, "train")
        words, counts = np.unique(train.ids[: train.offsets[50]], return_counts=True)
        known = {vocabulary.words[word]: count for word, count in zip(words.tolist(), counts.tolist(), strict=True)}
        changed = probes.tables["most_changed"]
        assert changed
        assert {row["word"]: row["count"] for row in changed} == {row["word"]: known[row["word"]] for row in changed}
        assert min(row["count"] for row in changed) >= 5
        unread = [row for row in probes.tables["drift_by_count"] if row["counts"] == "0"]
        assert unread[0]["rows"] == len(vocabulary) - 2 - sum(word > 1 for word in words)

    @pytest.mark.parametrize("sign", [1, -1])
    def test_scores_point_to_the_last_label(self, root: Path, prepared: Stage, vocabulary: Vocabulary, sign: int):
        head = np.zeros((2, DIM), np.float32)
        head[1, 0] = sign
        run = result(vocabulary, EncodedSplit.open(prepared.folder, "test"), **{"head.weight": head})
        probes = probed(settings(root), prepared, vocabulary, run)
        assert {np.sign(row["score"]) for row in probes.tables["most_changed"]} == {sign}

    def test_the_head_of_another_encoder_gives_no_direction(self, root: Path, prepared: Stage, vocabulary: Vocabulary):
        run = result(
            vocabulary,
            EncodedSplit.open(prepared.folder, "test"),
            **{"head.weight": -np.ones((2, 3 * DIM), np.float32)},
        )
        probes = probed(settings(root), prepared, vocabulary, run)
        assert {np.sign(row["score"]) for row in probes.tables["most_changed"]} == {1}

    def test_a_frozen_matrix_has_equal_scores_before_and_after(
        self, root: Path, prepared: Stage, vocabulary: Vocabulary
    ):
        run = result(vocabulary, EncodedSplit.open(prepared.folder, "test"), moved=False)
        probes = probed(settings(root), prepared, vocabulary, run)
        assert probes.tables["most_changed"] == []
        for name, value in probes.metrics.items():
            if name.endswith("_before"):
                assert value == probes.metrics[name.removesuffix("_before")], name

    def test_disabled_probes_do_not_run(self, root: Path, prepared: Stage, vocabulary: Vocabulary):
        off = ("probe.polarity=none", "probe.antonyms=false", "probe.neighbour_words=[]")
        probes = probed(
            settings(root, *off), prepared, vocabulary, result(vocabulary, EncodedSplit.open(prepared.folder, "test"))
        )
        assert {name.split("/")[1] for name in probes.metrics} == {"drift", "unseen_tokens"}
        assert (probes.neighbours, probes.similarity) == ([], [])
        assert list(probes.tables) == ["drift_by_count", "most_changed", "score_by_unseen"]

    def test_a_file_of_pairs_is_named_after_its_stem(
        self, root: Path, prepared: Stage, vocabulary: Vocabulary, tmp_path: Path
    ):
        words = [word for word in vocabulary.words if word.isalpha()][:12]
        pairs = tmp_path / "pairs.txt"
        pairs.write_text("".join(f"{a} {b} {n}\n" for n, (a, b) in enumerate(pairwise(words))))
        config = settings(root, "probe.similarity=[simlex999]", f"probe.similarity_files=[{pairs}]")
        probes = probed(config, prepared, vocabulary, result(vocabulary, EncodedSplit.open(prepared.folder, "test")))
        assert [row["set"] for row in probes.similarity] == ["simlex999", "pairs"]
        row = probes.similarity[1]
        assert row["pairs"] == 11
        assert probes.metrics["probe/similarity/pairs/n"] == row["n"] > 5
        assert probes.metrics["probe/similarity/pairs/spearman_before"] == row["spearman_before"]


class TestStages:
    def test_a_baseline_is_fitted_on_the_labelled_tweets_of_its_run(self, root: Path, prepared: Stage, tmp_path: Path):
        config = settings(root, "data.label_budget=60", "seed=3", "study.lr_factors=[1,3]", "study.extra_trials=1")
        outcome = fit_baseline(config, prepared, "tfidf_logistic", tmp_path)
        predicted = np.load(tmp_path / "probabilities.npy").argmax(axis=1)
        labels = EncodedSplit.open(prepared.folder, "test").labels
        assert outcome["metrics"]["test/accuracy"] == pytest.approx(accuracy_score(labels, predicted))
        assert outcome["metrics"]["test/macro_recall"] == pytest.approx(
            recall_score(labels, predicted, average="macro")
        )
        assert len(outcome["trials"]) == 3
        assert sum(trial["chosen"] for trial in outcome["trials"]) == 1

        majority = fit_baseline(config, prepared, "majority", tmp_path)
        train = EncodedSplit.open(prepared.folder, "train").labels
        rows = budget_rows(np.asarray(train), 60, 3)
        share = np.bincount(train[rows]) / 60
        assert np.load(tmp_path / "probabilities.npy")[0] == pytest.approx(share)
        assert majority["metrics"]["params/total"] < outcome["metrics"]["params/total"]

    def test_the_audit_reads_every_split_and_finds_the_planted_tokens(self, prepared: Stage):
        report = audit_splits(prepared)
        assert [record["split"] for record in report["splits"]] == ["train", "validation", "test"]
        assert [record["texts"] for record in report["splits"]] == [320, 40, 40]
        deciding = {record["token"]: record["label"] for record in report["leaks"]["deciding"]["tokens"]}
        assert deciding.items() >= {"zorbex": "negative", "quimlat": "positive"}.items()
        assert report["findings"][0]["code"] in ("duplicates_between_splits", "label_leak")

    @pytest.mark.parametrize("unlabelled", [True, False])
    def test_overlap_is_counted_for_the_text_that_the_configuration_reads(
        self, root: Path, prepared: Stage, tmp_path: Path, unlabelled: bool
    ):
        topic_texts = _topic_texts(root, tmp_path)
        extra = tmp_path / "extra.txt"
        extra.write_text("\n".join(topic_texts[:7]) + "\n", "utf-8")
        config = settings(root, f"cbow.extra_text={extra}", f"cbow.use_unlabelled={str(unlabelled).lower()}", TASK)
        folder = tmp_path / "task"
        folder.mkdir()
        outcome = encode_transfer(config, prepared, "sample_topic", folder)
        assert set(outcome["overlap"]) == {"own_train", "train", "extra_text"} | (
            {"unlabelled"} if unlabelled else set()
        )
        assert outcome["overlap"]["extra_text"]["train"]["exact"] == 7
        assert outcome["overlap"]["train"]["train"]["exact"] == 0
        assert len(EncodedSplit.open(folder, "test")) == outcome["rows"]["test"] == 1000


def _topic_texts(root: Path, scratch: Path) -> list[Any]:
    """Training texts of the task `sample_topic`."""
    from pipeline.evaluation.probes.transfer_tasks import load_task

    return load_task("sample_topic", "", settings(root).data.sample, scratch).splits["train"].texts


def test_the_planted_leak_is_in_the_texts(prepared: Stage):
    """Otherwise the audit would report tokens that the fixture did not plant."""
    texts = " ".join(read_texts(prepared.folder, "train")).lower()
    assert 100 < texts.count("zorbex") + texts.count("quimlat") < 220
