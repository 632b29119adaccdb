"""Encoded splits on disk: token ids as a ragged array, and labels, written in one pass over the tweets.

A split is three files: `<split>.ids.npy` (int32, the tokens of all tweets end to end), `<split>.offsets.npy` (int64,
n + 1; tweet i is `ids[offsets[i]:offsets[i + 1]]`) and `<split>.labels.npy` (int32, n).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from pipeline.runtime.errors import RunError, UserError
from pipeline.text.vocabulary import Tokenizer, Vocabulary
from pipeline.text.word_parts import WordParts

if TYPE_CHECKING:  # opening a split needs no tokenizer
    from pipeline.text.parallel_tokenize import IdMapper, TokenBatch

Batches = Iterable[tuple[list[str], list[int]]]
Ragged = tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]  # ids and offsets of a batch

_SLICE = 1 << 20


@dataclass(frozen=True, eq=False)
class EncodedSplit:
    """One split of n tweets, memory-mapped: a ragged array of token ids, and labels (n,)."""

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int32]

    @classmethod
    def open(cls, folder: Path, name: str) -> "EncodedSplit":
        """Memory-map the files of split `name` in `folder`; missing or inconsistent files are a RunError."""
        try:
            ids, offsets, labels = (
                np.load(folder / f"{name}.{array}.npy", mmap_mode="r", allow_pickle=False)
                for array in ("ids", "offsets", "labels")
            )
        except (OSError, ValueError) as error:
            raise RunError(f"{folder}: split {name!r} cannot be read ({error})") from error
        if len(offsets) != len(labels) + 1 or offsets[0] != 0 or offsets[-1] != len(ids):
            raise RunError(f"{folder}: split {name!r} is damaged: its ids, offsets and labels differ in length")
        return cls(ids, offsets, labels)

    def __len__(self) -> int:
        return len(self.labels)


def encode_splits(
    batches_by_split: Mapping[str, Batches],
    tokenizer: Tokenizer,
    min_count: int,
    folder: Path,
    workers: int,
    *,
    required_words: Iterable[str] = (),
    unknown: str = "unk",
    on_train: "Callable[[TokenBatch], None]" = lambda batch: None,
) -> Vocabulary:
    """Encode `train`, build the vocabulary from it, encode the other splits with it, and write all into `folder`.

    Splits are batches of (texts, labels) and read once. For `workers` > 1 the tokenizer must be picklable. `on_train`
    gets the tokens of every batch of the training split. The vocabulary, with `required_words` whatever their count, is
    not saved yet. `unknown` says how `WordParts` reads unknown words in the other splits; those of `train` train
    the vector of UNK. A training split without a single token is a UserError.
    """
    from pipeline.text.parallel_tokenize import IdMapper, WordCounter

    counter = WordCounter()

    def count(batch: "TokenBatch") -> Ragged:
        on_train(batch)
        return counter.add(batch), batch.offsets

    raw = folder / ".train.ids.raw"
    try:
        with raw.open("wb") as stream:
            for ids in _encode(folder, "train", batches_by_split["train"], tokenizer, workers, count):
                ids.tofile(stream)
        counts = counter.counts()
        if not counts:
            raise UserError("the training split has no tokens: expected at least one text that is not empty")
        vocabulary = Vocabulary.from_counts(counts, min_count, required_words)
        vocabulary_ids = np.array(vocabulary.encode(counter.words), np.int32)
        _write_ids(folder, "train", (vocabulary_ids[ids] for ids in _slices(raw)))
    finally:
        raw.unlink(missing_ok=True)
    for name, batches in batches_by_split.items():
        if name != "train":
            parts = WordParts(vocabulary.words, vocabulary.id_of, unknown)
            ids_of = partial(_ids_of, IdMapper(parts.id_of), parts)
            _write_ids(folder, name, _encode(folder, name, batches, tokenizer, workers, ids_of))
    return vocabulary


def _ids_of(map_ids: "IdMapper", parts: WordParts, batch: "TokenBatch") -> Ragged:
    return parts.expand(map_ids(batch), batch.offsets)


def _encode(
    folder: Path,
    name: str,
    batches: Batches,
    tokenizer: Tokenizer,
    workers: int,
    ids_of: "Callable[[TokenBatch], Ragged]",
) -> Iterator[npt.NDArray[np.int32]]:
    """Yield the ids of each batch, as `ids_of` gives them, and write the split's labels and offsets on the way."""
    from pipeline.text.parallel_tokenize import tokenize_batches

    with (
        _NpyWriter(folder / f"{name}.labels.npy", np.int32) as labels,
        _NpyWriter(folder / f"{name}.offsets.npy", np.int64) as offsets,
    ):

        def texts() -> Iterator[list[str]]:
            for batch_texts, batch_labels in batches:
                if len(batch_texts) != len(batch_labels):
                    problem = f"a batch of {len(batch_texts)} texts has {len(batch_labels)} labels"
                    raise ValueError(f"split {name!r}: {problem}")
                labels.write(np.array(batch_labels))
                yield batch_texts

        end = 0
        offsets.write(np.array([end]))
        for batch in tokenize_batches(texts(), tokenizer, workers, with_lines=name == "train"):
            batch_ids, batch_offsets = ids_of(batch)
            offsets.write(batch_offsets[1:] + end)
            end += len(batch_ids)
            yield batch_ids


def _slices(raw: Path) -> Iterator[npt.NDArray[np.int32]]:
    """Read the int32 numbers of a file without a header, a slice at a time."""
    with raw.open("rb") as stream:
        while len(ids := np.fromfile(stream, np.int32, _SLICE)):
            yield ids


def _write_ids(folder: Path, name: str, arrays: Iterable[npt.NDArray[np.int32]]) -> None:
    with _NpyWriter(folder / f"{name}.ids.npy", np.int32) as ids:
        for array in arrays:
            ids.write(array)


class _NpyWriter:
    """Writes a one-dimensional `.npy` file array by array, so that it is never in memory as a whole."""

    def __init__(self, path: Path, dtype: type[np.signedinteger]) -> None:
        self._stream = path.open("wb")
        self._dtype = np.dtype(dtype)
        self._length = 0

    def __enter__(self) -> Self:
        self._write_header()
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.seek(0)
        self._write_header()
        self._stream.close()

    def write(self, array: npt.NDArray[np.signedinteger]) -> None:
        array.astype(self._dtype, copy=False).tofile(self._stream)
        self._length += len(array)

    def _write_header(self) -> None:
        """Write the header, whose size does not depend on the length."""
        descr = np.lib.format.dtype_to_descr(self._dtype)
        header = {"descr": descr, "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._stream, header)
