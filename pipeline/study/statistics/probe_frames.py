"""Probes, transfer and drift as data frames: means over seeds with intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from pipeline.study.statistics.intervals import t_interval

Tables = Mapping[str, Sequence[Sequence[Mapping[str, str]]]]  # by variant: for every seed, the rows of a CSV file
TRANSFER = "probe/transfer/"
BEFORE = "_before"
TRANSFER_METRICS = ("accuracy", "macro_recall", "macro_f1")


def probe_frame(runs: pd.DataFrame, label_budget: int) -> pd.DataFrame:
    """`StudyResults.probes`: every probe metric of every variant at a label budget, except transfer."""
    rows = []
    for variant, group in _by_variant(runs, label_budget):
        for column in sorted(map(str, group)):
            if column.startswith("probe/") and not column.startswith(TRANSFER):
                name, when = _name_and_time(column)
                rows += _mean_row(group[column], variant, name.removeprefix("probe/"), when)
    return pd.DataFrame(rows, columns=["variant", "probe", "when", "n", "mean", "low", "high"])


def transfer_frame(
    runs: pd.DataFrame, label_budget: int, references: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> pd.DataFrame:
    """`StudyResults.transfer`; `references` are the scores without an embedding, by task and name."""
    rows = []
    for variant, group in _by_variant(runs, label_budget):
        for column in sorted(column for column in map(str, group) if column.startswith(TRANSFER)):
            task, _, metric = column.removeprefix(TRANSFER).partition("/")
            name, when = _name_and_time(metric)
            if name in TRANSFER_METRICS:
                rows += _mean_row(group[column], variant, task, when, name)
    for task, baselines in references.items():
        for name, scores in baselines.items():
            rows += [(f"({name})", task, "after", metric, 1, scores[metric], None, None) for metric in TRANSFER_METRICS]
    return pd.DataFrame(rows, columns=["variant", "task", "when", "metric", "n", "mean", "low", "high"])


def drift_by_count_frame(tables: Tables) -> pd.DataFrame:
    """`StudyResults.bands` from the runs' `drift_by_count.csv`: means over seeds."""
    columns = ("rows", "touched", "mean_drift", "relative_l2")
    rows = [
        (variant, row_by_seed[0]["counts"], *(_mean([row[column] for row in row_by_seed]) for column in columns))
        for variant, seeds in tables.items()
        for row_by_seed in zip(*seeds, strict=True)
    ]
    return pd.DataFrame(rows, columns=["variant", "band", *columns]).rename(columns={"relative_l2": "mean_relative_l2"})


def _by_variant(runs: pd.DataFrame, label_budget: int) -> list[tuple[str, pd.DataFrame]]:
    at_budget = runs[(runs["kind"] == "variant") & (runs["label_budget"] == label_budget)]
    return [(str(variant), at_budget[at_budget["variant"] == variant]) for variant in at_budget["variant"].unique()]


def _name_and_time(column: str) -> tuple[str, str]:
    """The metric without its suffix, and whether it was measured before or after training."""
    return (column.removesuffix(BEFORE), "before") if column.endswith(BEFORE) else (column, "after")


def _mean_row(values: "pd.Series[float]", *keys: str) -> list[tuple[object, ...]]:
    """One row with the number of seeds, their mean and its t-interval; none without values."""
    values = values.dropna()
    if values.empty:
        return []
    interval = t_interval(values.to_numpy())
    return [(*keys, interval.n, interval.mean, interval.low, interval.high)]


def _mean(cells: Sequence[str]) -> float | None:
    numbers = [float(cell) for cell in cells if cell != ""]
    return float(np.mean(numbers)) if numbers else None
