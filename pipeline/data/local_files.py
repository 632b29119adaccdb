"""Local files as a data source: one file, or a folder of train, validation and test files (`data=files`)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from pipeline.config.schema import DataConfig
from pipeline.data.arrow import in_batches
from pipeline.data.class_labels import class_codes, declared_names
from pipeline.data.clean_rows import BATCH, Row, Source, SourceSplit, did_you_mean
from pipeline.data.records import Layout, MissingColumnError, shortened
from pipeline.data.tables import SUFFIXES, open_table
from pipeline.data.text_file import COMPRESSION_SUFFIXES, content_name, readable
from pipeline.data.text_lines import text_lines
from pipeline.runtime.errors import UserError

SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}


def open_files(config: DataConfig) -> Source:
    """`data.path` as one file, or as a folder with train.*, and optionally validation.*, test.* and unlabelled.txt.

    Raises UserError where the path is absent or of an unknown kind, or where the folder has no training file or two
    files for one split.
    """
    path, notes = data_path(config), list[str]()
    files = split_files(path) if path.is_dir() else {"train": path}
    if others := unread_files(path, list(files.values())):
        notes.append(f"{path.name}: not read: {', '.join(shortened(others))}")
    names, codes = class_codes(declared_names(files["train"], config.label_column), config)
    splits = read_splits(files, config, notes)
    splits = {name: replace(split, codes=codes) for name, split in splits.items()}
    return Source(splits, names or None, unlabelled_texts(path, config, notes), notes=notes)


def unlabelled_texts(folder: Path, config: DataConfig, notes: list[str]) -> Iterator[list[str]] | None:
    """The lines of `unlabelled.txt`, compressed or not, in batches; None where the folder has no such file."""
    paths = [folder / f"unlabelled.txt{suffix}" for suffix in ("", *COMPRESSION_SUFFIXES)]
    texts = [
        text_lines(path, config.encoding, column=config.text_column, notes=notes) for path in paths if path.is_file()
    ]
    return in_batches(chain(*texts), BATCH) if texts else None


def data_path(config: DataConfig) -> Path:
    """`data.path`, which must exist."""
    if not config.path:
        raise UserError(f"data.path is not set; data={config.source} reads the file or folder it names")
    path = Path(config.path).expanduser().absolute()
    if not path.exists():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UserError(f"data.path: no file or folder {path}{did_you_mean(path.name, siblings)}")
    return path


def is_plain(path: Path) -> bool:
    """Whether `data=hub` reads a file or folder as `data=files` does: no data card says anything else about it."""
    card = path / "README.md"
    if card.is_file() and re.search("^(configs|dataset_info):", card.read_text("utf-8", "replace"), re.MULTILINE):
        return False
    return path.is_file() or any(stem in SPLIT_NAMES["train"] for stem in tables_in(path).values())


def tables_in(folder: Path) -> dict[Path, str]:
    """The tables in `folder`, each with its name in lower case without suffixes; empty where it is no folder."""
    tables = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        with suppress(UserError):  # an archive of several files is no table
            name = Path(content_name(path))
            if path.is_file() and name.suffix.lower() in SUFFIXES and name.stem != "unlabelled":
                tables[path] = name.stem.lower()
    return tables


def unread_files(folder: Path, read: Sequence[Path]) -> list[str]:
    """The names of tables, and of files and folders named like a split, that are not `read`."""
    named = {name for names in SPLIT_NAMES.values() for name in names}
    tables = tables_in(folder)
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    unread = [path for path in entries if path in tables or path.name.lower().partition(".")[0] in named]
    return [path.name for path in unread if path not in read]


def split_files(folder: Path) -> dict[str, Path]:
    """The file of each split in `folder`."""
    files: dict[str, Path] = {}
    tables = tables_in(folder)
    for split, aliases in SPLIT_NAMES.items():
        matches = [path for path, stem in tables.items() if stem in aliases]
        if len(matches) > 1:
            raise UserError(f"{folder}: expected one {split} file, found {', '.join(p.name for p in matches)}")
        if matches:
            files[split] = matches[0]
    if "train" not in files:
        raise UserError(f"{folder}: no file train.* ending in {', '.join(SUFFIXES)}")
    return files


def read_splits(files: Mapping[str, Path], config: DataConfig, notes: list[str]) -> dict[str, SourceSplit]:
    """The rows of each file; a validation or test file without the label column is left out with a note."""
    splits = {}
    for split, path in files.items():
        try:
            splits[split] = read_file(path, config, notes)
        except MissingColumnError as error:
            if split == "train" or error.column != config.label_column or "did you mean" in str(error):
                raise
            notes.append(f"{path.name}: no column {config.label_column!r}, so the split is not used; predict labels it")
    return splits


def read_file(path: Path, config: DataConfig, notes: list[str]) -> SourceSplit:
    """The rows of one file, read lazily; its columns are checked at once.

    `notes` gets what was detected, in part when the rows are read. Raises UserError where the file cannot be opened.
    """
    with readable(path):
        records = open_table(path, columns_of(config), layout_of(config), notes)
        first = list(islice(records, 1))  # JSON and Parquet files check their columns when they are read

    def rows() -> Iterator[Row]:
        with readable(path):
            for number, line, values, problem in chain(first, records):
                text, label = values or (None, None)
                yield Row(number, text, label, line, problem)

    return SourceSplit(path.name, rows(), config.text_column, config.label_column)


def columns_of(config: DataConfig) -> dict[str, str]:
    """The configured columns by their keys."""
    return {"data.text_column": config.text_column, "data.label_column": config.label_column}


def layout_of(config: DataConfig) -> Layout:
    """The configured layout of text files."""
    return Layout(config.encoding, config.delimiter, config.quoting, config.header)
