"""Location and fingerprint of a data source, found without the libraries that read it."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.config.schema import DataConfig
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import file_fingerprint, fingerprint
from pipeline.runtime.nltk_data import find_corpus

HUB_IDS = {"tweet_eval": "cardiffnlp/tweet_eval", "sentiment140": "stanfordnlp/sentiment140"}
HUB_REVISIONS = {"sentiment140": "refs/convert/parquet"}
NLTK_FILES = {"positive": "positive_tweets.json", "negative": "negative_tweets.json"}
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def location(config: DataConfig) -> Path | str:
    """The local folder that `data.path` names, or else the hub id."""
    path = config.path or HUB_IDS.get(config.source)
    if not path:
        raise UserError("data.path is not set; data=hub reads the hub id or local folder it names")
    return folder_or_id("data.path", path, "; data=files reads a file")


def folder_or_id(key: str, path: str, hint: str = "") -> Path | str:
    """The local folder that `path`, the value of `key`, names, or else the hub id; `hint` : what to do with a file."""
    folder = Path(path).expanduser().absolute()
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise UserError(f"{key}={path} is a file, expected a folder{hint}")
    if not HUB_ID.fullmatch(path):
        raise UserError(f"{key}={path} is no local folder, and no hub id either (owner/name)")
    return path


def corpus_path(config: DataConfig) -> Path:
    """The folder or the zip archive of NLTK's twitter_samples, below `data.path` or NLTK's folders."""
    folder = config.path and str(Path(config.path).expanduser().absolute())
    if folder and not Path(folder).is_dir():
        raise UserError(f"data.path: no folder {folder}; data=nltk_twitter expects an nltk_data folder")
    return find_corpus("twitter_samples", "data=nltk_twitter", "data=sample", folder)


def source_fingerprint(
    config: DataConfig, fingerprint_files: Callable[[Sequence[Path]], str] = file_fingerprint
) -> str:
    """The identity of the raw input before it is read: a digest of local files, or `id@revision` of a hub data set.

    `fingerprint_files` may have a cache for large files. Raises UserError where a local source is absent.
    """
    if config.sample is not None:  # exactly with data=sample, see config/validate.py
        return fingerprint(vars(config.sample))
    if config.source == "nltk_twitter":
        corpus = corpus_path(config)
        return fingerprint_files([corpus / file for file in NLTK_FILES.values()] if corpus.is_dir() else [corpus])
    if config.source == "files":
        from pipeline.data.local_files import data_path

        return fingerprint_files([data_path(config)])
    folder_or_id = location(config)
    if isinstance(folder_or_id, Path):
        return fingerprint_files([folder_or_id])
    return f"{folder_or_id}@{config.revision or HUB_REVISIONS.get(config.source, 'main')}"
