import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.evaluation.probes.drift import drift_by_count
from pipeline.study.statistics.intervals import combined_interval
from pipeline.study.statistics.probe_frames import (
    OTHER_TASKS,
    THESE_TASKS,
    TransferHits,
    drift_by_count_frame,
    probe_frame,
    transfer_frame,
)
from pipeline.tracking.write_record import csv_text


def runs():
    auc, transfer = "probe/polarity/seen/auc", "probe/transfer/irony/macro_recall"
    rows = [
        {"variant": "b", "seed": 0, auc: 0.7, f"{auc}_before": 0.5, transfer: 0.6, f"{transfer}_before": 0.55},
        {"variant": "b", "seed": 1, auc: 0.8, f"{auc}_before": 0.5, transfer: 0.7, f"{transfer}_before": 0.55},
        {"variant": "b", "seed": 2, auc: None, f"{auc}_before": 0.5, transfer: 0.8, f"{transfer}_before": 0.55},
        {"variant": "a", "seed": 0, auc: 0.9, "probe/transfer/irony/C": 0.1},
        {"variant": "b", "seed": 3, auc: 0.1, "label_budget": 100},
        {"variant": "vader", "seed": 0, auc: 0.1, "kind": "baseline"},
    ]
    return pd.DataFrame([{"kind": "variant", "label_budget": 1000, "test/accuracy": 0.9} | row for row in rows])


def test_probes_are_means_over_the_seeds_that_have_them():
    result = probe_frame(runs(), 1000)
    assert result[["variant", "probe", "when", "n"]].to_numpy().tolist() == [
        ["b", "polarity/seen/auc", "after", 2],
        ["b", "polarity/seen/auc", "before", 3],
        ["a", "polarity/seen/auc", "after", 1],
    ]
    after, before, one = result.to_dict("records")
    expected = stats.t.interval(0.95, 1, 0.75, 0.05)
    assert (after["mean"], after["low"], after["high"]) == pytest.approx((0.75, *expected))
    assert (before["mean"], before["low"], before["high"]) == (0.5, 0.5, 0.5)
    assert one["mean"] == 0.9
    assert np.isnan(one["low"])


def hits_of(labels, accuracies, seeds, rng):
    """Hits of each seed with these chances of a hit, correlated over the columns by a difficulty of each tweet."""
    difficulty = rng.normal(size=len(labels))
    return {
        key: {seed: difficulty + rng.normal(size=len(labels)) < chance for seed in range(seeds)}
        for key, chance in accuracies.items()
    }


def columns_of(before, after, cbow):
    return {
        ("random_trainable", "before"): before, ("random_trainable", "after"): after,
        ("cbow_frozen", "before"): cbow, ("cbow_frozen", "after"): cbow,
    }  # fmt: skip


def test_transfer_is_macro_recall_by_task_with_gains_and_leads():
    labels = np.array([0, 0, 0, 1])
    first = {0: np.array([1, 1, 0, 0], bool), 1: np.array([1, 1, 1, 0], bool)}
    second = {0: np.array([1, 1, 0, 1], bool), 1: np.array([1, 1, 1, 1], bool), 2: np.array([1, 1, 1, 1], bool)}
    hits = {("random_trainable", "before"): first, ("random_trainable", "after"): second}
    hits[("cbow_frozen", "after")] = {0: np.array([1, 0, 0, 0], bool), 2: np.array([1, 0, 0, 0], bool)}
    references = {"irony": {"majority": {"accuracy": 0.75, "macro_recall": 0.5, "macro_f1": 0.4}}}
    result = transfer_frame({"irony": TransferHits(labels, hits)}, references, 100)
    assert result[["variant", "task", "when", "n"]].to_numpy().tolist() == [
        ["random_trainable", "irony", "before", 2],
        ["random_trainable", "irony", "after", 3],
        ["cbow_frozen", "irony", "after", 2],
        ["random_trainable", "irony", "gain", 2],
        ["random_trainable", THESE_TASKS, "gain", 2],
        ["random_trainable", OTHER_TASKS, "gain", 1],
        ["random_trainable", "irony", "lead", 2],
        ["random_trainable", THESE_TASKS, "lead", 2],
        ["random_trainable", OTHER_TASKS, "lead", 1],
        ["(majority)", "irony", "after", 1],
    ]
    lead = ((2 / 3 + 1) / 2 - 1 / 6 + 1 - 1 / 6) / 2  # of seeds 0 and 2, which both variants have
    expected = [(2 / 6 + 3 / 6) / 2, (5 / 6 + 1 + 1) / 3, 1 / 6, 0.5, 0.5, 0.5, lead, lead, lead, 0.5]
    assert result["mean"].to_numpy() == pytest.approx(expected)


def test_transfer_intervals_add_seeds_and_tweets_and_hold_for_all_tasks():
    rng = np.random.default_rng(0)
    labels = {name: rng.choice(2, size, p=(0.7, 0.3)) for name, size in (("a", 800), ("b", 1500), ("c", 400))}
    chances = {"a": columns_of(0, 0.3, 0.6), "b": columns_of(0, 0, 0.6), "c": columns_of(0.4, 0.1, 0.6)}
    tasks = {name: TransferHits(labels[name], hits_of(labels[name], chances[name], 4, rng)) for name in labels}
    frame = transfer_frame(tasks, {}).set_index(["variant", "task", "when"])
    gains, variances = {}, {}
    for name, (truth, hits) in tasks.items():
        keys = ("random_trainable", "after"), ("random_trainable", "before")
        score = [
            np.array([np.mean([hits[key][seed][truth == y].mean() for y in (0, 1)]) for seed in range(4)])
            for key in keys
        ]
        gains[name] = score[0] - score[1]
        # The paired difference of a tweet, averaged over seeds; the variance of its mean within each class.
        paired = np.mean([hits[keys[0]][seed].astype(float) - hits[keys[1]][seed] for seed in range(4)], axis=0)
        variances[name] = sum(paired[truth == y].var() / (truth == y).sum() for y in (0, 1)) / 4
        row = frame.loc[("random_trainable", name, "gain")]
        interval = combined_interval(gains[name], variances[name], 1 - 0.05 / 3)
        assert row["mean"] == pytest.approx(interval.mean)
        assert row["high"] - row["low"] == pytest.approx(interval.high - interval.low, rel=0.06)
    these = frame.loc[("random_trainable", THESE_TASKS, "gain")]
    interval = combined_interval(np.mean(list(gains.values()), axis=0), sum(variances.values()) / 9)
    assert (these["n"], these["mean"]) == (4, pytest.approx(interval.mean))
    assert these["high"] - these["low"] == pytest.approx(interval.high - interval.low, rel=0.06)
    others = frame.loc[("random_trainable", OTHER_TASKS, "gain")]
    means = [values.mean() for values in gains.values()]
    expected = stats.t.interval(0.95, 2, np.mean(means), np.std(means, ddof=1) / np.sqrt(3))
    assert (others["n"], others["low"], others["high"]) == (3, *map(pytest.approx, expected))
    assert ("cbow_frozen", "a", "lead") not in frame.index


def test_no_probes_give_empty_tables_with_columns():
    plain = runs()[["kind", "variant", "label_budget", "seed"]]
    assert list(probe_frame(plain, 1000).columns) == ["variant", "probe", "when", "n", "mean", "low", "high"]
    assert probe_frame(plain, 1000).empty
    assert transfer_frame({}, {}).empty
    assert probe_frame(runs(), 5).empty


def written(rows):
    """Rows as they come back from a record's CSV file."""
    header, *lines = csv_text(rows).splitlines()
    return [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]


def test_bands_of_real_drift_tables_are_averaged():
    initial = np.eye(8, 4, dtype=np.float32) + 1
    touched = np.arange(8) > 2
    tables = []
    for counts, factor in (([0, 0, 0, 1, 3, 3, 30, 200], 2.0), ([0, 0, 0, 0, 3, 1, 30, 200], 3.0)):
        final = initial * np.where(touched, factor, 1)[:, None].astype(np.float32)
        tables.append(written(drift_by_count(initial, final, np.array(counts), touched)[1]))
    result = drift_by_count_frame({"v": tables}).set_index("band")
    assert list(result.index) == ["0", "1", "2-4", "5-19", "20-99", "100+"]
    assert result.loc["0", "rows"] == 1.5
    assert result.loc["0", "mean_relative_l2"] == pytest.approx((0 + 1.0) / 2)
    assert result.loc["2-4", "touched"] == 1.5
    assert result.loc["20-99", "mean_relative_l2"] == pytest.approx((1 + 2) / 2)
    assert np.isnan(result.loc["5-19", "mean_drift"])
