"""Settings of the transfer probe's tasks: where their texts come from, and how they become tokens."""

from dataclasses import replace
from typing import Any

from pipeline.config.schema import TWEET_EVAL, DataConfig, TextConfig

# Their labels were made from emoticons, which are therefore removed from their texts.
EMOTICON_LABELS = ("nltk_twitter", "sentiment140")


def task_data(task: str, path: str | None) -> DataConfig:
    """All rows of a public data set in its usual splits: a task of TweetEval, or the source of that name.

    `path` : its hub id or local folder; None: its usual place.
    """
    sentiment140 = task == "sentiment140"
    rest: dict[str, Any] = dict.fromkeys(("revision", "labels", "label_budget", "resplit"))
    rest |= dict.fromkeys(("encoding", "delimiter", "quoting", "header"), "auto")
    rest |= {"validation_size": 0.02 if sentiment140 else 0.1, "test_size": 0.1, "split_seed": 0}
    rest |= {"text_column": "text", "label_column": "sentiment" if sentiment140 else "label"}
    source, name = ("tweet_eval", task) if task in TWEET_EVAL else (task, None)
    return DataConfig(source=source, path=path, name=name, deduplicate="none", resplit_pool=[], **rest)


def task_text(name: str, text: TextConfig) -> TextConfig:
    """The settings of a task's tokens: those of the run, without emoticons where they made the labels."""
    return replace(text, emoticons="strip_fragments") if name in EMOTICON_LABELS else text
