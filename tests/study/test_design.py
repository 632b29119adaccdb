"""The runs of a study: what they share, in what they differ, and that each follows from its command."""

import dataclasses
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.compose import VERSION_BASE, compose, conf_folder, quote_values, study_variants
from pipeline.config.schema import Config
from pipeline.config.variants import Variant
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import flatten
from pipeline.runtime.worker_pool import TaskResult
from pipeline.study.design import (
    FOLLOWS,
    Cell,
    Choice,
    LabelBudget,
    Setting,
    Study,
    label_budgets,
    other_pairs,
    planned_pairs,
    study_cells,
    varied_keys,
    vectors_key,
    with_settings,
)
from pipeline.study.jobs import cell_vectors
from pipeline.study.prerequisites import vector_tasks

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
def study(*overrides: str) -> Study:
    config = compose(overrides)
    with hydra.initialize_config_dir(str(conf_folder()), version_base=VERSION_BASE):
        named = study_variants(quote_values(overrides), config)
    return Study(config, named, overrides, {name: prepared(320) for name in named})


def cell_of(
    study: Study, variant: str, labels: int | None, seed: int, *, factor: float = 1.0, largest: bool = False
) -> Cell:
    cell = study.cell(variant, LabelBudget(labels, labels or 320), seed, largest=largest)
    return study.changed(cell, Setting(factor, 0.1).values(study.config))


def prepared(train: int) -> Stage:
    return Stage(Path("nowhere"), "key", {"outcome": {"rows": {"train": train, "validation": 9, "test": 9}}})


BASE = compose(STUDY)


def with_budgets(budgets: list[int | None]) -> Config:
    return dataclasses.replace(BASE, study=dataclasses.replace(BASE.study, label_budgets=budgets))


def different_keys(one: Config, other: Config) -> set[str]:
    first, second = flatten(dataclasses.asdict(one)), flatten(dataclasses.asdict(other))
    return {key for key in first.keys() | second.keys() if first.get(key) != second.get(key)}


class TestLabelBudgets:
    @pytest.mark.parametrize(
        ("configured", "expected", "left_out"),
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
    def test_known_answers(
        self, configured: list[int | None], expected: list[tuple[int | None, int]], left_out: list[str]
    ):
        budgets, notes = label_budgets(with_budgets(configured), 320)
        assert budgets == expected
        assert notes == [f"label budget {n} is left out: there are 320 training tweets" for n in left_out]

    @given(
        configured=st.lists(st.none() | st.integers(1, 50), min_size=1, max_size=6, unique=True),
        rows=st.integers(1, 50),
    )
    def test_every_budget_is_used_once_or_left_out(self, configured: list[int | None], rows: int):
        budgets, notes = label_budgets(with_budgets(configured), rows)
        numbers = [number for _, number in budgets]
        assert numbers == sorted(set(numbers))
        assert budgets
        assert all(number <= rows and labels == (None if number == rows else number) for labels, number in budgets)
        tweets = {rows if budget is None else budget for budget in configured}
        assert {budget for budget in tweets if budget <= rows} <= set(numbers)
        assert len(notes) == sum(budget > rows for budget in tweets)


class TestCell:
    def test_a_cell_is_the_study_but_for_what_the_study_varies(self):
        whole = study(*STUDY, ALL_VARIANTS)
        before = dataclasses.asdict(whole.config)
        for name, variant in whole.variants.items():
            cell = cell_of(whole, name, 60, 3, factor=0.3).config
            changed = {key for key in different_keys(whole.config, cell) if not key.startswith("embedding.")}
            expected = {"stage", "data.label_budget", "seed", "cbow.seed", "train.lr_head", "train.lr_embedding"}
            expected |= {"tracking.keep_embedding", "model.dropout"}
            expected -= {"cbow.seed"} if name.startswith("cbow") else set()  # seed 3 reads the vectors of seed 0
            assert changed == expected | ({"text.emoticons"} if name.endswith("@strip") else set()), name
            assert dataclasses.asdict(cell.embedding) == dataclasses.asdict(variant.config.embedding)
            assert (cell.stage, cell.data.label_budget, cell.seed) == ("all", 60, 3)
            assert cell.cbow.seed == (0 if name.startswith("cbow") else 3)  # three CBOW trainings, which seeds share
        assert dataclasses.asdict(whole.config) == before

    def test_variants_of_a_seed_and_budget_differ_under_embedding_alone(self):
        whole = study(*STUDY, ALL_VARIANTS)
        cells = [cell_of(whole, name, None, 1).config for name in whole.variants if "@" not in name]
        changed = {key for cell in cells for key in different_keys(cells[0], cell)}
        assert changed == {f"embedding.{key}" for key in ("init", "trainable", "projected", "anchor")}

    def test_tables_side_by_side_share_the_vectors_of_each_alone(self):
        """Each stage is a task of its own; one that fails is the reason of every cell that starts from it."""
        whole = study(*STUDY, "study.variants=[random_frozen,cbow_frozen,cbow_multichannel,ppmi_frozen]",
                      "study.pairs=[[cbow_frozen,random_frozen]]")  # fmt: skip
        both = with_settings(whole.variants["cbow_frozen"].config, {"embedding.init": ["cbow", "ppmi"]})
        variants = {**whole.variants, "cbow_ppmi_frozen": Variant(both, {})}
        whole = dataclasses.replace(whole, variants=variants, prepared=dict.fromkeys(variants, prepared(320)))
        random, cbow, twice, ppmi, tables = (cell_of(whole, name, None, 1) for name in whole.variants)
        tasks = vector_tasks([random, cbow, twice, ppmi, tables])
        assert [key[0] for key in tasks] == ["cbow", "ppmi"]
        assert vectors_key(random) == ()
        assert vectors_key(twice) == vectors_key(cbow)
        assert vectors_key(tables) == vectors_key(cbow) + vectors_key(ppmi) == tuple(tasks)
        stage = prepared(320)
        results = dict(zip(tasks, [TaskResult(stage), TaskResult(None, "too few words")], strict=True))
        assert cell_vectors(random, results).get() == {}
        assert cell_vectors(twice, results).get() == {"cbow": stage}
        assert cell_vectors(tables, results).reason == cell_vectors(ppmi, results).reason == "too few words"

    def test_cells_share_nothing_that_could_be_changed(self):
        whole = study(*STUDY, *TWO)
        cell = cell_of(whole, "cbow_finetuned", None, 1, largest=True).config
        cell.embedding.dim, cell.train.lr_head = 99, 9.0
        cell.probe.transfer.append("irony")
        again = cell_of(whole, "cbow_finetuned", None, 1, largest=True).config
        assert (again.embedding.dim, again.probe.transfer) == (8, [])
        assert again.train.lr_head == whole.config.train.lr_head

    def test_learning_rates_are_multiplied_and_can_be_written(self):
        whole = study(*STUDY, *TWO, "train.lr_head=3e-3", "train.lr_embedding=1e-3")
        rates = {}
        for factor in (0.3, 1.0, 3.0, 10.0, 1 / 3):
            cell = cell_of(whole, "cbow_finetuned", None, 0, factor=factor).config
            rates[factor] = cell.train.lr_head, cell.train.lr_embedding
        assert rates == {
            0.3: (0.0009, 0.0003), 1.0: (0.003, 0.001), 3.0: (0.009, 0.003), 10.0: (0.03, 0.01),
            1 / 3: (0.001, 0.000333333),
        }  # fmt: skip

    def test_a_cbow_seed_of_its_own_stays(self):
        def seeds(whole: Study) -> list[int]:
            return [cell_of(whole, "cbow_finetuned", None, seed).config.cbow.seed for seed in range(3)]

        assert seeds(study(*STUDY, *TWO, "cbow.seed=7")) == [7, 7, 7]
        assert seeds(study(*STUDY, *TWO, "seed=5")) == [0, 1, 2]
        assert seeds(study(*STUDY, *TWO, "study.cbow_seeds=2")) == [0, 1, 0]
        assert seeds(study(*STUDY, *TWO, "study.cbow_seeds=null")) == [0, 1, 2]
        assert seeds(study(*STUDY, *TWO, "study.cbow_seeds=2", "cbow.seed=7")) == [7, 7, 7]

    def test_the_embedding_is_stored_once_per_variant_and_transfer_measured_with_the_most_labels(self):
        whole = study(*STUDY, *TWO, "study.seeds=2", "probe.transfer=[sample_topic]")
        cells = study_cells(whole, [LabelBudget(60, 60), LabelBudget(None, 320)])
        assert [cell.key for cell in cells] == [
            (variant, budget, seed) for budget in (60, 320) for variant in whole.variants for seed in (0, 1)
        ]
        for cell in cells:
            assert cell.config.tracking.keep_embedding == ((cell.label_budget, cell.seed) == (320, 0))
            assert cell.config.probe.transfer == (["sample_topic"] if cell.label_budget == 320 else [])


class TestCommand:
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
        whole = study(*overrides)
        assert whole.variants
        for number, name in enumerate(whole.variants):
            labels = None if number % 2 else 60
            cell = cell_of(whole, name, labels, number, factor=3 ** (number % 3 - 1), largest=bool(number % 2))
            repeated = compose(whole.command(cell))
            assert {key for key in different_keys(cell.config, repeated) if not key.startswith("study.")} == set(), name

    @pytest.mark.parametrize(
        "setting",
        [
            {"train.lr_head": 0.0234, "train.lr_embedding": 1e-05, "model.dropout": 0.25, "train.batch_size": 16},
            {"embedding.dim": 16, "cbow.window": 3, "train.patience": None, "cbow.shrink_windows": False},
        ],
    )
    def test_the_command_of_a_searched_setting_gives_its_configuration(self, setting: dict[str, Any]):
        whole = study("+experiment=search", *TWO, "train.batch_size=8", "embedding.dim=8", "search.trials=3")
        cell = whole.changed(cell_of(whole, "cbow_finetuned", 60, 1), setting)
        command = whole.command(cell)
        keys = [text.partition("=")[0] for text in command]
        assert len(set(keys)) == len(keys)
        differing = different_keys(cell.config, compose(command))
        assert {key for key in differing if not key.startswith(("study.", "search."))} == set()

    def test_the_keys_that_follow_another_are_those_of_conf(self):
        follows = {}
        for path in conf_folder().glob("*/*.yaml"):
            for name, value in (yaml.safe_load(path.read_text("utf-8")) or {}).items():
                if source := re.fullmatch(r"\$\{([\w.]+)\}", str(value)):
                    follows[f"{path.parent.name}.{name}"] = source[1]
        assert follows == FOLLOWS

    def test_the_command_says_nothing_twice_and_nothing_of_the_study(self):
        whole = study(
            *STUDY,
            *TWO,
            "study.seeds=3",
            "study=quick",
            "seed=9",
            "embedding=cbow_frozen",
            "train.batch_size=8",
        )
        command = whole.command(cell_of(whole, "cbow_finetuned", 60, 2))
        keys = [text.partition("=")[0] for text in command]
        assert len(set(keys)) == len(keys)
        assert not [key for key in keys if key.startswith("study")]
        shared = ["+experiment=compare", "data.sample.labelled=400", "embedding.dim=8", "train.batch_size=8"]
        assert command[: len(shared)] == shared
        assert {"stage=all", "embedding=cbow_finetuned", "data.label_budget=60", "seed=2"} <= set(command)


class TestConditions:
    """NAME@key=value: a variant with settings of its own."""

    NAMES = ("cbow_frozen", "cbow_frozen@embedding.dim=4,model.dropout=0", "random_trainable@strip")
    OVERRIDES = (
        *STUDY,
        'study.variants=[cbow_frozen,"cbow_frozen@embedding.dim=4,model.dropout=0",random_trainable@strip]',
        "study.pairs=[[cbow_frozen,random_trainable@strip]]",
    )

    def test_the_settings_are_those_of_the_name(self):
        whole = study(*self.OVERRIDES)
        assert tuple(whole.variants) == self.NAMES
        configs = {name: cell_of(whole, name, 60, 1).config for name in self.NAMES}
        assert [config.embedding.dim for config in configs.values()] == [8, 4, 8]
        assert [config.cbow.vector_size for config in configs.values()] == [8, 4, 8]
        assert [config.text.emoticons for config in configs.values()] == ["keep", "keep", "strip"]
        assert whole.variants[self.NAMES[1]].config.model.dropout == 0

    def test_the_command_gives_the_configuration(self):
        whole = study(*self.OVERRIDES)
        for name in self.NAMES:
            cell = cell_of(whole, name, None, 1)
            repeated = compose(whole.command(cell))
            assert {key for key in different_keys(cell.config, repeated) if not key.startswith("study.")} == set()

    def test_a_planned_pair_of_two_embeddings_with_two_texts_is_not_comparable(self):
        whole = study(*self.OVERRIDES)
        assert varied_keys(whole, planned_pairs(whole)) == {"embedding.dim", "model.dropout"}

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("cbow_frozen@stripp", "'stripp' is not a choice; did you mean 'strip'?"),
            ("cbow_frozen@embedding.dimm=3", "unknown key 'embedding.dimm'; did you mean 'embedding.dim'?"),
            ("cbow_frozen@seed=3", "seed: the variants of a study differ in keys of"),
            ("cbow_frozen@embedding.dim=zero", "embedding.dim=zero: expected a whole number"),
            ("cbow_frozen@embedding.dim=0", "embedding.dim=0: expected a whole number from 1"),
        ],
    )
    def test_a_wrong_condition_is_one_line(self, name: str, message: str):
        with pytest.raises(UserError, match=re.escape(message)):
            study(*STUDY, f'study.variants=[cbow_frozen,random_trainable,"{name}"]', "study.trial_seeds=1")


class TestAmounts:
    """study.unlabelled_budgets: every CBOW variant once more with so many unlabelled texts."""

    OVERRIDES = (
        *STUDY,
        'study.variants=[random_trainable,cbow_frozen,cbow_frozen@strip,"cbow_finetuned@cbow.unlabelled_texts=7"]',
        "study.pairs=[[cbow_frozen,random_trainable]]",
        "study.unlabelled_budgets=[0,50]",
    )

    def test_every_cbow_variant_is_repeated_and_the_planned_pairs_stay(self):
        whole = study(*self.OVERRIDES)
        amounts = {name: variant.config.cbow.unlabelled_texts for name, variant in whole.variants.items()}
        assert amounts == {
            "random_trainable": None,
            "cbow_frozen": None,
            "cbow_frozen@strip": None,
            "cbow_finetuned@cbow.unlabelled_texts=7": 7,
            "cbow_frozen@cbow.unlabelled_texts=0": 0,
            "cbow_frozen@strip,cbow.unlabelled_texts=0": 0,
            "cbow_frozen@cbow.unlabelled_texts=50": 50,
            "cbow_frozen@strip,cbow.unlabelled_texts=50": 50,
        }
        assert whole.variants["cbow_frozen@strip,cbow.unlabelled_texts=50"].config.text.emoticons == "strip"
        assert planned_pairs(whole) == [("cbow_frozen", "random_trainable")]

    def test_a_repetition_is_in_pairs_with_itself_and_with_vectors_learned_from_scratch(self):
        pairs = other_pairs(study(*self.OVERRIDES), [])
        with_0 = {pair for pair in pairs if "cbow_frozen@cbow.unlabelled_texts=0" in pair}
        others = {"random_trainable", "cbow_frozen", "cbow_frozen@cbow.unlabelled_texts=50"}
        assert {name for pair in with_0 for name in pair} - {"cbow_frozen@cbow.unlabelled_texts=0"} == others
        assert ("random_trainable", "cbow_frozen@strip") in pairs

    def test_the_command_gives_the_configuration(self):
        whole = study(*self.OVERRIDES, "probe.transfer=[sample_topic]", "cbow.without_transfer=true")
        for name in whole.variants:
            cell = cell_of(whole, name, 60, 1)
            assert cell.config.probe.transfer == ["sample_topic"]  # else CBOW would read their texts
            repeated = compose(whole.command(cell))
            assert {key for key in different_keys(cell.config, repeated) if not key.startswith("study.")} == set()

    def test_runs_with_other_amounts_start_from_other_vectors(self):
        whole = study(*self.OVERRIDES)
        keys = {name: vectors_key(cell_of(whole, name, 60, 1)) for name in whole.variants}
        assert keys["cbow_frozen"] != keys["cbow_frozen@cbow.unlabelled_texts=0"]
        assert keys["cbow_frozen@cbow.unlabelled_texts=50"] == keys["cbow_frozen@strip,cbow.unlabelled_texts=50"]

    def test_what_cbow_reads_differs_between_runs_on_purpose(self):
        overrides = (
            *STUDY,
            'study.variants=[random_trainable,cbow_finetuned,"cbow_frozen@cbow.sources=train"]',
            'study.pairs=[["cbow_frozen@cbow.sources=train",random_trainable]]',
        )
        whole = study(*overrides)
        assert varied_keys(whole, planned_pairs(whole)) == {"cbow.sources"}
        # Two embeddings of different texts are not comparable.
        assert varied_keys(whole, [("cbow_frozen@cbow.sources=train", "cbow_finetuned")]) == set()

    def test_amounts_without_a_cbow_variant_are_one_line(self):
        with pytest.raises(UserError, match=re.escape("study.unlabelled_budgets=[5]: expected a CBOW variant")):
            study(
                *STUDY, "study.variants=[random_trainable,random_frozen]", "study.unlabelled_budgets=[5]",
                "study.pairs=[[random_trainable,random_frozen]]",
            )  # fmt: skip

    @pytest.mark.parametrize("name", ["sources", "parameters"])
    def test_the_command_of_every_run_of_a_shipped_study_repeats_it(self, name: str):
        whole = study("+experiment=compare", f"study={name}", "probe.transfer=[sample_topic]")
        assert varied_keys(whole, planned_pairs(whole)) >= {
            key for variant in whole.variants.values() for key in variant.settings if key.startswith("cbow.")
        }
        for variant in whole.variants:
            cell = cell_of(whole, variant, None, 1)
            repeated = compose(whole.command(cell))
            assert {key for key in different_keys(cell.config, repeated) if not key.startswith("study.")} == set()


class TestChoice:
    @pytest.mark.parametrize(("factor", "edge"), [(0.3, True), (1.0, False), (3.0, True)])
    def test_the_edge_of_the_rates_with_the_same_dropout(self, factor: float, edge: bool):
        scores = {Setting(0.3, 0.0): None, Setting(1.0, 0.0): 0.5, Setting(3.0, 0.0): 0.5, Setting(9.0, 0.3): 0.4}
        choice = Choice("cbow_frozen", 60, scores, {0: Setting(factor, 0.0)})
        assert choice.at_edge(Setting(factor, 0.0)) is edge
        assert not choice.at_edge(Setting(9.0, 0.3))


def test_settings_change_a_copy():
    changed = with_settings(BASE, {"text.emoticons": "strip", "probe.transfer": ["irony"]})
    assert different_keys(BASE, changed) == {"text.emoticons", "probe.transfer"}
    assert (BASE.text.emoticons, BASE.probe.transfer) == ("keep", [])
