import pickle
from collections.abc import Iterable, Iterator
from itertools import islice

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nltk.tokenize import TweetTokenizer

from pipeline.runtime.errors import UserError
from pipeline.text import tweet_tokenizer as module
from pipeline.text.tweet_tokenizer import CachedTweetTokenizer

SHARES = 8  # of the comparison on all real texts, so that they can run in parallel
OURS = {strip: CachedTweetTokenizer(strip) for strip in (False, True)}
NLTK = {strip: TweetTokenizer(preserve_case=False, reduce_len=True, strip_handles=strip) for strip in (False, True)}
FRAGMENTS = [
    *"abdopxDPO8139",
    *".,:;=-_'\"*()[]{}<>/\\|@#&$%+!?~^",
    *" \t\n\r\x0b\x1c\x1d\x1f\x85\xa0\u2028\u3000\u200b",
    *"éßİΣſK\u0307½²٣中♥❤☺😂👩\u200d\ufe0f\u20e3🏽🇺🇸…“”«",
    "\ud83d",
    "http://",
    "https://t.co/Ab",
    "www.",
    "co.uk",
    "t.co/x(1)",
    "@Bob",
    "@bob_15_letters_x",
    "RT @x8d:",
    "me@x.org",
    "don't",
    "sooooo",
    "WORD",
    "ab",
    "555",
    "1234",
    "+1 (555) 123-4567",
    ". . .",
    ":-)))",
    "<3",
    "</b>",
    "-->",
    "&amp;",
    "&lt;",
    "&#46;",
    "&#32;",
    "&nbsp;",
    "&#x1F600;",
    "&#133;",
    "&bogus;",
    "&",
    ";",
    "👩\u200d👩\u200d👧",
    "👍🏽",
    "9\ufe0f\u20e3",
]


def assert_equal_tokens(texts: Iterable[str]) -> int:
    count = 0
    for count, text in enumerate(texts, 1):  # noqa: B007
        plain = NLTK[False].tokenize(text)
        stripped = NLTK[True].tokenize(text) if "@" in text else plain  # nothing to strip: NLTK takes long
        assert OURS[False].tokenize(text) == plain, repr(text)
        assert OURS[True].tokenize(text) == stripped, repr(text)
    return count


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Call 555 123 4567 now", ["call", "555 123 4567", "now"]),
        ("wait . . what", ["wait", ". .", "what"]),
        ("a .@bob . b", ["a", ".", "@bob", ".", "b"]),
        ("SOOOO Good :-D :D :)))", ["sooo", "good", ":-D", ":D", ":)", ")", ")"]),
        ("http://T.co/Ab &amp;&lt;3", ["http://T.co/Ab", "&", "<3"]),
        ("a\x1cb", ["a", "\x1c", "b"]),
        ("", []),
        (" \u2028 ", []),
    ],
)
def test_known_answers(text: str, tokens: list[str]) -> None:
    assert OURS[False].tokenize(text) == tokens
    assert_equal_tokens([text])


def test_handles_are_stripped_as_by_nltk() -> None:
    assert OURS[True].tokenize("RT @Bob_1: hi.@ann me@x.org") == ["rt", ":", "hi", ".", "me@x.org"]
    # What a stripped handle leaves joins the dots, or the digits, on its two sides.
    assert OURS[True].tokenize("a .@bob . b") == ["a", ".  .", "b"]
    assert OURS[True].tokenize("555 @bob 1234") == ["555   1234"]


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join))
@example("&#46; &#46;")
@example("555&#32;1234")
@example("&amp;@bob @bob&amp;")
@example("@o8x @8bit @x8D! (D: do:")
@example("\n\n\n\n\n(\r\n)")
@example("....................")
def test_equals_nltk_on_generated_texts(text: str) -> None:
    assert_equal_tokens([text])


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=40))
def test_equals_nltk_on_any_text(text: str) -> None:
    assert_equal_tokens([text])


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.from_regex(pattern, fullmatch=True) for pattern in (module._PLAIN, module._LINK)))
def test_plain_chunks_and_links_equal_nltk(chunk: str) -> None:
    tokens_by_chunk = {chunks[0]: tokens for chunks, tokens in module.tokenize_chunks([chunk]) if chunks}
    assert tokens_by_chunk == {0: [*NLTK[False].tokenize(chunk), "\n"]}
    assert_equal_tokens([chunk])


def test_white_space_differs_from_the_patterns_only_where_known() -> None:
    characters = "".join(map(chr, range(0x110000)))
    differing = set(filter(str.isspace, characters)) ^ set(regex.findall(r"\s", characters))
    assert differing == {"\x1c", "\x1d", "\x1e", "\x1f"}
    assert all(module._CROSSING.search(c) for c in differing)


def test_equals_nltk_on_real_texts(
    nltk_tweets: dict[str, list[str]], hub_texts: list[str], unlabelled: Iterator[str]
) -> None:
    labelled = [text for texts in nltk_tweets.values() for text in texts]
    sample = [*labelled, *hub_texts[::40], *islice(unlabelled, 0, None, 150)]
    assert assert_equal_tokens(sample) > 17_000


def test_chunks_are_grouped_by_pattern() -> None:
    groups = module.tokenize_chunks(["", "Hi!!!!", "http://T.co/Ab", "D:", "a.b", "x:"])
    assert groups == [
        ([0, 1, 5], ["\n", "hi", "!", "!", "!", "\n", "x", ":", "\n"]),
        ([2], ["http://T.co/Ab", "\n"]),
        ([3, 4], ["D:", "\n", "a", ".", "b", "\n"]),
    ]


def test_simple_chunks_are_recognized() -> None:
    chunks = [
        "Hiiii!!!!!",
        "a.b",
        "@Bob_15",
        "...so..Good.",
        "8ball",
        "@x8D",
        "d:",
        "@@x",
        "a@b",
        "...",
        "é",
        "(x",
        "@",
    ]
    is_simple, tokens, edges = module.simple_chunks(chunks, handles=True)
    assert is_simple.nonzero()[0].tolist() == [0, 2, 3, 11, 12]
    assert " ".join(tokens).split(" \n") == ["hiii ! ! !", " @bob_15", " ... so .. good .", " ( x", " @", ""]
    assert edges.tolist() == [0, 0, 0, 5, *[0] * 9]
    assert module.simple_chunks(["@Bob", "x"], handles=False)[1] == ["x", "\n"]


@settings(max_examples=1500, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.lists(st.sampled_from([*"aAbdDopPx018@@_..!,()*$|~", "...", "com", "@bob", "&", ":", "é"]), min_size=1),
            st.lists(st.sampled_from("aDop.!(@01_"), min_size=1, max_size=5),
        ).map("".join),
        min_size=1,
        max_size=6,
    )
)
@example([".a", ".com", "a.", ".", "@bob.", "@555", "@1234567", "x" * 9, "a..bc", "a.bc"])
def test_simple_chunks_equal_nltk(chunks: list[str]) -> None:
    is_simple, tokens, edges = module.simple_chunks(chunks, handles=True)
    simple = [chunk for chunk, flag in zip(chunks, is_simple, strict=True) if flag]
    assert tokens == [token for chunk in simple for token in (*NLTK[False].tokenize(chunk), "\n")]
    expected = [module.edge_flags(chunk) if flag else 0 for chunk, flag in zip(chunks, is_simple, strict=True)]
    assert edges.tolist() == expected


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_equals_nltk_on_every_real_text(
    share: int, nltk_tweets: dict[str, list[str]], hub_texts: list[str], unlabelled: Iterator[str]
) -> None:
    everything = [*(text for texts in nltk_tweets.values() for text in texts), *hub_texts, *unlabelled]
    assert len(everything) == 10_000 + 184_011 + 419_159
    assert_equal_tokens(everything[share::SHARES])


def test_memo_is_bounded_and_emptying_it_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMO_SIZE", 3)
    ours = CachedTweetTokenizer()
    text = "one two, three. Four 5 six:) one"
    for _ in range(3):
        assert ours.tokenize(text) == NLTK[False].tokenize(text)
        assert len(ours._memo) <= 3


def test_results_are_independent_lists() -> None:
    ours = CachedTweetTokenizer()
    ours.tokenize("hello").append("x")
    assert ours.tokenize("hello") == ["hello"]


@pytest.mark.parametrize("strip", [False, True])
def test_pickles_without_its_memo(strip: bool) -> None:
    ours = CachedTweetTokenizer(strip)
    empty = len(pickle.dumps(ours))
    ours.tokenize("some words to remember")
    assert len(pickle.dumps(ours)) == empty
    assert pickle.loads(pickle.dumps(ours)).tokenize("hi @bob") == (["hi"] if strip else ["hi", "@bob"])


def test_a_text_that_takes_too_long_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 1e-6)
    text = "x1" * 20_000 + "."
    with pytest.raises(UserError, match=r"a text of 40,001 characters that starts with 'x1x1.*cannot be tokenized"):
        CachedTweetTokenizer().tokenize(text)
