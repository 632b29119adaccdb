"""Tokens that give the label away.

For every token of the training split: how much its presence tells about the label (mutual information), the label it
goes with most, and how often. A token *decides* its label when it takes away nine tenths of the error that guessing by
class shares makes: with s the class share and w the lower end of the 95 % Wilson interval of P(label | token),
(w − s) / (1 − s) ≥ 0.9, which is w ≥ 0.95 for two equal classes and more for a frequent class. The interval asks for
evidence: 73 tweets without an exception between two equal classes.

Words may mean what they tell. A punctuation mark means nothing of its own, so one that tells the label is a trace of
how the data were made, as the brackets are that are left of `: )` without its emoticon; a mark decides from one half of
the error on, given 20 tweets that hold it. Emoticons and emoji count as words, since people show feelings by them.

The rule "the tweet has the label of its most telling deciding token", learned on training tweets, is then put to the
other splits. A leak is a rule that speaks about a notable share of tweets *and* is right there; tokens that decide
in training alone are a shortcut that fails; the rest are strong words. Only single tokens are looked at.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_matrix, csr_matrix
from scipy.special import xlogy

from pipeline.config.schema import SPECIALS
from pipeline.text.clean import is_emoticon
from pipeline.text.encoded_split import EncodedSplit

WORD_DECIDES, MARK_DECIDES = 0.9, 0.5  # share of the error by class shares that a token must take away
FEWEST_TWEETS = 20  # that hold a token which decides: among thousands of tokens, rarer ones look telling by chance
Z = 1.959964  # of the two-sided 95 % interval
TOKENS_LISTED = 50

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TokenTable:
    """What each of the V tokens tells about the label, from the training split.

    Attributes
    ----------
    counts : (V, C) tweets of each label that hold the token.
    class_shares : (C,) share of each label among the tweets.
    bits : (V,) mutual information of the token's presence and the label.
    label : (V,) the label for which `removed` is largest.
    share : (V,) P(label | token); 0 where no tweet holds the token.
    lower : (V,) lower end of the 95 % Wilson interval of `share`.
    removed : (V,) share of the error by class shares that is surely taken away, by `lower`; at most 1, may be negative.
    """

    counts: Ints
    class_shares: Floats
    bits: Floats
    label: Ints
    share: Floats
    lower: Floats
    removed: Floats


def token_table(presence: csc_matrix, labels: Ints, classes: int) -> TokenTable:
    """Measure every token; `presence` is (N, V) with 1 where a tweet holds the token."""
    one_hot = csr_matrix((np.ones(len(labels), np.int64), labels, np.arange(len(labels) + 1)), (len(labels), classes))
    counts = np.asarray((presence.T @ one_hot).toarray(), dtype=np.int64)
    total = np.bincount(labels, minlength=classes)
    shares = total / len(labels)
    documents = counts.sum(axis=1, keepdims=True)
    seen = np.maximum(documents, 1)
    lower = np.where(documents > 0, wilson_lower(counts / seen, seen), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        removed = np.where(shares < 1, (lower - shares) / (1 - shares), 0.0)
    label = removed.argmax(axis=1)
    rows = np.arange(len(counts))
    return TokenTable(
        counts=counts,
        class_shares=shares,
        bits=_mutual_information(counts, total),
        label=label,
        share=(counts / seen)[rows, label],
        lower=lower[rows, label],
        removed=removed[rows, label],
    )


def wilson_lower(share: Floats, n: Ints) -> Floats:
    """Lower end of the two-sided 95 % Wilson score interval of a share of `n`."""
    middle = share + Z**2 / (2 * n)
    spread = Z * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return np.asarray((middle - spread) / (1 + Z**2 / n), dtype=np.float64)


def _mutual_information(counts: Ints, total: Ints) -> Floats:
    """Bits that the presence of each token tells about the label, (V,)."""
    rows = total.sum()
    bits = np.zeros(len(counts))
    for joint in (counts / rows, (total - counts) / rows):
        expected = joint.sum(axis=1, keepdims=True) * (total / rows)
        bits += (xlogy(joint, joint) - xlogy(joint, np.where(joint > 0, expected, 1))).sum(axis=1)
    return np.asarray(np.maximum(bits, 0) / np.log(2), dtype=np.float64)


def presence_of(split: EncodedSplit, vocabulary_size: int) -> csc_matrix:
    """(N, V) with 1 where a tweet holds the token."""
    shape = (len(split), vocabulary_size)
    ids, offsets = np.array(split.ids), np.array(split.offsets)
    matrix = csr_matrix((np.ones(len(ids), dtype=np.int8), ids, offsets), shape)
    matrix.sum_duplicates()
    matrix.data = np.ones(len(matrix.data), dtype=np.int64)
    return matrix.tocsc()


def is_mark(token: str) -> bool:
    """Whether a token is punctuation: no letter, no digit, no emoticon."""
    return not any(map(str.isalnum, token)) and not is_emoticon(token)


def find_leaks(encoded: dict[str, EncodedSplit], words: list[str], label_names: list[str]) -> dict[str, Any]:
    """Find the tokens that decide the label in training, and try on every split what they are worth.

    Returns
    -------
    `label_bits`: entropy of the label. `tokens`: the 50 that tell most, one record each. `deciding`: `count`,
    the first 50 `tokens` by tweets covered, and for each split the `coverage` of the rule (share of tweets that hold a
    deciding token), its `accuracy` on those, the accuracy `by_class_shares` that the same guesses would have if tokens
    told nothing, and the share of that error the rule has `removed`; the last three are null where it covers nothing.
    """
    presence = {name: presence_of(split, len(words)) for name, split in encoded.items()}
    labels = {name: np.asarray(split.labels, np.int64) for name, split in encoded.items()}
    table = token_table(presence["train"], labels["train"], len(label_names))
    documents = table.counts.sum(axis=1)
    real = np.flatnonzero(documents[SPECIALS:]) + SPECIALS
    needed = np.array([MARK_DECIDES if is_mark(words[token]) else WORD_DECIDES for token in real])
    deciding = real[(table.removed[real] >= needed) & (documents[real] >= FEWEST_TWEETS)]
    told = real[np.lexsort((real, -table.bits[real]))][:TOKENS_LISTED]
    widest = deciding[np.lexsort((deciding, -documents[deciding]))]

    def record(token: int) -> dict[str, Any]:
        label = table.label[token]
        column = presence["test"][:, [token]].indices
        return {
            "token": words[token],
            "label": label_names[label],
            "tweets": int(documents[token]),
            "bits": float(table.bits[token]),
            "label_share": float(table.share[token]),
            "label_share_low": float(table.lower[token]),
            "lift": float(table.share[token] / table.class_shares[label]),
            "test_tweets": len(column),
            "test_label_share": float(np.mean(labels["test"][column] == label)) if len(column) else None,
        }

    # The most telling token speaks last.
    order = deciding[np.lexsort((deciding, table.removed[deciding]))]
    shares = table.class_shares
    return {
        "label_bits": float(-xlogy(shares, shares).sum() / np.log(2)),
        "tokens": [record(token) for token in told.tolist()],
        "deciding": {
            "count": len(deciding),
            "tokens": [record(token) for token in widest[:TOKENS_LISTED].tolist()],
            "rule": {name: _try_rule(presence[name], labels[name], order, table) for name in encoded},
        },
    }


def _try_rule(presence: csc_matrix, labels: Ints, order: Ints, table: TokenTable) -> dict[str, Any]:
    """What the rule is worth on a split: each token of `order` speaks for its label, later ones louder."""
    guess = np.full(len(labels), -1, dtype=np.int64)
    for token in order.tolist():
        guess[presence.indices[presence.indptr[token] : presence.indptr[token + 1]]] = table.label[token]
    covered = guess >= 0
    if not covered.any():
        return {"tweets": 0, "coverage": 0.0, "accuracy": None, "by_class_shares": None, "removed": None}
    accuracy = float(np.mean(guess[covered] == labels[covered]))
    blind = float(table.class_shares[guess[covered]].mean())
    return {
        "tweets": int(covered.sum()),
        "coverage": float(covered.mean()),
        "accuracy": accuracy,
        "by_class_shares": blind,
        "removed": (accuracy - blind) / (1 - blind),
    }
