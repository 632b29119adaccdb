import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.evaluation.probes.drift import drift_by_count
from pipeline.study.statistics.probe_frames import (
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


def test_transfer_keeps_scores_and_adds_references():
    references = {"irony": {"majority": {"accuracy": 0.6, "macro_recall": 0.5, "macro_f1": 0.4}}}
    result = transfer_frame(runs(), 1000, references)
    assert result[["variant", "task", "when", "metric", "n"]].to_numpy().tolist() == [
        ["b", "irony", "after", "macro_recall", 3],
        ["b", "irony", "before", "macro_recall", 3],
        ["(majority)", "irony", "after", "accuracy", 1],
        ["(majority)", "irony", "after", "macro_recall", 1],
        ["(majority)", "irony", "after", "macro_f1", 1],
    ]
    expected = stats.t.interval(0.95, 2, 0.7, 0.1 / np.sqrt(3))
    assert (result.loc[0, "mean"], result.loc[0, "low"], result.loc[0, "high"]) == pytest.approx((0.7, *expected))
    assert result.loc[3, "mean"] == 0.5


def test_no_probes_give_empty_tables_with_columns():
    plain = runs()[["kind", "variant", "label_budget", "seed"]]
    assert list(probe_frame(plain, 1000).columns) == ["variant", "probe", "when", "n", "mean", "low", "high"]
    assert probe_frame(plain, 1000).empty
    assert transfer_frame(plain, 1000, {}).empty
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
