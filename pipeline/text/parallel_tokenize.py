"""Tokenization in one or several processes; word counts and vocabulary ids of the tokenized batches.

Processes send each other arrays: sending a list of tokens takes longer than making it. Each process numbers words in
order of appearance and sends every word once. A batch is a ragged array (see `batch_encoder`) of these local ids:

    batch 1   "good day", "so good"   new_words ["good", "day", "so"]   ids [0, 1, 2, 0]   offsets [0, 2, 4]
    batch 2   "so bad"                new_words ["bad"]                 ids [2, 3]         offsets [0, 2]

`IdMapper` replaces local ids by those of the receiver, such as ids of a vocabulary; `WordCounter` counts words.
"""

import multiprocessing
import os
import signal
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain

import numpy as np

from pipeline.data.duplicates import UIntArray, digests, is_member
from pipeline.runtime.errors import RunError
from pipeline.runtime.processes import can_fork, end_with_parent, no_fork_warning
from pipeline.text.batch_encoder import BatchEncoder, Ids, Offsets
from pipeline.text.vocabulary import Tokenizer

# The number of texts from which worker processes pay off. Where forking is safe they start as copies of this process;
# elsewhere each imports the libraries again, which takes as long as tokenizing some 200,000 tweets.
MIN_POOL_TEXTS = 20_000 if can_fork() else 200_000
MAX_WORDS = 1 << 20  # distinct words that a process keeps from batch to batch
NO_DIGESTS: UIntArray = np.empty(0, np.uint64)


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """The tokens of n texts as a ragged array of ids that are local to one process."""

    process_id: int  # of the process that numbered the words
    first_new_id: int  # local id of the first of `new_words`; 0 where the process starts, or restarts, its numbering
    new_words: list[str]  # with ids from `first_new_id`; some may be in no text, for instance truncated ones
    ids: Ids  # of all tokens
    offsets: Offsets  # (n + 1,)
    dropped: int = 0  # number of held-out texts, which are not among the n
    lines: bytes | None = None  # if requested: the tokens of each text that has some, UTF-8 with spaces between

    def __len__(self) -> int:
        return len(self.offsets) - 1


class IdMapper:
    """Replaces the local ids of batches by `id_of(word)`, which is called once for each word of a process.

    Batches of one process must come in order, and from one stream.
    """

    def __init__(self, id_of: Callable[[str], int]) -> None:
        self._id_of = id_of
        self._ids_by_process: dict[int, array[int]] = {}

    def __call__(self, batch: TokenBatch) -> Ids:
        """The ids of a batch's tokens; ValueError where an earlier batch of the same process is missing."""
        mapped = self._ids_by_process.setdefault(batch.process_id, array("i"))
        if not batch.first_new_id:
            del mapped[:]
        if len(mapped) != batch.first_new_id:
            raise ValueError(f"the batch's first new id is {batch.first_new_id}, but {len(mapped)} ids are mapped")
        mapped.extend(map(self._id_of, batch.new_words))
        return np.frombuffer(mapped, np.int32)[batch.ids] if mapped else np.empty(0, np.int32)


class BatchTokenizer:
    """Tokenizes batches of texts, and drops held-out texts by their masked digests `held_out`, ascending.

    Masking also drops the words of a held-out tweet that differs in a handle or a link.
    """

    def __init__(self, tokenizer: Tokenizer, held_out: UIntArray = NO_DIGESTS, *, with_lines: bool = False) -> None:
        self._tokenizer = tokenizer
        self._held_out = held_out
        self._with_lines = with_lines
        self._clear()

    def _clear(self) -> None:
        self._word_ids = WordIds()
        self._encoder = BatchEncoder(self._tokenizer, self._word_ids.__getitem__)

    def __call__(self, texts: list[str]) -> TokenBatch:
        """The tokens of all texts that are not held out.

        With `with_lines`, a token that is empty or holds white space is a ValueError; no preset makes one.
        """
        if len(self._word_ids) > MAX_WORDS:
            self._clear()
        n_texts = len(texts)
        if len(self._held_out):
            held_out = is_member(digests([texts], "masked"), self._held_out).tolist()
            texts = [text for text, drop in zip(texts, held_out, strict=True) if not drop]
        first_new_id = len(self._word_ids)
        ids, offsets = self._encoder.encode(texts)
        new_words = self._word_ids.words[first_new_id:]
        lines = None
        if self._with_lines:
            if " ".join(new_words).split() != new_words:
                invalid = next(word for word in new_words if word.split() != [word])
                self._clear()
                raise ValueError(f"tokens must be non-empty and without white space, found {invalid!r}")
            lines = _lines(map(self._word_ids.words.__getitem__, ids.tolist()), offsets)
        return TokenBatch(os.getpid(), first_new_id, new_words, ids, offsets, n_texts - len(texts), lines)


def _lines(tokens: Iterable[str], offsets: Offsets) -> bytes:
    """The corpus lines of texts; no token holds a space."""
    joined = bytearray(f"{' '.join(tokens)} ".encode())
    last_tokens = offsets[1:][np.diff(offsets) > 0] - 1
    characters = np.frombuffer(joined, np.uint8)
    characters[np.flatnonzero(characters == ord(" "))[last_tokens]] = ord("\n")
    return bytes(joined) if len(last_tokens) else b""


class WordIds(dict[str, int]):
    """Ids of words from 0 in order of their first look-up; `words` are the words by id."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def __missing__(self, word: str) -> int:
        id = self[word] = len(self.words)
        self.words.append(word)
        return id


class WordCounter:
    """Numbers the words of batches in order of appearance, and counts them."""

    def __init__(self) -> None:
        self._word_ids = WordIds()
        self._map_ids = IdMapper(self._word_ids.__getitem__)
        self._counts = np.zeros(1 << 16, np.int64)

    @property
    def words(self) -> list[str]:
        """The words by id; some may have count 0."""
        return self._word_ids.words

    def add(self, batch: TokenBatch) -> Ids:
        """Count the tokens of a batch; returns their ids."""
        ids = self._map_ids(batch)
        while len(self._counts) < len(self._word_ids):
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
        np.add.at(self._counts, ids, 1)
        return ids

    def counts(self) -> dict[str, int]:
        """The count of each word that occurs."""
        return {word: count for word, count in zip(self.words, self._counts.tolist(), strict=False) if count}


_worker: BatchTokenizer


def tokenize_batches(
    batches: Iterable[list[str]],
    tokenizer: Tokenizer,
    workers: int,
    held_out: UIntArray = NO_DIGESTS,
    *,
    with_lines: bool = False,
) -> Iterator[TokenBatch]:
    """Tokenize every text that is not held out (see `BatchTokenizer`), batch by batch in order.

    The tokens are the same for any number of `workers`. Worker processes start only when `workers` > 1 and there are
    MIN_POOL_TEXTS texts in two batches or more. At most two batches per worker are in flight.
    """
    source = iter(batches)
    first: list[list[str]] = []
    if workers > 1:
        n_texts = 0
        while n_texts < MIN_POOL_TEXTS or len(first) < 2:
            if (batch := next(source, None)) is None:
                break
            first.append(batch)
            n_texts += len(batch)
        else:
            yield from _tokenize_in_pool(chain(first, source), workers, (tokenizer, held_out, with_lines))
            return
    yield from map(BatchTokenizer(tokenizer, held_out, with_lines=with_lines), chain(first, source))


def _tokenize_in_pool(
    batches: Iterable[list[str]], workers: int, arguments: tuple[Tokenizer, UIntArray, bool]
) -> Iterator[TokenBatch]:
    pending: deque[Future[TokenBatch]] = deque()
    context = multiprocessing.get_context("fork" if can_fork() else "spawn")
    pool = ProcessPoolExecutor(workers, context, _start_worker, arguments)
    try:
        for batch in batches:
            with no_fork_warning():
                pending.append(pool.submit(_tokenize_in_worker, batch))
            if len(pending) >= 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        message = "a tokenizing process ended unexpectedly (out of memory?); workers=1 needs less memory"
        raise RunError(message) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(tokenizer: Tokenizer, held_out: UIntArray, with_lines: bool) -> None:
    global _worker
    end_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent receives it too, and ends its workers
    _worker = BatchTokenizer(tokenizer, held_out, with_lines=with_lines)


def _tokenize_in_worker(batch: list[str]) -> TokenBatch:
    return _worker(batch)
