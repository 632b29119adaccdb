"""Splits as flat id arrays on disk, made in one tokenizing pass that holds one batch of tweets in memory at a time.

A split is three files: `<split>.ids.npy` (int32, all tokens of all tweets), `<split>.offsets.npy` (int64, n + 1;
tweet i is `ids[offsets[i]:offsets[i + 1]]`) and `<split>.labels.npy` (int32, n).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from pipeline.config.schema import UNK
from pipeline.runtime.errors import RunError, UserError
from pipeline.text.vocabulary import Vocabulary

if TYPE_CHECKING:  # opening a split needs no tokenizer
    from pipeline.text.parallel_tokenize import Tokens

Tokenizer = Callable[[str], list[str]]
Batches = Iterable[tuple[list[str], list[int]]]

_SLICE = 1 << 20


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


def encode_splits(
    batches_by_split: Mapping[str, Batches],
    tokenizer: Tokenizer,
    min_count: int,
    folder: Path,
    workers: int,
    *,
    also: Iterable[str] = (),
    on_train: "Callable[[Tokens], None]" = lambda batch: None,
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
    from pipeline.text.parallel_tokenize import Lookup, Tally

    tally = Tally()
    raw = folder / ".train.ids.raw"
    try:
        with raw.open("wb") as stream:
            for tokens in _tokenize(folder, "train", batches_by_split["train"], tokenizer, workers):
                on_train(tokens)
                tally.add(tokens).tofile(stream)
        counts = tally.counts()
        if not counts:
            raise UserError("the training split has no tokens: expected at least one text that is not empty")
        vocabulary = Vocabulary.from_counts(counts, min_count, also)
        final = np.array(vocabulary.encode(tally.words), np.int32)
        _write_ids(folder, "train", (final[ids] for ids in _slices(raw)))
    finally:
        raw.unlink(missing_ok=True)
    for name, batches in batches_by_split.items():
        if name != "train":
            encode = Lookup(lambda word: vocabulary.id_of.get(word, UNK))
            _write_ids(folder, name, map(encode, _tokenize(folder, name, batches, tokenizer, workers)))
    return vocabulary


def _tokenize(folder: Path, name: str, batches: Batches, tokenizer: Tokenizer, workers: int) -> "Iterator[Tokens]":
    """Yield the tokens of each batch, and write the split's labels and offsets meanwhile."""
    from pipeline.text.parallel_tokenize import tokenize_batches

    with (
        _Column(folder / f"{name}.labels.npy", np.int32) as labels,
        _Column(folder / f"{name}.offsets.npy", np.int64) as offsets,
    ):

        def texts() -> Iterator[list[str]]:
            for batch, batch_labels in batches:
                if len(batch) != len(batch_labels):
                    raise ValueError(f"split {name!r}: a batch of {len(batch)} texts has {len(batch_labels)} labels")
                labels.write(np.array(batch_labels))
                yield batch

        end = 0
        offsets.write(np.array([end]))
        for tokens in tokenize_batches(texts(), tokenizer, workers, with_lines=name == "train"):
            offsets.write(tokens.offsets[1:] + end)
            end += len(tokens.ids)
            yield tokens


def _slices(raw: Path) -> Iterator[npt.NDArray[np.int32]]:
    """Read the int32 numbers of a headless file, a slice at a time."""
    with raw.open("rb") as stream:
        while len(ids := np.fromfile(stream, np.int32, _SLICE)):
            yield ids


def _write_ids(folder: Path, name: str, parts: Iterable[npt.NDArray[np.int32]]) -> None:
    with _Column(folder / f"{name}.ids.npy", np.int32) as ids:
        for part in parts:
            ids.write(part)


class _Column:
    """A `.npy` file of numbers, for `with`, written part by part: never are all of them in memory."""

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

    def write(self, part: npt.NDArray[np.signedinteger]) -> None:
        """Append numbers."""
        part.astype(self._dtype, copy=False).tofile(self._stream)
        self._length += len(part)

    def _write_header(self) -> None:
        """Write the header, which is of one size for any length."""
        descr = np.lib.format.dtype_to_descr(self._dtype)
        header = {"descr": descr, "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._stream, header)
