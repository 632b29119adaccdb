"""Word map: words in two dimensions before and after training, by principal components."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import SPECIALS

WORDS_ON_MAP = 300
DIGITS = 4


def word_map(
    words: Sequence[str],
    counts: Sequence[int],
    opinions: Mapping[str, int],
    requested: Sequence[str],
    matrices: Mapping[str, tuple[NDArray[np.floating], NDArray[np.floating]]],
) -> dict[str, Any]:
    """`StudyResults.words_map`: coordinates of up to 300 words for each variant, before and after training.

    The map holds the `requested` words, then up to 200 opinion words, then others, the most frequent first.

    Parameters
    ----------
    counts : (V,) occurrences of each word.
    opinions : 0 for negative, 1 for positive words; others are absent.
    matrices : by variant, the embedding matrices (V, D) before and after training.
    """
    index = {word: row for row, word in enumerate(words) if row >= SPECIALS}
    by_count = sorted((row for row in index.values() if counts[row] > 0), key=lambda row: (-counts[row], row))
    opinionated = [row for row in by_count if words[row] in opinions]
    others = [row for row in by_count if words[row] not in opinions]
    selected = dict.fromkeys(index[word] for word in requested if word in index)
    selected |= dict.fromkeys(opinionated[: WORDS_ON_MAP * 2 // 3])
    selected |= dict.fromkeys(others[: max(WORDS_ON_MAP - len(selected), 0)])
    rows = list(selected)[:WORDS_ON_MAP]
    if len(rows) < 3:
        return {}
    return {
        "words": [words[row] for row in rows],
        "counts": [int(counts[row]) for row in rows],
        "polarity": [2 * opinions[words[row]] - 1 if words[row] in opinions else 0 for row in rows],
        "variants": {
            variant: dict(zip(("before", "after"), project(before[rows], after[rows]), strict=True))
            for variant, (before, after) in matrices.items()
        },
    }


def project(before: NDArray[np.floating], after: NDArray[np.floating]) -> tuple[list[list[float]], list[list[float]]]:
    """Coordinates (n, 2) of n vectors before and after training, on the first two principal components of both.

    Both matrices (n, D) are scaled to unit rows and projected together, so a word's movement is what training changed.
    The sign of each axis is fixed by its largest component.
    """
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
    coordinates = np.round(centred @ first_two, DIGITS) + 0.0
    return coordinates[: len(before)].tolist(), coordinates[len(before) :].tolist()
