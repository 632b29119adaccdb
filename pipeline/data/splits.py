"""The entry point of every data source: `load(config)` returns training, validation and test splits."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.schema import DataConfig, SampleConfig
from pipeline.data.arrow import open_rows
from pipeline.data.clean_rows import BATCH, TEXT_SCHEMA, Row, Source, SourceSplit, label_names, store_split
from pipeline.data.make_splits import Selection, check_classes, drop_duplicates, make_splits, select_usable
from pipeline.data.source import sample_config
from pipeline.runtime.files import fingerprint

SCHEMA = pa.schema([("text", pa.string()), ("label", pa.int64())])


@dataclass(frozen=True)
class Splits:
    """Labelled text: columns `text` (string) and `label` (int64, index into `label_names`), memory-mapped.

    `validation` is None where `data.validation_size=0` and the source has none; `unlabelled` holds `text` only. `notes`
    are messages for the user: rows left out with the reason, and splits that were held out from the training rows.
    """

    train: pa.Table
    validation: pa.Table | None
    test: pa.Table
    unlabelled: pa.Table | None
    label_names: list[str]
    generated: bool
    notes: list[str]

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        """Name and table of each split that is not None."""
        for name in ("train", "validation", "test", "unlabelled"):
            table = getattr(self, name)
            if table is not None:
                yield name, table


def load(config: DataConfig, cache: Path) -> Splits:
    """Read, check, split and de-duplicate the labelled text that `config` names.

    Parameters
    ----------
    config : the `data` group of the configuration.
    cache : folder for the Arrow files of the splits, which the returned tables map; existing ones are replaced.

    Raises
    ------
    UserError
        The source is absent, cannot be read, or does not yield the configured splits.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache, prefix=".rows-") as folder:
        scratch = Path(folder)
        source = open_source(config, scratch)
        notes = list(source.notes)
        stored = {name: store_split(split, scratch / f"{name}.arrow") for name, split in source.splits.items()}
        names = label_names(list(stored.values()), config.labels, source.label_names)
        selections = select_usable(stored, names, notes, drop_empty=config.source == "hub")
        make_splits(selections, config, notes)
        drop_duplicates(selections, config.deduplicate, notes)
        check_classes(selections, names, notes)
        tables = {split: write_split(selection, cache / f"{split}.arrow") for split, selection in selections.items()}
        unlabelled = (
            write_texts(source.unlabelled, cache / "unlabelled.arrow") if source.unlabelled is not None else None
        )
    return Splits(tables["train"], tables.get("validation"), tables["test"], unlabelled, names, source.generated, notes)


def open_source(config: DataConfig, scratch: Path) -> Source:
    """The source that `data.source` names, not read yet; imports the libraries of that source alone."""
    if config.source == "sample":
        return open_sample(sample_config(config))
    if config.source == "nltk_twitter":
        from pipeline.data.nltk_twitter import open_nltk_twitter

        return open_nltk_twitter(config)
    if config.source == "files":
        from pipeline.data.local_files import open_files

        return open_files(config)
    from pipeline.data.hub import open_hub

    return open_hub(config, scratch / "hub")


def open_sample(config: SampleConfig) -> Source:
    """The generated data set as a source without splits."""
    from pipeline.data.sample import generate as sample

    labelled = (row for texts, labels in sample.labelled_batches(config) for row in zip(texts, labels, strict=True))
    rows = (Row(number, text, sample.LABEL_NAMES[label]) for number, (text, label) in enumerate(labelled, 1))
    unlabelled = sample.unlabelled_batches(config) if config.unlabelled else None
    notes = ["the tweets are generated, not real"]
    return Source({"train": SourceSplit("sample", rows)}, sample.LABEL_NAMES, unlabelled, generated=True, notes=notes)


def write_split(selection: Selection, path: Path) -> pa.Table:
    """Write the rows of a split in the order of the source, in batches, and memory-map them."""
    batches = (
        pa.record_batch([texts, pa.array(selection.labels[rows], pa.int64())], schema=SCHEMA)
        for texts, rows in selection.batches()
    )
    return write_arrow(batches, SCHEMA, path)


def write_texts(batches: Iterable[list[str]], path: Path) -> pa.Table | None:
    """Write unlabelled texts and memory-map them; None where there is none."""
    record_batches = (pa.record_batch([pa.array(batch, pa.string())], schema=TEXT_SCHEMA) for batch in batches)
    table = write_arrow(record_batches, TEXT_SCHEMA, path)
    return table if len(table) else None


def write_arrow(batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path) -> pa.Table:
    """Write an Arrow stream under a temporary name, rename it when complete, and memory-map it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for batch in batches:
            if batch.num_rows:
                writer.write_batch(batch)
    temporary.replace(path)
    return open_rows(path)


def content_fingerprint(splits: Splits) -> str:
    """16 hexadecimal digits of the names, texts and labels of all splits and of the label names."""
    digest = hashlib.blake2b(fingerprint(splits.label_names).encode(), digest_size=8)
    for name, table in splits.tables():
        digest.update(f"{name} {len(table)}\0".encode())
        for start in range(0, len(table), BATCH):
            batch = table.slice(start, BATCH)
            # Lengths before the bytes, so that a character moved from one text to the next changes the digest.
            digest.update(pc.binary_length(batch["text"]).to_numpy().astype("<i8").tobytes())
            digest.update("".join(batch["text"].to_pylist()).encode())
            if "label" in batch.column_names:
                digest.update(batch["label"].to_numpy().astype("<i8").tobytes())
    return digest.hexdigest()
