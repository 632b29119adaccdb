"""Location of NLTK's corpora, found without importing NLTK, which takes over a second and loads scikit-learn."""

import os
import sys
from pathlib import Path

from pipeline.runtime.errors import UserError
from pipeline.runtime.paths import python

# Corpora by the key that needs them, with a setting that does without; as arguments of `find_corpus`.
STOP_WORDS = ("stopwords", "text.tokenizer=course", "text=tweet")
OPINIONS = ("opinion_lexicon", "probe.polarity=nltk", "probe.polarity=none")


def search_path() -> list[str]:
    """NLTK's list of folders, where it is loaded; else as `nltk.data` would make it, NLTK_DATA first."""
    if loaded := sys.modules.get("nltk.data"):
        return list(map(str, loaded.path))
    named = [*filter(None, os.environ.get("NLTK_DATA", "").split(os.pathsep)), "~/nltk_data"]
    ours = [os.path.join(sys.prefix, *parts, "nltk_data") for parts in ((), ("share",), ("lib",))]
    system = [f"/usr/{folder}/nltk_data" for folder in ("share", "local/share", "lib", "local/lib")]
    return [*map(os.path.expanduser, named), *ours, *system]


def find_corpus(corpus: str, key: str, remedy: str, folder: str | None = None) -> Path:
    """The folder or the zip archive of a corpus, below `folder` or NLTK's folders.

    Raises UserError where it is not installed; `key` needs it, `remedy` is a setting that does without it.
    """
    for parent in [folder] if folder else search_path():
        for path in (Path(parent, "corpora", corpus), Path(parent, "corpora", f"{corpus}.zip")):
            if path.exists():
                return path
    where = f"in {folder}" if folder else "installed"
    raise UserError(
        f"{key}: NLTK's corpus {corpus} is not {where}: {python()} -m nltk.downloader {corpus}; without a network, set "
        f"NLTK_DATA to a copied nltk_data folder, or use {remedy}"
    )
