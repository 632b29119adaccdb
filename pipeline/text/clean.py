r"""Text as its writer saw it, and tokens without emoticons.

`clean` undoes what storing did to a tweet: literal `\u2019` escapes and HTML entities. `strip_emoticons` removes the
tokens that gave the tweets of many corpora, NLTK's among them, their label.
"""

import html
import re
from collections.abc import Sequence
from functools import lru_cache

import regex
from nltk.tokenize.casual import EMOTICONS

_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]*);")
_SURROGATE = re.compile(r"[\ud800-\udfff]")

_ASCII_EMOTICON = regex.compile(EMOTICONS, regex.VERBOSE | regex.IGNORECASE)
# What NLTK's pattern does not know: repeated mouths (`:-))` is one word between white space), `<33`, eyes with a mouth
# between (`^_^`, `t_t`), and `xd`.
_ASCII_FACE = regex.compile(
    r"[<>]?[:;=]['\-o*]?(?:[)]+|[(]+|\]+|\[+|d+|p+)|<3+|([\^\-;*>touxq0])[.\-]*_[_.\-]*\1|\^[.\-]?\^|>[_.]+<|x+d+",
    regex.IGNORECASE,
)
# Emoji by Unicode property, without signs that are text first (©, ™, ‼, CJK marks); all miscellaneous symbols and the
# pictures among the dingbats (♡, ❥); private use, where old phones kept their emoji. Joiners, selectors, modifiers and
# tags belong to the emoji before them; left alone by the tokenizer, they are fragments of one.
_EMOJI = regex.compile(
    r"""(?:
          (?![\u0000-\u22ff\u3000-\u33ff])\p{Extended_Pictographic}
        | [\u2600-\u26ff\u2701-\u275a\u2761-\u2767\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff]
        | \p{Emoji_Presentation} | \p{Private_Use} | [0-9\#*]\ufe0f?\u20e3 | [\ufe0e\ufe0f\u20e3] | ^\u200d
        )[\u200d\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*""",
    regex.VERBOSE,
)
_BRACKETS = {")": "(", "]": "[", "}": "{"}
_EYES = {"^": "^", "-": "-", ";": ";", "*": "*", ">": "<>", "<": ">"}
_BOUND = {*_BRACKETS.keys(), *_BRACKETS.values(), *_EYES}
_MOUTHS = {"_", "__", "___", ".", "-"}


def clean(text: str) -> str:
    r"""Undo literal `\uXXXX` escapes and HTML entities, however often they were applied.

    Two escapes that form a surrogate pair become their one character. A surrogate without a partner, escaped or not,
    becomes U+FFFD, so the outcome can always be written as UTF-8. Unknown entities stay.
    """
    if text.isascii() and "&" not in text and "\\u" not in text:
        return text
    before = None
    while text != before:
        before = text
        if "\\u" in text:
            text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
        if "&" in text:
            text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    if _SURROGATE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


@lru_cache(maxsize=1 << 17)
def _without_emoticons(token: str) -> str:
    """Return what is left of a token: nothing of an emoticon, the word of a word with an emoji glued to it."""
    if _ASCII_EMOTICON.fullmatch(token) or _ASCII_FACE.fullmatch(token):
        return ""
    return token if token.isascii() else str(_EMOJI.sub("", token))


def is_emoticon(token: str) -> bool:
    """Tell whether a token is nothing but an ASCII emoticon, emoji, or parts of emoji (selectors, skin tones)."""
    return bool(token) and not _without_emoticons(token)


def strip_emoticons(tokens: Sequence[str]) -> list[str]:
    """Drop the emoticons and emoji of one tweet; of a word with an emoji glued to it, the word stays."""
    return list(filter(None, map(_without_emoticons, tokens)))


def strip_fragments(tokens: Sequence[str]) -> list[str]:
    """Drop emoticons and emoji, and what the tokenizer splits off them.

    Those are the further mouths of `:-)))`, brackets without a partner (`: )`), and faces of several tokens (`^_^`). In
    NLTK's corpus a lone bracket tells the label of 97 tweets in 100.
    """
    kept: list[str] = []
    dropped = ""
    for token in tokens:
        rest = _without_emoticons(token)
        if rest and dropped and token == dropped[-1].lower() * len(token):
            continue
        if rest:
            kept.append(rest)
        dropped = "" if rest else token
    return _without_unpaired(_without_faces(kept))


def stands_alone(token: str) -> bool:
    """Tell whether `strip_fragments` keeps a token, and all beside it, whatever stands beside it."""
    return token not in _BOUND and _without_emoticons(token) == token


def _without_faces(tokens: list[str]) -> list[str]:
    """Drop `^ ^`, and two eyes with a mouth between, such as `^ _ ^`, `- . -` and `> _ <`."""
    kept: list[str] = []
    position = 0
    while position < len(tokens):
        eyes = _EYES.get(tokens[position])
        following = tokens[position + 1 : position + 3]
        if eyes and following[:1] == ["^"] == [eyes]:
            position += 2
        elif eyes and len(following) == 2 and following[0] in _MOUTHS - {eyes} and following[1] in eyes:
            position += 3
        else:
            kept.append(tokens[position])
            position += 1
    return kept


def _without_unpaired(tokens: list[str]) -> list[str]:
    """Drop brackets that are not closed, or not opened, within the tweet."""
    open_at: dict[str, list[int]] = {"(": [], "[": [], "{": []}
    unpaired: set[int] = set()
    for position, token in enumerate(tokens):
        if token in open_at:
            open_at[token].append(position)
        elif token in _BRACKETS:
            partners = open_at[_BRACKETS[token]]
            if partners:
                partners.pop()
            else:
                unpaired.add(position)
    unpaired.update(*open_at.values())
    return [token for position, token in enumerate(tokens) if position not in unpaired] if unpaired else tokens
