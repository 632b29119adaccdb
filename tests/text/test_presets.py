import pickle
from collections import Counter
from dataclasses import replace
from itertools import chain

import nltk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.corpus.reader import WordListCorpusReader
from nltk.corpus.util import LazyCorpusLoader
from nltk.tokenize import NLTKWordTokenizer

from pipeline.config.compose import compose
from pipeline.config.schema import TextConfig
from pipeline.runtime.errors import UserError
from pipeline.text import presets
from pipeline.text.clean import clean, is_emoticon
from pipeline.text.presets import build_tokenizer
from pipeline.text.tweet_tokenizer import CachedTweetTokenizer

TWEET = TextConfig(
    "tweet",
    handles="keep",
    links="keep",
    emoticons="keep",
    min_count=1,
    unlabelled_min_count=None,
    max_tokens=None,
)
WHITESPACE = replace(TWEET, tokenizer="whitespace")
COURSE = replace(TWEET, tokenizer="course")
TREEBANK = replace(TWEET, tokenizer="treebank", lowercase=False)
MASK = {"handles": "mask", "links": "mask"}
STRIP = {"handles": "strip", "links": "strip", "emoticons": "strip_fragments"}
TEXT = r"RT @Bob: \u201cSOOOO good\u201d &amp;amp; fun :-)) ❤️ http://T.co/Ab pic.twitter.com/x1 . . ."


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        (TWEET, "rt @bob : “ sooo good ” & fun :-) ) ❤ \ufe0f http://T.co/Ab pic.twitter.com/x1 ._._."),
        (replace(TWEET, **MASK), "rt @user : “ sooo good ” & fun :-) ) ❤ \ufe0f http http ._._."),
        (replace(TWEET, **STRIP), "rt : “ sooo good ” & fun ._._."),
        (replace(TWEET, max_tokens=4), "rt @bob : “"),
        (WHITESPACE, "rt @bob: “soooo good” & fun :-)) ❤️ http://t.co/ab pic.twitter.com/x1 . . ."),
        (replace(WHITESPACE, **MASK), "rt @user: “soooo good” & fun :-)) ❤️ http http . . ."),
        (replace(WHITESPACE, **STRIP), "rt : “soooo good” & fun . . ."),
        (replace(WHITESPACE, max_tokens=2), "rt @bob:"),
        (replace(WHITESPACE, lowercase=False, **STRIP), "RT : “SOOOO good” & fun . . ."),
        (TREEBANK, "RT @ Bob : “ SOOOO good ” & fun : - ) ) ❤️ http : //T.co/Ab pic.twitter.com/x1 . . ."),
        (replace(TREEBANK, **MASK), "RT @user : “ SOOOO good ” & fun : - ) ) ❤️ http http . . ."),
        (replace(TREEBANK, lowercase=True, **STRIP), "rt : “ soooo good ” & fun . . ."),
        (replace(TREEBANK, max_tokens=3), "RT @ Bob"),
    ],
)
def test_presets(config: TextConfig, tokens: str) -> None:
    assert build_tokenizer(config)(TEXT) == tokens.split(" ")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("What 's the U.N. ? It's in N.Y., isn't it?", "What 's the U.N . ? It 's in N.Y. , is n't it ?"),
        ('He said: "Mr. O\'Neil paid $1,000 at 3:30."', "He said : `` Mr . O'Neil paid $ 1,000 at 3:30 . ''"),
        ("A well-made film... (not bad at all); 9/10!", "A well-made film ... ( not bad at all ) ; 9/10 !"),
    ],
)
def test_sentences_keep_case_and_split_punctuation(text: str, tokens: str) -> None:
    config = compose(["text=sentence"]).text
    assert build_tokenizer(config)(text) == tokens.split(" ")
    assert build_tokenizer(replace(config, lowercase=True))(text) == tokens.lower().split(" ")
    pieces = map(NLTKWordTokenizer().tokenize, text.split())
    assert list(chain.from_iterable(pieces)) == tokens.split(" ")


def test_white_space_words_lose_emoticons_glued_to_them() -> None:
    tokenize = build_tokenizer(replace(WHITESPACE, emoticons="strip_fragments"))
    assert tokenize("hello:)) (lol) ok ^_^ : ) XD 3:30 2018) t(:") == [
        "hello",
        "(lol)",
        "ok",
        ":",
        "3:30",
        "2018)",
        "t",
    ]


@pytest.mark.parametrize("config", [TWEET, WHITESPACE, TREEBANK])
def test_empty_texts_have_no_tokens(config: TextConfig) -> None:
    assert build_tokenizer(config)("") == build_tokenizer(config)(" \n\u2028") == []


TOKENIZERS = [
    build_tokenizer(replace(config, **options))
    for config in (TWEET, WHITESPACE, TREEBANK)
    for options in ({}, MASK, STRIP)
]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "&#x1c;",
                "&#٥٥٢٩٦;",
                "\\ud83d",
                "555 ",
                "1234",
                ". .",
                " .",
                "\x1c",
                "\x85",
                "\ud83d",
                "x",
                " ",
                ":)",
                "@bob",
                "(",
                "^",
            ]
        )
    ).map("".join)
)
def test_tokens_fit_on_a_corpus_line(text: str) -> None:
    for tokenize in TOKENIZERS:
        tokens = tokenize(text)
        assert " ".join(tokens).split() == tokens
        "\n".join(tokens).encode()


def test_tweet_preset_is_nltk_of_the_clean_text(hub_texts: list[str]) -> None:
    tokenize, reference = build_tokenizer(TWEET), CachedTweetTokenizer()
    for text in hub_texts[::25]:
        expected = ["_".join(token.split()) for token in reference.tokenize(clean(text))]
        assert tokenize(text) == [token for token in expected if token]


@pytest.mark.parametrize("config", [replace(TWEET, **MASK, max_tokens=5), replace(WHITESPACE, **STRIP)])
def test_copies_by_configuration(config: TextConfig) -> None:
    tokenize = build_tokenizer(config)
    empty = len(pickle.dumps(tokenize))
    tokens = tokenize(TEXT)
    assert len(pickle.dumps(tokenize)) == empty
    assert pickle.loads(pickle.dumps(tokenize))(TEXT) == tokens


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(UserError, match=r"text\.tokenizer=twet: no such preset; did you mean 'tweet'"):
        build_tokenizer(replace(TWEET, tokenizer="twet"))


@pytest.mark.usefixtures("nltk_data")
def test_course_preprocessing() -> None:
    tokenize = build_tokenizer(COURSE)
    text = "RT @Bob: I'm HAPPILY watching #Movies, $GE &amp; cats :) :D https://t.co/x gone"
    assert tokenize(text) == ["i'm", "happili", "watch", "movi", "cat", ":)", ":d"]
    assert tokenize("see RT &#39;this http://a.b and\nnext") == ["see", "rt", "next"]
    assert build_tokenizer(replace(COURSE, emoticons="strip"))(text) == tokenize(text)[:-2]
    assert build_tokenizer(replace(COURSE, **MASK))(text) == tokenize(text)
    assert build_tokenizer(replace(COURSE, max_tokens=2))(text) == tokenize(text)[:2]
    assert pickle.loads(pickle.dumps(tokenize))(text) == tokenize(text)


@pytest.mark.usefixtures("nltk_data")
def test_course_vocabulary_has_the_size_of_the_assignment(nltk_tweets: dict[str, list[str]]) -> None:
    tokenize = build_tokenizer(COURSE)
    training = nltk_tweets["positive"][:4000] + nltk_tweets["negative"][:4000]
    distinct = {token for text in training for token in tokenize(text)}
    # The assignment counts its three special entries too: 9,086 in all.
    assert len(distinct) == 9_083


def test_missing_stop_words_name_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(
        presets, "stopwords", LazyCorpusLoader("stopwords", WordListCorpusReader, r"(?!README|\.).*", encoding="utf8")
    )
    with pytest.raises(UserError, match=r"python -m nltk\.downloader stopwords; .*network.*NLTK_DATA.*text=tweet"):
        build_tokenizer(COURSE)


def test_stripping_leaves_no_fragment_that_tells_the_label(nltk_tweets: dict[str, list[str]]) -> None:
    tokenize = build_tokenizer(replace(TWEET, **STRIP))
    positive, negative = (
        Counter(token for text in nltk_tweets[label] for token in set(tokenize(text)))
        for label in ("positive", "negative")
    )
    signs = {
        token: max(positive[token], negative[token]) / (positive[token] + negative[token])
        for token in positive.keys() | negative.keys()
        if positive[token] + negative[token] >= 20 and not any(map(str.isalnum, token))
    }
    assert not any(map(is_emoticon, positive.keys() | negative.keys()))
    assert {"(", ")", ":", "!", "?", "-"} <= signs.keys()
    assert signs["("] < 0.7
    assert signs[")"] < 0.7
    # '》' stands in one spammed tweet, '>' in "follow > >", '^' before the initials of service staff.
    assert {token for token, share in signs.items() if share > 0.75} == {"》", ">", "^"}
