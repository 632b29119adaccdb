"""Location and fingerprint of a data source, found without the libraries that read it."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.config.schema import TWEET_EVAL, DataConfig
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import file_fingerprint, fingerprint
from pipeline.runtime.nltk_data import find_corpus

HUB_IDS = {"tweet_eval": "cardiffnlp/tweet_eval", "sentiment140": "stanfordnlp/sentiment140"}
HUB_REVISIONS = {"sentiment140": "refs/convert/parquet"}
NLTK_FILES = {"positive": "positive_tweets.json", "negative": "negative_tweets.json"}
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def task_data(task: str, path: str | None) -> DataConfig:
    """All rows of a public data set in its usual splits: a task of TweetEval, or the source of that name.

    `path` : its hub id or local folder; None: the default hub id.
    """
    sentiment140 = task == "sentiment140"
    rest: dict[str, Any] = dict.fromkeys(("revision", "labels", "label_budget", "resplit"))
    rest |= dict.fromkeys(("encoding", "delimiter", "quoting", "header"), "auto")
    rest |= {"validation_size": 0.02 if sentiment140 else 0.1, "test_size": 0.1, "split_seed": 0}
    rest |= {"text_column": "text", "label_column": "sentiment" if sentiment140 else "label"}
    source, name = ("tweet_eval", task) if task in TWEET_EVAL else (task, None)
    return DataConfig(source=source, path=path, name=name, deduplicate="none", resplit_pool=[], **rest)


def location(config: DataConfig, key: str = "data.path") -> Path | str:
    """The local folder or file that `data.path` names (of TweetEval the folder of the task), or else the hub id.

    `key` : the key that messages name.
    """
    path = config.path or HUB_IDS.get(config.source)
    if not path:
        raise UserError("data.path is not set; data=hub reads the hub id, local folder or file it names")
    local = Path(path).expanduser().absolute()
    if not local.exists() and not HUB_ID.fullmatch(path):
        raise UserError(f"{key}={path} is no local file or folder, and no hub id either (owner/name)")
    if config.source != "tweet_eval":
        return local if local.exists() else path
    from pipeline.data.tweet_eval import check_task, task_folder

    if local.is_file():
        hint = "; data=files reads a file" if key == "data.path" else ""
        raise UserError(f"{key}={path} is a file, data=tweet_eval expects a folder{hint}")
    if not config.name or not local.exists():  # a local copy may have other tasks
        check_task(config.name)
    return task_folder(local, str(config.name)) if local.exists() else path


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
