"""Probes of many runs as one table each: means over seeds with t-intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from pipeline.study.statistics.intervals import t_interval

Tables = Mapping[str, Sequence[Sequence[Mapping[str, str]]]]  # by variant: for every seed, the rows of a CSV file
TRANSFER = "probe/transfer/"
BEFORE = "_before"
TRANSFER_METRICS = ("accuracy", "macro_recall", "macro_f1")


def probe_frame(runs: pd.DataFrame, label_budget: int) -> pd.DataFrame:
    """`StudyResults.probes`: every probe metric of every variant at a label budget, transfer aside."""
    rows = []
    for variant, members in _members(runs, label_budget):
        for column in sorted(column for column in map(str, members) if column.startswith("probe/")):
            if column.startswith(TRANSFER):
                continue
            name, when = (column.removesuffix(BEFORE), "before") if column.endswith(BEFORE) else (column, "after")
            rows += _means(members[column], {"variant": variant, "probe": name.removeprefix("probe/"), "when": when})
    return pd.DataFrame(rows, columns=["variant", "probe", "when", "n", "mean", "low", "high"])


def transfer_frame(
    runs: pd.DataFrame, label_budget: int, references: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> pd.DataFrame:
    """`StudyResults.transfer`; `references` are the scores without an embedding, by task and name."""
    rows = []
    for variant, members in _members(runs, label_budget):
        for column in sorted(column for column in map(str, members) if column.startswith(TRANSFER)):
            task, _, metric = column.removeprefix(TRANSFER).partition("/")
            name, when = (metric.removesuffix(BEFORE), "before") if metric.endswith(BEFORE) else (metric, "after")
            if name in TRANSFER_METRICS:
                rows += _means(members[column], {"variant": variant, "task": task, "when": when, "metric": name})
    for task, found in references.items():
        for name, scores in found.items():
            for metric in TRANSFER_METRICS:
                own = {"variant": f"({name})", "task": task, "when": "after", "metric": metric}
                rows.append(own | {"n": 1, "mean": scores[metric], "low": None, "high": None})
    return pd.DataFrame(rows, columns=["variant", "task", "when", "metric", "n", "mean", "low", "high"])


def band_frame(tables: Tables) -> pd.DataFrame:
    """`StudyResults.bands` from the runs' `drift_by_count.csv`: means over seeds."""
    columns = {"rows": "rows", "touched": "touched", "mean_drift": "mean_drift", "relative_l2": "mean_relative_l2"}
    rows = []
    for variant, seeds in tables.items():
        for same in zip(*seeds, strict=True):
            means = {to: _mean([row[source] for row in same]) for source, to in columns.items()}
            rows.append({"variant": variant, "band": same[0]["counts"]} | means)
    return pd.DataFrame(rows, columns=["variant", "band", *columns.values()])


def unknown_frame(tables: Tables) -> pd.DataFrame:
    """`StudyResults.unknown` of the runs' `score_by_unseen.csv`: mean accuracy over seeds, Wilson interval over tweets.

    Which tokens are unseen depends on the labelled tweets of the seed, so the number of tweets is a mean too.
    """
    rows = []
    for variant, seeds in tables.items():
        bands = list(dict.fromkeys(row["unseen"] for table in seeds for row in table))
        for band in bands:
            same = [row for table in seeds for row in table if row["unseen"] == band and row["accuracy"]]
            if not same:
                continue
            tweets = _mean([row["tweets"] for row in same]) or 0.0
            accuracy = _mean([row["accuracy"] for row in same]) or 0.0
            low, high = proportion_confint(accuracy * tweets, tweets, method="wilson")
            rows.append(
                {"variant": variant, "band": band, "tweets": tweets, "accuracy": accuracy, "low": low, "high": high}
            )
    return pd.DataFrame(rows, columns=["variant", "band", "tweets", "accuracy", "low", "high"])


def _members(runs: pd.DataFrame, label_budget: int) -> list[tuple[str, pd.DataFrame]]:
    own = runs[(runs["kind"] == "variant") & (runs["label_budget"] == label_budget)]
    return [(str(variant), own[own["variant"] == variant]) for variant in own["variant"].unique()]


def _means(values: "pd.Series[float]", row: dict[str, object]) -> list[dict[str, object]]:
    known = values.dropna()
    if known.empty:
        return []
    found = t_interval(known.to_numpy())
    return [row | {"n": found.n, "mean": found.mean, "low": found.low, "high": found.high}]


def _mean(cells: Sequence[str]) -> float | None:
    numbers = [float(cell) for cell in cells if cell != ""]
    return float(np.mean(numbers)) if numbers else None
