import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csc_matrix
from sklearn.metrics import mutual_info_score
from statsmodels.stats.proportion import proportion_confint

from pipeline.evaluation.audit.label_leaks import find_label_leaks, is_punctuation, token_table, wilson_lower

BAD, GOOD = 0, 1


def leaks_of(encode, splits, label_names=("bad", "good"), **settings):
    _, encoded, words = encode(splits, **settings)
    return find_label_leaks(encoded, words, list(label_names))


def tweets(*parts):
    """Rows from (text, label, how often)."""
    return [(text, label) for text, label, often in parts for _ in range(often)]


@given(st.integers(1, 5_000), st.floats(0, 1))
def test_wilson_bound_is_that_of_statsmodels(n, share):
    count = round(share * n)
    low, _ = proportion_confint(count, n, method="wilson")
    assert wilson_lower(np.array([count / n]), np.array([n]))[0] == pytest.approx(low, abs=1e-6)


def test_bits_and_bounds_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=400)
    presence = (rng.random((400, 30)) < rng.random(30)).astype(np.int64)
    presence[:, 3] = labels == 2
    presence[:, 4] = 1
    presence[:, 5] = 0
    table = token_table(csc_matrix(presence), labels, 3)
    for token in range(30):
        holds = presence[:, token] == 1
        assert table.bits[token] == pytest.approx(
            mutual_info_score(labels, presence[:, token]) / math.log(2), abs=1e-12
        )
        assert table.counts[token].tolist() == np.bincount(labels[holds], minlength=3).tolist()
        if holds.any():
            shares = np.bincount(labels[holds], minlength=3) / holds.sum()
            lower = np.array(
                [proportion_confint(share * holds.sum(), holds.sum(), method="wilson")[0] for share in shares]
            )
            prior = np.bincount(labels) / 400
            removed = (lower - prior) / (1 - prior)
            assert table.label[token] == removed.argmax()
            assert table.removed[token] == pytest.approx(removed.max(), abs=1e-6)
            assert table.share[token] == pytest.approx(shares[removed.argmax()])
    assert table.label[3] == 2
    assert table.share[3] == 1
    assert table.bits[4] == table.bits[5] == 0
    assert table.removed[4] < 0


def test_a_word_decides_with_73_tweets_and_not_with_72(encode):
    for often, expected in ((73, ["planted"]), (72, [])):
        train = tweets(("planted x", GOOD, often), ("x", GOOD, 200 - often), ("x", BAD, 200))
        deciding = leaks_of(encode, {"train": train, "test": train})["deciding"]
        assert [record["token"] for record in deciding["tokens"]] == expected


def test_a_frequent_class_needs_more_evidence(encode):
    """With nine tenths of one class, a word that is right in 98 of 100 is weak evidence."""
    train = tweets(("word", GOOD, 294), ("word", BAD, 6), ("x", GOOD, 606), ("x", BAD, 94))
    assert leaks_of(encode, {"train": train, "test": train})["deciding"]["count"] == 0
    train = tweets(("word", GOOD, 294), ("word", BAD, 6), ("x", GOOD, 206), ("x", BAD, 494))
    assert leaks_of(encode, {"train": train, "test": train})["deciding"]["count"] == 1


def test_punctuation_decides_where_a_word_does_not(encode):
    train = tweets(("( a", BAD, 90), ("( b", GOOD, 10), ("word a", BAD, 90), ("word b", GOOD, 10), ("a", GOOD, 160))
    train += tweets(("b", BAD, 0), ("[ b", GOOD, 19))
    deciding = leaks_of(encode, {"train": train, "test": train})["deciding"]
    assert [record["token"] for record in deciding["tokens"]] == ["("]
    (record,) = deciding["tokens"]
    assert (record["tweets"], record["label"], record["label_share"]) == (100, "bad", 0.9)
    assert record["lift"] == pytest.approx(0.9 / (180 / 379))


@pytest.mark.parametrize(
    ("token", "punctuation"),
    [
        *((token, True) for token in ("(", "...", "》", "!!!")),
        *((t, False) for t in (":)", "😭", "<3", "a", "#x", "7", "é")),
    ],
)
def test_punctuation(token, punctuation):
    assert is_punctuation(token) == punctuation


def test_the_strongest_token_predicts_and_the_rule_is_tested_on_every_split(encode):
    train = tweets(("p x", GOOD, 400), ("n x", BAD, 200), ("n x", GOOD, 1), ("x", BAD, 301))
    test = [("p p y", GOOD), ("n y", GOOD), ("n p", GOOD), ("y", BAD), ("", BAD), ("n", BAD)]
    report = leaks_of(encode, {"train": train, "validation": [("y", BAD)], "test": test})
    assert report["label_bits"] == pytest.approx(-sum(k / 902 * math.log2(k / 902) for k in (401, 501)))
    deciding = report["deciding"]
    assert [(r["token"], r["label"], r["tweets"]) for r in deciding["tokens"]] == [
        ("p", "good", 400),
        ("n", "bad", 201),
    ]
    assert deciding["rule"]["train"]["accuracy"] == pytest.approx(600 / 601)
    assert deciding["rule"]["validation"] == {
        "tweets": 0,
        "coverage": 0.0,
        "accuracy": None,
        "by_class_shares": None,
        "removed": None,
    }
    rule = deciding["rule"]["test"]
    assert (rule["tweets"], rule["coverage"], rule["accuracy"]) == (4, pytest.approx(4 / 6), 0.75)
    by_class_shares = (2 * 401 + 2 * 501) / (4 * 902)
    assert rule["by_class_shares"] == pytest.approx(by_class_shares)
    assert rule["removed"] == pytest.approx((0.75 - by_class_shares) / (1 - by_class_shares))
    records = {record["token"]: record for record in deciding["tokens"]}
    assert (records["n"]["test_tweets"], records["n"]["test_label_share"]) == (3, pytest.approx(1 / 3))


def test_tokens_are_listed_by_information_without_unknown_ones(encode):
    train = tweets(("a b rare1", GOOD, 1), ("a b", GOOD, 90), ("b", BAD, 30), ("c", BAD, 70), ("rare2", BAD, 1))
    report = leaks_of(encode, {"train": train, "test": [("rare3", BAD)]}, min_count=2)
    assert [record["token"] for record in report["tokens"]] == ["a", "b", "c"]
    assert report["tokens"][0]["bits"] == pytest.approx(0.99, abs=0.02)
    assert report["tokens"][0]["test_tweets"] == 0
    assert report["tokens"][0]["test_label_share"] is None
