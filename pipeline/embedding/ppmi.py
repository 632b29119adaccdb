"""PPMI vectors: positive pointwise mutual information and a truncated SVD (Levy, Goldberg & Dagan 2015)."""

import dataclasses
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh
from threadpoolctl import threadpool_limits

from pipeline.config.schema import PpmiConfig
from pipeline.embedding.word_vectors import Vectors
from pipeline.runtime.errors import UserError
from pipeline.runtime.log import log

BLOCK = 1_000_000  # tokens whose pairs are counted at once: 0.4 GB with a window of 5
# For up to this many words the full SVD is computed. Words with the same contexts give equal singular values, which
# ARPACK, starting from one vector, finds one at a time and only because of rounding errors.
MAX_DENSE_WORDS = 1_000
# Vectors shorter than this share of the longest one consist of rounding errors.
MIN_RELATIVE_LENGTH = 1e-6


def train_ppmi(corpus: Path, settings: PpmiConfig, dim: int, *, corpus_fingerprint: str) -> Vectors:
    """Make word vectors of `dim` dimensions from the co-occurrences in a file of one text per line.

    Words come by falling count, then in alphabetical order. A frequent word that co-occurs with no word more often than
    by chance gets no vector. On one kind of machine with the same libraries, the same file gives the same bits: nothing
    is random, and the linear algebra runs on one thread.

    The corpus is UTF-8, uncompressed, tokens separated by spaces. The vectors are the rows of U·S^p with the `dim`
    largest singular values S and p = `eigenvalue_power`; in each column the number of largest size is positive.

    Raises UserError where fewer than D + 1 words reach `min_count`, or where no two words are associated.
    """
    start = time.perf_counter()
    counts: Counter[str] = Counter()
    lines = 0
    for tokens in _token_lists(corpus):
        counts.update(tokens)
        lines += 1
    frequent = (word for word, count in counts.items() if count >= settings.min_count)
    words = sorted(frequent, key=lambda word: (-counts[word], word))
    if len(words) <= dim:
        raise UserError(
            f"PPMI vectors of embedding.dim={dim} need {dim + 1} words, but {len(words)} of the {len(counts)} words in "
            f"{counts.total()} tokens reach ppmi.min_count={settings.min_count}: lower one of them or give more text"
        )
    log.info(
        f"ppmi: {counts.total():,} tokens, {len(words):,} words seen {settings.min_count} times or more, "
        f"window {settings.window}"
    )
    pairs_VV = co_occurrences(corpus, {word: row for row, word in enumerate(words)}, settings.window)
    information_VV = positive_information(pairs_VV, settings.smoothing, settings.shift)
    if information_VV.nnz == 0:
        remedy = f"PPMI needs more text, or a lower ppmi.shift={settings.shift:g}"
        raise UserError(f"{corpus}: no two words co-occur more often than by chance; {remedy}")
    log.info("ppmi: %s associated pairs of words; %d singular vectors", f"{information_VV.nnz:,}", dim)
    with threadpool_limits(1):  # more threads round differently, and are slower here
        left_VD, singular_D = largest_singular(information_VV, dim)
    vectors_VD = (left_VD * singular_D**settings.eigenvalue_power).astype(np.float32)
    lengths_V = np.linalg.norm(vectors_VD, axis=1)
    rows = np.flatnonzero(lengths_V > MIN_RELATIVE_LENGTH * lengths_V.max())
    words_with_vector = [words[row] for row in rows]
    info: dict[str, Any] = {
        "algorithm": "ppmi",
        "knobs": dataclasses.asdict(settings) | {"dim": dim},
        "reproducible": True,
        "corpus": {"fingerprint": corpus_fingerprint, "lines": lines, "tokens": counts.total()},
        "words": len(words_with_vector),
        "words_without_vector": len(words) - len(words_with_vector),
        "pairs": int(pairs_VV.nnz),
        "associated_pairs": int(information_VV.nnz),
        "singular_values": [float(singular_D[0]), float(singular_D[-1])],
        "versions": {name: metadata.version(name) for name in ("numpy", "scipy")},
        "seconds": round(time.perf_counter() - start, 3),
    }
    word_counts = np.array([counts[word] for word in words_with_vector], dtype=np.int64)
    return Vectors(words_with_vector, word_counts, vectors_VD[rows], info)


def co_occurrences(corpus: Path, row_of: Mapping[str, int], window: int) -> sparse.csr_array:
    """Count co-occurrences of words: a symmetric matrix (V, V) of whole numbers, as float64.

    Two words of a text at distance d, at most `window`, count `window` - d + 1: up to a factor, the expectation over
    word2vec's randomly shortened windows. As in word2vec, words without a row are removed first, so that a window
    extends across them. Memory holds one block of tokens and the distinct pairs, not the corpus.
    """
    size = len(row_of)
    ordered_VV = sparse.csr_array((size, size), dtype=np.float64)  # the second word stands after the first
    for rows, text in _blocks(corpus, row_of):
        first, second, weight = [], [], []
        for distance in range(1, window + 1):
            same_text = text[distance:] == text[:-distance]
            first.append(rows[:-distance][same_text])
            second.append(rows[distance:][same_text])
            weight.append(np.full(len(first[-1]), float(window - distance + 1)))
        coordinates = (np.concatenate(first), np.concatenate(second))
        # Sums of whole numbers are exact in any order: the size of a block changes nothing.
        ordered_VV = ordered_VV + sparse.coo_array((np.concatenate(weight), coordinates), shape=(size, size)).tocsr()
    return (ordered_VV + ordered_VV.T).tocsr()


def positive_information(pairs_VV: sparse.csr_array, smoothing: float, shift: float) -> sparse.csr_array:
    """PPMI (V words, V contexts) in nats: max(0, log P(w, c) / (P(w) P'(c)) - log `shift`).

    P'(c) is proportional to the context's count to the power `smoothing`: a power below 1 reduces the information of
    pairs with rare contexts.
    """
    count_V = np.asarray(pairs_VV.sum(axis=0)).ravel()
    context_V = count_V**smoothing
    context_V[count_V == 0] = 0.0
    context_V /= max(context_V.sum(), 1.0)
    pairs = pairs_VV.tocoo()
    word, context = pairs.coords
    information = np.log(pairs.data / (count_V[word] * context_V[context])) - np.log(shift)
    positive = information > 0
    coordinates = (word[positive], context[positive])
    result = sparse.coo_array((information[positive], coordinates), shape=pairs_VV.shape).tocsr()
    result.sort_indices()
    return result


def largest_singular(matrix_VV: sparse.csr_array, dim: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Left singular vectors (V, D) and singular values (D,), largest first; D is below V.

    In each vector the number of largest size is positive. Beyond the rank of the matrix, vectors and values are zero.
    """
    size = matrix_VV.shape[0]
    if size <= MAX_DENSE_WORDS:
        left, singular, _ = np.linalg.svd(matrix_VV.toarray())
    else:
        # As scipy's svds, except for the seeded generator: svds uses an unseeded one where the rank is low.
        rng = np.random.default_rng(0)
        gram = LinearOperator(matrix_VV.shape, lambda x_V: matrix_VV.T @ (matrix_VV @ x_V), dtype=np.float64)
        _, right = eigsh(gram, dim, v0=rng.standard_normal(size), rng=rng)
        left, singular, _ = np.linalg.svd(matrix_VV @ np.linalg.qr(right)[0], full_matrices=False)
    left, singular = left[:, :dim], singular[:dim]
    left = left * np.sign(left[np.abs(left).argmax(axis=0), np.arange(dim)])
    beyond_rank = singular <= singular[0] * size * np.finfo(np.float64).eps
    return np.where(beyond_rank, 0.0, left), np.where(beyond_rank, 0.0, singular)


def _token_lists(corpus: Path) -> Iterator[list[str]]:
    """The tokens of each line that has some."""
    with corpus.open(encoding="utf-8", newline="\n") as stream:
        for line in stream:
            if tokens := line.split():
                yield tokens


def _blocks(corpus: Path, row_of: Mapping[str, int]) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Rows of the known words of many texts, end to end, and the index of the text that each belongs to."""
    rows: list[int] = []
    lengths: list[int] = []
    for tokens in _token_lists(corpus):
        known = [row_of[token] for token in tokens if token in row_of]
        rows += known
        lengths.append(len(known))
        if len(rows) >= BLOCK:
            yield _block(rows, lengths)
            rows, lengths = [], []
    if rows:
        yield _block(rows, lengths)


def _block(rows: list[int], lengths: list[int]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    return np.array(rows, dtype=np.int32), np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
