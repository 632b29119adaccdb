"""Checks of input files before any work, without slow libraries: they exist, and tables have their columns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.config.schema import TWEET_EVAL, Config, DataConfig
from pipeline.data.source import HUB_ID, location, source_fingerprint, task_data
from pipeline.runtime.errors import UserError
from pipeline.runtime.nltk_data import OPINIONS, STOP_WORDS, find_corpus


def check_inputs(configs: Sequence[Config]) -> None:
    """Raise UserError where an input of one of the configurations is absent, or lacks the text or label column.

    The stage `look` finds out about columns itself, as it prints the first lines of a file that cannot be read.
    """
    for config in {repr(config.data): config for config in configs}.values():
        source_fingerprint(config.data, lambda paths: "")  # a data set on the hub is not asked for
        if config.stage != "look":
            check_columns(config.data)
    for config in configs:
        check_files(config)


def check_columns(config: DataConfig) -> None:
    """Raise UserError where the local file with the training rows cannot be read or lacks the text or label column."""
    if config.source in ("files", "hub"):
        from pipeline.data.local_files import columns_of, data_path, is_plain, layout_of, split_files
        from pipeline.data.tables import TEXT_SUFFIXES, open_table
        from pipeline.data.text_file import content_name, readable

        if config.source == "files" or (isinstance(location(config), Path) and is_plain(data_path(config))):
            path = data_path(config)
            train = split_files(path)["train"] if path.is_dir() else path
            with readable(train):
                rows = open_table(train, columns_of(config), layout_of(config), [])
                if not content_name(train).lower().endswith(TEXT_SUFFIXES):
                    next(rows, None)  # the columns of delimited text alone are checked before its rows are read


def check_files(config: Config) -> None:
    """Raise UserError where another file or corpus is absent that the stages of a configuration read."""
    for path in config.cbow.extra_texts.values():
        require_file("cbow.extra_text", path)
    if config.text.tokenizer == "course":
        find_corpus(*STOP_WORDS)
    if config.stage not in ("train", "all", "compare", "search"):
        return
    if "run" in config.embedding.inits:
        from pipeline.prediction.trained_model import read_model  # loads numpy

        try:
            read_model(Path(str(config.embedding.path)))
        except UserError as error:
            raise UserError(f"embedding.path={error}") from None
    else:
        require_file("embedding.path", config.embedding.path)
    if "distilled" in config.embedding.inits:
        require_model("distill.model", config.distill.model)
    if config.stage == "compare" and "model2vec" in config.study.baselines:
        require_model("study.model2vec", config.study.model2vec)
    for path in config.probe.similarity_files:
        require_file("probe.similarity_files", path)
    if config.probe.polarity == "nltk":
        find_corpus(*OPINIONS)
    for name, task_path in config.probe.tasks.items():
        if name != "sample_topic":
            with task_in_errors(config, name):
                source_fingerprint(task_data(name, task_path), lambda paths: "")


@contextmanager
def task_in_errors(config: Config, name: str) -> Iterator[None]:
    """Name the transfer task, and the key of its path, in the message of a UserError."""
    try:
        yield
    except UserError as error:
        own = name not in TWEET_EVAL or any(task.startswith(f"{name}@") for task in config.probe.transfer)
        key = f"probe.transfer={name}@" if own else "probe.transfer_path="
        message = str(error).replace("data.path=", key).replace("data.path", "probe.transfer")
        task = "" if message.startswith("probe.transfer") else f"probe.transfer={name}: "
        raise UserError(f"{task}{message}") from error


def require_model(key: str, model: str) -> None:
    """Raise UserError where `model`, the value of `key`, is neither a local folder nor spelled like a hub id."""
    if not Path(model).is_dir() and not HUB_ID.fullmatch(model):
        raise UserError(f"{key}={model} is no local folder, and no hub id either (owner/name)")


def require_file(key: str, path: str | None) -> None:
    """Raise UserError where `path`, the value of `key`, is no file."""
    if path is not None and not Path(path).is_file():
        raise UserError(f"{key}={path}: {'is a folder, expected a file' if Path(path).is_dir() else 'no such file'}")
