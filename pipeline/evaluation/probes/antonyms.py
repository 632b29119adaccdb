"""Whether cosines tell a word's synonym from its antonym, which stands in the same contexts."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, t

from pipeline.evaluation.probes.antonym_pairs import DESCRIPTIVE, EVALUATIVE, Triple, planted_triples

GROUPS = ("all", "seen", "unseen")
FEWEST_TRIPLES = 5


def antonym_sets(source: str) -> dict[str, tuple[Triple, ...]]:
    """Choose the sets of (anchor, synonym, antonym) to ask about tweets of `data.source`.

    `evaluative` and `descriptive` are our own: opposites that differ in sentiment, and opposites that do not. Generated
    tweets (`sample`) have the truth that they plant, `planted`, instead: their words keep no other company.
    """
    return (
        {"planted": planted_triples()} if source == "sample" else {"evaluative": EVALUATIVE, "descriptive": DESCRIPTIVE}
    )


def antonyms(
    initial: NDArray[np.floating],
    final: NDArray[np.floating],
    triples: Sequence[Triple],
    id_of: Mapping[str, int],
    normalize: Callable[[str], str | None],
    seen: NDArray[np.bool_],
) -> tuple[dict[str, float | None], list[dict[str, Any]]]:
    """Compare cos(anchor, synonym) with cos(anchor, antonym) in `initial` and `final` (V, D), as metrics and a table.

    A triple counts where its three words have three different rows, none of them zero in either matrix.

    Parameters
    ----------
    id_of : the row of each token that may be judged, specials left out.
    normalize : the one token that the run's text preset makes of a word, or None where it is not one token.
    seen : (V,) which rows the labelled training tweets read.

    Returns
    -------
    Metrics, and a table with a row for each of the groups `all`, `seen` (training read all three words) and `unseen`
    (any other). Metrics of `seen` and `unseen` begin with the group's name; those that end in `_before` are of the
    initial matrix. All but the counts are None for a group of fewer than five triples.

    `n`: triples that count. `coverage`: their share of all `triples`.
    `gap`: mean cos(anchor, synonym) less mean cos(anchor, antonym); in the table with a 95 % t-interval over triples.
    `nearer`: share of triples whose synonym is nearer than the antonym, 0.5 by chance; in the table with its 95 %
    interval (Wilson).
    """
    rows = _rows(triples, id_of, normalize)
    for matrix in (initial, final):
        rows = rows[(np.linalg.norm(matrix[rows], axis=2) > 0).all(axis=1)]
    all_seen = seen[rows].all(axis=1)
    chosen = {"all": np.ones(len(rows), dtype=bool), "seen": all_seen, "unseen": ~all_seen}
    leads = {"_before": _leads(initial, rows), "": _leads(final, rows)}
    metrics: dict[str, float | None] = {"coverage": len(rows) / len(triples) if triples else 0.0}
    table = []
    for group in GROUPS:
        row: dict[str, Any] = {"words": group, "n": int(chosen[group].sum())}
        for side, lead in leads.items():
            row |= {f"{key}{side}": value for key, value in _summary(lead[chosen[group]]).items()}
        prefix = "" if group == "all" else f"{group}/"
        shown = ("n", "gap_before", "gap", "nearer_before", "nearer")
        metrics |= {f"{prefix}{key}": row[key] for key in shown}
        table.append(row)
    return metrics, table


def _rows(
    triples: Sequence[Triple], id_of: Mapping[str, int], normalize: Callable[[str], str | None]
) -> NDArray[np.int64]:
    """Look up the rows (n, 3) of the triples whose words have three different ones."""
    found = []
    for triple in triples:
        tokens = [normalize(word) for word in triple]
        ids = [id_of[token] for token in tokens if token is not None and token in id_of]
        if len(set(ids)) == len(triple):
            found.append(ids)
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def _leads(matrix: NDArray[np.floating], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute cos(anchor, synonym) - cos(anchor, antonym) of each triple of rows."""
    vectors = matrix[rows].astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    anchor, synonym, antonym = vectors.swapaxes(0, 1)
    return np.asarray((anchor * (synonym - antonym)).sum(axis=1), dtype=np.float64)


def _summary(lead: NDArray[np.float64]) -> dict[str, float | None]:
    """Summarize by how much, and in which share of triples, the synonym leads; with 95 % intervals."""
    n = len(lead)
    if n < FEWEST_TRIPLES:
        return dict.fromkeys(("gap", "gap_low", "gap_high", "nearer", "nearer_low", "nearer_high"))
    gap, half = float(lead.mean()), float(t.ppf(0.975, n - 1) * lead.std(ddof=1)) / math.sqrt(n)
    test = binomtest(int((lead > 0).sum()), n)
    share = test.proportion_ci(method="wilson")
    return {
        "gap": gap,
        "gap_low": gap - half,
        "gap_high": gap + half,
        "nearer": float(test.statistic),
        "nearer_low": float(share.low),
        "nearer_high": float(share.high),
    }
