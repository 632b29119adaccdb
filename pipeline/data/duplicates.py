"""Which texts count as the same: keys and their digests, so that millions of rows compare as numbers."""

import hashlib
import re
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

HANDLE = re.compile(r"@\w+")
LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)

UIntArray = NDArray[np.uint64]


def exact_key(text: str) -> str:
    """`text` with each run of white space as one space and none at the ends."""
    return " ".join(text.split())


def masked_key(text: str) -> str:
    """`exact_key` of the case-folded text, every link and handle replaced by one word.

    By this key 457 rows of NLTK's 10,000 tweets repeat an earlier one.
    """
    # Most texts lack what each pattern needs, which is found several times sooner than the pattern fails.
    if "://" in text or "w." in text or "W." in text:
        text = LINK.sub("http", text)
    if "@" in text:
        text = HANDLE.sub("@user", text)
    return exact_key(text).casefold()


KEYS = {"exact": exact_key, "masked": masked_key}


def digest(key: str) -> bytes:
    """Eight bytes that name a key."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def digests(batches: Iterable[list[str]], deduplicate: str) -> UIntArray:
    """64-bit digests of the keys of all texts, (N,).

    Two different keys share a digest with probability 2⁻⁶⁴: among ten million training and a million test rows the
    chance that any row is dropped by mistake is below one in a million.
    """
    key = KEYS[deduplicate]

    def digest_bytes() -> Iterator[bytes]:
        for batch in batches:
            yield b"".join(digest(key(text)) for text in batch)

    parts = [np.frombuffer(part, dtype="<u8") for part in digest_bytes()]
    return np.concatenate(parts).astype(np.uint64, copy=False) if parts else np.empty(0, dtype=np.uint64)


def among(values: UIntArray, ordered: UIntArray) -> NDArray[np.bool_]:
    """Which of `values` are among those of `ordered`, which ascend; as `np.isin`, without its copies of both."""
    if not len(ordered):
        return np.zeros(len(values), bool)
    order = np.argsort(values)  # looked up in order, neighbours are near each other in memory
    asked = values[order]
    places = np.minimum(np.searchsorted(ordered, asked), len(ordered) - 1)
    found = np.empty(len(values), bool)
    found[order] = ordered[places] == asked
    return found
