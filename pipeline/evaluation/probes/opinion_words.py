"""Opinion lexicons of positive and negative words: Hu and Liu's, or that of the generated tweets."""

from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline.data.sample.words import POLARITY
from pipeline.runtime.errors import UserError, nearest
from pipeline.runtime.nltk_data import OPINIONS, find_corpus

if TYPE_CHECKING:
    from nltk.data import PathPointer

FILES = ("negative-words.txt", "positive-words.txt")  # polarity 0 and 1


def resolve_opinion_words(polarity: str, source: str) -> str | None:
    """The lexicon that `probe.polarity` selects for tweets of `data.source`: `sample`, `nltk`, or None for none.

    `auto` selects the generator's lexicon for generated tweets, and otherwise NLTK's if it is installed. Names other
    than `auto` are not checked here but in `opinion_words`.
    """
    if polarity != "auto":
        return None if polarity == "none" else polarity
    if source == "sample":
        return "sample"
    with suppress(UserError):
        find_corpus(*OPINIONS)
        return "nltk"
    return None


def opinion_words(kind: str) -> dict[str, int]:
    """Read the words of the lexicon `kind` with their polarity, 0 negative or 1 positive.

    `nltk` is NLTK's corpus opinion_lexicon (Hu and Liu 2004: 6,783 words, without the three listed under both
    polarities), `sample` the sentiment words of the generated tweets.

    Raises UserError where the corpus is not installed, with the command that installs it, or cannot be read.
    """
    if kind == "sample":
        return dict(POLARITY)
    if kind != "nltk":
        raise UserError(f"probe.polarity={kind}: no such lexicon{nearest(kind, ('sample', 'nltk'))}")
    find_corpus(*OPINIONS)
    import nltk  # slow, and not needed for generated tweets

    folder = nltk.data.find("corpora/opinion_lexicon/")  # the slash lets NLTK look into the archive too
    negative, positive = (_read_words(folder, name) for name in FILES)
    both = negative & positive
    return dict.fromkeys(sorted(negative - both), 0) | dict.fromkeys(sorted(positive - both), 1)


def _read_words(folder: "PathPointer", name: str) -> set[str]:
    """Read one word per line; lines that begin with a semicolon are comments."""
    try:
        with folder.join(name).open() as stream:
            content = stream.read()
    except OSError as error:
        raise UserError(f"opinion_lexicon: {name} cannot be read ({error}); install the corpus again") from error
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # the authors' encoding; some copies are in UTF-8
    words = {line.strip() for line in text.splitlines() if line.strip() and not line.startswith(";")}
    if not words:
        raise UserError(f"opinion_lexicon: {name} holds no words; install the corpus again")
    return words
