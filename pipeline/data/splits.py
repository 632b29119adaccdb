"""The entry point of every data source: `load(config)` returns training, validation and test splits."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.schema import DataConfig, SampleConfig
from pipeline.data.arrow import write_rows, write_texts
from pipeline.data.clean_rows import BATCH, Source, SourceSplit, label_counts, numbered_rows, store_split
from pipeline.data.labels import label_coding
from pipeline.data.make_splits import Selection, check_classes, drop_duplicates, make_splits, select_usable
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
        names = ("train", "validation", "test", "unlabelled")
        return ((name, table) for name in names if (table := getattr(self, name)) is not None)


def load(config: DataConfig, cache: Path) -> Splits:
    """Read, check, split and de-duplicate the labelled text that `config` names.

    The returned tables map the Arrow files of the splits in the folder `cache`; existing ones are replaced.
    Raises UserError where the source is absent, cannot be read, or does not yield the configured splits.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache, prefix=".rows-") as folder:
        scratch = Path(folder)
        source = open_source(config, scratch)
        stored = {name: store_split(split, scratch / f"{name}.arrow") for name, split in source.splits.items()}
        unlabelled = write_texts(source.unlabelled, cache / "unlabelled.arrow") if source.unlabelled else None
        notes = list(source.notes)  # readers add to them while they read
        counts = label_counts(list(stored.values()))
        coding = label_coding(source.splits["train"].name, counts, config.labels, source.label_names, notes)
        names = coding.names
        selections = select_usable(stored, coding, notes)
        make_splits(selections, config, notes)
        drop_duplicates(selections, config.deduplicate, notes)
        check_classes(selections, names, notes)
        tables = {split: write_split(selection, cache / f"{split}.arrow") for split, selection in selections.items()}
    labelled = (tables["train"], tables.get("validation"), tables["test"])
    return Splits(*labelled, unlabelled or None, names, source.generated, notes)


def open_source(config: DataConfig, scratch: Path) -> Source:
    """The source that `data.source` names, not read yet; imports the libraries of that source alone."""
    if config.sample is not None:  # exactly with data=sample, see config/validate.py
        return open_sample(config.sample)
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
    rows = numbered_rows((text, sample.LABEL_NAMES[label]) for text, label in labelled)
    unlabelled = sample.unlabelled_batches(config) if config.unlabelled else None
    notes = ["the tweets are generated, not real"]
    return Source({"train": SourceSplit("sample", rows)}, sample.LABEL_NAMES, unlabelled, generated=True, notes=notes)


def write_split(selection: Selection, path: Path) -> pa.Table:
    """Write the rows of a split in the order of the source, in batches, and memory-map them."""
    batches = (
        pa.record_batch([texts, pa.array(selection.labels[rows], pa.int64())], schema=SCHEMA)
        for texts, rows in selection.batches()
    )
    return write_rows(batches, SCHEMA, path)


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
