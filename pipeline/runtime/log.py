"""The logger of the pipeline, and a progress bar for loops."""

import logging
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
log = logging.getLogger("pipeline")


def progress(items: Iterable[T], *, total: int | None, label: str, unit: str) -> Iterator[T]:
    """Yield `items`, with a progress bar on a terminal and none in a log file."""
    return iter(tqdm(items, total=total, desc=label, unit=f" {unit}", disable=not sys.stderr.isatty(), leave=False))
