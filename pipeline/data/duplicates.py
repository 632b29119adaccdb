"""Keys by which two texts count as duplicates, exact or masked, and their 64-bit digests."""

import hashlib
import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

HANDLE = re.compile(r"@\w+")
LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)

UIntArray = NDArray[np.uint64]


def exact_key(text: str) -> str:
    """`text` with each run of white space replaced by one space, and stripped."""
    return " ".join(text.split())


def masked_key(text: str) -> str:
    """`exact_key` of the case-folded text, every link and handle replaced by one word.

    By this key, 457 of NLTK's 10,000 tweets repeat an earlier one.
    """
    # Most texts hold no link and no handle; these checks are several times faster than a pattern that fails.
    if "://" in text or "w." in text or "W." in text:
        text = LINK.sub("http", text)
    if "@" in text:
        text = HANDLE.sub("@user", text)
    return exact_key(text).casefold()


KEYS = {"exact": exact_key, "masked": masked_key}


def digests(batches: Iterable[list[str]], deduplicate: str) -> UIntArray:
    """64-bit BLAKE2b digests of the keys of all texts, (N,).

    Two different keys collide with probability 2⁻⁶⁴. With ten million training rows and a million test rows, the
    chance that any row is dropped by mistake is below one in a million.
    """
    key = KEYS[deduplicate]
    keys = ((key(text).encode("utf-8", "surrogatepass") for text in batch) for batch in batches)
    joined = (b"".join(hashlib.blake2b(data, digest_size=8).digest() for data in batch) for batch in keys)
    arrays = [np.frombuffer(block, dtype="<u8") for block in joined]
    return np.concatenate(arrays).astype(np.uint64, copy=False) if arrays else np.empty(0, dtype=np.uint64)


def is_member(values: UIntArray, sorted_values: UIntArray) -> NDArray[np.bool_]:
    """Which of `values` are in `sorted_values` (ascending), as `np.isin`, without its copies of both arrays."""
    if not len(sorted_values):
        return np.zeros(len(values), bool)
    order = np.argsort(values)  # look-ups in ascending order read neighbouring memory
    queries = values[order]
    positions = np.minimum(np.searchsorted(sorted_values, queries), len(sorted_values) - 1)
    member = np.empty(len(values), bool)
    member[order] = sorted_values[positions] == queries
    return member
