"""Reader of Hugging Face data sets, from the hub or a local folder (`data=tweet_eval|sentiment140|hub`)."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset, DatasetDict

from pipeline.config.schema import DataConfig
from pipeline.data.clean_rows import Source, SourceSplit, numbered_rows
from pipeline.data.labels import label_value
from pipeline.data.local_files import SPLIT_NAMES
from pipeline.data.records import check_columns
from pipeline.data.source import HUB_REVISIONS, location
from pipeline.runtime.errors import UserError, nearest, one_line
from pipeline.runtime.log import log

UNLABELLED = ("unlabelled", "unlabeled", "unsupervised")
TWEET_EVAL_LABELS = {
    "emotion": ("anger", "joy", "optimism", "sadness"),
    "hate": ("non-hate", "hate"),
    "irony": ("non_irony", "irony"),
    "offensive": ("non-offensive", "offensive"),
    "sentiment": ("negative", "neutral", "positive"),
}
# The hub's data set codes sentiment as 0, 2, 4; reduced copies use 0, 1. No code is ambiguous.
SENTIMENT140_LABELS = {"0": "negative", "1": "positive", "4": "positive"}
SENTIMENT140_NEUTRAL = "2"


def open_hub(config: DataConfig, cache: Path) -> Source:
    """The splits of a hub data set, or of a local folder of that layout.

    `cache` is the cache folder of `datasets` for a local folder; a hub id uses the user's ordinary cache. Raises
    UserError where the data set cannot be loaded, or lacks a training split or the columns.
    """
    if config.source == "tweet_eval" and not config.name:
        raise UserError(f"data.name is not set; data=tweet_eval has {', '.join(TWEET_EVAL_LABELS)} and more")
    folder_or_id = location(config)
    loaded = load_splits(config, folder_or_id, cache)
    title = str(folder_or_id) + (f" ({config.name})" if config.name else "")
    datasets_by_split = named_splits(loaded, title)
    train = datasets_by_split["train"]
    notes: list[str] = []
    names: tuple[str, ...] | None = None
    label_column = config.label_column
    if config.source == "sentiment140":
        candidates = (label_column, "sentiment", "label")
        label_column = next((column for column in candidates if column in train.column_names), label_column)
    check_columns(
        title, train.column_names, {"data.text_column": config.text_column, "data.label_column": label_column}
    )
    feature = train.features[label_column]
    if config.source == "sentiment140":
        names = ("negative", "positive")
    elif isinstance(feature, ClassLabel):
        names = tuple(feature.names)
    elif config.source == "tweet_eval":
        names = TWEET_EVAL_LABELS.get(str(config.name))
    splits = {}
    name_of = label_namer(config.source, names)
    for split, dataset in datasets_by_split.items():
        check_columns(
            f"{title} {split}",
            dataset.column_names,
            {"data.text_column": config.text_column, "data.label_column": label_column},
        )
        if config.source == "sentiment140":
            codes = dataset.data.column(label_column).cast(pa.string())
            neutral = pc.equal(codes, SENTIMENT140_NEUTRAL).fill_null(False).to_numpy()
            if neutral.any():
                notes.append(f"{title} {split}: {neutral.sum()} neutral rows (label 2) left out")
                dataset = dataset.select(np.flatnonzero(~neutral))
        batches = dataset.select_columns([config.text_column, label_column]).iter(1000)
        pairs = (pair for batch in batches for pair in zip(batch[config.text_column], batch[label_column], strict=True))
        rows = numbered_rows((text, name_of(label)) for text, label in pairs)
        splits[split] = SourceSplit(f"{title} {split}", rows, config.text_column, label_column)
    unlabelled = next((text_batches(loaded[name], config.text_column) for name in UNLABELLED if name in loaded), None)
    return Source(splits, names, unlabelled, notes=notes)


def load_splits(config: DataConfig, folder_or_id: Path | str, cache: Path) -> DatasetDict:
    """All splits as `datasets` reads them; every failure is a UserError of one line."""
    local = isinstance(folder_or_id, Path)
    revision = None if local else config.revision or HUB_REVISIONS.get(config.source)
    failure = f"data={config.source}: could not load {folder_or_id}"
    failure += f" (data.name={config.name})" if config.name else ""
    failure += f" at revision {revision}" if revision else ""
    if not local:
        log.info("data=%s: loading %s from the hub", config.source, folder_or_id)
    try:
        with silent_datasets():
            loaded = datasets.load_dataset(
                str(folder_or_id), config.name, revision=revision, cache_dir=str(cache) if local else None
            )
    except Exception as error:  # datasets, its hub client and its file readers raise dozens of unrelated kinds
        reason = one_line(error.__cause__ if isinstance(error, datasets.exceptions.DatasetGenerationError) else error)
        if isinstance(error, ValueError) and (
            options := re.search(r"[Aa]vailable(?: configs)?: \[(.*?)\]", str(error))
        ):
            valid = re.findall(r"'([^']*)'", options[1])
            hint = nearest(str(config.name), valid) if config.name else f"; valid: {', '.join(valid)}"
            raise UserError(f"{failure}: it has no configuration data.name={config.name}{hint}") from error
        if "scripts are no longer supported" in reason:
            reason = "it is a script, which datasets no longer runs; use a copy in Parquet"
        elif not local:
            reason += (
                "; the network may be missing or the name wrong: data.path=<local folder> or data=sample work offline"
            )
        raise UserError(f"{failure}: {reason}") from error
    if not isinstance(loaded, DatasetDict):
        raise UserError(f"{failure}: it has no named splits")
    return loaded


@contextmanager
def silent_datasets() -> Iterator[None]:
    """Silence the log of `datasets`, and its progress bars where stderr is no terminal."""
    level, bars = datasets.logging.get_verbosity(), datasets.are_progress_bars_disabled()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if not bars:
            datasets.enable_progress_bars()


def named_splits(loaded: DatasetDict, title: str) -> dict[str, Dataset]:
    """The splits under the names `train`, `validation` and `test`."""
    names = {split: [n for n in loaded if str(n).lower() in aliases] for split, aliases in SPLIT_NAMES.items()}
    splits = {split: loaded[matches[0]] for split, matches in names.items() if matches}
    if "train" not in splits:
        raise UserError(f"{title}: no split train; it has {', '.join(map(str, loaded))}")
    return splits


def label_namer(source: str, names: tuple[str, ...] | None) -> Callable[[object], object]:
    """A function from a stored label to its name; a code without a name is returned as it is (a bad row later)."""

    def name_of(label: object) -> object:
        value = label_value(label)
        if source == "sentiment140" and value is not None:
            return SENTIMENT140_LABELS.get(value, value)
        if names is None or not isinstance(label, int):
            return label
        # Hub data sets mark rows without a label by -1.
        return names[label] if 0 <= label < len(names) else None if label == -1 else label

    return name_of


def text_batches(dataset: Dataset, text_column: str) -> Iterator[list[str]]:
    """The texts of a split without labels, in batches."""
    return ([text for text in batch[text_column] if text and text.strip()] for batch in dataset.iter(1000))
