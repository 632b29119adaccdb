"""Splits as flat id arrays on disk, made in one tokenizing pass that holds one batch of tweets in memory at a time.

A split is three files: `<split>.ids.npy` (int32, all tokens of all tweets), `<split>.offsets.npy` (int64, n + 1;
tweet i is `ids[offsets[i]:offsets[i + 1]]`) and `<split>.labels.npy` (int32, n).
"""

import multiprocessing
from array import array
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from pipeline.errors import RunError, UserError
from pipeline.schema import UNK
from pipeline.text.vocabulary import Vocabulary

Tokenizer = Callable[[str], list[str]]
Batches = Iterable[tuple[list[str], list[int]]]

# Starting worker processes takes as long as tokenizing about this many tweets.
POOL_TEXTS = 100_000
_SLICE = 1 << 20
_worker_tokenizer: Tokenizer


@dataclass(frozen=True, eq=False)
class EncodedSplit:
    """One split, memory-mapped: `ids` (all tokens), `offsets` (n + 1), `labels` (n)."""

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int32]

    @classmethod
    def open(cls, folder: Path, name: str) -> "EncodedSplit":
        """Map the files of split `name` in `folder`; missing or inconsistent files are a RunError."""
        try:
            ids, offsets, labels = (
                np.load(folder / f"{name}.{part}.npy", mmap_mode="r", allow_pickle=False)
                for part in ("ids", "offsets", "labels")
            )
        except (OSError, ValueError) as error:
            raise RunError(f"{folder}: split {name!r} cannot be read ({error})") from error
        if len(offsets) != len(labels) + 1 or offsets[0] != 0 or offsets[-1] != len(ids):
            raise RunError(f"{folder}: split {name!r} is damaged: its ids, offsets and labels do not fit together")
        return cls(ids, offsets, labels)

    def __len__(self) -> int:
        return len(self.labels)


def tokenize_batches(batches: Iterable[list[str]], tokenizer: Tokenizer, workers: int) -> Iterator[list[list[str]]]:
    """Tokenize every text, batch by batch in order; the outcome is the same for any number of `workers`.

    Worker processes are started only when `workers` > 1 and there are POOL_TEXTS texts in two batches or more. At most
    two batches for each of them are in flight.
    """
    source = iter(batches)
    first: list[list[str]] = []
    if workers > 1:
        texts = 0
        while texts < POOL_TEXTS or len(first) < 2:
            if (batch := next(source, None)) is None:
                break
            first.append(batch)
            texts += len(batch)
        else:
            yield from _tokenize_in_pool(chain(first, source), tokenizer, workers)
            return
    for batch in chain(first, source):
        yield [tokenizer(text) for text in batch]


def _tokenize_in_pool(batches: Iterable[list[str]], tokenizer: Tokenizer, workers: int) -> Iterator[list[list[str]]]:
    """Tokenize by worker processes, spawned because a fork of a process with threads may hang."""
    waiting: deque[Future[list[list[str]]]] = deque()
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _set_worker_tokenizer, (tokenizer,))
    try:
        for batch in batches:
            waiting.append(pool.submit(_tokenize_in_worker, batch))
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RunError(
            "a tokenizing process ended unexpectedly (out of memory?); workers=1 needs less memory"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _set_worker_tokenizer(tokenizer: Tokenizer) -> None:
    global _worker_tokenizer
    _worker_tokenizer = tokenizer


def _tokenize_in_worker(batch: list[str]) -> list[list[str]]:
    return [_worker_tokenizer(text) for text in batch]


def encode_splits(
    batches_by_split: Mapping[str, Batches],
    tokenizer: Tokenizer,
    min_count: int,
    folder: Path,
    workers: int,
    *,
    also: Iterable[str] = (),
    on_train: Callable[[list[list[str]]], None] = lambda batch: None,
) -> Vocabulary:
    """Encode `train`, build the vocabulary from it, encode the other splits with that, and write all into `folder`.

    Parameters
    ----------
    batches_by_split : batches of (texts, labels) of each split; each is read once.
    tokenizer : text to tokens; must be picklable for `workers` > 1.
    min_count : training occurrences that a word needs to enter the vocabulary.
    folder : an existing folder.
    workers : processes that tokenize.
    also : words that the vocabulary holds however often they occur.
    on_train : called with the tokens of every batch of the training split.

    Returns
    -------
    The vocabulary, not yet saved. A training split without a single token is a UserError.
    """
    id_of: defaultdict[str, int] = defaultdict()
    id_of.default_factory = id_of.__len__
    counts = np.zeros(1 << 16, np.int64)
    raw = folder / ".train.ids.raw"
    try:
        with raw.open("wb") as stream:
            train = batches_by_split["train"]
            for ids in _encode(folder, "train", train, tokenizer, id_of.__getitem__, workers, on_train):
                ids.tofile(stream)
                while len(counts) < len(id_of):
                    counts = np.concatenate([counts, np.zeros_like(counts)])
                types, occurrences = np.unique(ids, return_counts=True)
                counts[types] += occurrences
        if not id_of:
            raise UserError("the training split has no tokens: expected at least one text that is not empty")
        vocabulary = Vocabulary.from_counts(dict(zip(id_of, counts.tolist(), strict=False)), min_count, also)
        final = np.full(len(id_of), UNK, np.int32)
        for word, id in vocabulary.id_of.items():
            if word in id_of:
                final[id_of[word]] = id
        _write_ids(folder, "train", (final[ids] for ids in _slices(raw)))
    finally:
        raw.unlink(missing_ok=True)
    known = vocabulary.id_of.get
    for name, batches in batches_by_split.items():
        if name != "train":
            _write_ids(
                folder, name, _encode(folder, name, batches, tokenizer, lambda token: known(token, UNK), workers)
            )
    return vocabulary


def _encode(
    folder: Path,
    name: str,
    batches: Batches,
    tokenizer: Tokenizer,
    id_of: Callable[[str], int],
    workers: int,
    on_batch: Callable[[list[list[str]]], None] = lambda batch: None,
) -> Iterator[npt.NDArray[np.int32]]:
    """Yield the ids of each batch, end to end; write the split's offsets and labels after the last."""
    labels, offsets = array("i"), array("q", [0])

    def texts() -> Iterator[list[str]]:
        for batch, batch_labels in batches:
            if len(batch) != len(batch_labels):
                raise ValueError(f"split {name!r}: a batch of {len(batch)} texts has {len(batch_labels)} labels")
            labels.extend(batch_labels)
            yield batch

    for batch in tokenize_batches(texts(), tokenizer, workers):
        on_batch(batch)
        ends = np.cumsum([len(tokens) for tokens in batch], dtype=np.int64) + offsets[-1]
        offsets.extend(ends.tolist())
        yield np.fromiter(map(id_of, chain.from_iterable(batch)), np.int32)
    np.save(folder / f"{name}.offsets.npy", np.asarray(offsets, np.int64))
    np.save(folder / f"{name}.labels.npy", np.asarray(labels, np.int32))


def _slices(raw: Path) -> Iterator[npt.NDArray[np.int32]]:
    """Read the int32 numbers of a headless file, a slice at a time."""
    with raw.open("rb") as stream:
        while len(ids := np.fromfile(stream, np.int32, _SLICE)):
            yield ids


def _write_ids(folder: Path, name: str, parts: Iterable[npt.NDArray[np.int32]]) -> None:
    """Write `<name>.ids.npy` part by part; the header, of constant size, is written again when the length is known."""
    with (folder / f"{name}.ids.npy").open("wb") as stream:
        length = 0
        _write_header(stream, length)
        for ids in parts:
            ids.tofile(stream)
            length += len(ids)
        stream.seek(0)
        _write_header(stream, length)


def _write_header(stream: BinaryIO, length: int) -> None:
    descr = np.lib.format.dtype_to_descr(np.dtype(np.int32))
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": (length,)})
