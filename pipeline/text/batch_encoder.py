"""Many texts to token ids at once.

All texts of a batch are cut at white space in one go, and nearly every chunk was seen before: its ids are read from a
table. New chunks are tokenized together. A text whose tokens are not those of its chunks goes to the tokenizer by
itself, so the tokens are always those that `tokenizer(text)` gives.
"""

from array import array
from collections.abc import Callable, Sequence
from itertools import chain, islice

import numpy as np
import numpy.typing as npt

from pipeline.text.presets import Preset
from pipeline.text.tweet_tokenizer import ALONE, EMPTY, crossings, edges

Ids = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]

TABLE_ROWS = 1 << 17
SLICE = 1 << 10  # texts that lie in memory as chunks at the same time
LONG = 256  # characters; longer chunks are not remembered, since nothing bounds their size
_END, _LONG = 0, 1  # the table's first rows: the end of a text, and a chunk that is too long
_MARK = "\0"
# str.split takes these four for white space, the patterns of the tokenizers do not.
_ODD = ("\x1c", "\x1d", "\x1e", "\x1f")
# What stands for a number of a token that has none.
_END_OF_CHUNK, _DROPPED, _NEEDS_TEXT = -1, -2, -3


class Encoder:
    """Texts to ids, by a tokenizer and what `number` makes of each token.

    Presets are encoded by the chunk; any other tokenizer is called text by text. The table of chunks is emptied when it
    is full, between batches, so that its size is bounded.
    """

    def __init__(self, tokenizer: Callable[[str], list[str]], number: Callable[[str], int]) -> None:
        self._tokenizer = tokenizer
        self._number = number
        self._clear()

    def _clear(self) -> None:
        self._rows = _Rows({_MARK: _END})
        self._ids = array("i")  # of all rows
        self._starts, self._sizes = array("q", [0, 0]), array("q", [0, 0])  # of each row's ids
        self._edges = bytearray([0, ALONE])
        if isinstance(self._tokenizer, Preset):
            self._numbers = _Numbers(self._tokenizer, self._number)

    def encode(self, texts: Sequence[str]) -> tuple[Ids, Offsets]:
        """Return the ids of all tokens, end to end, and n + 1 offsets: text i is `ids[offsets[i]:offsets[i + 1]]`.

        A text that cannot be tokenized in time is a UserError.
        """
        preset = self._tokenizer
        if not isinstance(preset, Preset):
            return self._one_by_one(texts)
        if len(self._rows) > TABLE_ROWS:
            self._clear()
        odd: list[int] = []
        chunks = chain.from_iterable(
            _chunks([preset.before(text) for text in texts[start : start + SLICE]], start, odd)
            for start in range(0, len(texts), SLICE)
        )
        rows = np.fromiter(map(self._rows.__getitem__, chunks), np.intp)
        self._add(preset)
        ends = np.flatnonzero(rows == _END)
        seen = np.frombuffer(self._edges, np.uint8)[rows]
        standing = np.flatnonzero(seen != EMPTY)
        unsure = np.concatenate([np.flatnonzero(seen == ALONE), standing[crossings(seen[standing])]])
        which = sorted({*odd, *np.searchsorted(ends, unsure).tolist()})
        ids, offsets = self._apart(which, texts, rows, ends) if which else self._gather(rows, ends)
        return _cut(ids, offsets, preset.config.max_tokens)

    def _one_by_one(self, texts: Sequence[str]) -> tuple[Ids, Offsets]:
        ids, offsets = array("i"), array("q", [0])
        for text in texts:
            ids.extend(map(self._number, self._tokenizer(text)))
            offsets.append(len(ids))
        return np.array(ids, np.int32), np.array(offsets, np.int64)

    def _add(self, preset: Preset) -> None:
        """Give the rows that are new in the table their ids and edges."""
        new = list(islice(reversed(self._rows), len(self._rows) + 1 - len(self._edges)))[::-1]
        if not new:
            return
        easy, easy_tokens, found = preset.easy(new)
        hard = np.flatnonzero(~easy)
        plain = [preset.plain(new[i]) for i in hard.tolist()]
        broken = []
        if "\n".join(plain).split() != list(filter(None, plain)):
            broken = [i for i, chunk in enumerate(plain) if chunk and chunk.split() != [chunk]]
        for i in broken:
            plain[i] = ""
        found[hard] = list(map(edges, plain))
        try:
            groups = preset.groups(plain)
        except TimeoutError:
            groups, broken = [], list(range(len(plain)))
        found[hard[broken]] = ALONE
        starts, sizes = np.zeros(len(new), np.int64), np.zeros(len(new), np.int64)
        of_hard = ((hard[group], tokens) for group, tokens in groups)
        for which, tokens in ((np.flatnonzero(easy), easy_tokens), *of_hard):
            numbers = np.fromiter(map(self._numbers.__getitem__, tokens), np.int32, len(tokens))
            ends, kept = np.flatnonzero(numbers == _END_OF_CHUNK), numbers >= 0
            until = np.cumsum(kept)[ends]
            sizes[which] = np.diff(until, prepend=0)
            starts[which] = len(self._ids) + until - sizes[which]
            self._ids.frombytes(numbers[kept].tobytes())
            found[which[np.searchsorted(ends, np.flatnonzero(numbers == _NEEDS_TEXT))]] = ALONE
        self._edges += found.tobytes()
        self._starts.frombytes(starts.tobytes())
        self._sizes.frombytes(sizes.tobytes())

    def _apart(self, which: list[int], texts: Sequence[str], rows: Offsets, ends: Offsets) -> tuple[Ids, Offsets]:
        """Gather, with a row of this batch alone, made by the tokenizer, in place of all chunks of some texts."""
        own = [[self._number(token) for token in self._tokenizer(texts[i])] for i in which]
        known, ids = len(self._sizes), len(self._ids)
        kept = np.ones(len(rows), bool)
        for i, numbers in zip(which, own, strict=True):
            kept[ends[i - 1] + 1 if i else 0 : ends[i]] = False
            rows[ends[i]] = len(self._sizes)
            self._starts.append(len(self._ids))
            self._sizes.append(len(numbers))
            self._ids.extend(numbers)
        gathered = self._gather(rows[kept], np.cumsum(kept)[ends] - 1)
        del self._starts[known:], self._sizes[known:], self._ids[ids:]
        return gathered

    def _gather(self, rows: Offsets, ends: Offsets) -> tuple[Ids, Offsets]:
        """Lay the ids of the rows end to end."""
        sizes = np.frombuffer(self._sizes, np.int64)[rows]
        until = np.cumsum(sizes)
        offsets = np.concatenate([[0], until[ends]])
        places = np.repeat(np.frombuffer(self._starts, np.int64)[rows] - until + sizes, sizes)
        places += np.arange(len(places))
        ids = np.frombuffer(self._ids, np.int32)[places] if self._ids else np.empty(0, np.int32)
        return ids, offsets


class _Rows(dict[str, int]):
    """From chunk to row of the table, in order of the rows; asking for a chunk that is not too long adds it."""

    def __missing__(self, chunk: str) -> int:
        if len(chunk) > LONG:
            return _LONG
        row = self[chunk] = len(self) + 1  # no chunk has the row _LONG
        return row


class _Numbers(dict[str, int]):
    """From token to the number of what the preset makes of it, or why it has none."""

    def __init__(self, preset: Preset, number: Callable[[str], int]) -> None:
        super().__init__({"\n": _END_OF_CHUNK})
        self._preset = preset
        self._number = number

    def __missing__(self, token: str) -> int:
        word = self._preset.word(token)
        number = self[token] = _NEEDS_TEXT if word is None else self._number(word) if word else _DROPPED
        return number


def _chunks(texts: list[str], first: int, odd: list[int]) -> list[str]:
    """Cut texts at white space, a mark after each.

    Of one that holds a mark or odd white space the mark alone is left, and its number, counted from `first`, is added
    to `odd`.
    """
    joined = f" {_MARK} ".join([*texts, ""])
    if joined.count(_MARK) != len(texts) or any(character in joined for character in _ODD):
        wanted = {i for i, text in enumerate(texts) if _MARK in text or any(character in text for character in _ODD)}
        odd += [first + i for i in sorted(wanted)]
        joined = f" {_MARK} ".join(["" if i in wanted else text for i, text in enumerate([*texts, ""])])
    return joined.split()


def _cut(ids: Ids, offsets: Offsets, most: int | None) -> tuple[Ids, Offsets]:
    """Cut every text after `most` ids."""
    sizes = np.diff(offsets)
    if most is None or not len(sizes) or sizes.max() <= most:
        return ids, offsets
    within = np.arange(len(ids)) - np.repeat(offsets[:-1], sizes) < most
    return ids[within], np.concatenate([[0], np.cumsum(np.minimum(sizes, most))])
