"""Word-similarity probe: rank correlation of cosines with human ratings of word pairs."""

import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from pipeline.evaluation.auc import Z_95
from pipeline.runtime.errors import UserError, nearest

Pair = tuple[str, str, float]  # two words and their rating
RowOf = Callable[[str], int | None]  # the row of a word, None for a word that is not one token of the vocabulary
GENSIM_FILES = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}  # in gensim's test data
MIN_PAIRS = 5


def load_pairs(name_or_path: str | Path) -> list[Pair]:
    """Read rated word pairs (word1, word2, score), higher meaning more similar.

    They are `wordsim353` (Finkelstein et al. 2002) or `simlex999` (Hill et al. 2015), which come with gensim, or a
    UTF-8 file of `word1 word2 score` lines separated by tabs, commas or spaces. Lines that begin with `#`, and a header
    without a number in its third field, are skipped.

    Raises UserError with the file and the line that does not hold two words and a finite number.
    """
    path = Path(name_or_path)
    if str(name_or_path) in GENSIM_FILES:
        package = find_spec("gensim")  # without an import, which is slow and logs
        if package is None or package.origin is None:
            raise UserError(f"{name_or_path}: comes with gensim, which is not installed")
        path = Path(package.origin).parent / "test" / "test_data" / GENSIM_FILES[str(name_or_path)]
    elif not path.is_file():
        raise UserError(f"{path}: no such file of word pairs{nearest(str(name_or_path), GENSIM_FILES)}")
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a UTF-8 text file ({error})") from error
    numbered = [(n, line) for n, line in enumerate(lines, start=1) if line.strip() and not line.startswith("#")]
    pairs = []
    for position, (number, line) in enumerate(numbered):
        separator = next((character for character in "\t," if character in line), None)
        fields = [field.strip() for field in line.split(separator)]
        score = _score(fields[2]) if len(fields) == 3 and all(fields) else None
        if score is not None:
            pairs.append((fields[0], fields[1], score))
        elif position > 0 or len(fields) < 3:
            raise UserError(f"{path}: line {number}: expected 'word1 word2 score', found {line.strip()[:80]!r}")
    if not pairs:
        raise UserError(f"{path}: no word pairs in the file")
    return pairs


def _score(field: str) -> float | None:
    try:
        score = float(field)
    except ValueError:
        return None
    return score if math.isfinite(score) else None


def similarity(matrix: NDArray[np.floating], pairs: Sequence[Pair], row_of: RowOf) -> dict[str, float | int | None]:
    """Compute Spearman's ρ between the ratings of `pairs` and the cosines of their words in `matrix` (V, D).

    A pair counts where both words have rows that are different and not zero. A word against itself, or two words that
    the text preset maps to one token, would have cosine 1 whatever the vectors are.

    Returns `n`, the pairs that count; `coverage`, their share of all pairs; `spearman`, and its 95 % interval from
    `spearman_low` to `spearman_high`. These three are None for fewer than five pairs, or where all ratings or all
    cosines are equal.
    """
    rows = [
        (first, second, score)
        for first, second, score in ((row_of(a), row_of(b), score) for a, b, score in pairs)
        if first is not None and second is not None and first != second
    ]
    columns = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    left, right = matrix[columns[:2].astype(np.int64)].astype(np.float64)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    covered = norms > 0
    cosines = (left * right).sum(axis=1)[covered] / norms[covered]
    scores, n = columns[2, covered], int(covered.sum())
    rho = low = high = None
    if n >= MIN_PAIRS and np.ptp(scores) > 0 and np.ptp(cosines) > 0:
        rho = float(spearmanr(scores, cosines).statistic)
        low, high = spearman_interval(rho, n)
    coverage = n / len(pairs) if pairs else 0.0
    return {"n": n, "coverage": coverage, "spearman": rho, "spearman_low": low, "spearman_high": high}


def similarity_before_after(
    initial: NDArray[np.floating], final: NDArray[np.floating], pairs: Sequence[Pair], row_of: RowOf
) -> tuple[dict[str, float | None], dict[str, Any]]:
    """Compute `similarity` in the `initial` and in the `final` matrix (V, D), as metrics and as a row of a table."""
    before, after = (similarity(matrix, pairs, row_of) for matrix in (initial, final))
    metrics: dict[str, float | None] = {key: after[key] for key in ("spearman", "coverage", "n")}
    row = {"n": after["n"], "pairs": len(pairs), "coverage": after["coverage"]}
    for scores, name, prefix in ((before, "spearman_before", "before_"), (after, "spearman", "")):
        row |= {name: scores["spearman"]}
        row |= {f"{prefix}{end}": scores[f"spearman_{end}"] for end in ("low", "high")}
    return metrics | {"spearman_before": before["spearman"]}, row


def spearman_interval(rho: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a Spearman correlation `rho` over `n` > 3 pairs.

    Fisher's z with the standard error √((1 + ρ²/2) / (n - 3)) of Bonett and Wright (2000, Psychometrika 65, 23-28).
    """
    if abs(rho) >= 1:
        return rho, rho
    half_width = Z_95 * math.sqrt((1 + rho**2 / 2) / (n - 3))
    return math.tanh(math.atanh(rho) - half_width), math.tanh(math.atanh(rho) + half_width)
