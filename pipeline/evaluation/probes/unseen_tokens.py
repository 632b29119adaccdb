"""Accuracy of test tweets by the share of their tokens that no labelled training tweet contains."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from pipeline.config.schema import SPECIALS

Integers = NDArray[np.integer]
EDGES = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)  # the bin 0, then bins (low, high] between these edges


def unseen_shares(ids: Integers, offsets: Integers, touched: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Compute the share of each tweet's tokens that training did not see (n,); NaN for a tweet without tokens.

    UNK counts as unseen, even where training read its row: the words that it replaces differ.
    """
    lengths = np.diff(offsets)
    shares = np.full(len(lengths), np.nan)
    np.divide(_count_tokens(~_without_specials(touched), ids, offsets), lengths, out=shares, where=lengths > 0)
    return shares


def score_by_unseen(
    ids: Integers,
    offsets: Integers,
    touched: NDArray[np.bool_],
    labels: Integers,
    predictions: Integers,
    known: NDArray[np.bool_] | None = None,
) -> tuple[dict[str, float | None], list[dict[str, Any]]]:
    """Compute the accuracy of n tweets in bins of their share of unseen tokens, as metrics and a table.

    Parameters
    ----------
    ids, offsets : tweet i is `ids[offsets[i]:offsets[i + 1]]`; its true label is in `labels`, (n,).
    touched : (V,) which rows at least one training batch read.
    known : (V,) which rows started from word vectors; None where none did.

    Returns
    -------
    Metrics `share_<bin>/accuracy` and `…/tweets` for the bins 0, 0_10, 10_20, 20_30, 30_50 and 50_100, in percent:
    above the first number, up to the second.
    A table with a row for each bin, and one for tweets without tokens if there are any. `unseen`: the bin. `tweets`:
    their number. `accuracy`, with its 95 % Wilson interval `low` to `high`: None for no tweets. `unseen_share`: mean
    over the tweets. `known_share`: share of the unseen tokens that have a word vector; None without unseen tokens.
    """
    shares = unseen_shares(ids, offsets, touched)
    correct = np.asarray(labels) == np.asarray(predictions)
    unseen = ~_without_specials(touched)
    unseen_counts = _count_tokens(unseen, ids, offsets)
    known_counts = None if known is None else _count_tokens(unseen & _without_specials(known), ids, offsets)
    metrics: dict[str, float | None] = {}
    table = []
    for name, label, members in bins(shares):
        n, hits = int(members.sum()), int(correct[members].sum())
        row: dict[str, Any] = {"unseen": label, "tweets": n, "accuracy": None, "low": None, "high": None}
        if n:
            interval = binomtest(hits, n).proportion_ci(method="wilson")
            row |= {"accuracy": hits / n, "low": float(interval.low), "high": float(interval.high)}
        row["unseen_share"] = float(shares[members].mean()) if n and name is not None else None
        tokens = int(unseen_counts[members].sum())
        row["known_share"] = int(known_counts[members].sum()) / tokens if known_counts is not None and tokens else None
        if name is not None:
            metrics |= {f"share_{name}/accuracy": row["accuracy"], f"share_{name}/tweets": n}
        if name is not None or n:
            table.append(row)
    return metrics, table


def bins(shares: NDArray[np.float64]) -> list[tuple[str | None, str, NDArray[np.bool_]]]:
    """Bins as (name in metrics, label in the table, tweets in it); the last, without tokens, has no metric."""
    bins: list[tuple[str | None, str, NDArray[np.bool_]]] = [("0", "none", shares == 0)]
    for low, high in pairwise(EDGES):
        members = (shares > low) & (shares <= high)
        bins.append((f"{100 * low:.0f}_{100 * high:.0f}", f"{100 * low:.0f}-{100 * high:.0f} %", members))
    return [*bins, (None, "no tokens", np.isnan(shares))]


def _without_specials(rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A copy of the mask `rows` (V,) in which PAD and UNK are False."""
    words = rows.copy()
    words[:SPECIALS] = False
    return words


def _count_tokens(words: NDArray[np.bool_], ids: Integers, offsets: Integers) -> NDArray[np.int64]:
    """Count the tokens of each tweet that are in the mask `words` (V,)."""
    return np.diff(np.concatenate([[0], np.cumsum(words[ids], dtype=np.int64)])[offsets])
