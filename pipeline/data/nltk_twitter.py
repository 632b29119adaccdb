"""Reader of NLTK's twitter_samples: 5,000 positive and 5,000 negative tweets, in the course's splits."""

import nltk
from nltk.corpus.reader import TwitterCorpusReader

from pipeline.config.schema import DataConfig
from pipeline.data.clean_rows import Source, SourceSplit, numbered_rows
from pipeline.data.source import NLTK_FILES as FILES
from pipeline.data.source import corpus_path
from pipeline.runtime.errors import UserError, one_line

LABEL_NAMES = ("negative", "positive")
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
    corpus = corpus_pointer(config)
    try:
        reader = TwitterCorpusReader(corpus, list(FILES.values()))
        return {label: reader.strings(file) for label, file in FILES.items()}
    except (OSError, ValueError) as error:
        raise UserError(f"data=nltk_twitter: could not read twitter_samples ({one_line(error)})") from error


def corpus_pointer(config: DataConfig) -> nltk.data.PathPointer:
    """The corpus as NLTK's reader takes it: a folder, or a folder in a zip archive."""
    path = corpus_path(config)
    if str(path.parents[1]) not in nltk.data.path:
        # NLTK refuses to read a corpus outside the folders on its list.
        nltk.data.path.append(str(path.parents[1]))
    member = f"{path.name}/{path.stem}/" if path.suffix else path.name
    return nltk.data.find(f"corpora/{member}", paths=[str(path.parents[1])])
