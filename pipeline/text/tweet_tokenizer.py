"""Fast tokenizer with the tokens of NLTK's TweetTokenizer, which it caches by white-space chunk.

`nltk.tokenize.TweetTokenizer` runs one large pattern over the whole text. Hardly any match spans white space, so the
tokens of a text are nearly always those of its white-space chunks, and most chunks have been seen before. Texts in
which a match may span white space (phone numbers, spaced ellipses) and chunks of unusual shape are matched with NLTK's
own patterns, which are read from the installed version.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from string import ascii_letters, digits
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import regex
from nltk.tokenize.casual import EMOTICONS, REGEXPS, REGEXPS_PHONE, _replace_html_entities, remove_handles

from pipeline.runtime.errors import UserError

# Indices of some chunks, and their tokens end to end with a "\n" after the tokens of each chunk.
ChunkGroups = list[tuple[list[int], list[str]]]
# Which chunks are simple, their tokens as above, and the `edge_flags` of all chunks (0 for the others).
SimpleChunks = tuple[npt.NDArray[np.bool_], list[str], npt.NDArray[np.uint8]]

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
# Texts in which a token may span two chunks: two dots with white space between, two digits with what a phone number
# allows between, and the four separators that str.split takes for white space and the patterns do not.
_CROSSING = re.compile(r"\.\s+\.|\d[*\-.)]* [ *\-.)]*\(?\d|[\x1c-\x1f]")
# The same condition for two neighbouring chunks: a phone number has a 0, a 1 or three digits before its first space,
# and three digits or only separators after it. The `regex` library knows digits that `re` does not.
_PHONE_SEPARATORS = "*-.)"
_AT_END = frozenset(digits + _PHONE_SEPARATORS)
_AT_START = _AT_END | {"("}
# Edge flags of a chunk: how it ends (two bits), how it begins (the same bits, shifted by two), or one of two values:
# EMPTY for a chunk without characters, NEEDS_TEXT for one whose tokens depend on the rest of the text.
_DOT, _DIGIT, EMPTY, NEEDS_TEXT = 1, 2, 16, 32
_BEFORE_SPACE = regex.compile(r"[01]|\d{3}")
_AFTER_SPACE = regex.compile(r"[*\-.)]*(?:\(?\d{3}|$)")
# Chunks in which only the patterns of handles, hashtags and remaining words can match. The other patterns require more:
# links and addresses a dot before a word, or dots and a slash or @; emoticons one of : ; = 8 (a colon at the end makes
# one only after d, o, p and signs); tags, arrows and hearts < or >; phone numbers seven digits; emoji other characters.
_SIGN = r"""a-z0-79_!"#$%&'()*+,\-?\[\\\]^`{|}~…“”‘’–—"""
_PLAIN = re.compile(
    rf"(?!(?:\D*\d){{7}})(?:[{_SIGN}/@]++|\.(?![\w\-]))*+(?:(?<=[abce-nq-z]):)?|"
    rf"(?!(?:\D*\d){{7}})(?:[{_SIGN}]++|\.{{2,}}+|\.(?![\w\-]))*+(?:(?<=[abce-nq-z]):)?",
    re.I | re.ASCII,
)
_PLAIN_WORDS = re.compile(f"{REGEXPS[4]}|{REGEXPS[5]}|{REGEXPS[-1]}|\\n", re.VERBOSE | re.ASCII)
# A chunk that is one link. Its `:/` counts as an emoticon, so it keeps its case.
_LINK = re.compile(r"https?:/{1,3}[\w./\-?=&%+#~]+[\w/]", re.I | re.ASCII)
# Simple chunks, recognized by the classes of their UTF-8 bytes. They have one of two shapes. A handle is @ and word
# characters. A simple word has a letter, and signs that are always tokens of their own. A run of dots is one token, but
# a single dot before a letter may be within a link, and is OTHER. OTHER is also what neither shape holds: the digit 8
# and other eyes of emoticons, & and the backslash (which escape characters), and all characters beyond ASCII.
_LETTER, _NUMERAL, _AT, _SIGNS, _FULL_STOP, _OTHER, _LINE_END = (1 << bit for bit in range(7))
_BYTE_CLASSES = np.full(256, _OTHER, np.uint8)
for _characters, _class in {
    ascii_letters: _LETTER,
    "012345679_": _NUMERAL,
    "@": _AT,
    '!"$%()*+,?[]^`{|}~': _SIGNS,
    ".": _FULL_STOP,
    "\n": _LINE_END,
}.items():
    _BYTE_CLASSES[list(_characters.encode())] = _class


T = TypeVar("T")


class Memo(dict[str, T]):
    """Cache of `rule(text)`; emptied when full, so that its size is bounded."""

    def __init__(self, rule: Callable[[str], T]) -> None:
        super().__init__()
        self.rule = rule

    def __missing__(self, text: str) -> T:
        if len(self) >= MEMO_SIZE:
            self.clear()
        value = self[text] = self.rule(text)
        return value


def _tokenize_chunk(chunk: str) -> tuple[str, ...]:
    """Return NLTK's tokens of a text without white space, entities or handles to strip."""
    chunk = _LENGTHENED.sub(r"\1\1\1", chunk)
    if _PLAIN.fullmatch(chunk):
        return tuple(_PLAIN_WORDS.findall(chunk.lower()))
    return tuple(_match(_WORD if _URL_OR_PHONE.search(chunk) else _WORD_WITHOUT_URL, chunk))


def _match(pattern: regex.Pattern[str], text: str) -> Iterable[str]:
    """Return the tokens of a text whose lengthened words are shortened already.

    NLTK shortens runs of line ends too, but no token holds one.
    """
    tokens = pattern.findall(text, timeout=TIMEOUT)
    return (token if _EMOTICON.search(token) else token.lower() for token in tokens)


def tokenize_chunks(chunks: Sequence[str]) -> ChunkGroups:
    """Tokenize many texts without white space, entities or handles to strip, much faster than one after the other.

    The chunks are grouped by the pattern that tokenizes them. Raises TimeoutError where NLTK would give up.
    """
    lines = _LENGTHENED.sub(r"\1\1\1", "\n".join([*chunks, ""])).split("\n")[:-1]
    is_plain, is_link = _PLAIN.fullmatch, _LINK.fullmatch
    kinds = [1 if is_plain(line) else 2 if is_link(line) else 0 for line in lines]
    others, plain, links = ([i for i, kind in enumerate(kinds) if kind == group] for group in range(3))
    plain_tokens = _PLAIN_WORDS.findall("".join([lines[i] + "\n" for i in plain]).lower())
    link_tokens = [token for i in links for token in (lines[i], "\n")]
    other_tokens = list(_match(_WORDS, "".join([lines[i] + "\n" for i in others])))
    return [(plain, plain_tokens), (links, link_tokens), (others, other_tokens)]


def simple_chunks(chunks: Sequence[str], handles: bool) -> SimpleChunks:
    """Tokenize simple chunks (about nine in ten) all at once from the classes of their bytes, without a pattern.

    Handles count as simple only with `handles`.
    """
    codes = np.frombuffer("\n".join(["", *chunks, ""]).encode("utf-8", "surrogatepass"), np.uint8)
    classes = _BYTE_CLASSES[codes]
    before, this, after = classes[:-2], classes[1:-1], classes[2:]
    this[(this == _FULL_STOP) & (before != _FULL_STOP) & (after == _LETTER)] = _OTHER
    this[(this == _AT) & (before != _LINE_END)] = _OTHER
    line_ends = np.flatnonzero(classes == _LINE_END)
    starts, ends = line_ends[:-1] + 1, line_ends[1:]
    classes_in_chunk = np.bitwise_or.reduceat(classes, starts)
    is_handle = (classes_in_chunk & _AT > 0) & (classes_in_chunk & (_SIGNS | _FULL_STOP | _OTHER) == 0) & handles
    is_word = (classes_in_chunk & _LETTER > 0) & (classes_in_chunk & (_NUMERAL | _AT | _OTHER) == 0)
    is_simple = is_word | is_handle
    edges = is_simple * (_DOT * (classes[ends - 1] == _FULL_STOP) | (_DOT << 2) * (classes[starts] == _FULL_STOP))
    for i in np.flatnonzero(is_handle & (classes_in_chunk & _NUMERAL > 0)).tolist():
        edges[i] = edge_flags(chunks[i])
    used = np.repeat(is_simple, ends - starts + 1)
    codes, classes = codes[1:], np.maximum(classes[1:], _AT)  # a token is a run of letters, numerals and @
    used[3:] &= (codes[3:] != codes[2:-1]) | (codes[2:-1] != codes[1:-2]) | (codes[1:-2] != codes[:-3])
    codes, classes = codes[used], classes[used]
    token_starts = np.flatnonzero((np.diff(classes, prepend=0) != 0) | (classes == _SIGNS))
    tokens = np.insert(codes, token_starts, ord(" ")).tobytes().decode().lower().split(" ")[1:]
    return is_simple, tokens, edges.astype(np.uint8)


def edge_flags(chunk: str) -> int:
    """Return the flags of a chunk that `possible_crossings` reads: how it ends and begins, or EMPTY."""
    if not chunk:
        return EMPTY
    if chunk.isascii() and chunk[0] not in _AT_START and chunk[-1] not in _AT_END:
        return 0
    core = chunk.rstrip(_PHONE_SEPARATORS)
    number = _BEFORE_SPACE.fullmatch(core[-1:]) or _BEFORE_SPACE.fullmatch(core[-3:])
    end = _DOT * (chunk[-1] == ".") | _DIGIT * bool(number)
    return end | (_DOT * (chunk[0] == ".") | _DIGIT * bool(_AFTER_SPACE.match(chunk))) << 2


def possible_crossings(edges: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    """Return the positions of chunks from which a token may extend into the next, given the `edge_flags` of all."""
    return np.flatnonzero(edges[:-1] & (edges[1:] >> 2))


class CachedTweetTokenizer:
    """A faster `nltk.TweetTokenizer(preserve_case=False, reduce_len=True, strip_handles=strip_handles)`."""

    def __init__(self, strip_handles: bool = False) -> None:
        self.strip_handles = strip_handles
        self._memo = Memo(_tokenize_chunk)

    def __reduce__(self) -> tuple[type["CachedTweetTokenizer"], tuple[bool]]:
        return CachedTweetTokenizer, (self.strip_handles,)

    def normalize(self, text: str) -> str:
        """Replace HTML entities as NLTK does, and strip handles if so configured."""
        normalized: str = _replace_html_entities(text) if "&" in text else text
        if self.strip_handles and "@" in normalized:
            normalized = remove_handles(normalized)
        return normalized

    def tokenize(self, text: str) -> list[str]:
        """Split one text into tokens. A pathological text, on which NLTK gives up after 5 s, is a UserError."""
        try:
            normalized = self.normalize(text)
            if _CROSSING.search(normalized):
                return list(_match(_WORD, _LENGTHENED.sub(r"\1\1\1", normalized)))
            return list(chain.from_iterable(map(self._memo.__getitem__, normalized.split())))
        except TimeoutError as error:
            start = " ".join(text[:40].split())
            raise UserError(
                f"a text of {len(text):,} characters that starts with {start!r} cannot be tokenized in "
                f"{TIMEOUT:g} s; expected a short text such as a tweet"
            ) from error
