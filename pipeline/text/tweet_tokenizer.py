"""NLTK's tweet tokens, several times faster.

`nltk.tokenize.TweetTokenizer` runs one large pattern over the whole text. Hardly any of its matches can reach across
white space, so the tokens of a text are nearly always the tokens of its white-space chunks, and most chunks have been
seen before. Texts in which a match may reach across (phone numbers, spaced ellipses) and chunks of unusual shape go to
NLTK's patterns, which are read from the installed version.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from string import ascii_letters, digits

import numpy as np
import numpy.typing as npt
import regex
from nltk.tokenize.casual import (
    EMOTICONS,
    REGEXPS,
    REGEXPS_PHONE,
    _replace_html_entities,
    remove_handles,
)

from pipeline.runtime.errors import UserError

Groups = list[tuple[list[int], list[str]]]
Easy = tuple[npt.NDArray[np.bool_], list[str], npt.NDArray[np.uint8]]

MEMO_SIZE = 1 << 18
TIMEOUT = 5.0  # seconds for one text; NLTK's own limit
_FLAGS = regex.VERBOSE | regex.IGNORECASE | regex.UNICODE
_WORD = regex.compile(f"({'|'.join(REGEXPS_PHONE)})", _FLAGS)
# The first pattern is NLTK's URL, which needs a dot or a colon; the phone number, left out too, needs a digit.
_WORD_WITHOUT_URL = regex.compile(f"({'|'.join(REGEXPS[1:])})", _FLAGS)
_WORDS = regex.compile(f"({'|'.join(REGEXPS_PHONE)}|\\n)", _FLAGS)
_URL_OR_PHONE = re.compile(r"[.:\d]")
_EMOTICON = regex.compile(EMOTICONS, _FLAGS)
_LENGTHENED = re.compile(r"(.)\1{2,}")
# Where tokens may depend on more than one chunk: dots apart, digits apart by what a phone number allows between them,
# and the four separators that str.split takes for white space and the patterns do not.
_CROSSING = re.compile(r"\.\s+\.|\d[*\-.)]* [ *\-.)]*\(?\d|[\x1c-\x1f]")
# The same seen from the two chunks: a phone number has a 0, a 1 or three digits before its first space and three after,
# if only separators do not follow. NLTK's library knows digits that Python's does not.
_BETWEEN = "*-.)"
_AT_END = frozenset(digits + _BETWEEN)
_AT_START = _AT_END | {"("}
_DOT, _DIGIT, EMPTY, ALONE = 1, 2, 16, 32
_BEFORE_SPACE = regex.compile(r"[01]|\d{3}")
_AFTER_SPACE = regex.compile(r"[*\-.)]*(?:\(?\d{3}|$)")
# Chunks in which only handles, hashtags and the patterns for remaining words can match. What the others need: links and
# addresses one dot before a word, or dots and a slash or @; emoticons one of : ; = 8 (but a colon at the end makes one
# with d, o, p and signs only); tags, arrows and hearts < or >; phone numbers seven digits; emoji other characters.
_SIGN = r"""a-z0-79_!"#$%&'()*+,\-?\[\\\]^`{|}~…“”‘’–—"""
_PLAIN = re.compile(
    rf"(?!(?:\D*\d){{7}})(?:[{_SIGN}/@]++|\.(?![\w\-]))*+(?:(?<=[abce-nq-z]):)?|"
    rf"(?!(?:\D*\d){{7}})(?:[{_SIGN}]++|\.{{2,}}+|\.(?![\w\-]))*+(?:(?<=[abce-nq-z]):)?",
    re.I | re.ASCII,
)
_PLAIN_WORDS = re.compile(f"{REGEXPS[4]}|{REGEXPS[5]}|{REGEXPS[-1]}|\\n", re.VERBOSE | re.ASCII)
# A link from end to end. Its `:/` counts as an emoticon, so it keeps its case.
_LINK = re.compile(r"https?:/{1,3}[\w./\-?=&%+#~]+[\w/]", re.I | re.ASCII)
# Chunks of easy shape, told from the kinds of their bytes in UTF-8. One is a handle: @ and characters of words. The
# other has a letter, and signs that are nothing but tokens of their own; of its dots a run is a token, but one alone
# before a letter may be within a link, and is OTHER. So is what neither shape has: 8, the eyes of an emoticon, & and
# the backslash, which hide characters, and all beyond ASCII.
_LETTER, _NUMERAL, _AT, _SIGNS, _FULL_STOP, _OTHER, _LINE_END = (1 << bit for bit in range(7))
_KINDS = np.full(256, _OTHER, np.uint8)
for _characters, _kind in {
    ascii_letters: _LETTER,
    "012345679_": _NUMERAL,
    "@": _AT,
    '!"$%()*+,?[]^`{|}~': _SIGNS,
    ".": _FULL_STOP,
    "\n": _LINE_END,
}.items():
    _KINDS[list(_characters.encode())] = _kind


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
    if _PLAIN.fullmatch(chunk):
        return tuple(_PLAIN_WORDS.findall(chunk.lower()))
    return tuple(_match(_WORD if _URL_OR_PHONE.search(chunk) else _WORD_WITHOUT_URL, chunk))


def _match(pattern: regex.Pattern[str], text: str) -> Iterable[str]:
    """Return the tokens of a text that is not lengthened. NLTK shortens runs of line ends too, which no token holds."""
    return map(_lower, pattern.findall(text, timeout=TIMEOUT))


def _lower(token: str) -> str:
    return token if _EMOTICON.search(token) else token.lower()


def tokenize_chunks(chunks: Sequence[str]) -> Groups:
    """Tokenize many texts without white space, entities or handles to strip, much faster than one after the other.

    Returns groups of (which of the chunks, their tokens end to end with a line end after each chunk's); a TimeoutError
    where NLTK would give up.
    """
    lines = _LENGTHENED.sub(r"\1\1\1", "\n".join([*chunks, ""])).split("\n")[:-1]
    plain, link = _PLAIN.fullmatch, _LINK.fullmatch
    kinds = [1 if plain(line) else 2 if link(line) else 0 for line in lines]
    others, simple, links = ([i for i, kind in enumerate(kinds) if kind == group] for group in range(3))
    words = _PLAIN_WORDS.findall("".join([lines[i] + "\n" for i in simple]).lower())
    rest = _match(_WORDS, "".join([lines[i] + "\n" for i in others]))
    return [(simple, words), (links, [part for i in links for part in (lines[i], "\n")]), (others, list(rest))]


def easy_chunks(chunks: Sequence[str], handles: bool) -> Easy:
    """Tokenize at once, without a pattern, those white-space chunks whose shape tells their tokens: about nine in ten.

    Returns which they are, their tokens as in `tokenize_chunks`, and `edges` of all chunks, 0 of those that are not
    easy. Handles are easy with `handles` only.
    """
    codes = np.frombuffer("\n".join(["", *chunks, ""]).encode("utf-8", "surrogatepass"), np.uint8)
    kinds = _KINDS[codes]
    before, this, after = kinds[:-2], kinds[1:-1], kinds[2:]
    this[(this == _FULL_STOP) & (before != _FULL_STOP) & (after == _LETTER)] = _OTHER
    this[(this == _AT) & (before != _LINE_END)] = _OTHER
    borders = np.flatnonzero(kinds == _LINE_END)
    starts, ends = borders[:-1] + 1, borders[1:]
    holds = np.bitwise_or.reduceat(kinds, starts)
    handle = (holds & _AT > 0) & (holds & (_SIGNS | _FULL_STOP | _OTHER) == 0) & handles
    easy = (holds & _LETTER > 0) & (holds & (_NUMERAL | _AT | _OTHER) == 0) | handle
    found = easy * (_DOT * (kinds[ends - 1] == _FULL_STOP) | (_DOT << 2) * (kinds[starts] == _FULL_STOP))
    for i in np.flatnonzero(handle & (holds & _NUMERAL > 0)).tolist():
        found[i] = edges(chunks[i])
    kept = np.repeat(easy, ends - starts + 1)
    codes, kinds = codes[1:], np.maximum(kinds[1:], _AT)  # a token is a run of letters, numerals and @
    kept[3:] &= (codes[3:] != codes[2:-1]) | (codes[2:-1] != codes[1:-2]) | (codes[1:-2] != codes[:-3])
    codes, kinds = codes[kept], kinds[kept]
    begins = np.flatnonzero((np.diff(kinds, prepend=0) != 0) | (kinds == _SIGNS))
    tokens = np.insert(codes, begins, ord(" ")).tobytes().decode().lower().split(" ")[1:]
    return easy, tokens, found.astype(np.uint8)


def edges(chunk: str) -> int:
    """Return what `crossings` must know of a chunk: how it ends, how it begins (in the next two bits), or EMPTY."""
    if not chunk:
        return EMPTY
    if chunk.isascii() and chunk[0] not in _AT_START and chunk[-1] not in _AT_END:
        return 0
    core = chunk.rstrip(_BETWEEN)
    number = _BEFORE_SPACE.fullmatch(core[-1:]) or _BEFORE_SPACE.fullmatch(core[-3:])
    end = _DOT * (chunk[-1] == ".") | _DIGIT * bool(number)
    return end | (_DOT * (chunk[0] == ".") | _DIGIT * bool(_AFTER_SPACE.match(chunk))) << 2


def crossings(edges: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    """Return the positions of the chunks that a match may begin in and go on in the next, given `edges` of each."""
    return np.flatnonzero(edges[:-1] & (edges[1:] >> 2))


class CachedTweetTokenizer:
    """NLTK's `TweetTokenizer(preserve_case=False, reduce_len=True, strip_handles=strip_handles)`, only faster."""

    def __init__(self, strip_handles: bool = False) -> None:
        self.strip_handles = strip_handles
        self._memo = _Memo()

    def __reduce__(self) -> tuple[type["CachedTweetTokenizer"], tuple[bool]]:
        return CachedTweetTokenizer, (self.strip_handles,)

    def plain(self, text: str) -> str:
        """Undo entities as NLTK does, and strip handles if so configured."""
        plain: str = _replace_html_entities(text) if "&" in text else text
        if self.strip_handles and "@" in plain:
            plain = remove_handles(plain)
        return plain

    def tokenize(self, text: str) -> list[str]:
        """Split one text into tokens. A pathological text that NLTK gives up after 5 s is a UserError."""
        try:
            plain = self.plain(text)
            if _CROSSING.search(plain):
                return list(_match(_WORD, _LENGTHENED.sub(r"\1\1\1", plain)))
            return list(chain.from_iterable(map(self._memo.__getitem__, plain.split())))
        except TimeoutError as error:
            start = " ".join(text[:40].split())
            raise UserError(
                f"a text of {len(text):,} characters that starts with {start!r} cannot be tokenized in "
                f"{TIMEOUT:g} s; expected a short text such as a tweet"
            ) from error
