"""The initial embedding matrix: known word vectors, and random rows with the mean and spread of those."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import PAD, SPECIALS, UNK
from pipeline.embedding.word_vectors import Vectors
from pipeline.runtime.errors import UserError


def initial_matrix(
    words: Sequence[str],
    vectors: Vectors | None,
    dim: int,
    rng: np.random.Generator,
    scale: float | None = None,
    *,
    shuffled: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Make the initial embedding matrix (V, D) of a vocabulary, and a mask (V,) of the rows that come from `vectors`.

    The PAD row 0 is zero. A word in `vectors` gets its vector, bit for bit without `scale`. Every other row, UNK (row
    1) among them, is drawn from a normal distribution. With at least two known rows, it has their mean and standard
    deviation in each dimension: a random row then differs from the known ones neither in length nor in direction.
    (CBOW vectors share a common direction, about a tenth of their squared length. Rows drawn around zero lack it, so
    the share of unknown words in a tweet would shift its mean embedding.) Otherwise the mean is 0 and the standard
    deviation 1/√D, so that rows have length about 1.

    Always V·D numbers are drawn: a word added to or removed from `vectors` changes no other random row.

    `scale` is the standard deviation of all numbers of the matrix except PAD; the matrix is multiplied by one factor,
    so cosines stay. None changes nothing. CBOW vectors are several times longer than random ones, and a step of Adam
    moves both equally far. With one scale for all variants, they do not differ in their relative step size.

    With `shuffled`, the rows that come from `vectors` are dealt to their words at random: the same numbers without
    meaning. All other rows are the same as without it.

    Raises UserError where the vectors do not have `dim` dimensions.
    """
    if vectors is not None and vectors.dim != dim:
        problem = f"embedding.dim={dim}, but the vectors have {vectors.dim} dimensions"
        raise UserError(f"{problem}: set embedding.dim={vectors.dim}")
    random_rows = rng.standard_normal((len(words), dim), dtype=np.float32)
    index = {} if vectors is None else vectors.index
    rows = np.array([-1] * SPECIALS + [index.get(word, -1) for word in words[SPECIALS:]])[: len(words)]
    known: NDArray[np.bool_] = rows >= 0
    known_rows = np.empty((0, dim), np.float32) if vectors is None else vectors.vectors[rows[known]]
    if len(known_rows) < 2:
        matrix = random_rows / np.float32(np.sqrt(dim))
    else:
        mean, std = known_rows.mean(axis=0, dtype=np.float64), known_rows.std(axis=0, dtype=np.float64)
        matrix = random_rows * std.astype(np.float32) + mean.astype(np.float32)
    matrix[known] = rng.permutation(known_rows) if shuffled else known_rows
    if scale is not None and len(matrix) > 1:
        matrix *= np.float32(scale / matrix[UNK:].std(dtype=np.float64))
    matrix[PAD] = 0.0
    return matrix, known


def coverage(counts: NDArray[np.int64], known: NDArray[np.bool_], types_dropped: int) -> dict[str, float]:
    """Return the fractions of the training text's types and of its tokens that have a known vector.

    `counts` (V,) are those of the words in the training text, that of UNK the count of all words outside the
    vocabulary; `known` (V,) are the rows that come from known vectors; `types_dropped` words are outside the
    vocabulary. Words outside the vocabulary count as unknown; words of the vocabulary that the training text lacks do
    not count. Both fractions are 0 for an empty text.
    """
    if len(counts) != len(known):
        raise ValueError(f"{len(counts)} counts and {len(known)} known rows differ in length")
    occurring = counts[SPECIALS:] > 0
    types, tokens = int(occurring.sum()) + types_dropped, int(counts.sum())
    return {
        "coverage/types": float(known[SPECIALS:][occurring].sum() / types) if types else 0.0,
        "coverage/tokens": float(counts[known].sum() / tokens) if tokens else 0.0,
    }
