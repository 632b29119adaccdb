import dataclasses
import importlib.util
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.classifier.metrics import scores
from pipeline.config.study_schema import StudyConfig
from pipeline.data.label_budget import budget_rows
from pipeline.evaluation.baselines import fasttext as fasttext_module
from pipeline.evaluation.baselines import run as module
from pipeline.evaluation.baselines.data import BaselineData, FittedBaseline, Split, TrainingSet
from pipeline.evaluation.baselines.run import NAMES, RECIPES, grid, reason_to_skip, run_baseline
from pipeline.runtime.errors import UserError

Generated = Callable[[int], BaselineData]
RUNNABLE = [name for name in NAMES if reason_to_skip(name, ["negative", "positive"]) is None]


@pytest.fixture(autouse=True)
def few_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fasttext_module.SETTINGS, "bucket", 5_000)


def rows_of(data: BaselineData, budget: int | None = 100, seed: int = 0) -> np.ndarray:
    return budget_rows(data.train.labels, budget, seed)


def relabelled(split: Split) -> Split:
    return dataclasses.replace(split, labels=np.roll(split.labels, 7))


def test_names_are_those_of_the_configuration() -> None:
    (field,) = [field for field in dataclasses.fields(StudyConfig) if field.name == "baselines"]
    assert set(NAMES) == set(field.metadata["choices"])


@pytest.mark.parametrize("name", RUNNABLE)
class TestEvery:
    def test_shapes_and_scores(self, generated: Generated, name: str, static_model: str) -> None:
        data = generated(3)
        result = run_baseline(name, data, 0, rows_of(data), trials=2, static_model=static_model)
        assert (result.probabilities.shape, result.probabilities.dtype) == ((120, 3), np.float32)
        np.testing.assert_allclose(result.probabilities.sum(axis=1), 1, atol=1e-6)
        actual, expected = result.scores(data.test.labels), scores(data.test.labels, result.probabilities)
        if name == "vader":
            assert (actual.pop("nll"), actual.pop("ece")) == (None, None)
            assert actual.items() < expected.items()
        else:
            assert actual == expected
        floor = {"majority": 1 / 3, "vader": 0.5}.get(name, 0.75)
        assert expected["macro_recall"] >= floor
        assert set(result.validation) == set(expected)
        assert abs((result.validation["macro_recall"] or 0) - expected["macro_recall"]) < 0.15

    def test_same_seed_same_numbers(self, generated: Generated, name: str, static_model: str) -> None:
        data = generated(2)
        first, second = (
            run_baseline(name, data, 3, rows_of(data), trials=2, static_model=static_model) for _ in range(2)
        )
        assert first.probabilities.tobytes() == second.probabilities.tobytes()
        assert first.trials == second.trials
        assert (first.parameters, first.notes) == (second.parameters, second.notes)

    def test_test_labels_are_not_read(self, generated: Generated, name: str, static_model: str) -> None:
        data = generated(3)
        first = run_baseline(name, data, 0, rows_of(data), trials=3, static_model=static_model)
        second = run_baseline(
            name,
            dataclasses.replace(data, test=relabelled(data.test)),
            0,
            rows_of(data),
            trials=3,
            static_model=static_model,
        )
        assert first.probabilities.tobytes() == second.probabilities.tobytes()
        assert first.trials == second.trials

    def test_only_the_labelled_rows_are_used(self, generated: Generated, name: str, static_model: str) -> None:
        data = generated(2)
        rows = rows_of(data, 60)
        labels = 1 - data.train.labels
        labels[rows] = data.train.labels[rows]
        tokens = ["other words entirely"] * len(labels)
        for row in rows:
            tokens[row] = data.train.tokens[row]
        changed = dataclasses.replace(data, train=Split(tokens, tokens, labels))
        first, second = (
            run_baseline(name, each, 0, rows, trials=2, static_model=static_model) for each in (data, changed)
        )
        assert first.probabilities.tobytes() == second.probabilities.tobytes()
        assert (first.parameters, first.trials) == (second.parameters, second.trials)

    def test_rows_of_one_class(self, generated: Generated, name: str, static_model: str) -> None:
        data = generated(2)
        rows = np.flatnonzero(data.train.labels == 1)[:5]
        result = run_baseline(name, data, 0, rows, static_model=static_model)
        if name != "vader":
            assert result.probabilities.tolist() == [[0.0, 1.0]] * 120
            assert result.trials == ()
            assert any("one class" in note for note in result.notes) == (name != "majority")

    def test_without_validation_there_is_one_setting(self, generated: Generated, name: str, static_model: str) -> None:
        data = dataclasses.replace(generated(2), validation=None)
        if name == "model2vec":
            with pytest.raises(UserError, match=r"model2vec needs a validation split: set data\.validation_size=0\.1"):
                run_baseline(name, data, 0, rows_of(data), static_model=static_model)
            return
        result = run_baseline(name, data, 0, rows_of(data), trials=1, static_model=static_model)
        assert result.validation == {}
        assert [trial.validation_score for trial in result.trials] == ([None] if name in RECIPES else [])
        if name in RECIPES:
            with pytest.raises(UserError, match=r"validation split.*data\.validation_size"):
                run_baseline(name, data, 0, rows_of(data), trials=2, static_model=static_model)


@pytest.mark.parametrize("name", [name for name in RUNNABLE if name in RECIPES])
@pytest.mark.parametrize("monitor", ["nll", "macro_recall"])
def test_trials_are_the_grid_and_the_best_is_used(generated: Generated, name: str, monitor: str) -> None:
    data, recipe = generated(3), RECIPES[name]
    rows = rows_of(data)
    result = run_baseline(name, data, 5, rows, trials=3, monitor=monitor)
    values = grid(recipe.low, recipe.high, 3)
    assert [trial.value for trial in result.trials] == values
    assert {trial.setting for trial in result.trials} == {recipe.setting}
    assert data.validation is not None
    fit = recipe.prepare(TrainingSet([data.train.tokens[row] for row in rows], data.train.labels[rows], 3, 5))
    models = [fit(value) for value in values]
    expected = [scores(data.validation.labels, model.probabilities(data.validation))[monitor] for model in models]
    assert [trial.validation_score for trial in result.trials] == pytest.approx(expected)
    best = expected.index((min if monitor == "nll" else max)(expected))
    assert [trial.chosen for trial in result.trials] == [number == best for number in range(3)]
    assert result.validation[monitor] == pytest.approx(expected[best])
    assert result.probabilities.tobytes() == models[best].probabilities(data.test).tobytes()


def stub_recipe(monkeypatch: pytest.MonkeyPatch, data: BaselineData, right: list[float]) -> list[Split]:
    """Replace a recipe: trial i is right on the share right[i] of tweets; returns the splits predicted, in order."""
    predicted: list[Split] = []
    remaining = iter(right)

    def prepare(training: TrainingSet) -> Callable[[float], FittedBaseline]:
        def fit(value: float) -> FittedBaseline:
            share = next(remaining)

            def probabilities(split: Split) -> np.ndarray:
                predicted.append(split)
                wrong = np.arange(len(split.labels)) >= share * len(split.labels)
                return np.eye(2, dtype=np.float32)[np.where(wrong, 1 - split.labels, split.labels)]

            return FittedBaseline(probabilities, round(share * 100))

        return fit

    recipe = dataclasses.replace(RECIPES["tfidf_logistic"], prepare=prepare)
    monkeypatch.setitem(module.RECIPES, "tfidf_logistic", recipe)
    return predicted


@pytest.mark.parametrize(("right", "chosen", "note"), [
    ([0.2, 0.9, 0.5], 1, None),
    ([0.9, 0.9, 0.5], 0, "C=1 is the smallest of 3 values tried"),
    ([0.1, 0.2, 0.3], 2, "C=100 is the largest of 3 values tried"),
    ([0.0, 0.0, 0.0], 0, "C=1 is the smallest of 3 values tried"),
])  # fmt: skip
def test_best_setting_and_a_single_prediction_of_test(
    generated: Generated, monkeypatch: pytest.MonkeyPatch, right: list[float], chosen: int, note: str | None
) -> None:
    data = generated(2)
    predicted = stub_recipe(monkeypatch, data, right)
    result = run_baseline("tfidf_logistic", data, 0, rows_of(data), trials=3)
    assert predicted == [*[data.validation] * 3, data.test, data.validation]
    assert [trial.chosen for trial in result.trials].index(True) == chosen
    assert result.parameters == round(right[chosen] * 100)
    assert result.notes == (() if note is None else (note,))


def test_further_values_and_the_choice_of_a_seed_follow_the_rule_of_the_variants(generated: Generated) -> None:
    data = generated(3)
    assert data.validation is not None
    chosen, counts = set(), set()
    for seed in range(6):
        result = run_baseline("nb_logistic", data, seed, rows_of(data), trials=3, extra_trials=2, finalists=3)
        counts.add(len(result.trials))
        (value,) = [trial.value for trial in result.trials if trial.chosen]
        chosen.add(value)
        best = sorted(result.trials, key=lambda trial: trial.validation_score or 0)[:3]
        assert value in [trial.value for trial in best]
    assert counts == {5}
    assert len(chosen) > 1  # each seed has other validation tweets


@given(st.floats(1e-3, 1), st.floats(1.5, 1e4), st.integers(2, 9))
def test_grid_has_equal_ratios_between_its_ends(low: float, ratio: float, trials: int) -> None:
    values = grid(low, low * ratio, trials)
    assert len(values) == trials
    np.testing.assert_allclose([values[0], values[-1]], [low, low * ratio], rtol=5e-3)
    np.testing.assert_allclose(np.diff(np.log(values)), np.log(ratio) / (trials - 1), atol=0.011)
    np.testing.assert_allclose(grid(low, low * ratio, 1), [low * ratio**0.5], rtol=5e-3)


def test_four_values_of_a_range_of_a_thousand() -> None:
    assert grid(0.1, 100, 4) == [0.1, 1.0, 10.0, 100.0]


class TestReasonToSkip:
    def test_all_run_on_polarities(self) -> None:
        reasons = {name: reason_to_skip(name, ["negative", "neutral", "positive"]) for name in NAMES}
        packages = {"fasttext": "floret", "model2vec": "model2vec"}
        absent = {name: package for name, package in packages.items() if importlib.util.find_spec(package) is None}
        missing = {name: f"the package {package} is not installed" for name, package in absent.items()}
        assert reasons == dict.fromkeys(NAMES) | missing

    def test_vader_needs_polarities(self, generated: Generated) -> None:
        reason = reason_to_skip("vader", ["anger", "joy", "optimism", "sadness"])
        assert reason == "it predicts negative, neutral and positive; the labels are anger, joy, optimism, sadness"
        data = dataclasses.replace(generated(2), label_names=["irony", "none"])
        with pytest.raises(UserError, match=r"^baseline vader: it predicts"):
            run_baseline("vader", data, 0, rows_of(data))

    def test_many_labels_are_cut(self) -> None:
        reason = reason_to_skip("vader", [f"topic{i}" for i in range(50)])
        assert reason is not None
        assert reason.endswith("the labels are topic0, topic1, topic2, topic3, topic4, …")

    def test_a_missing_package_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        assert reason_to_skip("fasttext", ["a", "b"]) == "the package floret is not installed"
        assert reason_to_skip("vader", ["neg", "pos"]) == "the package vaderSentiment is not installed"
        assert reason_to_skip("nb_logistic", ["a", "b"]) is None

    def test_unknown_name(self) -> None:
        with pytest.raises(UserError, match=r"no baseline 'tfidf'; did you mean 'tfidf_logistic'\?"):
            reason_to_skip("tfidf", ["a", "b"])
