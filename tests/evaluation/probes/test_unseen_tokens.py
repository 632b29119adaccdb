import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from pipeline.evaluation.probes.unseen_tokens import score_by_unseen, unseen_shares


def encoded(tweets):
    """Flat ids and offsets of tweets given as lists of ids."""
    offsets = np.concatenate([[0], np.cumsum([len(tweet) for tweet in tweets])]).astype(np.int64)
    return np.array([id for tweet in tweets for id in tweet], dtype=np.int32), offsets


TOUCHED = np.array([True, True, True, True, False, False])  # rows 4 and 5 are unseen, and so is 1, UNK
TWEETS = [[2, 3], [4], [], [2, 1], [2] * 9 + [5], [3] * 19 + [1], [1, 4, 5], [2, 2, 4, 4, 5], [2, 3, 3, 4], [2]]
SHARES = [0, 1, np.nan, 0.5, 0.1, 0.05, 1, 0.6, 0.25, 0]


def test_known_shares():
    ids, offsets = encoded(TWEETS)
    np.testing.assert_allclose(unseen_shares(ids, offsets, TOUCHED), SHARES)
    assert TOUCHED[1], "the caller's mask must stay as it was"


def test_known_table():
    ids, offsets = encoded(TWEETS)
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 0, 0, 1])
    predictions = np.array([0, 1, 0, 1, 1, 0, 1, 1, 0, 0])
    known = np.array([False, True, True, True, True, False])
    metrics, table = score_by_unseen(ids, offsets, TOUCHED, labels, predictions, known)
    columns = ("unseen", "tweets", "accuracy", "unseen_share", "known_share")
    assert [tuple(row[column] for column in columns) for row in table] == [
        ("none", 2, 0.5, 0, None),
        ("0-10 %", 2, 0.5, pytest.approx(0.075), 0),
        ("10-20 %", 0, None, None, None),
        ("20-30 %", 1, 1, 0.25, 1),
        ("30-50 %", 1, 1, 0.5, 0),
        ("50-100 %", 3, pytest.approx(1 / 3), pytest.approx(2.6 / 3), 4 / 7),
        ("no tokens", 1, 1, None, None),
    ]
    assert (table[-2]["low"], table[-2]["high"]) == pytest.approx(proportion_confint(1, 3, method="wilson"))
    assert table[2]["low"] is table[2]["high"] is None
    assert metrics["share_0/accuracy"] == 0.5
    assert metrics["share_0/tweets"] == 2
    assert metrics["share_10_20/accuracy"] is None
    assert metrics["share_50_100/tweets"] == 3
    assert len(metrics) == 12
    without = score_by_unseen(ids, offsets, TOUCHED, labels, predictions)[1]
    assert [row | {"known_share": None} for row in table] == without


@given(
    tweets=st.lists(st.lists(st.integers(1, 29), max_size=25), min_size=1, max_size=40),
    seen=st.lists(st.booleans(), min_size=30, max_size=30),
    labels=st.randoms(use_true_random=False),
)
def test_every_tweet_is_in_the_bin_of_its_share(tweets, seen, labels):
    ids, offsets = encoded(tweets)
    true, predicted = ([labels.randrange(3) for _ in tweets] for _ in range(2))
    _, table = score_by_unseen(ids, offsets, np.array(seen), np.array(true), np.array(predicted))
    assert sum(row["tweets"] for row in table) == len(tweets)
    hits = sum(row["accuracy"] * row["tweets"] for row in table if row["tweets"])
    assert hits == pytest.approx(sum(a == b for a, b in zip(true, predicted, strict=True)))
    shares = [sum(id < 2 or not seen[id] for id in tweet) / len(tweet) for tweet in tweets if tweet]
    for row in table:
        if row["unseen"] == "no tokens":
            assert row["tweets"] == sum(not tweet for tweet in tweets)
            continue
        low, high = (-1, 0) if row["unseen"] == "none" else map(int, row["unseen"].removesuffix(" %").split("-"))
        inside = [share for share in shares if low / 100 < share <= high / 100]
        assert row["tweets"] == len(inside)
        if inside:
            assert row["unseen_share"] == pytest.approx(np.mean(inside))
            assert 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1
