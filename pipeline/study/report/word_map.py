"""Two-dimensional places of words before and after training, for the report's map."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import SPECIALS

WORDS_SHOWN = 300
DIGITS = 4


def words_map(
    words: Sequence[str],
    counts: Sequence[int],
    opinions: Mapping[str, int],
    asked: Sequence[str],
    matrices: Mapping[str, tuple[NDArray[np.floating], NDArray[np.floating]]],
) -> dict[str, Any]:
    """`StudyResults.words_map`: places of up to 300 words in the embedding of each variant before and after training.

    Shown are the words `asked` for, then up to 200 opinion words, then others, the most frequent first. Each
    variant's two matrices (V, D) are brought to unit rows and projected together on the first two principal components
    of both, so that a word's movement is what training changed. Signs are fixed by the largest component.

    Parameters
    ----------
    opinions : 0 for negative, 1 for positive words; others are neither.
    """
    index = {word: row for row, word in enumerate(words) if row >= SPECIALS}
    by_count = sorted((row for row in index.values() if counts[row] > 0), key=lambda row: (-counts[row], row))
    opinionated = [row for row in by_count if words[row] in opinions]
    others = [row for row in by_count if words[row] not in opinions]
    shown = dict.fromkeys(index[word] for word in asked if word in index)
    shown |= dict.fromkeys(opinionated[: WORDS_SHOWN * 2 // 3])
    shown |= dict.fromkeys(others[: max(WORDS_SHOWN - len(shown), 0)])
    rows = list(shown)[:WORDS_SHOWN]
    if len(rows) < 3:
        return {}
    return {
        "words": [words[row] for row in rows],
        "counts": [int(counts[row]) for row in rows],
        "polarity": [2 * opinions[words[row]] - 1 if words[row] in opinions else 0 for row in rows],
        "variants": {
            variant: dict(zip(("before", "after"), places(before[rows], after[rows]), strict=True))
            for variant, (before, after) in matrices.items()
        },
    }


def places(before: NDArray[np.floating], after: NDArray[np.floating]) -> tuple[list[list[float]], list[list[float]]]:
    """Places (n, 2) of n rows (n, D) before and after, on the first two principal components of both together."""
    both = np.concatenate([before, after]).astype(np.float64)
    lengths = np.linalg.norm(both, axis=1, keepdims=True)
    unit = both / np.where(lengths > 0, lengths, 1)
    centred = unit - unit.mean(axis=0)
    if centred.shape[1] < 2:
        centred = np.pad(centred, ((0, 0), (0, 1)))
    _, axes = np.linalg.eigh(centred.T @ centred)
    first_two = axes[:, ::-1][:, :2]
    largest = np.abs(first_two).argmax(axis=0)
    first_two = first_two * np.where(first_two[largest, [0, 1]] < 0, -1, 1)
    found = np.round(centred @ first_two, DIGITS) + 0.0
    return found[: len(before)].tolist(), found[len(before) :].tolist()
