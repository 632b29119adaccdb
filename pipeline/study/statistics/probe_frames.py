"""Probes, transfer and drift as data frames: means over seeds with intervals."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.study.statistics.bootstrap import resample_tweets
from pipeline.study.statistics.intervals import Interval, combined_interval, t_interval

Tables = Mapping[str, Sequence[Sequence[Mapping[str, str]]]]  # by variant: for every seed, the rows of a CSV file
TRANSFER = "probe/transfer/"
BEFORE = "_before"
THESE_TASKS, OTHER_TASKS = "(mean of these tasks)", "(mean of other tasks)"
REFERENCE = "cbow_frozen"


class TransferHits(NamedTuple):
    """Labels (N,) of a task's test tweets; by variant and `before` or `after` training, then seed, the hits (N,)."""

    labels: NDArray[np.integer]
    hits: dict[tuple[str, str], dict[int, NDArray[np.bool_]]]


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
    tasks: Mapping[str, TransferHits],
    references: Mapping[str, Mapping[str, Mapping[str, float]]],
    resamples: int = 2000,
) -> pd.DataFrame:
    """`StudyResults.transfer`, in macro recall; `references` are the scores without an embedding, by task and name.

    Gains and leads are paired by seed and by test tweet. Intervals of the tasks hold all at once (Bonferroni), as the
    answer names each task. Test tweets of different tasks are independent, so the variances add in their mean.
    """
    rows: list[tuple[object, ...]] = []
    # By variant and contrast, then by task: the difference of each seed, and its variance over test tweets.
    contrasts: dict[tuple[str, str], dict[str, tuple[dict[int, float], float]]] = {}
    for task, (labels_N, hits) in tasks.items():
        columns = {key: np.where(np.stack([*seeds.values()]), labels_N, -1) for key, seeds in hits.items()}
        tweets = resample_tweets(labels_N, columns, "macro_recall", resamples=resamples)
        weights_N = 1 / (np.bincount(labels_N)[labels_N] * len(np.unique(labels_N)))
        scores = {key: {seed: float(hits_N @ weights_N) for seed, hits_N in hits[key].items()} for key in hits}
        for (variant, when), by_seed in scores.items():
            rows.append(
                _row(combined_interval([*by_seed.values()], tweets.variance((variant, when))), variant, task, when)
            )
            if when == "after":
                for contrast, other in (("gain", (variant, "before")), ("lead", (REFERENCE, "after"))):
                    others = scores.get(other, {})
                    differences = {seed: by_seed[seed] - others[seed] for seed in sorted({*by_seed} & {*others})}
                    if differences and other != (variant, when):
                        variance = tweets.difference_variance((variant, when), other)
                        contrasts.setdefault((variant, contrast), {})[task] = (differences, variance)
    for (variant, contrast), of_tasks in contrasts.items():
        differences_T, variances_T = zip(*of_tasks.values(), strict=True)
        for task, (differences, variance) in of_tasks.items():
            interval = combined_interval([*differences.values()], variance, 1 - 0.05 / len(of_tasks))
            rows.append(_row(interval, variant, task, contrast))
        if seeds := set.intersection(*map(set, differences_T)):
            means = [np.mean([differences[seed] for differences in differences_T]) for seed in sorted(seeds)]
            interval = combined_interval(means, sum(variances_T) / len(of_tasks) ** 2)
            rows.append(_row(interval, variant, THESE_TASKS, contrast))
        means = [np.mean([*differences.values()]) for differences in differences_T]
        rows.append(_row(t_interval(means), variant, OTHER_TASKS, contrast))
    for task, methods in references.items():
        rows += [
            (f"({name})", task, "after", 1, scores["macro_recall"], None, None) for name, scores in methods.items()
        ]
    return pd.DataFrame(rows, columns=["variant", "task", "when", "n", "mean", "low", "high"])


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
    return [] if values.empty else [_row(t_interval(values.to_numpy()), *keys)]


def _row(interval: Interval, *keys: str) -> tuple[object, ...]:
    return (*keys, interval.n, interval.mean, interval.low, interval.high)


def _mean(cells: Sequence[str]) -> float | None:
    numbers = [float(cell) for cell in cells if cell != ""]
    return float(np.mean(numbers)) if numbers else None
