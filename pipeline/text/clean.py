r"""Text cleaning (HTML entities and `\u2019` escapes undone) and removal of emoticons and emoji from tokens.

Many corpora, NLTK's among them, got the labels of their tweets from emoticons: `strip_emoticons` removes these tokens.
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
# Emoticons that NLTK's pattern lacks: repeated mouths (`:-))`, one token when split at white space), `<33`, a mouth
# between two eyes (`^_^`, `t_t`), and `xd`.
_ASCII_FACE = regex.compile(
    r"[<>]?[:;=]['\-o*]?(?:[)]+|[(]+|\]+|\[+|d+|p+)|<3+|([\^\-;*>touxq0])[.\-]*_[_.\-]*\1|\^[.\-]?\^|>[_.]+<|x+d+",
    regex.IGNORECASE,
)
# Emoji by Unicode property, without signs that are usually text (©, ™, ‼, CJK marks); all miscellaneous symbols and the
# pictures among the dingbats (♡, ❥); private use characters, the emoji of old phones. Joiners, selectors, modifiers and
# tags belong to the preceding emoji; where the tokenizer separates them, they are fragments of one.
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
_CONTEXT_DEPENDENT = {*_BRACKETS.keys(), *_BRACKETS.values(), *_EYES}
_MOUTHS = {"_", "__", "___", ".", "-"}


def clean(text: str) -> str:
    r"""Undo literal `\uXXXX` escapes and HTML entities, however often they were applied.

    Two escapes that form a surrogate pair become one character. An unpaired surrogate, escaped or not, becomes U+FFFD,
    so that the result can always be written as UTF-8. Unknown entities stay.
    """
    if text.isascii() and "&" not in text and "\\u" not in text:
        return text
    previous = None
    while text != previous:
        previous = text
        if "\\u" in text:
            text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
        if "&" in text:
            text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    if _SURROGATE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


@lru_cache(maxsize=1 << 17)
def _without_emoticons(token: str) -> str:
    """Return a token without emoticons and emoji: empty for an emoticon, the word for a word with an emoji attached."""
    if _ASCII_EMOTICON.fullmatch(token) or _ASCII_FACE.fullmatch(token):
        return ""
    return token if token.isascii() else str(_EMOJI.sub("", token))


def is_emoticon(token: str) -> bool:
    """Whether a token consists of an ASCII emoticon, of emoji, or of parts of emoji (selectors, skin tones) alone."""
    return bool(token) and not _without_emoticons(token)


def strip_emoticons(tokens: Sequence[str]) -> list[str]:
    """Drop the emoticons and emoji of one tweet; of a word with an emoji attached, keep the word."""
    return list(filter(None, map(_without_emoticons, tokens)))


def strip_fragments(tokens: Sequence[str]) -> list[str]:
    """Drop emoticons and emoji, and the fragments of them that the tokenizer splits off.

    Fragments are the repeated mouths of `:-)))`, unpaired brackets (`: )`), and emoticons of several tokens (`^_^`). In
    NLTK's corpus, an unpaired bracket reveals the label of 97 tweets in 100.
    """
    words: list[str] = []
    emoticon = ""  # the preceding token, where it was one
    for token in tokens:
        word = _without_emoticons(token)
        if word and emoticon and token == emoticon[-1].lower() * len(token):
            continue
        if word:
            words.append(word)
        emoticon = "" if word else token
    return _without_unpaired(_without_faces(words))


def is_context_free(token: str) -> bool:
    """Whether `strip_fragments` keeps a token in any context, and treats its neighbours the same without it."""
    return token not in _CONTEXT_DEPENDENT and _without_emoticons(token) == token


def _without_faces(tokens: list[str]) -> list[str]:
    """Drop `^ ^`, and a mouth between two eyes, such as `^ _ ^`, `- . -` and `> _ <`."""
    words: list[str] = []
    position = 0
    while position < len(tokens):
        eyes = _EYES.get(tokens[position])
        following = tokens[position + 1 : position + 3]
        if eyes and following[:1] == ["^"] == [eyes]:
            position += 2
        elif eyes and len(following) == 2 and following[0] in _MOUTHS - {eyes} and following[1] in eyes:
            position += 3
        else:
            words.append(tokens[position])
            position += 1
    return words


def _without_unpaired(tokens: list[str]) -> list[str]:
    """Drop brackets that are not closed, or not opened, within the tweet."""
    open_brackets: dict[str, list[int]] = {"(": [], "[": [], "{": []}  # positions
    unpaired: set[int] = set()
    for position, token in enumerate(tokens):
        if token in open_brackets:
            open_brackets[token].append(position)
        elif token in _BRACKETS and (candidates := open_brackets[_BRACKETS[token]]):
            candidates.pop()
        elif token in _BRACKETS:
            unpaired.add(position)
    unpaired.update(*open_brackets.values())
    return [token for position, token in enumerate(tokens) if position not in unpaired] if unpaired else tokens
