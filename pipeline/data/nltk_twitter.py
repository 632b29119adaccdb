"""Reader of NLTK's twitter_samples: 5,000 positive and 5,000 negative tweets, in the course's splits."""

from pathlib import Path

import nltk
from nltk.corpus.reader import TwitterCorpusReader
from nltk.data import ZipFilePathPointer

from pipeline.config.schema import DataConfig
from pipeline.data.clean_rows import Source, SourceSplit, numbered_rows
from pipeline.runtime.errors import UserError, one_line

LABEL_NAMES = ("negative", "positive")
FILES = {"positive": "positive_tweets.json", "negative": "negative_tweets.json"}
TWEETS_PER_LABEL = 5_000
TRAINING_TWEETS_PER_LABEL = 4_000


def open_nltk_twitter(config: DataConfig) -> Source:
    """The first 4,000 positive and first 4,000 negative tweets as `train`, the last 1,000 of each as `test`.

    Raises UserError where the corpus is not installed, or is not the one of 5,000 + 5,000 tweets.
    """
    tweets = read_corpus(config)
    for label, texts in tweets.items():
        if len(texts) != TWEETS_PER_LABEL:
            raise UserError(f"twitter_samples {FILES[label]}: {len(texts)} tweets, expected {TWEETS_PER_LABEL}")
    splits = {}
    limit = TRAINING_TWEETS_PER_LABEL
    for split, part in (("train", slice(None, limit)), ("test", slice(limit, None))):
        rows = numbered_rows([(text, label) for label, texts in tweets.items() for text in texts[part]])
        splits[split] = SourceSplit(f"twitter_samples {split}", rows)
    return Source(splits, LABEL_NAMES)


def read_corpus(config: DataConfig) -> dict[str, list[str]]:
    """The texts of each label in the corpus's order, as NLTK's reader gives them."""
    corpus = find_corpus(config)
    try:
        reader = TwitterCorpusReader(corpus, list(FILES.values()))
        return {label: reader.strings(file) for label, file in FILES.items()}
    except (OSError, ValueError) as error:
        raise UserError(f"data=nltk_twitter: could not read twitter_samples ({one_line(error)})") from error


def find_corpus(config: DataConfig) -> nltk.data.PathPointer:
    """The corpus's folder, or its zip archive, below `data.path` or in NLTK's data folders."""
    folders = None
    if config.path:
        folder = Path(config.path).expanduser().absolute()
        if not folder.is_dir():
            raise UserError(f"data.path: no folder {folder}; data=nltk_twitter expects an nltk_data folder")
        folders = [str(folder)]
        if folders[0] not in nltk.data.path:
            # NLTK refuses to read a corpus outside the folders on its list.
            nltk.data.path.append(folders[0])
    for resource in ("corpora/twitter_samples", "corpora/twitter_samples.zip/twitter_samples/"):
        try:
            return nltk.data.find(resource, paths=folders)
        except LookupError:
            continue
    where = f"in {folders[0]}" if folders else "installed"
    raise UserError(
        f"data=nltk_twitter: NLTK's corpus twitter_samples is not {where}: python -m nltk.downloader twitter_samples; "
        "without a network, set NLTK_DATA or data.path to a copied nltk_data folder, or use data=sample"
    )


def corpus_files(config: DataConfig) -> list[Path]:
    """The files on disk that hold the corpus."""
    corpus = find_corpus(config)
    if isinstance(corpus, ZipFilePathPointer):
        return [Path(corpus.zipfile.filename)]
    return [Path(str(corpus)) / file for file in FILES.values()]
