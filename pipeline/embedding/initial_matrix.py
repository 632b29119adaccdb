"""The matrix an embedding layer starts from: numpy alone, so every variant starts the same way on any device."""

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
    generator: np.random.Generator,
    scale: float | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Make the initial embedding matrix (V, D) of a vocabulary, and say which of its rows (V,) come from `vectors`.

    The PAD row 0 is zero. A word that `vectors` knows gets its vector, bit for bit where no
    `scale` is given. Every other row, UNK (row 1)
    among them, is drawn from a normal distribution. Where at least two rows are known it has, in each dimension, their
    mean and standard deviation: a drawn row is then an average row, which neither its length nor its direction sets
    apart before training. (CBOW rows share a common direction, about a tenth of their squared length. Rows drawn around
    zero lack it, so that the share of unknown words in a tweet would shift the mean of its embeddings.) Otherwise the
    mean is 0 and the standard deviation 1/√D: rows of length about 1.

    V·D numbers are drawn whichever rows are known: a word gained or lost by `vectors` moves no other row's draw.

    Parameters
    ----------
    words : the vocabulary, V words by id; ids 0 and 1 are PAD and UNK and never looked up.
    vectors : known word vectors of D dimensions, or None.
    dim : D.
    generator : the run's own; always advanced equally for the same V and D.
    scale : the standard deviation of all numbers of the matrix, PAD aside; one factor brings them to it, so cosines
        stay. None leaves every row as it is. CBOW rows are several times longer than random ones, and a step of Adam
        moves both equally far: with one scale for all variants, a difference between them is not one of step size.

    Raises UserError where the vectors do not have `dim` dimensions.
    """
    if vectors is not None and vectors.dim != dim:
        raise UserError(f"embedding.dim={dim}, but the vectors have {vectors.dim} dimensions")
    drawn = generator.standard_normal((len(words), dim), dtype=np.float32)
    index = {} if vectors is None else vectors.index
    rows = np.array([-1] * SPECIALS + [index.get(word, -1) for word in words[SPECIALS:]])[: len(words)]
    known: NDArray[np.bool_] = rows >= 0
    if vectors is not None and known.any():
        known_rows = vectors.vectors[rows[known]]
        matrix = drawn / np.float32(np.sqrt(dim)) if len(known_rows) < 2 else _spread_like(drawn, known_rows)
        matrix[known] = known_rows
    else:
        matrix = drawn / np.float32(np.sqrt(dim))
    if scale is not None and len(matrix) > 1:
        matrix *= np.float32(scale / matrix[UNK:].std(dtype=np.float64))
    matrix[PAD] = 0.0
    return matrix, known


def _spread_like(drawn: NDArray[np.float32], known_rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring standard normal rows (V, D) to the mean and standard deviation of `known_rows` (n, D) per dimension."""
    mean: NDArray[np.float32] = known_rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    std: NDArray[np.float32] = known_rows.std(axis=0, dtype=np.float64).astype(np.float32)
    return drawn * std + mean


def coverage(counts: NDArray[np.int64], known: NDArray[np.bool_], types_dropped: int) -> dict[str, float]:
    """Return the fractions of the training text that have a vector: of its types, and of its running tokens.

    Parameters
    ----------
    counts : (V,) how often each word stands in the training text; that of UNK is of all words without a row.
    known : (V,) which rows came from vectors.
    types_dropped : how many words of the training text have no row.

    Words without a row count as unknown, words that the training text lacks not at all. Both fractions are 0 for an
    empty text.
    """
    if len(counts) != len(known):
        raise ValueError(f"{len(counts)} counts and {len(known)} known rows do not belong together")
    seen = counts[SPECIALS:] > 0
    types, tokens = int(seen.sum()) + types_dropped, int(counts.sum())
    return {
        "coverage/types": float(known[SPECIALS:][seen].sum() / types) if types else 0.0,
        "coverage/tokens": float(counts[known].sum() / tokens) if tokens else 0.0,
    }
