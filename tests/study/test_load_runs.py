"""What the report of a study reads from its runs: leads by amount of text, and what transfer tasks share with it."""

from pathlib import Path

import pandas as pd
import pytest
from hydra import initialize_config_dir

from pipeline.config.compose import VERSION_BASE, compose, conf_folder, quote_values, study_variants
from pipeline.runtime.cached_folder import Stage
from pipeline.study.design import Study
from pipeline.study.load_runs import amount_frame, outcome_read

SOURCES = [["unlabelled", 300, 900], ["extra_text", 100, 300], ["train", 80, 240]]


def study(*overrides: str) -> Study:
    overrides = ("+experiment=compare", *overrides)
    config = compose(overrides)
    with initialize_config_dir(str(conf_folder()), version_base=VERSION_BASE):
        variants = study_variants(quote_values(overrides), config)
    prepared = Stage(Path("nowhere"), "key", {"outcome": {"corpus": {"sources": SOURCES}}})
    return Study(config, variants, overrides, dict.fromkeys(variants, prepared))


def differences(names: list[str]) -> pd.DataFrame:
    """A lead of 1 point per number of the pair, learned vectors second in the even pairs and first in the odd ones."""
    rows = []
    for number, name in enumerate(names, 1):
        for budget in (100, 300):
            pair, sign = ((name, "random_trainable"), 1) if number % 2 else (("random_trainable", name), -1)
            lead = sign * number / 100
            rows.append([*pair, budget, False, 3, lead, lead - 0.01, lead + 0.02, None, False])
    columns = ["a", "b", "label_budget", "planned", "n", "mean", "low_total", "high_total", "decision", "equivalent"]
    return pd.DataFrame(rows, columns=columns)


OWN = ["cbow_frozen@cbow.unlabelled_texts=0", "cbow_frozen@cbow.unlabelled_texts=50", "cbow_frozen"]


@pytest.mark.parametrize(
    "overrides",
    [
        ("study.unlabelled_budgets=[50,0]", "study.variants=[random_trainable,random_frozen,cbow_frozen]"),
        (f"study.variants=[random_trainable,random_frozen,{','.join(map(repr, OWN))}]",),
    ],
    ids=["repeated by the study", "variants of the user"],
)
def test_the_leads_by_amount_whoever_set_the_amounts(overrides: tuple[str, ...]):
    frame = amount_frame(study(*overrides), differences(OWN))
    assert frame["variant"].unique().tolist() == ["cbow_frozen"]
    assert frame[["unlabelled_texts", "a", "label_budget"]].to_numpy().tolist() == [
        [size, name, budget] for size, name in zip((0, 50, 400), OWN, strict=True) for budget in (100, 300)
    ]
    assert frame["mean"].tolist() == pytest.approx([0.01, 0.01, 0.02, 0.02, 0.03, 0.03])
    assert frame["low"].tolist() == pytest.approx([0.0, 0.0, 0.0, 0.0, 0.02, 0.02])
    assert frame["high"].tolist() == pytest.approx([0.03, 0.03, 0.03, 0.03, 0.05, 0.05])


def test_all_texts_are_those_of_the_sources_that_are_read():
    names = ["cbow_frozen@cbow.sources=extra_text,cbow.unlabelled_texts=5", "cbow_frozen@cbow.sources=extra_text"]
    frame = amount_frame(
        study(f"study.variants=[random_trainable,random_frozen,{','.join(map(repr, names))}]"), differences(names)
    )
    assert frame["unlabelled_texts"].tolist() == [5, 5, 100, 100]
    assert set(frame["variant"]) == {"cbow_frozen@cbow.sources=extra_text"}


def test_one_amount_is_no_comparison():
    assert amount_frame(study(), differences(["cbow_frozen", "cbow_finetuned"])).empty


@pytest.mark.parametrize(
    ("overrides", "read"),
    [
        ((), {"unlabelled", "extra_text"}),
        (("cbow.sources=extra_text",), {"extra_text"}),
        (("cbow.without_transfer=true", "probe.transfer=[sample_topic]"), set()),
        (("study.variants=[random_trainable,random_frozen,'cbow_frozen@cbow.sources=train']",), set()),
    ],
)
def test_the_overlap_of_a_task_is_with_text_that_is_read(overrides: tuple[str, ...], read: set[str]):
    outcome = {"rows": 3, "overlap": dict.fromkeys(("own_train", "train", "unlabelled", "extra_text"), 1)}
    assert outcome_read(study(*overrides), outcome) == {
        "rows": 3, "overlap": dict.fromkeys({"own_train", "train"} | read, 1),
    }  # fmt: skip
