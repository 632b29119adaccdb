import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.tokenize import TweetTokenizer

from pipeline.text.clean import clean, is_emoticon, strip_emoticons, strip_fragments


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (r"don\u2019t \u002c go", "don’t , go"),
        (r"\ud83d\ude02!", "😂!"),
        (r"a\ud83d b\ude02 \ud83d", "a\ufffd b\ufffd \ufffd"),
        ("a\ud83db", "a\ufffdb"),
        ("\ud83d\ude02", "😂"),
        (r"\u0026amp;lt;3", "<3"),
        ("&amp;amp; &lt;3 &quot;x&quot; &amp;lt;3", '& <3 "x" <3'),
        ("&#128514; &#x1F602; &#39;", "😂 😂 '"),
        ("&#xD800; &#0;", "\ufffd \ufffd"),
        ("AT&T &notit &bogus; Q&A;", "AT&T &notit &bogus; Q&A;"),
        (r"C:\users \u12 \n", r"C:\users \u12 \n"),
        (r"\u005cu2019", "’"),
        ("", ""),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@settings(max_examples=500)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                ["\\u", "\\ud83d", "\\ude02", "\\u0026", "\\u005c", "&amp;", "&", "#38;", "lt;", "&#xD83D;"]
            ),
            st.text(st.characters(codec=None), max_size=4),
        )
    ).map("".join)
)
def test_clean_is_idempotent_and_storable(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert once.encode("utf-8").decode("utf-8") == once


@settings(max_examples=300)
@given(st.text())
def test_text_without_escapes_and_entities_is_kept(text: str) -> None:
    text = re.sub(r"[&\\]", "", text)
    assert clean(text) == text


def words(*lines: str) -> list[str]:
    return [word for line in lines for word in line.split(" ")]


ASCII = words(":) :-) :( :-( :D :-D ;) ;-) =) =D :p :P ;p :/ :\\ :| :} :@ :'( :') >:( >:) D: (: (-: ): <3 </3 8) ;]")
FACES = words(":)) :-(((( <33 ^_^ ^^ ^.^ -_- -__- t_t o_o u_u ;_; >_< >.< xd xdd")
EMOJI = words(
    "😂 ☺ ☹ ☺️ ❤ ❤️ ♥ ♡ ❥ ❣️ 💔 👍 👍🏽 🏽 🇺🇸 🇬🇧 9️⃣ 1⃣ #️⃣ ⭐ ✨ ✌️ ☀ ♀ ⌚ ▶️ 😂😂 🦄 🫠",
    "👩\u200d👩\u200d👧 🤦🏻\u200d♀️ 🤷\u200d♂ 🏳️\u200d🌈 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "\ue420 \U000fe334 \ufe0f \u200d \u20e3",
)
OTHER = words(
    ". , ! ? ... … ' \" ’ “ ” - -- – — _ __ : ; ( ) [ ] / \\ | * & # @ % + = ~ ^ < > » 《 -> € £ © ® ™ ½ ² ° •",
    "3 8 10 3:30 1/2 3.5 x xx d p o u a word don't w/ #hashtag @user http://t.co/x <b>",
    "〜 ・ 。 中文 日本語 ツ こんにちは 한국어 مرحبا शुभ क्\u200dष",
)


@pytest.mark.parametrize("token", ASCII + FACES + EMOJI)
def test_emoticons(token: str) -> None:
    assert is_emoticon(token)


@pytest.mark.parametrize("token", ["", *OTHER])
def test_other_tokens(token: str) -> None:
    assert not is_emoticon(token)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("so good :-)))", "so good"),
        ("no :((( why", "no why"),
        ("ok : ) fine", "ok : fine"),
        ("((: hi", "hi"),
        ("hi (really :) )", "hi really"),
        ("hi (really :)", "hi really"),
        ("(it is fine) :)", "( it is fine )"),
        ("[link] )", "[ link ]"),
        ("so :DDD <33", "so"),
        ("kawaii ^_^ ok", "kawaii ok"),
        ("tired -_- ;_; >_< ^^", "tired"),
        ("2 - 3 - 4", "2 - 3 - 4"),
        ("- - -", "- - -"),
        ("love ❤️ you 🤦🏻‍♀️!", "love you !"),
        ("🏳️‍🌈 pride", "pride"),
        ("hs1️⃣7️⃣ ok", "hs ok"),
    ],
)
def test_strip_fragments(text: str, rest: str) -> None:
    tokens = TweetTokenizer(preserve_case=False, reduce_len=True).tokenize(text)
    assert strip_fragments(tokens) == rest.split(" ")


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("so good :-)))", "so good ) )"),
        ("ok : ) fine", "ok : ) fine"),
        ("so :DDD <33", "so dd 3"),
        ("kawaii ^_^ ok", "kawaii ^ _ ^ ok"),
        ("love ❤️ you 🤦🏻‍♀️!", "love you !"),
        ("hs1️⃣7️⃣ ok", "hs ok"),
    ],
)
def test_strip_emoticons(text: str, rest: str) -> None:
    tokens = TweetTokenizer(preserve_case=False, reduce_len=True).tokenize(text)
    assert strip_emoticons(tokens) == rest.split(" ")


@settings(max_examples=300)
@given(st.lists(st.sampled_from([*ASCII, *EMOJI, *OTHER])))
def test_stripping_leaves_no_emoticon_and_adds_nothing(tokens: list[str]) -> None:
    for strip in (strip_emoticons, strip_fragments):
        rest = strip(tokens)
        assert not any(map(is_emoticon, rest))
        remaining = iter(tokens)
        assert all(token in remaining for token in rest)


def test_brackets_tell_the_label_until_fragments_are_stripped(nltk_tweets: dict[str, list[str]]) -> None:
    tokenize = TweetTokenizer(preserve_case=False, reduce_len=True).tokenize
    tokens = {label: [tokenize(clean(text)) for text in texts] for label, texts in nltk_tweets.items()}

    def negative_share(bracket: str, strip: Callable[[list[str]], list[str]]) -> float:
        count = {label: sum(bracket in strip(tweet) for tweet in tweets) for label, tweets in tokens.items()}
        return count["negative"] / (count["negative"] + count["positive"])

    assert negative_share("(", strip_emoticons) > 0.85
    assert negative_share(")", strip_emoticons) < 0.15 + negative_share(")", strip_fragments) / 2
    assert 0.3 < negative_share("(", strip_fragments) < 0.7
    assert 0.3 < negative_share(")", strip_fragments) < 0.7
