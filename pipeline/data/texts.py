"""The texts of a stored split, read back without the library that wrote them, and texts in batches."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa


def read_texts(folder: Path, split: str) -> Iterator[str]:
    """The texts of `<split>.arrow` in `folder`, in order; a batch at a time is in memory."""
    with pa.memory_map(str(folder / f"{split}.arrow")) as file, pa.ipc.open_stream(file) as reader:
        for batch in reader:
            yield from batch.column("text").to_pylist()


def in_batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """Consecutive texts in lists of `size`; the last may be shorter."""
    source = iter(texts)
    while batch := list(islice(source, size)):
        yield batch
