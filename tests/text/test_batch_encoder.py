from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise, product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nltk.tokenize import TweetTokenizer

from pipeline.config.schema import UNK, TextConfig
from pipeline.runtime.errors import UserError
from pipeline.text import batch_encoder as module
from pipeline.text import tweet_tokenizer as tokenizer_module
from pipeline.text.batch_encoder import BatchEncoder
from pipeline.text.parallel_tokenize import WordIds
from pipeline.text.presets import build_tokenizer

PLAIN = TextConfig(
    "tweet",
    handles="keep",
    links="keep",
    emoticons="keep",
    min_count=1,
    unlabelled_min_count=None,
    max_tokens=None,
)
DEFAULT = replace(PLAIN, handles="mask", links="mask", max_tokens=256)
CONFIGS = [
    replace(
        PLAIN,
        tokenizer=preset,
        lowercase=preset != "treebank",
        handles=handles,
        links=handles,
        emoticons=emoticons,
        max_tokens=most,
    )
    for preset, (handles, most), emoticons in product(
        ("tweet", "whitespace", "treebank"),
        (("keep", None), ("mask", 256), ("strip", 3)),
        ("keep", "strip", "strip_fragments"),
    )
]
PIECES = [
    *"abdopxDPO8139",
    *".,:;=-_'\"*()[]{}<>/\\|@#&$%+!?~^",
    *" \t\n\r\x0b\x00\x1c\x1d\x1f\x85\xa0\u2028\u3000\u200b",
    *"éßİΣſK\u0307½²٣𑽐中♥❤☺😂👩\u200d\ufe0f\u20e3🏽🇺🇸…“”«‘’–",
    *("\ud83d", "\ude00", "\\ud83d", "\\u0026", "\\u00a0", "\\u002e", "\\u001c"),
    *("http://", "https://t.co/Ab", "www.", "co.uk", "t.co/x(1)", "@Bob", "@bob_15_letters_x", "me@x.org"),
    *("don't", "sooooo", "WORD", "ab", "ab ", "555", "555 ", "1234", "+1 (555) 123-4567", ". . .", ". ", " ."),
    *(":-)))", "<3", "</b>", "-->", "^_^", "^ ^", ": )", "( ", " )", "x:", "d:", "a..b", "a..b/", "3.5", "a@b.55"),
    *("&amp;", "&lt;", "&#46;", "&#32;", "&nbsp;", "&#x1F600;", "&#133;", "&#x0b;", "&#x1c;", "&bogus;", "&", ";"),
    *("👩\u200d👩\u200d👧", "👍🏽", "9\ufe0f\u20e3", "RT ", "$GE", "#x", "\\u"),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def round_trip(
    tokenizer: Callable[[str], list[str]],
) -> tuple[Callable[[Sequence[str]], list[list[str]]], BatchEncoder]:
    """A function that encodes a batch and decodes the ids again, and its encoder."""
    word_ids = WordIds()
    encoder = BatchEncoder(tokenizer, word_ids.__getitem__)

    def tokens(texts: Sequence[str]) -> list[list[str]]:
        ids, offsets = encoder.encode(texts)
        assert (ids.dtype, offsets.dtype, len(offsets)) == ("int32", "int64", len(texts) + 1)
        return [[word_ids.words[id] for id in ids[a:b]] for a, b in pairwise(offsets)]

    return tokens, encoder


ENCODERS = [(build_tokenizer(config), round_trip(build_tokenizer(config))[0]) for config in CONFIGS]


@settings(max_examples=400, deadline=None)
@given(st.lists(TEXTS, max_size=4))
@example(["555 @bob 1234", "a .@bob . b", "555", "1234"])
@example([". &#x0b; .", "&#46; &#46;", "555&#32;1234", "a\\u002e ."])
@example(["\x00", "a \x00 b", "", "a\x1cb", "c"])
@example(["\ud83d\ude00", "\ud83d", "\\ud83d\\ude00"])
@example(["+1 (555) 123-4567", "5555 12345", "1 - 555 1234", "0 (555)"])
def test_equals_the_tokenizer_text_by_text(texts: list[str]) -> None:
    for tokenize, encode in ENCODERS:
        assert encode(texts) == [tokenize(text) for text in texts], tokenize.config


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=3))
def test_equals_the_tokenizer_on_any_text(texts: list[str]) -> None:
    for tokenize, encode in ENCODERS:
        assert encode(texts) == [tokenize(text) for text in texts], tokenize.config


NLTK = TweetTokenizer(preserve_case=False, reduce_len=True)
LIKE_NLTK = round_trip(build_tokenizer(PLAIN))[0]


@settings(max_examples=600, deadline=None)
@given(st.lists(TEXTS.filter(lambda text: "\\u" not in text and "&" not in text and text.isprintable()), max_size=4))
@example(["x" * 10_000, "ab " * 5_000, "5" * 3_000, "(" * 400 + ")" * 400])
@example(["👨\u200d👩\u200d👧\u200d👦", "🇺🇸🇬🇧🇺", "👍🏽👍", "@bob hi @ann", ".@bob", "5 555 1234", ". . . ."])
def test_equals_nltk(texts: list[str]) -> None:
    expected = [["_".join(token.split()) for token in NLTK.tokenize(text)] for text in texts]
    assert LIKE_NLTK(texts) == [[token for token in tokens if token] for tokens in expected]


@pytest.mark.usefixtures("nltk_data")
@pytest.mark.parametrize("emoticons", ["keep", "strip", "strip_fragments"])
def test_the_course_preset_is_the_same(emoticons: str, nltk_tweets: dict[str, list[str]]) -> None:
    tokenize = build_tokenizer(replace(PLAIN, tokenizer="course", emoticons=emoticons))
    encode = round_trip(tokenize)[0]
    texts = ["RT @Bob: see http://x.y z\n\nw &#39;q $GE #1 555\t1234", "RT", *nltk_tweets["positive"][::9]]
    assert encode(texts) == [tokenize(text) for text in texts]


def assert_equal(texts: Iterator[str] | list[str], config: TextConfig) -> int:
    tokenize = build_tokenizer(config)
    encode, count = round_trip(tokenize)[0], 0
    source = iter(texts)
    while batch := list(islice(source, 2_000)):
        assert encode(batch) == [tokenize(text) for text in batch]
        count += len(batch)
    return count


@pytest.mark.parametrize("config", [DEFAULT, CONFIGS[8], CONFIGS[17], CONFIGS[18], CONFIGS[26]])
def test_real_texts(
    config: TextConfig, nltk_tweets: dict[str, list[str]], hub_texts: list[str], unlabelled: Iterator[str]
) -> None:
    texts = [*nltk_tweets["negative"][::5], *hub_texts[::60], *islice(unlabelled, 0, None, 300)]
    assert assert_equal(texts, config) > 5_000


@pytest.mark.slow
@pytest.mark.parametrize("config", [DEFAULT])
def test_every_real_text(
    config: TextConfig, nltk_tweets: dict[str, list[str]], hub_texts: list[str], unlabelled: Iterator[str]
) -> None:
    everything: Iterable[str] = (*nltk_tweets["positive"], *nltk_tweets["negative"], *hub_texts, *unlabelled)
    assert assert_equal(iter(everything), config) == 10_000 + 184_011 + 419_159


def test_the_table_is_bounded_and_emptying_it_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TABLE_ROWS", 5)
    tokenize = build_tokenizer(DEFAULT)
    encode, encoder = round_trip(tokenize)
    for start in range(0, 30, 3):
        batch = [f"same w{start} w{start + 1}:) 555 {start}234", "same ." + "x" * 500]
        assert encode(batch) == [tokenize(text) for text in batch]
        assert len(encoder._rows) <= 5 + 8
        assert len(encoder._edges) == len(encoder._starts) == len(encoder._sizes) == len(encoder._rows) + 1
    assert not any(len(chunk) > module.MAX_CHUNK_LENGTH for chunk in encoder._rows)


def test_slices_are_laid_end_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenize = build_tokenizer(DEFAULT)
    texts = ["Good day", "a\x1cb", "", "@bob 555 1234", "c \x00 d", "a . . b", "x\x1dy"]
    for size in (1, 2, 3, 7):
        monkeypatch.setattr(module, "SLICE", size)
        assert round_trip(tokenize)[0](texts) == [tokenize(text) for text in texts]


def test_a_fixed_vocabulary() -> None:
    known = {"good": 2, "@user": 3}
    ids, offsets = BatchEncoder(build_tokenizer(DEFAULT), lambda word: known.get(word, UNK)).encode(
        ["GOOD @bob day", "", "x"]
    )
    assert (ids.tolist(), offsets.tolist()) == ([2, 3, UNK, UNK], [0, 3, 3, 4])


def test_no_texts() -> None:
    for tokenizer in (build_tokenizer(DEFAULT), str.split):
        ids, offsets = BatchEncoder(tokenizer, len).encode([])
        assert (ids.tolist(), offsets.tolist()) == ([], [0])


def test_texts_that_take_too_long_are_named_and_spoil_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    encode, _ = round_trip(build_tokenizer(DEFAULT))
    with monkeypatch.context() as patch:
        patch.setattr(tokenizer_module, "TIMEOUT", 1e-9)
        with pytest.raises(UserError, match="a text of 40,001 characters that starts with 'x1x1"):
            encode(["fine", "x1" * 20_000 + "."])
    assert encode(["fine", "x.y z"]) == [["fine"], ["x", ".", "y", "z"]]
