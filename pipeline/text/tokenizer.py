"""NLTK's tweet tokens, several times faster.

`nltk.tokenize.TweetTokenizer` runs one large pattern over the whole text. Hardly any of its matches can reach across
white space, so the tokens of a text are nearly always the tokens of its white-space chunks, and most chunks have been
seen before. Texts in which a match may reach across (phone numbers, spaced ellipses) go to NLTK itself, chunks of
unusual shape to NLTK's patterns, which are read from the installed version.
"""

import re
from itertools import chain

import regex
from nltk.tokenize.casual import (
    EMOTICONS,
    REGEXPS,
    REGEXPS_PHONE,
    TweetTokenizer,
    _replace_html_entities,
    remove_handles,
)

from pipeline.errors import UserError

MEMO_SIZE = 1 << 18
TIMEOUT = 5.0  # seconds for one text; NLTK's own limit
_FLAGS = regex.VERBOSE | regex.IGNORECASE | regex.UNICODE
_WORD = regex.compile(f"({'|'.join(REGEXPS_PHONE)})", _FLAGS)
# The first pattern is NLTK's URL, which needs a dot or a colon; the phone number, left out too, needs a digit.
_WORD_WITHOUT_URL = regex.compile(f"({'|'.join(REGEXPS[1:])})", _FLAGS)
_URL_OR_PHONE = re.compile(r"[.:\d]")
_EMOTICON = regex.compile(EMOTICONS, _FLAGS)
_LENGTHENED = re.compile(r"(.)\1{2,}")
# Where tokens may depend on more than one chunk: dots apart, digits apart by what a phone number allows between them,
# and the four separators that str.split takes for white space and the patterns do not.
_CROSSING = re.compile(r"\.\s+\.|\d[*\-.)]* [ *\-.)]*\(?\d|[\x1c-\x1f]")
# Chunks whose tokens are plain to see: a word, hashtag or handle, with quotes, brackets or end marks around it. Without
# any of the eyes : ; = 8 (nor <3) no emoticon can hide in it; without a letter after the dots, no link.
_SIMPLE = re.compile(
    r"""(["(]*)([a-z]+(?:['\-][a-z]+)*|\#[a-z0-79_]{2,}|@[a-z0-79_]+)(\.*)([,!?")…]*)""", re.VERBOSE | re.I | re.ASCII
)


class _Memo(dict[str, tuple[str, ...]]):
    """Tokens of the chunks seen so far; emptied when full, so that its size is bounded."""

    def __missing__(self, chunk: str) -> tuple[str, ...]:
        if len(self) >= MEMO_SIZE:
            self.clear()
        tokens = self[chunk] = _tokenize_chunk(chunk)
        return tokens


def _tokenize_chunk(chunk: str) -> tuple[str, ...]:
    """Return NLTK's tokens of a text without white space, entities or handles to strip."""
    chunk = _LENGTHENED.sub(r"\1\1\1", chunk)
    if simple := _SIMPLE.fullmatch(chunk):
        before, word, dots, after = simple.groups()
        return (*before, word.lower(), dots, *after) if dots else (*before, word.lower(), *after)
    pattern = _WORD if _URL_OR_PHONE.search(chunk) else _WORD_WITHOUT_URL
    tokens = pattern.findall(chunk, timeout=TIMEOUT)
    return tuple(token if _EMOTICON.search(token) else token.lower() for token in tokens)


class CachedTweetTokenizer:
    """NLTK's `TweetTokenizer(preserve_case=False, reduce_len=True, strip_handles=strip_handles)`, only faster."""

    def __init__(self, strip_handles: bool = False) -> None:
        self.strip_handles = strip_handles
        self._memo = _Memo()
        self._reference = TweetTokenizer(preserve_case=False, reduce_len=True, strip_handles=strip_handles)

    def __reduce__(self) -> tuple[type["CachedTweetTokenizer"], tuple[bool]]:
        return CachedTweetTokenizer, (self.strip_handles,)

    def tokenize(self, text: str) -> list[str]:
        """Split one text into tokens. A pathological text that NLTK gives up after 5 s is a UserError."""
        try:
            plain: str = _replace_html_entities(text) if "&" in text else text
            if self.strip_handles and "@" in plain:
                plain = remove_handles(plain)
            if _CROSSING.search(plain):
                return list(self._reference.tokenize(text))
            return list(chain.from_iterable(map(self._memo.__getitem__, plain.split())))
        except TimeoutError as error:
            start = " ".join(text[:40].split())
            raise UserError(
                f"a text of {len(text):,} characters that starts with {start!r} cannot be tokenized in "
                f"{TIMEOUT:g} s; expected a short text such as a tweet"
            ) from error
