import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.duplicates import HANDLE, LINK, digests, exact_key, is_member, masked_key


def test_exact_key_collapses_white_space_only():
    assert exact_key(" so\n\tGood  day ") == "so Good day"


@pytest.mark.parametrize(
    "text",
    [
        "@Ann_1 look http://t.co/x",
        "@bob  LOOK\nhttps://t.co/yz?a=1#b",
        "@c Look www.example.org/z",
        "@d look HTTP://T.CO",
    ],
)
def test_masked_key_ignores_handles_links_and_case(text):
    assert masked_key(text) == "@user look http"


def test_masked_key_keeps_what_is_said():
    assert masked_key("@a good http://t.co/x") != masked_key("@a bad http://t.co/x")
    assert masked_key("@a good") != masked_key("good")


links = st.text(st.sampled_from(" /:.@a\u017fhHtTpPsSwW\u212a\n"), max_size=20)
pieces = st.sampled_from(["http", "HTTP\u017f", "://", "www.", "wWw.", "WWW", "w.", "@", "a", "_", " ", "\n", "\u00e9"])


@given(links | st.lists(pieces).map("".join) | st.text())
def test_masked_key_leaves_no_pattern_out(text):
    assert masked_key(text) == exact_key(HANDLE.sub("@user", LINK.sub("http", text))).casefold()


def test_digests_are_the_same_everywhere():
    assert digests([["hello"], ["\u2028Hello\n"]], "masked").tolist() == [0x7D34E501A8EDB6A7] * 2


numbers = st.lists(st.integers(0, 40) | st.sampled_from([2**63, 2**64 - 1])).map(lambda n: np.array(n, np.uint64))


@given(numbers, numbers)
def test_among_is_membership(values, others):
    assert is_member(values, np.sort(others)).tolist() == np.isin(values, others).tolist()


def test_457_nltk_tweets_repeat_after_masking(shared):
    folder = shared("nltk_data/corpora/twitter_samples")
    texts = [
        json.loads(line)["text"]
        for name in ("positive", "negative")
        for line in (folder / f"{name}_tweets.json").read_text("utf-8").splitlines()
    ]
    assert len(texts) - len({masked_key(text) for text in texts}) == 457
    assert len(texts) - len(np.unique(digests([texts], "masked"))) == 457


@given(st.lists(st.lists(st.text(max_size=3))))
def test_digests_are_equal_where_keys_are(batches):
    texts = [text for batch in batches for text in batch]
    values = digests(batches, "exact")
    assert values.shape == (len(texts),)
    groups = {}
    for text, value in zip(texts, values.tolist(), strict=True):
        assert groups.setdefault(exact_key(text), value) == value
    assert len(set(groups.values())) == len(groups)
