r"""Fast encoder from a batch of texts to a ragged array of token ids, with a table of known chunks.

A *ragged array* holds the token ids of many texts laid end to end, and n + 1 offsets that separate the texts:

    texts     "good day", "", "so good"       where good = 2, day = 5, so = 7
    ids       [2, 5, 7, 2]
    offsets   [0, 2, 2, 4]
    text i    ids[offsets[i]:offsets[i + 1]]

A batch is encoded in three steps. First, all texts are split at white space in one go. Second, chunks that are new in
the table are tokenized together; nearly all chunks are in it. Third, the ids of all chunks are concatenated.

A text whose tokens may differ from those of its chunks, such as one with a phone number in several chunks, is passed to
the tokenizer as a whole. The result therefore always equals `tokenizer(text)`, text by text.
"""

from array import array
from collections.abc import Callable, Sequence
from itertools import chain, islice

import numpy as np
import numpy.typing as npt

from pipeline.text.presets import Preset
from pipeline.text.tweet_tokenizer import EMPTY, NEEDS_TEXT, edge_flags, possible_crossings

Ids = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]

MAX_TABLE_ROWS = 1 << 17
SLICE = 1 << 10  # texts whose chunks are in memory at the same time
MAX_CHUNK_LENGTH = 256  # characters; longer chunks are not stored, which bounds the size of the table
_END_OF_TEXT, _LONG_CHUNK = 0, 1  # the first two rows of the table
_END_MARK = "\0"
# str.split takes these four for white space, the patterns of the tokenizers do not.
_SEPARATORS = ("\x1c", "\x1d", "\x1e", "\x1f")
# Negative ids of tokens that have none.
_END_OF_CHUNK, _DROPPED, _NEEDS_TEXT = -1, -2, -3


class BatchEncoder:
    """Encodes batches of texts as ragged arrays.

    A preset is encoded by chunks; any other tokenizer is called text by text. A full table of chunks is emptied between
    batches, so that its size is bounded.
    """

    def __init__(self, tokenizer: Callable[[str], list[str]], id_of: Callable[[str], int]) -> None:
        self._tokenizer = tokenizer
        self._id_of = id_of
        self._clear()

    def _clear(self) -> None:
        self._rows = _ChunkRows({_END_MARK: _END_OF_TEXT})
        # Ids of all rows of the table; row i is ids[starts[i]:starts[i] + sizes[i]].
        self._ids = array("i")
        self._starts, self._sizes = array("q", [0, 0]), array("q", [0, 0])
        self._edges = bytearray([0, NEEDS_TEXT])  # `edge_flags` of each row
        if isinstance(self._tokenizer, Preset):
            self._token_ids = _TokenIds(self._tokenizer, self._id_of)

    def encode(self, texts: Sequence[str]) -> tuple[Ids, Offsets]:
        """Encode texts as a ragged array: the ids of all tokens, and n + 1 offsets.

        Raises UserError for a text that cannot be tokenized in time.
        """
        preset = self._tokenizer
        if not isinstance(preset, Preset):
            return self._encode_one_by_one(texts)
        if len(self._rows) > MAX_TABLE_ROWS:
            self._clear()
        with_marks: list[int] = []
        chunks = chain.from_iterable(
            _split([preset.preprocess(text) for text in texts[start : start + SLICE]], start, with_marks)
            for start in range(0, len(texts), SLICE)
        )
        rows = np.fromiter(map(self._rows.__getitem__, chunks), np.intp)
        self._tokenize_new_chunks(preset)
        ends = np.flatnonzero(rows == _END_OF_TEXT)
        edges = np.frombuffer(self._edges, np.uint8)[rows]
        nonempty = np.flatnonzero(edges != EMPTY)
        unsafe = np.concatenate([np.flatnonzero(edges == NEEDS_TEXT), nonempty[possible_crossings(edges[nonempty])]])
        whole = sorted({*with_marks, *np.searchsorted(ends, unsafe).tolist()})
        ids, offsets = self._join_with_whole(whole, texts, rows, ends) if whole else self._join(rows, ends)
        return _truncate(ids, offsets, preset.config.max_tokens)

    def _encode_one_by_one(self, texts: Sequence[str]) -> tuple[Ids, Offsets]:
        ids, offsets = array("i"), array("q", [0])
        for text in texts:
            ids.extend(map(self._id_of, self._tokenizer(text)))
            offsets.append(len(ids))
        return np.array(ids, np.int32), np.array(offsets, np.int64)

    def _tokenize_new_chunks(self, preset: Preset) -> None:
        """Append the ids and edge flags of the chunks that are new in the table."""
        new = list(islice(reversed(self._rows), len(self._rows) + 1 - len(self._edges)))[::-1]
        if not new:
            return
        is_simple, simple_tokens, edges = preset.simple_chunks(new)
        others = np.flatnonzero(~is_simple)
        normalized = [preset.normalize_chunk(new[i]) for i in others.tolist()]
        needing_text = []
        if "\n".join(normalized).split() != list(filter(None, normalized)):
            needing_text = [i for i, chunk in enumerate(normalized) if chunk and chunk.split() != [chunk]]
        for i in needing_text:
            normalized[i] = ""
        edges[others] = list(map(edge_flags, normalized))
        try:
            groups = preset.tokenize_chunks(normalized)
        except TimeoutError:
            groups, needing_text = [], list(range(len(normalized)))
        edges[others[needing_text]] = NEEDS_TEXT
        starts, sizes = np.zeros(len(new), np.int64), np.zeros(len(new), np.int64)
        other_groups = ((others[group], tokens) for group, tokens in groups)
        for chunks, tokens in ((np.flatnonzero(is_simple), simple_tokens), *other_groups):
            ids = np.fromiter(map(self._token_ids.__getitem__, tokens), np.int32, len(tokens))
            ends, has_id = np.flatnonzero(ids == _END_OF_CHUNK), ids >= 0
            cumulative_sizes = np.cumsum(has_id)[ends]
            sizes[chunks] = np.diff(cumulative_sizes, prepend=0)
            starts[chunks] = len(self._ids) + cumulative_sizes - sizes[chunks]
            self._ids.frombytes(ids[has_id].tobytes())
            edges[chunks[np.searchsorted(ends, np.flatnonzero(ids == _NEEDS_TEXT))]] = NEEDS_TEXT
        self._edges += edges.tobytes()
        self._starts.frombytes(starts.tobytes())
        self._sizes.frombytes(sizes.tobytes())

    def _join_with_whole(
        self, whole: list[int], texts: Sequence[str], rows: Offsets, ends: Offsets
    ) -> tuple[Ids, Offsets]:
        """Join the chunks of a batch, with a temporary row of the table in place of each text in `whole`."""
        ids_of_texts = [[self._id_of(token) for token in self._tokenizer(texts[i])] for i in whole]
        n_rows, n_ids = len(self._sizes), len(self._ids)
        used = np.ones(len(rows), bool)
        for i, ids in zip(whole, ids_of_texts, strict=True):
            used[ends[i - 1] + 1 if i else 0 : ends[i]] = False
            rows[ends[i]] = len(self._sizes)
            self._starts.append(len(self._ids))
            self._sizes.append(len(ids))
            self._ids.extend(ids)
        joined = self._join(rows[used], np.cumsum(used)[ends] - 1)
        del self._starts[n_rows:], self._sizes[n_rows:], self._ids[n_ids:]
        return joined

    def _join(self, rows: Offsets, ends: Offsets) -> tuple[Ids, Offsets]:
        """Lay the ids of the rows end to end; `ends` are the positions in `rows` at which the texts end."""
        sizes = np.frombuffer(self._sizes, np.int64)[rows]
        cumulative_sizes = np.cumsum(sizes)
        offsets = np.concatenate([[0], cumulative_sizes[ends]])
        positions = np.repeat(np.frombuffer(self._starts, np.int64)[rows] - cumulative_sizes + sizes, sizes)
        positions += np.arange(len(positions))
        ids = np.frombuffer(self._ids, np.int32)[positions] if self._ids else np.empty(0, np.int32)
        return ids, offsets


class _ChunkRows(dict[str, int]):
    """The table's row of each chunk, in insertion order; look-up of a new chunk adds it, unless it is too long."""

    def __missing__(self, chunk: str) -> int:
        if len(chunk) > MAX_CHUNK_LENGTH:
            return _LONG_CHUNK
        row = self[chunk] = len(self) + 1  # no chunk has the row _LONG_CHUNK
        return row


class _TokenIds(dict[str, int]):
    """The id of the preset's final form of each token, or the reason why it has none."""

    def __init__(self, preset: Preset, id_of: Callable[[str], int]) -> None:
        super().__init__({"\n": _END_OF_CHUNK})
        self._preset = preset
        self._id_of = id_of

    def __missing__(self, token: str) -> int:
        final = self._preset.final_token(token)
        id = self[token] = _NEEDS_TEXT if final is None else self._id_of(final) if final else _DROPPED
        return id


def _split(texts: list[str], first: int, with_marks: list[int]) -> list[str]:
    """Split texts at white space into chunks, with an end mark after each text.

    A text that itself holds the end mark or a separator yields its end mark alone; its index, counted from `first`, is
    appended to `with_marks`.
    """
    joined = f" {_END_MARK} ".join([*texts, ""])
    if joined.count(_END_MARK) != len(texts) or any(character in joined for character in _SEPARATORS):
        marks = (_END_MARK, *_SEPARATORS)
        special = {i for i, text in enumerate(texts) if any(mark in text for mark in marks)}
        with_marks += [first + i for i in sorted(special)]
        joined = f" {_END_MARK} ".join(["" if i in special else text for i, text in enumerate([*texts, ""])])
    return joined.split()


def _truncate(ids: Ids, offsets: Offsets, max_tokens: int | None) -> tuple[Ids, Offsets]:
    sizes = np.diff(offsets)
    if max_tokens is None or not len(sizes) or sizes.max() <= max_tokens:
        return ids, offsets
    within = np.arange(len(ids)) - np.repeat(offsets[:-1], sizes) < max_tokens
    return ids[within], np.concatenate([[0], np.cumsum(np.minimum(sizes, max_tokens))])
