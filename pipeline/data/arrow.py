"""Arrow files of stored splits: memory-mapped rows, and their texts in batches."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa


def open_rows(path: Path) -> pa.Table:
    """The rows of an Arrow file, memory-mapped: read on access, and held in the system's page cache."""
    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        return reader.read_all()


def read_texts(folder: Path, split: str) -> Iterator[str]:
    """The texts of `<split>.arrow` in `folder`, in order; a batch at a time is in memory."""
    for batch in open_rows(folder / f"{split}.arrow").to_batches():
        yield from batch.column("text").to_pylist()


def in_batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """Consecutive texts in lists of `size`; the last may be shorter."""
    iterator = iter(texts)
    while batch := list(islice(iterator, size)):
        yield batch
