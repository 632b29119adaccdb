"""Reader of Hugging Face data sets, from the hub or a local folder (`data=tweet_eval|sentiment140|hub`).

The library `datasets` finds the files of each split; they are read as `data=files` reads them. Its own readers serve
other kinds of files only, as that for CSV takes texts such as `NA` and `None` for missing ones.
"""

import csv
import dataclasses
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import datasets
import huggingface_hub
from datasets import ClassLabel, Dataset, DatasetBuilder, Features

from pipeline.config.schema import DataConfig
from pipeline.data import sentiment140
from pipeline.data.arrow import in_batches
from pipeline.data.class_labels import class_codes, declared_names, used_names
from pipeline.data.clean_rows import BATCH, Codes, Source, SourceSplit, numbered_rows
from pipeline.data.local_files import (
    SPLIT_NAMES,
    columns_of,
    is_plain,
    layout_of,
    open_files,
    read_splits,
    unlabelled_texts,
)
from pipeline.data.records import check_columns, shortened
from pipeline.data.source import HUB_REVISIONS, location
from pipeline.data.tables import SUFFIXES, TEXT_SUFFIXES, read_table
from pipeline.data.text_file import content_name
from pipeline.data.tweet_eval import TASKS, declared_tasks, is_text_folder, open_text_folder
from pipeline.runtime.errors import UserError, nearest, one_line
from pipeline.runtime.log import log

UNLABELLED = ("unlabelled", "unlabeled", "unsupervised")
# The settings of a builder that do not say how its files are read.
LOCATIONS = ("name", "version", "data_dir", "data_files", "description", "features")

Content: TypeAlias = Sequence[Path] | Dataset  # the files of a split, or its table where only `datasets` reads them


def open_hub(config: DataConfig, cache: Path) -> Source:
    """The splits of a hub data set, or of a local copy.

    `cache` is the cache folder of `datasets` for a local folder; a hub id uses the user's ordinary cache. Raises
    UserError where the data set cannot be loaded, or lacks a training split or the columns.
    """
    origin = location(config)
    original: Mapping[str, Path] = {}
    if isinstance(origin, Path):
        if config.source == "hub" and is_plain(origin):
            return open_files(config)
        if config.source == "tweet_eval" and is_text_folder(origin):
            return open_text_folder(origin, config)
        original = sentiment140.original_files(origin) if config.source == "sentiment140" else {}
    contents: Mapping[str, Content] = {split: [path] for split, path in original.items()}
    features: Features | None = None
    if not contents:
        contents, features, config = load_contents(config, origin, cache)
    title = str(origin) + (f" ({config.name})" if config.name else "")
    by_split = named_splits(contents, title)
    notes = [
        f"{split}: {', '.join(shortened(path.name for path in files))}"
        for split, files in by_split.items()
        if isinstance(files, list) and len(files) > 1
    ]
    content = by_split.pop("train")
    train, config = read_train(content, title, config, notes)
    names, codes = label_names(content, features, config)
    raw = {"train": train} | {split: read_split(split, by_split[split], title, config, notes) for split in by_split}
    splits = {split: dataclasses.replace(source, codes=codes) for split, source in raw.items() if source}
    if codes and config.source == "sentiment140":
        for split, source in splits.items():
            rows = sentiment140.polar_rows(source.rows, source.name, notes)
            splits[split] = dataclasses.replace(source, rows=rows)
    unlabelled = next((texts(contents[name], config) for name in UNLABELLED if name in contents), None)
    if isinstance(origin, Path):
        unlabelled = unlabelled_texts(origin, config, notes) or unlabelled
    return Source(splits, names or None, unlabelled, notes=notes)


def load_contents(
    config: DataConfig, origin: Path | str, cache: Path
) -> tuple[Mapping[str, Content], Features | None, DataConfig]:
    """The content of each split, the declared types of its columns, and `config` with the declared layout of the files.

    Every failure is a UserError of one line.
    """
    name, local = config.name, isinstance(origin, Path)
    if config.source == "tweet_eval" and isinstance(origin, Path) and name not in declared_tasks(origin):
        name = None  # `origin` is the folder of the task
    revision = None if local else config.revision or HUB_REVISIONS.get(config.source)
    failure = f"data={config.source}: could not load {origin}"
    failure += f" (data.name={name})" if name else ""
    failure += f" at revision {revision}" if revision else ""
    if not local:
        log.info("data=%s: loading %s from the hub", config.source, origin)
    with one_line_failure(failure, name, local=local), silent_datasets():
        options = {"revision": revision, "cache_dir": str(cache) if local else None}
        builder = load_builder(str(origin), name, options)
        layout = declared_layout(builder) if builder.config.data_files else None
        if layout is not None:
            manager = datasets.DownloadManager(download_config=datasets.DownloadConfig(use_etag=False))
            paths = manager.download(builder.config.data_files)  # local files stay where they are
            files = {str(split): [Path(path) for path in paths[split]] for split in paths}
            if all(suffix(path) in SUFFIXES for split in files.values() for path in split):
                changes = {key: value for key, value in layout.items() if getattr(config, key) == "auto"}
                return files, builder.info.features, dataclasses.replace(config, **changes)
        if hasattr(builder.config, "keep_default_na"):
            builder = load_builder(str(origin), name, options | {"keep_default_na": False})
        builder.download_and_prepare()
        return {str(split): table for split, table in builder.as_dataset().items()}, None, config


def load_builder(path: str, name: str | None, options: Mapping[str, Any]) -> DatasetBuilder:
    """The builder of a data set; without a network, that of the files which an earlier run has downloaded."""
    try:
        return datasets.load_dataset_builder(path, name, **options)
    except Exception as error:
        if options["cache_dir"] or isinstance(error, ValueError):
            raise
        try:
            folder = huggingface_hub.snapshot_download(
                path, repo_type="dataset", revision=options["revision"], local_files_only=True
            )
        except Exception:
            raise error from None
    return datasets.load_dataset_builder(folder, name, **{**options, "revision": None})


def declared_layout(builder: DatasetBuilder) -> dict[str, Any] | None:
    """The layout of text files that a data set declares, by our keys; None where only its builder can follow it."""
    config, default = builder.config, type(builder.config)()
    names = {field.name for field in dataclasses.fields(config)} - {*LOCATIONS}
    changed = {key: value for key in names if (value := getattr(config, key)) != getattr(default, key)}
    changed.pop("delimiter", None)  # the same as `sep`
    layout = {"delimiter": changed.pop("sep", None), "encoding": changed.pop("encoding", None)}
    if changed.get("quoting") == csv.QUOTE_NONE:
        del changed["quoting"]
        layout["quoting"] = "none"
    if changed or len(layout["delimiter"] or ",") > 1:
        return None
    return {key: value for key, value in layout.items() if value}


def suffix(path: Path) -> str:
    """The suffix of a file's name without that of its compression; empty for an archive of several files."""
    try:
        return Path(content_name(path)).suffix.lower()
    except UserError:
        return ""


@contextmanager
def one_line_failure(failure: str, name: str | None, *, local: bool) -> Iterator[None]:
    """Turn an exception of `datasets` into a UserError that begins with `failure`."""
    try:
        yield
    except Exception as error:  # datasets, its hub client and its file readers raise dozens of unrelated kinds
        reason = one_line(error.__cause__ if isinstance(error, datasets.exceptions.DatasetGenerationError) else error)
        if isinstance(error, ValueError) and (
            options := re.search(r"[Aa]vailable(?: configs)?: \[(.*?)\]", str(error))
        ):
            valid = re.findall(r"'([^']*)'", options[1])
            hint = nearest(str(name), valid, every=True) if name else f"; valid: {', '.join(valid)}"
            raise UserError(f"{failure}: it has no configuration data.name={name}{hint}") from error
        if "scripts are no longer supported" in reason:
            reason = "it is a script, which datasets no longer runs; use a copy in Parquet"
        elif not local:
            reason += (
                "; the network may be missing or the name wrong: data.path=<local folder> or data=sample work offline"
            )
        raise UserError(f"{failure}: {reason}") from error


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


def named_splits(contents: Mapping[str, Content], title: str) -> dict[str, Content]:
    """The content of the splits under the names `train`, `validation` and `test`."""
    names = {split: [name for name in contents if name.lower() in aliases] for split, aliases in SPLIT_NAMES.items()}
    splits = {split: contents[matches[0]] for split, matches in names.items() if matches}
    if "train" not in splits:
        raise UserError(f"{title}: no split train; it has {', '.join(contents)}")
    return splits


def read_train(
    content: Content, title: str, config: DataConfig, notes: list[str]
) -> tuple[SourceSplit | None, DataConfig]:
    """The training rows, and `config` with the name that the label column has in this copy of Sentiment140."""
    failures = []
    for column in (config.label_column, *(sentiment140.LABEL_COLUMNS if config.source == "sentiment140" else ())):
        option = dataclasses.replace(config, label_column=column)
        try:
            return read_split("train", content, title, option, notes), option
        except UserError as error:
            failures.append(error)
    raise failures[0]


def label_names(train: Content, features: Features | None, config: DataConfig) -> tuple[tuple[str, ...], Codes]:
    """The declared names of the classes, and the name of each stored code; empty where none are declared."""
    if config.source == "sentiment140":
        names = used_names(sentiment140.NAMES, config)
        return names, sentiment140.CODES if names else {}
    feature = (train.features if isinstance(train, Dataset) else features or {}).get(config.label_column)
    if isinstance(feature, ClassLabel):
        declared = tuple(feature.names)
    else:
        declared = () if isinstance(train, Dataset) else declared_names(train[0], config.label_column)
    if not declared and config.source == "tweet_eval":
        declared = TASKS.get(str(config.name), ())
    return class_codes(declared, config, text=not isinstance(train, Dataset) and suffix(train[0]) in TEXT_SUFFIXES)


def read_split(split: str, content: Content, title: str, config: DataConfig, notes: list[str]) -> SourceSplit | None:
    """The rows of a split, of its files one after the other; None for a held-out split without the label column."""
    if isinstance(content, Dataset):
        name = f"{title} {split}"
        check_columns(name, content.column_names, columns_of(config))
        batches = content.select_columns([config.text_column, config.label_column]).iter(1000)
        pairs = (
            pair
            for batch in batches
            for pair in zip(batch[config.text_column], batch[config.label_column], strict=True)
        )
        return SourceSplit(name, numbered_rows(pairs), config.text_column, config.label_column)
    parts = list[SourceSplit]()
    for path in content:
        layout = sentiment140.file_config(path, config, notes) if config.source == "sentiment140" else config
        for part in read_splits({split: path}, layout, notes).values():
            # Files such as train/0000.parquet and test/0000.parquet have the same name.
            name = path.name if split in path.name.lower() else f"{path.parent.name}/{path.name}"
            parts.append(dataclasses.replace(part, name=name))
    if len(parts) < 2:
        return parts[0] if parts else None
    rows = (row._replace(file=part.name) for part in parts for row in part.rows)
    return dataclasses.replace(parts[0], name=f"{title} {split}", rows=rows)


def texts(content: Content, config: DataConfig) -> Iterator[list[str]]:
    """The texts of a split without labels, in batches."""
    if isinstance(content, Dataset):
        cells = (text for batch in content.iter(1000) for text in batch[config.text_column])
    else:
        column = {"data.text_column": config.text_column}
        tables = (read_table(path, column, layout_of(config), []) for path in content)
        cells = (record.values[0] for table in tables for record in table if record.values)
    yield from in_batches((text for text in cells if isinstance(text, str) and text.strip()), BATCH)
