"""Batches of tokenized texts as arrays, made by one process or several.

Arrays, because what processes send each other must be small: lists of tokens take longer to send than to make.
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

from pipeline.data.duplicates import UIntArray, among, digests
from pipeline.runtime.errors import RunError
from pipeline.runtime.processes import can_fork, end_with_parent, no_fork_warning
from pipeline.text.batch_encoder import Encoder, Ids, Offsets
from pipeline.text.encoded_split import Tokenizer

# Worker processes begin as copies of this one where that is safe. Elsewhere each reads the libraries again, which takes
# as long as tokenizing some 200,000 tweets.
POOL_TEXTS = 20_000 if can_fork() else 200_000
MOST_WORDS = 1 << 20  # distinct words that a process remembers from batch to batch
NOTHING: UIntArray = np.empty(0, np.uint64)


@dataclass(frozen=True, eq=False)
class Tokens:
    """The tokens of a batch: those of text i are the words `ids[offsets[i]:offsets[i + 1]]` of its maker.

    A maker (one process, unless it begins anew) numbers words from 0 as it meets them, and names each once, so that
    little is sent from process to process. `Lookup` tells what the ids mean.

    maker : the process. known : words that it had numbered before; 0 where it begins, or begins anew.
    new : the words numbered `known` and on; some may stand in no text, as those that are cut off a long one.
    ids : int32, all texts end to end. offsets : int64, (n + 1,).
    dropped : texts of the batch that were held out, and are not among the n.
    lines : one line for each text that has tokens, these apart by one space, in UTF-8; None where not asked for.
    """

    maker: int
    known: int
    new: list[str]
    ids: Ids
    offsets: Offsets
    dropped: int = 0
    lines: bytes | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1


class Lookup:
    """What `number` says of the tokens of batches; it is asked once for each word of a maker.

    Batches of one process come in their order, and none of another stream of it among them.
    """

    def __init__(self, number: Callable[[str], int]) -> None:
        self._number = number
        self._said: dict[int, array[int]] = {}

    def __call__(self, tokens: Tokens) -> Ids:
        """The numbers of a batch's tokens, end to end. A ValueError where one of its maker's batches was left out."""
        said = self._said.setdefault(tokens.maker, array("i"))
        if not tokens.known:
            del said[:]
        if len(said) != tokens.known:
            raise ValueError(f"the words before number {tokens.known} were not looked up, only {len(said)}")
        said.extend(map(self._number, tokens.new))
        return np.frombuffer(said, np.int32)[tokens.ids] if said else np.empty(0, np.int32)


class Columns:
    """Batches of texts to batches of tokens, without the texts whose masked digest is in `held_out`, which ascends.

    So the words of a held-out tweet to another handle, or with another link, are held out as well.
    """

    def __init__(self, tokenizer: Tokenizer, held_out: UIntArray = NOTHING, *, with_lines: bool = False) -> None:
        self._tokenizer = tokenizer
        self._held_out = held_out
        self._with_lines = with_lines
        self._clear()

    def _clear(self) -> None:
        self._words = Words()
        self._encoder = Encoder(self._tokenizer, self._words.__getitem__)

    def __call__(self, texts: list[str]) -> Tokens:
        """The tokens of a batch of texts, without those held out.

        Where lines are made, a token that holds white space, which no preset makes, is a ValueError.
        """
        if len(self._words) > MOST_WORDS:
            self._clear()
        kept = texts
        if len(self._held_out):
            dropped = among(digests([texts], "masked"), self._held_out).tolist()
            kept = [text for text, drop in zip(texts, dropped, strict=True) if not drop]
        known = len(self._words)
        ids, offsets = self._encoder.encode(kept)
        new = self._words.spelled[known:]
        lines = None
        if self._with_lines:
            if " ".join(new).split() != new:
                wrong = next(word for word in new if word.split() != [word])
                self._clear()
                raise ValueError(f"tokens must be non-empty and without white space, found {wrong!r}")
            lines = _lines(map(self._words.spelled.__getitem__, ids.tolist()), offsets)
        return Tokens(os.getpid(), known, new, ids, offsets, len(texts) - len(kept), lines)


def _lines(tokens: Iterable[str], offsets: Offsets) -> bytes:
    """The lines of texts by their tokens, none of which holds a space."""
    joined = bytearray(f"{' '.join(tokens)} ".encode())
    last = offsets[1:][np.diff(offsets) > 0] - 1
    letters = np.frombuffer(joined, np.uint8)
    letters[np.flatnonzero(letters == ord(" "))[last]] = ord("\n")
    return bytes(joined) if len(last) else b""


class Words(dict[str, int]):
    """Numbers words from 0 in the order in which they are asked for; `spelled` are the words by number."""

    def __init__(self) -> None:
        super().__init__()
        self.spelled: list[str] = []

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self.spelled)
        self.spelled.append(word)
        return number


class Tally:
    """Words numbered as they come, and how often each came."""

    def __init__(self) -> None:
        self._words = Words()
        self._lookup = Lookup(self._words.__getitem__)
        self._counts = np.zeros(1 << 16, np.int64)

    @property
    def words(self) -> list[str]:
        """The words by number; some may not have come."""
        return self._words.spelled

    def add(self, tokens: Tokens) -> Ids:
        """Count the tokens of a batch; returns their numbers, end to end."""
        numbers = self._lookup(tokens)
        while len(self._counts) < len(self._words):
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
        np.add.at(self._counts, numbers, 1)
        return numbers

    def counts(self) -> dict[str, int]:
        """How often each word came, of those that did."""
        return {word: count for word, count in zip(self.words, self._counts.tolist(), strict=False) if count}


_worker: Columns


def tokenize_batches(
    batches: Iterable[list[str]],
    tokenizer: Tokenizer,
    workers: int,
    held_out: UIntArray = NOTHING,
    *,
    with_lines: bool = False,
) -> Iterator[Tokens]:
    """Tokenize every text that is not held out (see `Columns`), batch by batch in order.

    The tokens are the same for any number of `workers`.

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
            yield from _in_pool(chain(first, source), workers, (tokenizer, held_out, with_lines))
            return
    yield from map(Columns(tokenizer, held_out, with_lines=with_lines), chain(first, source))


def _in_pool(batches: Iterable[list[str]], workers: int, start: tuple[Tokenizer, UIntArray, bool]) -> Iterator[Tokens]:
    waiting: deque[Future[Tokens]] = deque()
    context = multiprocessing.get_context("fork" if can_fork() else "spawn")
    pool = ProcessPoolExecutor(workers, context, _start_worker, start)
    try:
        for batch in batches:
            with no_fork_warning():
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


def _start_worker(tokenizer: Tokenizer, held_out: UIntArray, with_lines: bool) -> None:
    global _worker
    end_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it too, and ends its workers
    _worker = Columns(tokenizer, held_out, with_lines=with_lines)


def _tokenize_in_worker(batch: list[str]) -> Tokens:
    return _worker(batch)
