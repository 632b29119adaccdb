import itertools

import numpy as np
import pytest

from pipeline.config.schema import SampleConfig
from pipeline.data.duplicates import masked_key
from pipeline.data.sample import generate as sample
from pipeline.evaluation.audit import near_duplicates as near
from pipeline.evaluation.audit.concatenated import group_texts
from pipeline.evaluation.audit.near_duplicates import (
    THRESHOLD,
    candidate_pairs,
    minhash_signatures,
    near_pairs,
    shingles,
)

LONG = "waiting for the bus again and it is raining on my new shoes"


def find_near_duplicates(rows):
    return near.find_near_duplicates(rows, group_texts(rows, "masked"))


def brute_force(keys):
    """Every pair at the threshold, by the definition."""
    sets = [{key[k : k + 4] for k in range(len(key) - 3)} or {key} for key in keys]
    jaccard = {
        (a, b): len(sets[a] & sets[b]) / len(sets[a] | sets[b]) for a, b in itertools.combinations(range(len(keys)), 2)
    }
    return {pair: value for pair, value in jaccard.items() if value >= 0.8}


def edited(text, random):
    """The text with one to four letters changed."""
    letters = list(text)
    for place in random.choice(len(letters), random.integers(1, 5), replace=False):
        letters[place] = "abcdefghijklmnopqrstuvwxyz"[random.integers(26)]
    return "".join(letters)


def test_shingles():
    assert shingles("abcdab") == {"abcd", "bcda", "cdab"}
    assert shingles("ab") == {"ab"}
    assert shingles("") == {""}


def test_recall_and_precision_against_every_pair():
    texts, _ = next(sample.labelled_batches(SampleConfig(400, 0, 0, 0.0, 0.0)))
    random = np.random.default_rng(0)
    keys = sorted({masked_key(text) for text in [*texts, *(edited(text, random) for text in texts)]})
    expected = brute_force(keys)
    pairs, similarity = near_pairs(keys)
    result = dict(zip(map(tuple, pairs.tolist()), similarity.tolist(), strict=True))
    assert len(expected) > 150
    assert set(result) <= set(expected)
    assert all(result[pair] == expected[pair] for pair in result)
    assert len(result) >= 0.99 * len(expected)


@pytest.mark.parametrize("similarity", [0.4, 0.6, 0.8])
def test_candidates_are_as_frequent_as_the_bands_imply(similarity):
    """A pair whose signatures agree with probability s becomes a candidate with probability 1 − (1 − s⁵)²⁴."""
    random = np.random.default_rng(1)
    one = random.integers(2**32, size=(120, 1_000), dtype=np.uint32)
    other = np.where(random.random(one.shape) < similarity, one, one + np.uint32(1))
    pairs = candidate_pairs(np.concatenate([one, other], axis=1))
    assert all(second == first + 1_000 for first, second in pairs.tolist())
    expected = 1 - (1 - similarity**5) ** 24
    assert len(pairs) / 1_000 == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 1_000))


@pytest.mark.parametrize("length", [1, 3, 4, 6, 12, 25])
def test_short_and_odd_texts_have_the_pairs_of_the_definition(length):
    """Texts of few shingles, with characters beyond 16 bits, lone surrogates and the NUL character."""
    random = np.random.default_rng(length)
    letters = list("abcdefgh \0\ud800😀é")
    texts = ["".join(random.choice(letters, length)) for _ in range(150)]
    texts += [text + "ab"[k % 2] for k, text in enumerate(texts)] + [text[1:] for text in texts]
    keys = sorted({masked_key(text) for text in texts} - {""})
    expected = brute_force(keys)
    pairs, similarity = near_pairs(keys)
    result = dict(zip(map(tuple, pairs.tolist()), similarity.tolist(), strict=True))
    assert all(expected[pair] == value for pair, value in result.items())
    assert len(result) >= 0.98 * len(expected)


def test_no_pairs():
    assert near_pairs([])[0].shape == near_pairs(["one text"])[0].shape == (0, 2)


def test_signatures_agree_as_often_as_the_sets():
    random = np.random.default_rng(2)
    keys = [LONG, LONG + LONG[::-1], *(edited(LONG, random) for _ in range(200))]
    values = minhash_signatures(keys)
    assert values.shape == (120, 202)
    agree = (values[:, :1] == values).mean(axis=0)
    true = np.array([len(shingles(LONG) & shingles(key)) / len(shingles(LONG) | shingles(key)) for key in keys])
    assert agree[0] == true[0] == 1
    assert abs(agree - true).max() < 5 * np.sqrt(0.25 / 120)
    assert np.mean(agree - true) == pytest.approx(0, abs=0.03)


def test_near_duplicates_are_counted_in_addition_to_masked_ones(rows_of):
    splits = {
        "train": [(LONG, 0), ("@a " + LONG.upper(), 0), ("something else entirely", 1), (LONG + ".", 1)],
        "validation": [("nothing of the kind in here", 0)],
        "test": [("RT @b: " + LONG, 1), (LONG, 0), ("@x " + LONG, 0), ("something different", 1)],
    }
    report = find_near_duplicates(rows_of(splits))
    assert report["distinct"] == report["compared"] == {"train": 4, "validation": 1, "test": 4}
    assert [record["rows"] for record in report["within"]] == [3, 0, 3]
    across = {(r["first"], r["second"]): (r["rows_first"], r["rows_second"]) for r in report["across"]}
    # Masked, LONG and "@user LONG" occur in both splits; near duplicates in addition are "LONG." and "RT …".
    assert across == {("train", "validation"): (0, 0), ("train", "test"): (1, 1), ("validation", "test"): (0, 0)}
    assert report["recall"] == pytest.approx(0.99993, abs=1e-5)


def test_examples_are_the_most_similar_pairs(rows_of):
    splits = {
        "train": [(LONG, 0), ("an unlike text", 1)],
        "test": [(LONG + " ugh", 1), (LONG + ".", 1), (LONG + " #fail", 0)],
    }
    (record,) = find_near_duplicates(rows_of(splits))["across"]
    assert (record["rows_first"], record["rows_second"]) == (1, 3)
    assert [[row["text"] for row in example["rows"]] for example in record["examples"]] == [
        [LONG, LONG + "."],
        [LONG, LONG + " ugh"],
        [LONG, LONG + " #fail"],
    ]
    size = len(shingles(LONG))
    assert [example["similarity"] for example in record["examples"]] == [size / (size + extra) for extra in (1, 4, 6)]
    assert [example["rows"][0]["split"] for example in record["examples"]] == ["train"] * 3


def test_a_large_split_is_sampled(rows_of, monkeypatch):
    monkeypatch.setattr(near, "MAX_TEXTS", 10)
    words = [f"{LONG[k:]} {LONG[:k]}"[::-1][k % 7 :] + "xyz" * k for k in range(1, 35)]
    splits = {"train": [(word, 0) for word in words], "test": [(words[0], 1)]}
    report = find_near_duplicates(rows_of(splits))
    assert report["distinct"] == {"train": 34, "test": 1}
    assert report["compared"] == {"train": 10, "test": 1}


def test_many_numbered_copies_of_a_text_do_not_explode(rows_of):
    splits = {"train": [(f"{LONG * 4} {number}", 0) for number in range(1_500)], "test": [(f"{LONG * 4} x", 0)]}
    report = find_near_duplicates(rows_of(splits))
    assert report["within"][0]["rows"] == 1_500
    assert report["across"][0]["rows_second"] == 1
    assert THRESHOLD == 0.8
