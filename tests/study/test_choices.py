"""The choice of settings on validation: the grid and its extension, fairness, and a choice for every seed."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.classifier.metrics import scores
from pipeline.config.compose import compose
from pipeline.config.schema import Config
from pipeline.config.variants import Variant
from pipeline.evaluation.line_search import finalists, next_value, validation_resample
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.worker_pool import TaskResult
from pipeline.stages.trial import resampled_score
from pipeline.study import choices
from pipeline.study.choices import choose_settings, grid, next_setting, with_chosen_settings
from pipeline.study.design import LabelBudget, Setting, Study, study_cells

LABELS = np.random.default_rng(0).integers(0, 2, 400)
BUDGETS = [LabelBudget(60, 60), LabelBudget(None, 320)]


class TestNextValue:
    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ({0.1: 3, 1: 2, 10: 1}, 0.03333),
            ({0.1: 1, 1: 2, 10: 3}, 30),
            ({0.1: 1, 1: 3, 10: 2}, 3.162),
            ({0.1: 2, 1: 3, 10: None}, 0.3162),
            ({0.1: None, 1: None, 10: None}, 0.03333),
            ({1: 5}, 3),
        ],
    )
    def test_known_answers(self, values: Mapping[float, float | None], expected: float):
        assert next_value(values) == expected

    @given(peak=st.floats(-4, 4), extra=st.integers(1, 8))
    def test_a_smooth_score_is_enclosed_and_never_tried_twice(self, peak: float, extra: int):
        def score(value: float) -> float:
            return -((math.log(value) - peak) ** 2)

        values: dict[float, float | None] = {value: score(value) for value in (0.1, 0.3, 1, 3, 10)}
        for _ in range(extra):
            value = next_value(values)
            assert value not in values
            values[value] = score(value)
        best = max(values, key=lambda value: values[value] or -math.inf)
        reached = 10 * 3.0**extra >= math.exp(peak) and 0.1 / 3.0**extra <= math.exp(peak)
        if extra >= 3 and reached and abs(peak) < math.log(10):
            assert abs(math.log(best) - peak) < math.log(3) / 2 + 0.01


class TestSetting:
    def test_the_grid_is_every_rate_with_every_dropout_once(self):
        config = compose(["study.dropouts=[0,null]", "study.lr_factors=[1,3]", "model.dropout=0.3"])
        cell = replace_cell(config)
        assert grid(config.study, cell) == [(1, 0), (3, 0), (1, 0.3), (3, 0.3)]
        assert grid(config.study, replace_cell(compose(["model.dropout=0"]))) == [(1, 0), (3, 0)]

    def test_rates_are_multiplied_and_can_be_written(self):
        config = compose(["train.lr_head=3e-3", "train.lr_embedding=1e-3"])
        expected = {"train.lr_head": 0.0009, "train.lr_embedding": 0.0003, "model.dropout": 0.25}
        assert Setting(0.3, 0.25).values(config) == expected

    def test_the_next_one_has_the_dropout_of_the_best(self):
        scores = {Setting(1, 0): -0.9, Setting(3, 0): -0.8, Setting(1, 0.3): -0.7, Setting(3, 0.3): None}
        assert next_setting(scores) == (0.3333, 0.3)
        assert next_setting({Setting(1, 0.3): None, Setting(3, 0.3): None}) == (0.3333, 0.3)


def test_finalists_are_the_best_and_of_equal_ones_the_first():
    assert finalists({"a": 1.0, "b": 3.0, "c": 1.0, "d": 2.0}, 3) == ["b", "d", "a"]
    assert finalists({}, 3) == []


@pytest.mark.parametrize("monitor", ["nll", "accuracy", "macro_recall", "macro_f1"])
def test_a_resampled_score_is_that_of_the_metric(tmp_path: Path, monitor: str):
    probabilities = np.random.default_rng(1).dirichlet([1, 1], len(LABELS)).astype(np.float32)
    np.save(tmp_path / "predicted.npy", probabilities.argmax(axis=1))
    np.save(tmp_path / "true_probability.npy", probabilities[np.arange(len(LABELS)), LABELS])
    rows = validation_resample(len(LABELS), 7)
    assert len(np.unique(rows)) < len(LABELS) == len(rows)
    actual = resampled_score(Stage(tmp_path, "key", {"outcome": {}}), LABELS, rows, monitor)
    assert actual == pytest.approx(scores(LABELS[rows], probabilities[rows])[monitor], abs=1e-12)


class Pool:
    """A worker pool whose trials give planned probabilities of the true class, and that records every trial."""

    def __init__(self, folder: Path, quality: Callable[[Config], float]) -> None:
        self.folder, self.quality, self.trials = folder, quality, [Config() for _ in range(0)]

    def run(self, pool: Any, tasks: Mapping[Any, Any], label: str) -> dict[Any, TaskResult[Any]]:
        return {key: task if isinstance(task, TaskResult) else self.trial(task.config) for key, task in tasks.items()}

    def trial(self, config: Config) -> TaskResult[Any]:
        self.trials.append(config)
        folder = self.folder / str(len(self.trials))
        folder.mkdir()
        quality = self.quality(config)
        if not math.isfinite(quality):
            return TaskResult(Stage(folder, "key", {"outcome": {"score": None, "reason": "the loss is nan"}}), None)
        noise = np.random.default_rng([config.seed, int(1000 * config.train.lr_head)]).normal(0, 0.3, len(LABELS))
        probability = 1 / (1 + np.exp(-(quality + noise)))
        np.save(folder / "predicted.npy", np.where(probability > 0.5, LABELS, 1 - LABELS))
        np.save(folder / "true_probability.npy", probability)
        outcome = {"score": float(-np.log(probability).mean())}
        return TaskResult(Stage(folder, "key", {"outcome": outcome}), None)


def replace_cell(config: Config) -> Any:
    study = Study(config, {"random_frozen": Variant(config, {})}, [], {"random_frozen": prepared()})
    return study.cell("random_frozen", BUDGETS[0], 0, largest=True)


def prepared() -> Stage:
    return Stage(Path("nowhere"), "key", {"outcome": {"rows": {"train": 320, "validation": 400, "test": 9}}})


@pytest.fixture
def choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    def run(quality: Callable[[Config], float], *overrides: str) -> Any:
        config = compose(["stage=compare", "study.seeds=6", *overrides])
        variants = {
            name: Variant(compose([f"embedding={name}", *overrides]), {"embedding": name})
            for name in ("random_trainable", "random_frozen")
        }
        study = Study(config, variants, overrides, dict.fromkeys(variants, prepared()))
        pool = Pool(tmp_path, quality)
        monkeypatch.setattr(choices, "run_jobs", pool.run)
        monkeypatch.setattr(choices, "validation_labels", lambda stage: LABELS)
        cells = study_cells(study, BUDGETS)
        return study, cells, pool, *choose_settings(pool, study, cells, {})  # type: ignore[arg-type]

    return run


def distance(peak: float) -> Callable[[Config], float]:
    return lambda config: 2 - abs(math.log(config.train.lr_head / 3e-3) - math.log(peak)) - config.model.dropout


class TestChooseSettings:
    def test_every_variant_has_as_many_trials_and_every_seed_its_choice(self, choose: Callable[..., Any]):
        study, cells, pool, chosen, failures = choose(distance(1.0))
        assert failures == []
        counts: dict[tuple[Any, ...], int] = {}
        for config in pool.trials:
            key = (config.embedding.trainable, config.data.label_budget, config.seed)
            counts[key] = counts.get(key, 0) + 1
        # 5 rates × 2 dropouts + 3 further ones; every seed then tries the three best, two seeds again (from the cache).
        assert {key: count for key, count in counts.items() if key[2] < 2} == {
            (trainable, labels, seed): 16 for trainable in (True, False) for labels in (60, None) for seed in (0, 1)
        }
        assert {count for key, count in counts.items() if key[2] >= 2} == {3}
        assert [(choice.variant, choice.label_budget) for choice in chosen] == [
            (variant, budget) for budget in (320, 60) for variant in ("random_trainable", "random_frozen")
        ]
        for choice in chosen:
            assert set(choice.chosen) == set(range(6))
            assert len(choice.scores) == 13
            assert all(setting.dropout == 0 and 0.5 < setting.factor < 2 for setting in choice.chosen.values())
            assert not any(map(choice.at_edge, choice.chosen.values()))
        trained = with_chosen_settings(study, cells, chosen)
        assert len(trained) == len(cells)
        assert all(cell.settings["model.dropout"] == 0 for cell in trained)

    def test_the_grid_reaches_beyond_its_end(self, choose: Callable[..., Any]):
        *_, chosen, _ = choose(distance(90.0))
        assert {setting.factor for choice in chosen for setting in choice.chosen.values()} >= {90.0}

    def test_seeds_choose_differently_where_settings_are_equal(self, choose: Callable[..., Any]):
        *_, chosen, _ = choose(lambda config: 1.0)
        assert all(len(set(choice.chosen.values())) > 1 for choice in chosen)

    def test_with_one_finalist_all_seeds_share_the_choice(self, choose: Callable[..., Any]):
        _, _, pool, chosen, _ = choose(lambda config: 1.0, "study.finalists=1")
        assert all(len(set(choice.chosen.values())) == 1 for choice in chosen)
        assert {config.seed for config in pool.trials} == {0, 1}

    def test_a_single_setting_needs_no_trial(self, choose: Callable[..., Any]):
        one = ("study.lr_factors=[1]", "study.dropouts=[null]", "study.extra_trials=0")
        _, _, pool, chosen, failures = choose(distance(1.0), *one)
        assert pool.trials == failures == []
        assert {setting for choice in chosen for setting in choice.chosen.values()} == {(1.0, 0.3)}

    def test_settings_that_diverge_are_never_chosen_and_none_at_all_is_a_failure(self, choose: Callable[..., Any]):
        def diverging(config: Config) -> float:
            return math.inf if config.embedding.trainable or config.train.lr_head > 4e-3 else distance(9.0)(config)

        *_, chosen, failures = choose(diverging)
        frozen = [choice for choice in chosen if choice.variant == "random_frozen"]
        assert all(setting.factor <= 1.34 for choice in frozen for setting in choice.chosen.values())
        assert {(row["variant"], row["label_budget"]) for row in failures} == {
            ("random_trainable", 60),
            ("random_trainable", 320),
        }
        assert [row["seed"] for row in failures] == [None, None]

    def test_another_monitor_is_maximised(self, choose: Callable[..., Any]):
        def score_of(config: Config) -> float:
            return 5.0 if config.model.dropout == 0 else 0.1

        *_, chosen, _ = choose(score_of, "train.monitor=nll")
        assert {setting.dropout for choice in chosen for setting in choice.chosen.values()} == {0.0}


def test_resamples_are_those_of_the_seed():
    first, again, other = (validation_resample(50, seed) for seed in (3, 3, 4))
    assert first.tolist() == again.tolist() != other.tolist()
