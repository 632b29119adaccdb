"""Arrow files of stored splits: written in batches, read memory-mapped."""

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa

TEXT_SCHEMA = pa.schema([("text", pa.string())])


def open_rows(path: Path) -> pa.Table:
    """The rows of an Arrow file, memory-mapped: read on access, and held in the system's page cache."""
    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        return reader.read_all()


def read_texts(folder: Path, split: str) -> Iterator[str]:
    """The texts of `<split>.arrow` in `folder`, in order; a batch at a time is in memory."""
    for batch in open_rows(folder / f"{split}.arrow").to_batches():
        yield from batch.column("text").to_pylist()


def write_rows(batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path) -> pa.Table:
    """Write an Arrow stream under a temporary name, rename it when complete, and memory-map it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for batch in batches:
            if batch.num_rows:
                writer.write_batch(batch)
    temporary.replace(path)
    return open_rows(path)


def write_texts(batches: Iterable[list[str]], path: Path) -> pa.Table:
    """Write texts without labels and memory-map them."""
    record_batches = (pa.record_batch([pa.array(batch, pa.string())], schema=TEXT_SCHEMA) for batch in batches)
    return write_rows(record_batches, TEXT_SCHEMA, path)


def in_batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """Consecutive texts in lists of `size`; the last may be shorter."""
    iterator = iter(texts)
    while batch := list(islice(iterator, size)):
        yield batch
