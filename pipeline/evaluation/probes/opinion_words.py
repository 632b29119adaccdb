"""Words known to be positive or negative: Hu and Liu's opinion lexicon, or those of the generated tweets."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.data.sample.words import POLARITY
from pipeline.runtime.errors import UserError, nearest
from pipeline.runtime.files import fingerprint

if TYPE_CHECKING:
    from nltk.data import PathPointer

KINDS = ("sample", "nltk")
FILES = ("negative-words.txt", "positive-words.txt")  # polarity 0 and 1
FOLDERS = ("corpora/opinion_lexicon", "corpora/opinion_lexicon.zip/opinion_lexicon/")


def resolve_opinion_words(polarity: str, source: str) -> str | None:
    """Say which list `probe.polarity` means for tweets of `data.source`: `sample`, `nltk`, or None for none.

    `auto` is the generator's own list for generated tweets, and otherwise NLTK's where that is installed. Whether a
    list that was asked for by name exists is for `opinion_words` to say.
    """
    if polarity == "none":
        return None
    if polarity != "auto":
        return polarity
    if source == "sample":
        return "sample"
    return "nltk" if _find_lexicon() is not None else None


def opinion_words(kind: str) -> dict[str, int]:
    """Read the words of list `kind` with their polarity, 0 negative or 1 positive.

    Parameters
    ----------
    kind : `nltk`, the corpus opinion_lexicon (Hu and Liu 2004, 6,783 words without the three that it holds to be both),
        from NLTK's folders, of which the environment variable NLTK_DATA is one; or `sample`, the sentiment words of the
        generated tweets.

    Raises UserError where the corpus is not installed, with the command that installs it, or cannot be read.
    """
    if kind == "sample":
        return dict(POLARITY)
    if kind != "nltk":
        raise UserError(f"probe.polarity={kind}: no such list of words{nearest(kind, KINDS)}")
    folder = _find_lexicon()
    if folder is None:
        raise UserError(
            "probe.polarity=nltk: NLTK's corpus opinion_lexicon is not installed: python -m nltk.downloader "
            "opinion_lexicon; where the network is missing, NLTK_DATA names a copied nltk_data folder, or use "
            "probe.polarity=none"
        )
    negative, positive = (_read_words(folder, name) for name in FILES)
    both = negative & positive
    return dict.fromkeys(sorted(negative - both), 0) | dict.fromkeys(sorted(positive - both), 1)


def opinion_fingerprint(opinions: Mapping[str, int]) -> str:
    """Give 16 hexadecimal digits that name the words and their polarity, whatever their order."""
    return fingerprint(dict(opinions))


def _find_lexicon() -> "PathPointer | None":
    """Find the corpus's folder, or the archive of that name, among NLTK's folders."""
    import nltk  # takes a second, and generated tweets need none of it

    for resource in FOLDERS:
        try:
            return nltk.data.find(resource)
        except LookupError:
            continue
    return None


def _read_words(folder: "PathPointer", name: str) -> set[str]:
    """Read one word per line; lines that begin with a semicolon are remarks."""
    try:
        with folder.join(name).open() as stream:
            content = stream.read()
    except OSError as error:
        raise UserError(f"opinion_lexicon: {name} cannot be read ({error}); install the corpus again") from error
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # as the authors publish it; copies are found in UTF-8
    words = {line.strip() for line in text.splitlines() if line.strip() and not line.startswith(";")}
    if not words:
        raise UserError(f"opinion_lexicon: {name} holds no words; install the corpus again")
    return words
