"""The texts of a stored split, read back without the library that wrote them."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa


def read_texts(folder: Path, split: str) -> Iterator[str]:
    """The texts of `<split>.arrow` in `folder`, in order; a batch at a time is in memory."""
    with pa.memory_map(str(folder / f"{split}.arrow")) as file, pa.ipc.open_stream(file) as reader:
        for batch in reader:
            yield from batch.column("text").to_pylist()
