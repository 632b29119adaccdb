"""Antonym probe: whether cosine similarity separates a word's synonym from its antonym."""

import math
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, t

from pipeline.data.sample.words import PAIRS
from pipeline.evaluation.probes.similarity import RowOf

Matrix = NDArray[np.floating]
Triple = tuple[str, str, str]  # anchor, synonym, antonym
MIN_TRIPLES = 5


def antonym_sets(source: str) -> dict[str, tuple[Triple, ...]]:
    """The sets of (anchor, synonym, antonym) for tweets of `data.source`, by name.

    `evaluative` and `descriptive` are read from `antonym_pairs.txt`: antonyms that differ in sentiment, and antonyms
    that do not. Generated tweets (`sample`) have the set `planted` instead, from the generator's own lexicon.
    """
    if source == "sample":
        return {"planted": planted_triples()}
    text = resources.files("pipeline.evaluation.probes").joinpath("antonym_pairs.txt").read_text("utf-8")
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {
        name: tuple((anchor, synonym, antonym) for row_name, anchor, synonym, antonym in rows if row_name == name)
        for name in ("evaluative", "descriptive")
    }


def planted_triples() -> tuple[Triple, ...]:
    """Build triples from the generator's synonym groups and their opposites.

    Each word is the anchor of one triple. Its synonym is the next rarer word of its group (the first, after the last).
    The antonym is the equally rare word of the opposite group, because cosines depend on word frequency too.
    """
    triples: list[Triple] = []
    for group, opposite in [sides for pair in PAIRS for sides in (pair, pair[::-1])]:
        size = min(len(group.words), len(opposite.words))
        same, opposed = ((*side.words[1:size], side.words[0]) for side in (group, opposite))
        triples += zip(group.words[:size], same, opposed, strict=True)
    return tuple(triple for triple in triples if not any(" " in word for word in triple))


def antonyms(
    initial: Matrix, final: Matrix, triples: Sequence[Triple], row_of: RowOf, touched: NDArray[np.bool_]
) -> tuple[dict[str, float | None], list[dict[str, Any]]]:
    """Compare cos(anchor, synonym) with cos(anchor, antonym) in `initial` and `final` (V, D), as metrics and a table.

    A triple counts where its three words have three different rows, none of them zero in either matrix. `touched` (V,)
    are the rows that at least one training batch read.

    Returns metrics, and a table with a row for each group of triples: `all`, `seen` (all three words are touched) and
    `unseen` (the others). Metrics of `seen` and `unseen` begin with the group's name. Those ending in `_before` are of
    the initial matrix. All but the counts are None for a group of fewer than five triples.

    `n`: triples that count. `coverage`: their share of all `triples`.
    `gap`: mean of cos(anchor, synonym) - cos(anchor, antonym); in the table with a 95 % t-interval over triples.
    `nearer`: share of triples whose synonym is nearer than the antonym, 0.5 by chance; in the table with its 95 %
    Wilson interval.
    """
    looked_up = [[row_of(word) for word in triple] for triple in triples]
    distinct = [row for row in looked_up if None not in row and len(set(row)) == len(row)]
    rows = np.array(distinct, dtype=np.int64).reshape(-1, 3)
    for matrix in (initial, final):
        rows = rows[(np.linalg.norm(matrix[rows], axis=2) > 0).all(axis=1)]
    seen = touched[rows].all(axis=1)
    members = {"all": np.ones(len(rows), dtype=bool), "seen": seen, "unseen": ~seen}
    gaps = {"_before": _gaps(initial, rows), "": _gaps(final, rows)}
    metrics: dict[str, float | None] = {"coverage": len(rows) / len(triples) if triples else 0.0}
    table = []
    for group, member in members.items():
        row: dict[str, Any] = {"words": group, "n": int(member.sum())}
        for suffix, gap in gaps.items():
            row |= {f"{key}{suffix}": value for key, value in _summary(gap[member]).items()}
        prefix = "" if group == "all" else f"{group}/"
        metrics |= {f"{prefix}{key}": row[key] for key in ("n", "gap_before", "gap", "nearer_before", "nearer")}
        table.append(row)
    return metrics, table


def _gaps(matrix: Matrix, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """cos(anchor, synonym) - cos(anchor, antonym) of each triple of rows (n, 3)."""
    vectors = matrix[rows].astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    anchor, synonym, antonym = vectors.swapaxes(0, 1)
    return np.asarray((anchor * (synonym - antonym)).sum(axis=1), dtype=np.float64)


def _summary(gaps: NDArray[np.float64]) -> dict[str, float | None]:
    """Mean gap and share of positive gaps, with 95 % intervals."""
    n, names = len(gaps), ("gap", "gap_low", "gap_high", "nearer", "nearer_low", "nearer_high")
    if n < MIN_TRIPLES:
        return dict.fromkeys(names)
    gap, half_width = float(gaps.mean()), float(t.ppf(0.975, n - 1) * gaps.std(ddof=1)) / math.sqrt(n)
    test = binomtest(int((gaps > 0).sum()), n)
    share = test.proportion_ci(method="wilson")
    values = (gap, gap - half_width, gap + half_width, float(test.statistic), float(share.low), float(share.high))
    return dict(zip(names, values, strict=True))
