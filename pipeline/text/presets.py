"""The named ways from a tweet to its tokens: `tweet`, `course`, `whitespace`.

Tokens never hold white space, since a corpus line separates tokens by it: a phone number or a spaced ellipsis, the only
tokens of NLTK that do, is joined by `_`.
"""

import re
import string
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from nltk.corpus import stopwords
from nltk.stem import PorterStemmer
from nltk.tokenize.casual import HANDLES_RE

from pipeline.config.schema import TextConfig
from pipeline.runtime.errors import UserError, nearest
from pipeline.text.clean import clean, is_emoticon, stands_alone, strip_emoticons, strip_fragments
from pipeline.text.tweet_tokenizer import MEMO_SIZE, CachedTweetTokenizer, Easy, Groups, easy_chunks, tokenize_chunks

HANDLE = "@user"
LINK = "http"
_HANDLE = re.compile(r"@\w+")
_LINK = re.compile(r"(?:https?:/|www\.)\S*|[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,13}/\S+", re.IGNORECASE)
_COURSE_REMOVES = [re.compile(pattern) for pattern in (r"\$\w*", r"^RT\s+", r"https?://.*[\r\n]*", "#")]


EMOTICONS: dict[str, Callable[[list[str]], list[str]]] = {
    "keep": lambda tokens: tokens,
    "strip": strip_emoticons,
    "strip_fragments": strip_fragments,
}


class _Memo(dict[str, str]):
    """What `rule` makes of the tokens seen so far; emptied when full, so that its size is bounded."""

    def __init__(self, rule: Callable[[str], str]) -> None:
        super().__init__()
        self.rule = rule

    def __missing__(self, token: str) -> str:
        if len(self) >= MEMO_SIZE:
            self.clear()
        value = self[token] = self.rule(token)
        return value


class Preset(ABC):
    """Call it with a text to get its tokens. Pickles as its configuration, so every worker process builds its own.

    `reserved` are words that get a row of the vocabulary although no text needs to hold them.
    """

    reserved: tuple[str, ...] = ()
    _tweet: CachedTweetTokenizer

    def __init__(self, config: TextConfig) -> None:
        self.config = config
        self._strip = EMOTICONS[config.emoticons]
        self._memo = _Memo(self._word)

    def __reduce__(self) -> tuple[type["Preset"], tuple[TextConfig]]:
        return type(self), (self.config,)

    def __call__(self, text: str) -> list[str]:
        """Return the tokens of one text, at most `max_tokens` of them; an empty text has none."""
        tokens = self._tokens(text)
        return tokens if self.config.max_tokens is None else tokens[: self.config.max_tokens]

    def _words(self, tokens: list[str]) -> list[str]:
        """Apply the preset's rule to each token, dropping those it empties."""
        return list(filter(None, map(self._memo.__getitem__, tokens)))

    def before(self, text: str) -> str:
        """Return what of a text is cut at white space."""
        return text

    def easy(self, chunks: list[str]) -> Easy:
        """Cut at once the white-space chunks whose shape tells their tokens, before `word`: see `easy_chunks`."""
        return easy_chunks(chunks, handles=not self._tweet.strip_handles)

    @abstractmethod
    def plain(self, chunk: str) -> str:
        """Return what of a white-space chunk is cut into tokens; it may hold white space, or nothing."""

    def groups(self, chunks: list[str]) -> Groups:
        """Cut plain chunks into tokens, before `word`: see `tokenize_chunks`."""
        return tokenize_chunks(chunks)

    def word(self, token: str) -> str | None:
        """Return what becomes of one token, empty to drop it; None where that depends on its neighbours."""
        word = self._word(token)
        return word if self.config.emoticons == "keep" else self._alone(word)

    def _alone(self, token: str) -> str | None:
        """Strip emoticons from one token."""
        if self.config.emoticons == "strip_fragments" and not stands_alone(token):
            return None
        return "".join(self._strip([token]))

    @abstractmethod
    def _tokens(self, text: str) -> list[str]:
        """Return all tokens of one text."""

    @abstractmethod
    def _word(self, token: str) -> str:
        """Return what becomes of one token, regardless of its neighbours; empty to drop it."""


class Tweet(Preset):
    """NLTK's tweet tokens of the cleaned text; handles, links and emoticons as configured."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        self._tweet = CachedTweetTokenizer(strip_handles=config.handles == "strip")

    def _tokens(self, text: str) -> list[str]:
        tokens = self._words(self._tweet.tokenize(clean(text)))
        return self._strip(tokens)

    def plain(self, chunk: str) -> str:
        """Undo escapes, entities and, if so configured, handles."""
        return self._tweet.plain(clean(chunk))

    def _word(self, token: str) -> str:
        if token.isalnum():
            return token
        if self.config.handles == "mask" and _HANDLE.fullmatch(token):
            return HANDLE
        if self.config.links != "keep" and _LINK.fullmatch(token):
            return LINK if self.config.links == "mask" else ""
        return _storable(token)


class Course(Preset):
    """The preprocessing of the Trax assignment; reads neither `handles` nor `links`, both of which it always strips.

    Removes `$TICKER`, a leading `RT`, links with the rest of their line, and `#` signs; takes NLTK's tweet tokens;
    drops English stop words and punctuation; stems by Porter. As in the assignment, only NLTK undoes entities (after
    `#` is gone, so `&#39;` is lost), nothing undoes escapes, and any substring of `string.punctuation` is punctuation.
    The assignment's vocabulary has an entry for the end of a text, which it never uses; it keeps its row here.
    """

    reserved = ("</e>",)

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        self._tweet = CachedTweetTokenizer(strip_handles=True)
        self._stem: Callable[[str], str] = PorterStemmer().stem
        self._stop_words = english_stop_words()

    def _tokens(self, text: str) -> list[str]:
        tokens = self._tweet.tokenize(self.before(text))
        return self._words(self._strip(tokens))

    def before(self, text: str) -> str:
        """Remove what the assignment removes."""
        for pattern in _COURSE_REMOVES:
            text = pattern.sub("", text)
        return text

    def plain(self, chunk: str) -> str:
        """Undo what NLTK undoes: entities once, and handles."""
        return self._tweet.plain(chunk)

    def word(self, token: str) -> str | None:
        """Strip emoticons before stems are taken."""
        kept = self._alone(token)
        return kept and self._word(kept)

    def _word(self, token: str) -> str:
        if token in self._stop_words or token in string.punctuation:
            return ""
        return _storable(self._stem(token))


class Whitespace(Preset):
    """The cleaned text in lower case, split on white space; handles, links and emoticons as configured."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        self._tweet = CachedTweetTokenizer()

    def _tokens(self, text: str) -> list[str]:
        tokens = self._words(clean(text).lower().split())
        return self._strip(tokens)

    def easy(self, chunks: list[str]) -> Easy:
        """None is easy: chunks are not cut."""
        return np.zeros(len(chunks), bool), [], np.zeros(len(chunks), np.uint8)

    def plain(self, chunk: str) -> str:
        """Undo escapes and entities."""
        return clean(chunk)

    def groups(self, chunks: list[str]) -> Groups:
        """Take each chunk as one token, in lower case."""
        return [(list(range(len(chunks))), [part for chunk in chunks for part in (chunk.lower(), "\n")])]

    def _word(self, token: str) -> str:
        if self.config.links != "keep":
            token = _LINK.sub(LINK if self.config.links == "mask" else "", token)
        if self.config.handles != "keep":
            token = HANDLES_RE.sub(HANDLE if self.config.handles == "mask" else "", token)
        if self.config.emoticons != "keep" and any(map(is_emoticon, parts := self._tweet.tokenize(token))):
            token = "".join(self._strip(parts))
        return _storable(token)


def _storable(token: str) -> str:
    """Return the token with `_` for white space within and U+FFFD for surrogates: fit for a corpus line in UTF-8."""
    if token.isprintable() and " " not in token:  # no other white space is printable, nor is a surrogate
        return token
    return "_".join(token.split()).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def english_stop_words() -> frozenset[str]:
    """Return NLTK's English stop words; a UserError that names the remedies where the corpus is missing."""
    try:
        return frozenset(stopwords.words("english"))
    except LookupError as error:
        raise UserError(
            "text=course needs NLTK's stop words, which are not on this machine: run `python -m nltk.downloader "
            "stopwords twitter_samples` (if that fails, the network may be missing), or set NLTK_DATA to a folder that "
            "holds corpora/stopwords"
        ) from error


PRESETS: dict[str, type[Preset]] = {"tweet": Tweet, "course": Course, "whitespace": Whitespace}


def build_tokenizer(config: TextConfig) -> Preset:
    """Build the callable of preset `text.tokenizer`: one text in, its tokens out; can be pickled.

    An unknown preset, or stop words that are not installed (`course`), is a UserError.
    """
    if config.tokenizer not in PRESETS:
        raise UserError(f"text.tokenizer={config.tokenizer}: no such preset{nearest(config.tokenizer, PRESETS)}")
    return PRESETS[config.tokenizer](config)
