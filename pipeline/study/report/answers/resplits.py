"""Sentences on whether a lead on the data set's own test split holds on resplits, tweets like the training ones."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import pandas as pd

from pipeline.config.variants import prose_name
from pipeline.study.report import phrases
from pipeline.study.report.formatting import number, records, signed
from pipeline.study.report.phrases import Difference, listed
from pipeline.study.statistics.frames import LEARNED

LIKE_TRAINING = "tweets like the training ones"
UNDECIDED = "neither shown ahead nor behind"


def resplit_sentences(
    variant: str, rows: Sequence[tuple[int, Difference]], resplits: pd.DataFrame, design: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """What resplits add to the answer on a variant against vectors learned from scratch, and the evidence for it.

    rows : the differences on the data set's own test split by label budget. resplits : `StudyResults.resplits`.
    """
    own = dict(rows)
    of_pair = [row for row in records(resplits) if (row["a"], row["b"]) == (variant, LEARNED)]
    measured = [(int(row["label_budget"]), _standing(row), row) for row in of_pair if row["label_budget"] in own]
    if not measured:
        return [], []
    clauses = []
    for standing, group in groupby(measured, key=lambda entry: entry[1]):
        entries = list(group)
        sizes = listed([f"{budget:,}" for budget, _, _ in entries])
        means = sorted(row["mean"] for _, _, row in entries)
        points = " to ".join(dict.fromkeys(signed(100 * mean) for mean in (means[0], means[-1])))
        clauses.append(f"{standing} with {sizes} labels ({points} points)")
    numbers = int(max(row["n"] for _, _, row in measured))
    sentences = [f"On {LIKE_TRAINING} ({numbers} random resplits) it is {listed(clauses)}."]
    for standing, elsewhere in (("behind", "but behind"), (UNDECIDED, "and no lead is shown")):
        only_own = [
            f"{budget:,}"
            for budget, of_resplits, _ in measured
            if of_resplits == standing and (own[budget].low or 0) > 0
        ]
        if only_own:
            own_lead = f"So with {listed(only_own)} labels it is ahead on {design['own_test']}"
            sentences.append(f"{own_lead}, {elsewhere} on {LIKE_TRAINING}.")
    texts = [
        f"{phrases.points(row['mean'], number(row['low']), number(row['high']))} at {budget:,} labels"
        for budget, _, row in measured
    ]
    return sentences, [f"{phrases.capital(prose_name(variant))}, on resplits: {'; '.join(texts)}."]


def _standing(row: Mapping[Any, Any]) -> str:
    low, high = number(row["low"]), number(row["high"])
    if low is None or high is None or low <= 0 <= high:
        return UNDECIDED
    return "ahead" if low > 0 else "behind"
