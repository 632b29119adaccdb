"""Tables of comparisons from predictions, against the same numbers worked out by themselves."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import log_loss, recall_score, roc_auc_score

from pipeline.study.statistics.comparisons import compare_family
from pipeline.study.statistics.factorial import CONTRASTS, factorial_effects
from pipeline.study.statistics.frames import (
    DIFFERENCE_COLUMNS,
    FACTORIAL,
    PROBABILITY_COLUMNS,
    Outcomes,
    crossover_frame,
    difference_frame,
    ensemble_frame,
    factorial_frame,
    mcnemar_frame,
    score_frame,
)
from pipeline.study.statistics.intervals import t_interval

LABELS = np.repeat([0, 1, 2], [200, 120, 80])


def predicted(accuracy: float, seed: int) -> np.ndarray:
    """Predictions that are right with probability `accuracy`."""
    generator = np.random.default_rng([int(1000 * accuracy), seed])
    return np.where(generator.random(len(LABELS)) < accuracy, LABELS, (LABELS + 1) % 3)


def outcomes(accuracies: dict[tuple[str, int], float], seeds: int = 8, **more: Any) -> Outcomes:
    cells = {cell: {seed: predicted(accuracy, seed) for seed in range(seeds)} for cell, accuracy in accuracies.items()}
    settings = {"baselines": frozenset({"majority"}), "metric": "macro_recall", "resamples": 300} | more
    return Outcomes(LABELS, cells, **settings)


@pytest.mark.parametrize("metric", ["accuracy", "macro_recall"])
def test_scores(metric: str):
    result = outcomes({("one", 100): 0.8, ("majority", 100): 0.4}, metric=metric)
    expected = [
        recall_score(LABELS, predicted(0.8, seed), average="macro") if metric == "macro_recall"
        else float((predicted(0.8, seed) == LABELS).mean())
        for seed in range(8)
    ]  # fmt: skip
    assert list(result.scores["one", 100].values()) == pytest.approx(expected)
    one, majority = score_frame(result, {("one", 100): (5.0, 9.0)}).to_dict("records")
    assert (one["kind"], majority["kind"]) == ("variant", "baseline")
    assert (one["n"], one["trainable"], one["parameters"]) == (8, 5.0, 9.0)
    assert pd.isna(majority["trainable"])
    assert one["mean"] == pytest.approx(np.mean(expected))
    interval = stats.t.interval(0.95, 7, np.mean(expected), stats.sem(expected))
    assert (one["low"], one["high"]) == pytest.approx(interval)
    assert one["low_total"] < one["low"]
    assert one["high_total"] > one["high"]


def test_macro_recall_is_over_the_classes_of_the_test_split():
    labels = np.array([0, 0, 2])
    result = Outcomes(labels, {("one", 1): {0: np.array([0, 1, 2])}}, frozenset(), "macro_recall", 100)
    assert result.scores == {("one", 1): {0: 0.75}}


def test_scores_are_paired_by_the_seeds_that_all_have():
    cells = {("a", 1): {0: LABELS, 2: predicted(0.5, 2)}, ("b", 1): {2: LABELS, 1: LABELS}, ("c", 1): {5: LABELS}}
    result = Outcomes(LABELS, cells, frozenset(), "accuracy", 100)
    first, second = result.paired(("a", 1), ("b", 1))
    assert first.tolist() == [result.scores["a", 1][2]]
    assert second.tolist() == [1.0]
    assert result.paired(("a", 1), ("c", 1)) == []
    assert result.paired(("a", 1), ("absent", 1)) == []


def test_differences_are_one_family_over_all_budgets_and_the_others_none():
    result = outcomes({("a", 100): 0.8, ("b", 100): 0.6, ("a", 300): 0.7, ("b", 300): 0.7, ("c", 300): 0.7})
    table = difference_frame(result, [("a", "b"), ("a", "absent")], [("a", "c")], 0.01)
    assert list(table.columns) == [*DIFFERENCE_COLUMNS, *PROBABILITY_COLUMNS]
    assert table[["a", "b", "label_budget", "planned"]].to_numpy().tolist() == [
        ["a", "b", 100, True],
        ["a", "b", 300, True],
        ["a", "c", 300, False],
    ]
    values = {budget: np.subtract(*result.paired(("a", budget), ("b", budget))) for budget in (100, 300)}
    variances = {budget: result.tweets.difference_variance(("a", budget), ("b", budget)) for budget in (100, 300)}
    expected = compare_family(values, variances, 0.01)
    first, second, other = table.to_dict("records")
    for budget, row in ((100, first), (300, second)):
        assert row["mean"] == values[budget].mean()
        assert row["p_holm"] == expected[budget].holm_p
        assert (row["low_total"], row["high_total"]) == (expected[budget].combined.low, expected[budget].combined.high)
        assert row["decision"] == expected[budget].decision.verdict
        assert row["p_equivalence_holm"] == expected[budget].equivalence_holm_p
    assert first["decision"] == "higher"
    assert first["p"] == pytest.approx(2 / 2**8)
    assert first["p_holm"] == pytest.approx(2 * 2 / 2**8)
    assert second["decision"] == "equivalent"  # they predict the same
    assert pd.isna(other["decision"])
    assert pd.isna(other["p_holm"])
    assert pd.isna(other["p_equivalence_holm"])


def test_no_pair_gives_an_empty_table_with_columns():
    table = difference_frame(outcomes({("a", 100): 0.8}), [("a", "b")], [], 0.01)
    assert table.empty
    assert list(table.columns) == [*DIFFERENCE_COLUMNS, *PROBABILITY_COLUMNS]


def noisy_probabilities(shift: float, seed: int) -> np.ndarray:
    """Probabilities (N, 3) whose logits favour the true class by `shift`."""
    logits = np.random.default_rng([int(1000 * shift), seed]).normal(size=(len(LABELS), 3))
    logits[np.arange(len(LABELS)), LABELS] += shift
    return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)


def with_probabilities(shifts: dict[tuple[str, int], float], seeds: int = 5) -> Outcomes:
    probabilities = {
        cell: {seed: noisy_probabilities(shift, seed) for seed in range(seeds)} for cell, shift in shifts.items()
    }
    predictions = {cell: {seed: p.argmax(axis=1) for seed, p in by.items()} for cell, by in probabilities.items()}
    return Outcomes(LABELS, predictions, frozenset({"base"}), "macro_recall", 300, probabilities)


def test_every_pair_has_its_difference_in_macro_auc_and_nll():
    result = with_probabilities({("a", 100): 1.0, ("b", 100): 0.5})
    (row,) = difference_frame(result, [("a", "b")], [], 0.01).to_dict("records")
    for name, score in (
        ("auc", lambda p: roc_auc_score(LABELS, p, multi_class="ovr")),
        ("nll", lambda p: log_loss(LABELS, p)),
    ):
        scores = {v: np.array([score(p) for p in result.probabilities[v, 100].values()]) for v in "ab"}
        assert row[name] == pytest.approx((scores["a"] - scores["b"]).mean(), abs=1e-6)
        alone = t_interval(scores["a"] - scores["b"])
        assert row[f"{name}_low"] < alone.low < alone.high < row[f"{name}_high"]
    assert row["auc"] > 0 > row["nll"], "the better variant has the higher AUC and the lower NLL"
    (score, _) = score_frame(result, {}).to_dict("records")
    assert score["nll"] == pytest.approx(np.mean([log_loss(LABELS, noisy_probabilities(1.0, s)) for s in range(5)]))


def test_the_average_of_runs_has_an_interval_over_tweets():
    result = with_probabilities({("a", 100): 0.6, ("base", 100): 0.6})
    (row,) = ensemble_frame(result).to_dict("records")
    assert (row["variant"], row["label_budget"], row["n"]) == ("a", 100, 5)
    average = np.mean([noisy_probabilities(0.6, seed) for seed in range(5)], axis=0).argmax(axis=1)
    assert row["mean"] == pytest.approx(recall_score(LABELS, average, average="macro"))
    assert row["mean"] > np.mean(list(result.scores["a", 100].values())) + 0.05
    recalls = recall_score(LABELS, average, average=None)
    sd = np.sqrt(np.sum(recalls * (1 - recalls) / np.bincount(LABELS))) / 3
    assert row["high"] - row["mean"] == pytest.approx(row["mean"] - row["low"]) == pytest.approx(1.96 * sd, rel=0.12)
    assert ensemble_frame(with_probabilities({("a", 100): 0.6}, seeds=1)).empty


def test_a_method_with_the_same_predictions_for_every_seed_has_the_interval_over_tweets():
    result = Outcomes(LABELS, {("base", 9): dict.fromkeys(range(6), predicted(0.7, 0))}, frozenset(), "accuracy", 4000)
    (row,) = score_frame(result, {}).to_dict("records")
    assert row["low"] == row["mean"] == row["high"]
    sd = np.sqrt(row["mean"] * (1 - row["mean"]) / len(LABELS))
    assert row["high_total"] - row["low_total"] == pytest.approx(2 * 1.96 * sd, rel=0.04)


def test_the_factorial_needs_all_four_variants():
    four = {
        ("random_frozen", 9): 0.5,
        ("random_trainable", 9): 0.6,
        ("cbow_frozen", 9): 0.7,
        ("cbow_finetuned", 9): 0.75,
    }
    result = outcomes(four | {("random_frozen", 99): 0.5})
    table = factorial_frame(result)
    assert table["effect"].tolist() == ["CBOW init", "training", "interaction"]
    assert set(table["label_budget"]) == {9}
    means = {name: np.mean(list(result.scores[name, 9].values())) for name, _ in four}
    tuned, frozen = means["cbow_finetuned"], means["cbow_frozen"]
    learned, floor = means["random_trainable"], means["random_frozen"]
    expected = [(tuned + frozen - learned - floor) / 2, (tuned + learned - frozen - floor) / 2]
    expected += [tuned - frozen - learned + floor]
    assert table["mean"].tolist() == pytest.approx(expected)
    columns = [(name, 9) for name in FACTORIAL]
    values = factorial_effects(result.paired(*columns))
    variances = {
        name: result.tweets.contrast_variance(dict(zip(columns, CONTRASTS[name], strict=True))) for name in values
    }
    family = compare_family(values, variances)
    for row, effect in zip(table.to_dict("records"), family.values(), strict=True):
        assert (row["low"], row["high"]) == (effect.over_seeds.low, effect.over_seeds.high)
        assert (row["low_total"], row["high_total"]) == (effect.combined.low, effect.combined.high)
        assert (row["p"], row["p_holm"]) == (effect.p, effect.holm_p)
    assert (table["p_holm"] > table["p"]).any()
    missing = factorial_frame(outcomes(dict(list(four.items())[1:])))
    assert missing.empty
    assert list(missing.columns) == list(table.columns)


def test_a_crossover_between_budgets():
    learned = {("random_trainable", n): accuracy for n, accuracy in ((100, 0.5), (1000, 0.7), (10000, 0.9))}
    rival = {("cbow_frozen", n): accuracy for n, accuracy in ((100, 0.7), (1000, 0.8), (10000, 0.8))}
    far = {("cbow_finetuned", n): accuracy for n, accuracy in ((100, 0.8), (1000, 0.92), (10000, 0.97))}
    table = crossover_frame(
        outcomes(learned | rival | far | {("ppmi_frozen", 100): 0.5}),
        ["cbow_frozen", "cbow_finetuned", "ppmi_frozen", "random_trainable"],
    ).set_index("variant")
    assert list(table.index) == ["cbow_frozen", "cbow_finetuned"]
    reached = table.loc["cbow_frozen"]
    assert reached["kind"] == "reached"
    assert 1000 < reached["low"] < reached["estimate"] < reached["high"] < 10000
    unreached = table.loc["cbow_finetuned"]
    assert (unreached["kind"], unreached["certain"]) == ("not reached", True)


def test_mcnemar_is_of_shared_seeds_at_the_largest_budget():
    result = outcomes({("a", 100): 0.8, ("b", 100): 0.6, ("a", 300): 0.8, ("b", 300): 0.7}, seeds=3)
    table = mcnemar_frame(result, ("a", "b"))
    assert table["seed"].tolist() == [0, 1, 2]
    assert set(table["label_budget"]) == {300}
    right = [predicted(accuracy, 1) == LABELS for accuracy in (0.8, 0.7)]
    only_a, only_b = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    row = table.to_dict("records")[1]
    assert (row["only_a"], row["only_b"]) == (only_a, only_b)
    assert row["p"] == pytest.approx(stats.binomtest(only_a, only_a + only_b).pvalue)
    assert mcnemar_frame(result, ("a", "absent")).empty
