"""The same comparison in distribution: on random resplits of the data set, each trained, chosen and tested anew."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.variants import Variant
from pipeline.runtime.worker_pool import WorkerPool
from pipeline.study.choices import choose_settings, with_chosen_settings
from pipeline.study.design import Cell, LabelBudget, RunKey, Study, with_settings
from pipeline.study.jobs import train_cells
from pipeline.study.prerequisites import encode_tweets, vector_tasks
from pipeline.study.statistics.frames import score_of
from pipeline.study.statistics.intervals import resplit_interval
from pipeline.tracking.read_record import load_test_probabilities

NUMBER = "#"  # between a variant and the number of a resplit


@dataclass(frozen=True)
class Resplits:
    """The runs on resplits.

    folders : of the records, by variant, label budget and number of the resplit. A budget is named by the number of
        labelled tweets that the study itself has there, as "all" is fewer tweets on a resplit.
    test_ratio : test tweets per training tweet of a resplit. rows : of each split of the first resplit.
    """

    folders: dict[RunKey, Path]
    test_ratio: float
    rows: dict[str, int]
    failures: Sequence[dict[str, Any]] = ()


def run_resplits(workers: WorkerPool, study: Study, budgets: Sequence[LabelBudget]) -> Resplits | None:
    """Every variant at every label budget on `study.resplits` resplits; resplit r has seed r. None where there is none.

    Training, validation and test tweets are those of the resplit; CBOW and the vocabulary read none of its validation
    and test tweets. Every run makes its own choice of settings.
    """
    if not study.config.study.resplits:
        return None
    variants = {
        f"{name}{NUMBER}{number}": Variant(
            with_settings(variant.config, {"data.resplit": number}), {**variant.settings, "data.resplit": number}
        )
        for number in range(study.config.study.resplits)
        for name, variant in study.variants.items()
    }
    resplit = replace(study, variants=variants, prepared=encode_tweets(study.config, variants))
    cells = resplit_cells(resplit, budgets)
    vectors = workers.do(vector_tasks(cells), "compare: vectors of the resplits")
    choices, without_setting = choose_settings(workers, resplit, cells, vectors, "compare, resplits")
    chosen = with_chosen_settings(resplit, cells, choices)
    longest_first = sorted(chosen, key=lambda cell: -cell.label_budget)
    folders, failed = train_cells(workers, resplit, longest_first, vectors, "compare, resplits: runs")
    rows = resplit.facts["rows"]
    return Resplits(
        {(name.partition(NUMBER)[0], budget, seed): folder for (name, budget, seed), folder in folders.items()},
        rows["test"] / rows["train"],
        dict(rows),
        [row | {"variant": row["variant"].replace(NUMBER, " on resplit ")} for row in (*without_setting, *failed)],
    )


def resplit_cells(resplit: Study, budgets: Sequence[LabelBudget]) -> list[Cell]:
    """The cells of all resplits; a label budget of more tweets than the resplit has is left out."""
    tweets = int(resplit.facts["rows"]["train"])
    return [
        resplit.cell(name, budget, int(name.partition(NUMBER)[2]), largest=False)
        for budget in budgets
        if budget.configured is None or budget.configured <= tweets
        for name in resplit.variants
    ]


def resplit_frame(resplits: Resplits | None, pairs: Sequence[tuple[str, str]], metric: str) -> pd.DataFrame:
    """`StudyResults.resplits`: the paired differences in test score over the resplits."""
    scores: dict[tuple[str, int], dict[int, float]] = {}
    folders = sorted(resplits.folders.items()) if resplits else []
    for (variant, budget, number), folder in folders:
        labels, probabilities_NC = load_test_probabilities(folder)
        scores.setdefault((variant, budget), {})[number] = score_of(metric, labels, probabilities_NC.argmax(axis=1))
    rows = []
    for first, second in pairs:
        for budget in sorted({budget for _, budget in scores}):
            of_first, of_second = scores.get((first, budget), {}), scores.get((second, budget), {})
            if resplits and (numbers := sorted(set(of_first) & set(of_second))):
                differences = np.array([of_first[number] - of_second[number] for number in numbers])
                interval = resplit_interval(differences, resplits.test_ratio)
                rows.append((first, second, budget, interval.n, interval.mean, interval.low, interval.high))
    return pd.DataFrame(rows, columns=["a", "b", "label_budget", "n", "mean", "low", "high"])
