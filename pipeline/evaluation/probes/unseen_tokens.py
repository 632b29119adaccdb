"""Whether tweets are classified worse, the more of their tokens the labelled training tweets lack."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from pipeline.config.schema import SPECIALS

BLOCK_TWEETS = 1 << 16
EDGES = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)  # a bin of its own for 0; then each above one edge, up to the next


def unseen_shares(
    ids: NDArray[np.integer], offsets: NDArray[np.integer], seen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Compute the share of each tweet's tokens that training did not see (n,); NaN for a tweet without tokens.

    PAD and UNK are never seen: a word without a row of its own is new, though the row that stands for all such is not.
    """
    lengths = np.diff(offsets)
    shares = np.full(len(lengths), np.nan)
    np.divide(_tokens_in(~_words(seen), ids, offsets), lengths, out=shares, where=lengths > 0)
    return shares


def score_by_unseen(
    ids: NDArray[np.integer],
    offsets: NDArray[np.integer],
    seen: NDArray[np.bool_],
    labels: NDArray[np.integer],
    predictions: NDArray[np.integer],
    known: NDArray[np.bool_] | None = None,
) -> tuple[dict[str, float | None], list[dict[str, Any]]]:
    """Compute the accuracy of n tweets by the share of their tokens that training did not see, as metrics and a table.

    Parameters
    ----------
    ids, offsets : tweet i is `ids[offsets[i]:offsets[i + 1]]`, as of `text.encoding`.
    seen : (V,) which rows the labelled training tweets read.
    labels, predictions : (n,) true and predicted labels.
    known : (V,) which rows started from word vectors; None where none did.

    Returns
    -------
    Metrics `share_<bin>/accuracy` and `…/tweets` (bins 0, 0_10, 10_20, 20_30, 30_50, 50_100, in percent: above the
    first number, up to the second), and a table with a row for each bin, and one for tweets without tokens where there
    are any: `unseen` (the bin), `tweets`, `accuracy` with its 95 % interval `low` to `high` (Wilson; None for no
    tweets), `unseen_share` (mean of these tweets), and `known_share`: of the tokens that training did not see, the
    share that have a word vector; None where there are none.
    """
    shares = unseen_shares(ids, offsets, seen)
    hits = np.asarray(labels) == np.asarray(predictions)
    new = _tokens_in(~_words(seen), ids, offsets)
    rescued = _tokens_in(~_words(seen) & _words(known), ids, offsets) if known is not None else None
    metrics: dict[str, float | None] = {}
    table = []
    for name, shown, chosen in _bins(shares):
        n, correct = int(chosen.sum()), int(hits[chosen].sum())
        row: dict[str, Any] = {"unseen": shown, "tweets": n, "accuracy": None, "low": None, "high": None}
        if n:
            interval = binomtest(correct, n).proportion_ci(method="wilson")
            row |= {"accuracy": correct / n, "low": float(interval.low), "high": float(interval.high)}
        has_tokens = n and name is not None
        row["unseen_share"] = float(shares[chosen].mean()) if has_tokens else None
        tokens = int(new[chosen].sum())
        row["known_share"] = int(rescued[chosen].sum()) / tokens if rescued is not None and tokens else None
        if name is not None:
            metrics |= {f"share_{name}/accuracy": row["accuracy"], f"share_{name}/tweets": n}
            table.append(row)
        elif n:
            table.append(row)
    return metrics, table


def _bins(shares: NDArray[np.float64]) -> list[tuple[str | None, str, NDArray[np.bool_]]]:
    """Bins as (name in a metric, name in a table, which tweets); the last, of tweets without tokens, has no metric."""
    bins: list[tuple[str | None, str, NDArray[np.bool_]]] = [("0", "none", shares == 0)]
    for low, high in pairwise(EDGES):
        chosen = (shares > low) & (shares <= high)
        bins.append((f"{100 * low:.0f}_{100 * high:.0f}", f"{100 * low:.0f}-{100 * high:.0f} %", chosen))
    return [*bins, (None, "no tokens", np.isnan(shares))]


def _words(rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say the same of words alone, leaving out PAD and UNK."""
    words = rows.copy()
    words[:SPECIALS] = False
    return words


def _tokens_in(words: NDArray[np.bool_], ids: NDArray[np.integer], offsets: NDArray[np.integer]) -> NDArray[np.int64]:
    """Count each tweet's tokens that are among `words` (V,)."""
    counts = np.zeros(len(offsets) - 1, np.int64)
    for first in range(0, len(counts), BLOCK_TWEETS):
        bounds = offsets[first : first + BLOCK_TWEETS + 1]
        sums = np.concatenate([[0], np.cumsum(words[ids[bounds[0] : bounds[-1]]])])
        counts[first : first + BLOCK_TWEETS] = np.diff(sums[bounds - bounds[0]])
    return counts
