"""The study's runs as configurations: what they share, what differs, how each is repeated by itself."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import hydra
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.compose import VERSION_BASE, compose, conf_folder, quote_values, study_variants
from pipeline.config.schema import Config, EmbeddingConfig
from pipeline.runtime.cached_folder import Stage
from pipeline.study.design import Choice, best_factor, cell_config, cell_overrides, label_budgets, with_emoticons

STUDY = ("+experiment=compare", "data.sample.labelled=400", "embedding.dim=8")
ALL_VARIANTS = (
    "study.variants=[random_trainable,random_frozen,cbow_frozen,cbow_finetuned,cbow_multichannel,cbow_projected,"
    "cbow_anchored,ppmi_frozen,ppmi_finetuned,cbow_frozen@strip]"
)

TWO = (
    "study.variants=[cbow_finetuned,random_trainable@strip_fragments]",
    "study.pairs=[[cbow_finetuned,random_trainable@strip_fragments]]",
)


@lru_cache
def study(*overrides: str) -> tuple[Config, dict[str, tuple[EmbeddingConfig, str]]]:
    config = compose(overrides)
    with hydra.initialize_config_dir(str(conf_folder()), version_base=VERSION_BASE):
        return config, study_variants(quote_values(overrides), config)


BASE = compose(STUDY)


def with_budgets(budgets: list[int | None]) -> Config:
    return dataclasses.replace(BASE, study=dataclasses.replace(BASE.study, label_budgets=budgets))


def prepared(train: int) -> Stage:
    return Stage(Path("nowhere"), "key", {"outcome": {"rows": {"train": train, "validation": 9, "test": 9}}})


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def different_keys(one: Config, other: Config) -> set[str]:
    first, second = flat(dataclasses.asdict(one)), flat(dataclasses.asdict(other))
    return {key for key in first.keys() | second.keys() if first.get(key) != second.get(key)}


class TestLabelBudgets:
    @pytest.mark.parametrize(
        ("wanted", "found", "left_out"),
        [
            ([300, 100, None], [(100, 100), (300, 300), (None, 320)], []),
            ([None, 319], [(319, 319), (None, 320)], []),
            ([60], [(60, 60)], []),
            # All training tweets are all of them, however that is written.
            ([100, 320], [(100, 100), (None, 320)], []),
            ([320, None], [(None, 320)], []),
            ([3000, 60, 321], [(60, 60)], ["321", "3,000"]),
            ([1000, 3000], [(None, 320)], ["1,000", "3,000"]),
            ([None], [(None, 320)], []),
        ],
    )
    def test_known_answers(self, wanted: list[int | None], found: list[tuple[int | None, int]], left_out: list[str]):
        budgets, notes = label_budgets(with_budgets(wanted), prepared(320))
        assert budgets == found
        assert notes == [f"label budget {n} is left out: there are 320 training tweets" for n in left_out]

    @given(
        wanted=st.lists(st.none() | st.integers(1, 50), min_size=1, max_size=6, unique=True), rows=st.integers(1, 50)
    )
    def test_every_budget_is_used_once_or_left_out(self, wanted: list[int | None], rows: int):
        budgets, notes = label_budgets(with_budgets(wanted), prepared(rows))
        numbers = [number for _, number in budgets]
        assert numbers == sorted(set(numbers))
        assert budgets
        assert all(number <= rows and labels == (None if number == rows else number) for labels, number in budgets)
        asked = {rows if budget is None else budget for budget in wanted}
        assert {budget for budget in asked if budget <= rows} <= set(numbers)
        assert len(notes) == sum(budget > rows for budget in asked)


class TestCellConfig:
    def test_a_cell_is_the_study_but_for_what_the_study_varies(self):
        config, named = study(*STUDY, ALL_VARIANTS)
        before = dataclasses.asdict(config)
        for name, variant in named.items():
            cell = cell_config(config, variant, 60, 3, factor=0.3)
            changed = {key for key in different_keys(config, cell) if not key.startswith("embedding.")}
            expected = {"stage", "data.label_budget", "seed", "cbow.seed", "train.lr_head", "train.lr_embedding"}
            assert changed == expected | ({"text.emoticons"} if name.endswith("@strip") else set()), name
            assert dataclasses.asdict(cell.embedding) == dataclasses.asdict(variant[0])
            assert (cell.stage, cell.data.label_budget, cell.seed, cell.cbow.seed) == ("all", 60, 3, 3)
        assert dataclasses.asdict(config) == before

    def test_variants_of_a_seed_and_budget_differ_under_embedding_alone(self):
        config, named = study(*STUDY, ALL_VARIANTS)
        cells = [cell_config(config, variant, None, 1) for name, variant in named.items() if "@" not in name]
        changed = {key for cell in cells for key in different_keys(cells[0], cell)}
        assert changed == {f"embedding.{key}" for key in ("init", "trainable", "multichannel", "projected", "anchor")}

    def test_cells_share_nothing_that_could_be_changed(self):
        config, named = study(*STUDY, *TWO)
        cell = cell_config(config, named["cbow_finetuned"], None, 1)
        cell.embedding.dim, cell.probe.transfer, cell.train.lr_head = 99, ["irony"], 9.0
        again = cell_config(config, named["cbow_finetuned"], None, 1)
        assert (again.embedding.dim, again.probe.transfer, again.train.lr_head) == (8, [], config.train.lr_head)

    def test_learning_rates_are_multiplied_and_can_be_written(self):
        config, named = study(*STUDY, *TWO, "train.lr_head=3e-3", "train.lr_embedding=1e-3")
        rates = {}
        for factor in (0.3, 1.0, 3.0, 10.0, 1 / 3):
            cell = cell_config(config, named["cbow_finetuned"], None, 0, factor)
            rates[factor] = cell.train.lr_head, cell.train.lr_embedding
        assert rates == {
            0.3: (0.0009, 0.0003), 1.0: (0.003, 0.001), 3.0: (0.009, 0.003), 10.0: (0.03, 0.01),
            1 / 3: (0.001, 0.000333333),
        }  # fmt: skip

    def test_a_cbow_seed_of_its_own_stays(self):
        config, named = study(*STUDY, *TWO, "cbow.seed=7")
        assert [cell_config(config, named["cbow_finetuned"], None, seed).cbow.seed for seed in range(3)] == [7, 7, 7]
        config, named = study(*STUDY, *TWO, "seed=5")
        assert [cell_config(config, named["cbow_finetuned"], None, seed).cbow.seed for seed in range(3)] == [0, 1, 2]


class TestRepeat:
    @pytest.mark.parametrize(
        "overrides",
        [
            (*STUDY, ALL_VARIANTS),
            (*STUDY, *TWO, "seed=3", "cbow=fast", "cbow.epochs=3", "model=cnn", "train.max_epochs=2", "workers=2"),
            (*STUDY, *TWO, "cbow.seed=0", "data.label_budget=77", "train.lr_head=0.5", "probe.transfer=[sample_topic]"),
            (*STUDY, *TWO, "++seed=4", "++cbow.seed=9", "++train.lr_embedding=2", "text.emoticons=strip"),
            ("stage=compare", *TWO, "study=quick", "embedding=cbow_frozen", "embedding.scale=0.1"),
            ("+experiment=compare", *TWO, "data=files", "data.path=my tweets(1).csv", "cbow.extra_text=x"),
        ],
    )
    def test_the_command_of_a_cell_gives_its_configuration(self, overrides: Sequence[str]):
        config, named = study(*overrides)
        assert named
        for number, (name, variant) in enumerate(named.items()):
            cell = cell_config(config, variant, None if number % 2 else 60, number, factor=3 ** (number % 3 - 1))
            cell.probe.transfer = config.probe.transfer if number % 2 else []
            cell.tracking.keep_embedding = number == 1
            repeated = compose(cell_overrides(cell, name, overrides))
            assert {key for key in different_keys(cell, repeated) if not key.startswith("study.")} == set(), name

    def test_the_command_says_nothing_twice_and_nothing_of_the_study(self):
        overrides = [
            *STUDY,
            *TWO,
            "study.seeds=3",
            "study=quick",
            "seed=9",
            "embedding=cbow_frozen",
            "train.batch_size=8",
        ]
        config, named = study(*overrides)
        cell = cell_config(config, named["cbow_finetuned"], 60, 2)
        found = cell_overrides(cell, "cbow_finetuned@keep", overrides)
        keys = [text.partition("=")[0] for text in found]
        assert len(set(keys)) == len(keys)
        assert not [key for key in keys if key.startswith("study")]
        kept = ["+experiment=compare", "data.sample.labelled=400", "embedding.dim=8", "train.batch_size=8"]
        assert found[: len(kept)] == kept
        assert {"stage=all", "embedding=cbow_finetuned", "data.label_budget=60", "seed=2"} <= set(found)


class TestChoice:
    def test_the_best_factor(self):
        assert best_factor({0.3: 0.5, 1: 0.7, 3: 0.6}, "macro_recall") == 1
        assert best_factor({0.3: 0.5, 1: 0.7, 3: 0.6}, "nll") == 0.3

    def test_of_equal_factors_the_nearest_to_one_and_then_the_smaller(self):
        assert best_factor({0.1: 0.7, 3: 0.7, 10: 0.7}, "accuracy") == 3
        assert best_factor({0.25: 0.7, 4: 0.7}, "accuracy") == 0.25
        assert best_factor({4: 0.7, 0.25: 0.7}, "nll") == 0.25
        assert best_factor({10: 0.1, 1: 0.1, 0.3: 0.0}, "accuracy") == 1

    @pytest.mark.parametrize(("factor", "edge"), [(0.3, True), (1.0, False), (3.0, True)])
    def test_the_edge_of_the_grid(self, factor: float, edge: bool):
        scores: dict[float, float | None] = {0.3: None, 1.0: 0.5, 3.0: 0.5}
        assert Choice("cbow_frozen", 60, factor, scores).at_edge is edge
        assert not Choice("cbow_frozen", 60, factor, {factor: 0.5}).at_edge


def test_emoticons_of_a_copy():
    changed = with_emoticons(BASE, "strip")
    assert different_keys(BASE, changed) == {"text.emoticons"}
    assert BASE.text.emoticons == "keep"
