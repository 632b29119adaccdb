"""Tokenizer presets `tweet`, `course`, `whitespace`, `treebank`: cleaning, tokens, rules for handles and links.

Tokens never hold white space, since it separates the tokens of a corpus line. NLTK's phone numbers and spaced ellipses,
its only tokens with white space, are joined by `_`.
"""

import re
import string
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from itertools import chain

import numpy as np
from nltk.corpus import stopwords
from nltk.stem import PorterStemmer
from nltk.tokenize import NLTKWordTokenizer
from nltk.tokenize.casual import HANDLES_RE

from pipeline.config.schema import TextConfig
from pipeline.runtime.errors import UserError, nearest
from pipeline.runtime.nltk_data import STOP_WORDS, find_corpus
from pipeline.text import tweet_tokenizer
from pipeline.text.clean import clean, is_context_free, is_emoticon, strip_emoticons, strip_fragments
from pipeline.text.tweet_tokenizer import CachedTweetTokenizer, ChunkGroups, Memo, SimpleChunks

HANDLE = "@user"
LINK = "http"
_HANDLE = re.compile(r"@\w+")
_LINK = re.compile(r"(?:https?:/|www\.)\S*|[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,13}/\S+", re.IGNORECASE)
_REMOVED_BY_COURSE = [re.compile(pattern) for pattern in (r"\$\w*", r"^RT\s+", r"https?://.*[\r\n]*", "#")]

EMOTICONS: dict[str, Callable[[list[str]], list[str]]] = {
    "keep": lambda tokens: tokens,
    "strip": strip_emoticons,
    "strip_fragments": strip_fragments,
}


class Preset(ABC):
    """A callable from a text to its tokens. It pickles as its configuration: every worker process builds its own.

    `BatchEncoder` calls the parts of the tokenization one by one: `preprocess` on a text, then `simple_chunks`, or
    `normalize_chunk` and `tokenize_chunks`, on its white-space chunks, then `final_token` on each token.

    `reserved` are words that are always in the vocabulary.
    """

    reserved: tuple[str, ...] = ()
    _tweet: CachedTweetTokenizer

    def __init__(self, config: TextConfig) -> None:
        self.config = config
        self._strip_emoticons = EMOTICONS[config.emoticons]
        self._memo = Memo(self._rule)

    def __reduce__(self) -> tuple[type["Preset"], tuple[TextConfig]]:
        return type(self), (self.config,)

    def __call__(self, text: str) -> list[str]:
        """Return the tokens of one text, at most `max_tokens` of them; an empty text has none."""
        tokens = self._tokens(text)
        return tokens if self.config.max_tokens is None else tokens[: self.config.max_tokens]

    def _apply_rule(self, tokens: Iterable[str]) -> list[str]:
        """Apply the preset's rule to each token and drop those that it empties."""
        return list(filter(None, map(self._memo.__getitem__, tokens)))

    def preprocess(self, text: str) -> str:
        """Transform a text before it is split at white space."""
        return text

    def simple_chunks(self, chunks: list[str]) -> SimpleChunks:
        """Tokenize the simple chunks, before `final_token`: see `tweet_tokenizer.simple_chunks`."""
        return tweet_tokenizer.simple_chunks(chunks, handles=not self._tweet.strip_handles)

    @abstractmethod
    def normalize_chunk(self, chunk: str) -> str:
        """Transform a white-space chunk before it is tokenized; the result may be empty or hold white space."""

    def tokenize_chunks(self, chunks: list[str]) -> ChunkGroups:
        """Tokenize normalized chunks, before `final_token`: see `tweet_tokenizer.tokenize_chunks`."""
        return tweet_tokenizer.tokenize_chunks(chunks)

    def final_token(self, token: str) -> str | None:
        """Return the final form of one token, empty to drop it; None where it depends on the neighbouring tokens."""
        final = self._rule(token)
        return final if self.config.emoticons == "keep" else self._without_emoticons(final)

    def _without_emoticons(self, token: str) -> str | None:
        """Strip emoticons from one token; None where it depends on the neighbouring tokens."""
        if self.config.emoticons == "strip_fragments" and not is_context_free(token):
            return None
        return "".join(self._strip_emoticons([token]))

    @abstractmethod
    def _tokens(self, text: str) -> list[str]:
        """Return all tokens of one text."""

    @abstractmethod
    def _rule(self, token: str) -> str:
        """Return the preset's form of one token, whatever its neighbours; empty to drop it."""


class Tweet(Preset):
    """NLTK's tweet tokens of the cleaned text; handles, links and emoticons as configured."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        self._tweet = CachedTweetTokenizer(strip_handles=config.handles == "strip")

    def _tokens(self, text: str) -> list[str]:
        return self._strip_emoticons(self._apply_rule(self._tweet.tokenize(clean(text))))

    def normalize_chunk(self, chunk: str) -> str:
        """Undo escapes and entities, and strip handles if so configured."""
        return self._tweet.normalize(clean(chunk))

    def _rule(self, token: str) -> str:
        if token.isalnum():
            return token
        if self.config.handles == "mask" and _HANDLE.fullmatch(token):
            return HANDLE
        if self.config.links != "keep" and _LINK.fullmatch(token):
            return LINK if self.config.links == "mask" else ""
        return _storable(token)


class Course(Preset):
    """The preprocessing of the Trax assignment. It ignores `handles` and `links`: it always strips both.

    It removes `$TICKER`, a leading `RT`, links with the rest of their line, and `#` signs; takes NLTK's tweet tokens;
    drops English stop words and punctuation; and applies Porter's stemmer. As in the assignment, only NLTK undoes
    entities (after `#` is removed, so `&#39;` is lost), escapes stay, and any substring of `string.punctuation` counts
    as punctuation. The assignment's vocabulary has an unused entry for the end of a text, which is reserved here too.
    """

    reserved = ("</e>",)

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        self._tweet = CachedTweetTokenizer(strip_handles=True)
        self._stem: Callable[[str], str] = PorterStemmer().stem
        self._stop_words = english_stop_words()

    def _tokens(self, text: str) -> list[str]:
        return self._apply_rule(self._strip_emoticons(self._tweet.tokenize(self.preprocess(text))))

    def preprocess(self, text: str) -> str:
        """Remove tickers, a leading `RT`, links with the rest of their line, and `#` signs."""
        for pattern in _REMOVED_BY_COURSE:
            text = pattern.sub("", text)
        return text

    def normalize_chunk(self, chunk: str) -> str:
        """Replace entities once and strip handles, as NLTK does."""
        return self._tweet.normalize(chunk)

    def final_token(self, token: str) -> str | None:
        """Strip emoticons before stemming."""
        stripped = self._without_emoticons(token)
        return stripped and self._rule(stripped)

    def _rule(self, token: str) -> str:
        if token in self._stop_words or token in string.punctuation:
            return ""
        return _storable(self._stem(token))


class Whitespace(Preset):
    """The cleaned text, split on white space; case, handles, links and emoticons as configured."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        self._tweet = CachedTweetTokenizer()

    def _tokens(self, text: str) -> list[str]:
        words = chain.from_iterable(map(self._words, clean(text).split()))
        return self._strip_emoticons(self._apply_rule(words))

    def _words(self, chunk: str) -> list[str]:
        """Return the tokens of a chunk, in lower case if so configured."""
        return [chunk.lower() if self.config.lowercase else chunk]

    def simple_chunks(self, chunks: list[str]) -> SimpleChunks:
        """Treat no chunk as simple."""
        return np.zeros(len(chunks), bool), [], np.zeros(len(chunks), np.uint8)

    def normalize_chunk(self, chunk: str) -> str:
        """Undo escapes and entities."""
        return clean(chunk)

    def tokenize_chunks(self, chunks: list[str]) -> ChunkGroups:
        """Take the words of each chunk as its tokens."""
        return [(list(range(len(chunks))), [token for chunk in chunks for token in (*self._words(chunk), "\n")])]

    def _rule(self, token: str) -> str:
        if self.config.links != "keep":
            token = _LINK.sub(LINK if self.config.links == "mask" else "", token)
        if self.config.handles != "keep":
            token = HANDLES_RE.sub(HANDLE if self.config.handles == "mask" else "", token)
        if self.config.emoticons != "keep" and any(map(is_emoticon, pieces := self._tweet.tokenize(token))):
            token = "".join(self._strip_emoticons(pieces))
        return _storable(token)


class Treebank(Whitespace):
    """NLTK's Penn Treebank tokens of each white-space chunk: punctuation, `'s` and `n't` are tokens of their own.

    A full stop at the end of a chunk is a token too, since a text may hold several sentences. Handles, links and
    emoticons are replaced before a chunk is split.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        self._split: Callable[[str], list[str]] = NLTKWordTokenizer().tokenize

    def _words(self, chunk: str) -> list[str]:
        """Return the tokens of a chunk; the tokenizer takes the mask of a handle apart."""
        words = self._split("".join(map(self._memo.__getitem__, super()._words(chunk))))
        return " ".join(words).replace(f"@ {HANDLE[1:]}", HANDLE).split()


def _storable(token: str) -> str:
    """Return the token with `_` for inner white space and U+FFFD for surrogates, as a UTF-8 corpus line requires."""
    if token.isprintable() and " " not in token:  # other white space and surrogates are not printable
        return token
    return "_".join(token.split()).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def english_stop_words() -> frozenset[str]:
    """Return NLTK's English stop words; where the corpus is missing, a UserError with the remedies."""
    find_corpus(*STOP_WORDS)
    return frozenset(stopwords.words("english"))


PRESETS: dict[str, type[Preset]] = {"tweet": Tweet, "course": Course, "whitespace": Whitespace, "treebank": Treebank}


def build_tokenizer(config: TextConfig) -> Preset:
    """Build the preset `text.tokenizer`: a picklable callable from a text to its tokens.

    Raises UserError for an unknown preset, or where the stop words of `course` are not installed.
    """
    if config.tokenizer not in PRESETS:
        raise UserError(f"text.tokenizer={config.tokenizer}: no such preset{nearest(config.tokenizer, PRESETS)}")
    return PRESETS[config.tokenizer](config)
