"""Whole studies on generated tweets, whose truth is known: what is equal, what differs, what leaks, what is alike."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.cli.run import DONE, main

SMALL = (
    "+experiment=compare",
    "tracking.enabled=false",
    "train.device=cpu",
    "workers=2",
    "data.test_size=600",
    "data.validation_size=200",
    "embedding.dim=16",
    "train.min_epoch_steps=10",
    "study.baselines=[majority]",
    "study.label_budgets=[null]",
    "study.lr_factors=[3]",
    "study.trial_seeds=1",
    "study.resamples=500",
    "probe.similarity=[]",
    "probe.neighbour_words=[good]",
    "probe.transfer=[]",
)


@dataclass
class Study:
    """The report's folder, what `study.json` says and the table of differences."""

    folder: Path
    told: dict[str, Any]
    differences: pd.DataFrame

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.folder / "tables" / f"{name}.csv")

    def answers(self) -> dict[str, str]:
        return {verdict["question"]: verdict["answer"] for verdict in self.told["verdicts"]}


def study(root: Path, *overrides: str) -> Study:
    assert main([*SMALL, *overrides, f"paths.root={root}"]) == DONE
    (folder,) = (path for path in (root / "results" / "studies").iterdir() if path.is_dir())
    told = json.loads((folder / "study.json").read_text("utf-8"))
    return Study(folder, told, pd.read_csv(folder / "tables" / "differences.csv"))


def test_a_planted_leak_is_found_and_told_with_the_answer(tmp_path: Path):
    result = study(
        tmp_path,
        "data.sample.leak=0.4",
        "data.sample.labelled=1600",
        "data.sample.unlabelled=0",
        "study.variants=[random_trainable,random_frozen]",
        "study.pairs=[[random_trainable,random_frozen]]",
        "study.seeds=2",
        "train.max_epochs=3",
    )
    (leak,) = [warning["text"] for warning in result.told["warnings"] if warning["code"] == "label_leak"]
    assert "Label leak: 2 tokens almost determine the label: “" in leak
    assert "“zorbex” (negative)" in leak
    assert "“quimlat” (positive)" in leak
    (first, *_) = result.told["verdicts"]
    assert "enough to learn" in first["question"]
    assert first["answer"].startswith("These tweets cannot tell, because single tokens give the label away")
    (evidence,) = [line for line in first["evidence"] if line.startswith("Label leak")]
    assert leak == f"{evidence} Set data.sample.leak=0: the leak was generated on purpose."
    report = (result.folder / "report.md").read_text("utf-8")
    assert report.index("`label_leak`") < report.index("enough to learn")
    assert "zorbex" in (result.folder / "report.html").read_text("utf-8")


@pytest.mark.slow
def test_labels_of_pure_chance_make_all_variants_equal(tmp_path: Path):
    """With half of the labels wrong no variant can be better than another on new tweets."""
    result = study(
        tmp_path,
        "data.sample.label_noise=0.5",
        "data.sample.labelled=1600",
        "data.sample.unlabelled=2000",
        "cbow.epochs=3",
        "study.variants=[random_trainable,cbow_frozen,cbow_finetuned]",
        "study.pairs=[[cbow_frozen,random_trainable],[cbow_finetuned,random_trainable],[cbow_finetuned,cbow_frozen]]",
        "study.seeds=7",
        "study.smallest_effect=0.1",
        "train.max_epochs=8",
        "train.patience=null",
    )
    assert list(result.differences["decision"]) == ["equivalent"] * 3
    assert (result.differences["p_holm_smallest"] <= 0.05).all(), "a difference could have been called"
    assert result.differences["mean"].abs().max() > 0, "the variants do not all say the same"
    scores = result.table("scores")
    assert scores["mean"].between(0.45, 0.55).all()
    assert result.answers()[QUESTION_CBOW].startswith("No. ")


QUESTION_CBOW = "Would CBOW vectors have been better than vectors learned from scratch, and up to how many labels?"


@pytest.mark.slow
def test_a_real_difference_is_called_and_planted_synonyms_are_found(tmp_path: Path):
    result = study(
        tmp_path,
        "data.sample.label_noise=0",
        "data.sample.labelled=2000",
        "data.sample.unlabelled=20000",
        "cbow.seed=1",  # one CBOW for all seeds
        "cbow.epochs=60",
        "cbow.alpha=0.1",
        "cbow.window=10",
        "embedding.dim=32",
        "study.variants=[random_trainable,random_frozen,cbow_frozen]",
        "study.pairs=[[random_trainable,random_frozen],[cbow_frozen,random_frozen]]",
        "study.seeds=7",
        "train.max_epochs=8",
    )
    planned = result.differences[result.differences["planned"]]
    assert list(planned["decision"]) == ["higher", "higher"]
    assert (planned["low_total"] > 0).all()
    first = next(answer for question, answer in result.answers().items() if "enough to learn" in question)
    assert first.startswith("Yes. ")

    probes = result.table("probes")
    nearer = probes[(probes["probe"] == "antonyms/planted/nearer") & (probes["when"] == "after")]
    nearer = nearer.set_index("variant")["mean"]
    assert nearer["cbow_frozen"] > 0.62
    assert nearer["random_frozen"] == pytest.approx(0.5, abs=0.04)
    # What labels teach: synonyms share their sentiment.
    assert nearer["random_trainable"] > nearer["random_frozen"] + 0.04
    report = (result.folder / "report.md").read_text("utf-8")
    assert report.startswith("# sample")
    assert "GENERATED" in report
