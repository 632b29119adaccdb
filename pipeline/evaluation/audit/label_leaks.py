"""Label leaks: tokens that determine the label, by mutual information and by a rule tested on every split.

For every token of the training split: the mutual information of its presence with the label, its most likely label, and
how often it has it. A token is *deciding* when it removes nine tenths of the error of guessing by class shares. With s
the class share and w the lower end of the 95 % Wilson interval of P(label | token), that is (w − s) / (1 − s) ≥ 0.9.
For two equal classes w ≥ 0.95, which takes 73 tweets without an exception; a frequent class takes more.

Words may have sentiment of their own. Punctuation has none, so punctuation that predicts the label is an artefact of
how the data were made, like the bracket that remains of `: )` without its emoticon. Punctuation is therefore deciding
from one half of the error on, given 20 tweets that contain it. Emoticons and emoji count as words.

The rule "a tweet has the label of its strongest deciding token", learned on training tweets, is tested on every split.
A leak is a rule that covers a notable share of tweets *and* is right on them. Tokens that decide in training alone are
a shortcut that fails on test; the others are strong words. Only single tokens are examined.
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

WORD_REMOVES, PUNCTUATION_REMOVES = 0.9, 0.5  # minimum share of the error by class shares that a deciding token removes
MIN_TWEETS = 20  # that contain a deciding token: among thousands of tokens, rarer ones look predictive by chance
Z = 1.959964  # of the two-sided 95 % interval
TOKENS_LISTED = 50

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TokenTable:
    """Association of each of the V tokens with the label, in the training split."""

    counts: Ints  # (V, C) number of tweets of each label that contain the token
    class_shares: Floats  # (C,) share of each label among the tweets
    bits: Floats  # (V,) mutual information of the token's presence and the label, in bits
    label: Ints  # (V,) the label for which `removed` is largest
    share: Floats  # (V,) P(label | token); 0 where no tweet contains the token
    lower: Floats  # (V,) lower end of the 95 % Wilson interval of `share`
    removed: Floats  # (V,) share of the error by class shares that the token removes, from `lower`; may be negative


def token_table(presence: csc_matrix, labels: Ints, classes: int) -> TokenTable:
    """Measure every token; `presence` is (N, V) with 1 where a tweet contains the token."""
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
    of_label = [values[np.arange(len(counts)), label] for values in (counts / seen, lower, removed)]
    return TokenTable(counts, shares, _mutual_information(counts, total), label, *of_label)


def wilson_lower(share: Floats, n: Ints) -> Floats:
    """Lower end of the two-sided 95 % Wilson score interval of a share of `n`."""
    centre = share + Z**2 / (2 * n)
    spread = Z * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return np.asarray((centre - spread) / (1 + Z**2 / n), dtype=np.float64)


def _mutual_information(counts: Ints, total: Ints) -> Floats:
    """Mutual information of each token's presence and the label, in bits, (V,)."""
    rows = total.sum()
    bits = np.zeros(len(counts))
    for joint in (counts / rows, (total - counts) / rows):
        expected = joint.sum(axis=1, keepdims=True) * (total / rows)
        bits += (xlogy(joint, joint) - xlogy(joint, np.where(joint > 0, expected, 1))).sum(axis=1)
    return np.asarray(np.maximum(bits, 0) / np.log(2), dtype=np.float64)


def presence_matrix(split: EncodedSplit, vocabulary_size: int) -> csc_matrix:
    """(N, V) with 1 where a tweet contains the token."""
    ids, offsets = np.array(split.ids), np.array(split.offsets)
    matrix = csr_matrix((np.ones(len(ids), dtype=np.int64), ids, offsets), (len(split), vocabulary_size)).tocsc()
    matrix.sum_duplicates()
    return matrix.sign()


def is_punctuation(token: str) -> bool:
    """Whether a token is punctuation: no letter, no digit, no emoticon."""
    return not any(map(str.isalnum, token)) and not is_emoticon(token)


def find_label_leaks(encoded: dict[str, EncodedSplit], words: list[str], label_names: list[str]) -> dict[str, Any]:
    """Find the tokens that determine the label in training, and test the rule they form on every split.

    `label_bits`: entropy of the label. `tokens`: the 50 with most mutual information, one record each.
    `deciding`: the `count` of deciding tokens; the first 50 `tokens` by number of tweets; the `rule` on each split.
    A rule has its `coverage` (share of tweets with a deciding token), its `accuracy` on those tweets, the accuracy
    `by_class_shares` of the same predictions if tokens and labels were independent, and the share of that error that
    the rule has `removed`. The last three are null where it covers no tweet.
    """
    presence = {name: presence_matrix(split, len(words)) for name, split in encoded.items()}
    labels = {name: np.asarray(split.labels, np.int64) for name, split in encoded.items()}
    table = token_table(presence["train"], labels["train"], len(label_names))
    documents = table.counts.sum(axis=1)
    occurring = np.flatnonzero(documents[SPECIALS:]) + SPECIALS
    threshold = np.array([PUNCTUATION_REMOVES if is_punctuation(words[token]) else WORD_REMOVES for token in occurring])
    deciding = occurring[(table.removed[occurring] >= threshold) & (documents[occurring] >= MIN_TWEETS)]
    informative = occurring[np.lexsort((occurring, -table.bits[occurring]))][:TOKENS_LISTED]
    frequent = deciding[np.lexsort((deciding, -documents[deciding]))]

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

    # The strongest token comes last, and so overrides the others.
    order = deciding[np.lexsort((deciding, table.removed[deciding]))]
    shares = table.class_shares
    return {
        "label_bits": float(-xlogy(shares, shares).sum() / np.log(2)),
        "tokens": [record(token) for token in informative.tolist()],
        "deciding": {
            "count": len(deciding),
            "tokens": [record(token) for token in frequent[:TOKENS_LISTED].tolist()],
            "rule": {name: _test_rule(presence[name], labels[name], order, table) for name in encoded},
        },
    }


def _test_rule(presence: csc_matrix, labels: Ints, order: Ints, table: TokenTable) -> dict[str, Any]:
    """Scores of the rule on a split: the last token of `order` in a tweet determines its label."""
    predictions = np.full(len(labels), -1, dtype=np.int64)
    for token in order.tolist():
        predictions[presence.indices[presence.indptr[token] : presence.indptr[token + 1]]] = table.label[token]
    covered = predictions >= 0
    if not covered.any():
        return {"tweets": 0, "coverage": 0.0, "accuracy": None, "by_class_shares": None, "removed": None}
    accuracy = float(np.mean(predictions[covered] == labels[covered]))
    by_class_shares = float(table.class_shares[predictions[covered]].mean())
    return {
        "tweets": int(covered.sum()),
        "coverage": float(covered.mean()),
        "accuracy": accuracy,
        "by_class_shares": by_class_shares,
        "removed": (accuracy - by_class_shares) / (1 - by_class_shares),
    }
