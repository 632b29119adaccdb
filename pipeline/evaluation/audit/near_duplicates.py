"""Texts that are nearly the same: candidates from MinHash, each checked by its true Jaccard similarity.

A text is the set of its character 4-grams, after handles and links are masked and case is folded. Characters, not
words: a tweet has a dozen words, so that one spelling or a glued full stop moves a similarity of word shingles by a
tenth or more, and characters need no tokenizer, whose presets drop what two copies differ in. At 0.8 a retweet mark, a
cut end, a hashtag more or a word changed in a long tweet still count as the same; tweets on one subject do not.

Texts that are equal under the mask are one text here, so what is counted comes on top of the masked copies.
"""

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from datasketch import MinHash

from pipeline.data.duplicates import digests, masked_key
from pipeline.evaluation.audit.concatenated import EXAMPLES, Ints, Rows

THRESHOLD = 0.8
CHARACTERS = 4
# A pair of similarity s is a candidate with probability 1 − (1 − s⁶)²⁰: 0.998 at 0.8, more above, 0.001 at 0.2.
BANDS, BAND_SIZE = 20, 6
MOST_TEXTS = 200_000  # distinct texts of a split that are compared; of more, these many, evenly spaced
MOST_NEIGHBOURS = 16  # in a bucket of more texts than these, each is compared with these many that follow it

Floats = npt.NDArray[np.float64]


def find_near_copies(rows: Rows) -> dict[str, Any]:
    """Count the rows that have a near-duplicate in their own split, and in every other.

    Returns
    -------
    `within`, one record per split: `rows` with a near-duplicate in it. `across`, one record per pair of splits:
    `rows_first` and `rows_second` that have a near-duplicate, and no masked copy, in the other split. `compared` and
    `distinct`: distinct texts of each split that were compared, and there are. `recall`: probability that a pair right
    at `threshold` is found.
    """
    kept = np.flatnonzero(~rows.blank)
    _, first, group = np.unique(
        digests([[rows.texts[row] for row in kept]], "masked"), return_index=True, return_inverse=True
    )
    groups, splits = len(first), len(rows.split_names)
    counts = np.bincount(group * splits + rows.splits[kept], minlength=groups * splits).reshape(groups, splits)
    present = counts > 0
    chosen = np.zeros((groups, splits), dtype=np.bool_)
    for split in range(splits):
        of_split = np.flatnonzero(present[:, split])
        step = max(1.0, len(of_split) / MOST_TEXTS)
        in_order = of_split[np.argsort(first[of_split], kind="stable")]
        chosen[in_order[np.arange(0, len(in_order), step).astype(np.int64)], split] = True
    members = np.flatnonzero(np.any(chosen, axis=1))
    members = members[np.argsort(first[members], kind="stable")]
    pairs, similarity = near_pairs([masked_key(rows.texts[kept[first[member]]]) for member in members])
    pairs = members[pairs]

    partner = np.zeros((groups, splits), dtype=np.bool_)
    for one, other in (pairs.T, pairs.T[::-1]):
        np.logical_or.at(partner, one, present[other])

    def examples(split: int, other: int) -> list[dict[str, Any]]:
        """The most similar pairs with a text of each of two splits, or two of one."""
        one, two = pairs.T
        fits, turned = present[one, split] & present[two, other], present[two, split] & present[one, other]
        if split != other:
            shared = present[:, split] & present[:, other]
            fits, turned = (ends & ~(shared[one] | shared[two]) for ends in (fits, turned))
        found = np.flatnonzero(fits | turned)
        found = found[np.argsort(-similarity[found], kind="stable")][:EXAMPLES]
        shown = []
        for pair in found.tolist():
            ends = (one[pair], two[pair]) if fits[pair] else (two[pair], one[pair])
            texts = [
                rows.example(kept[np.flatnonzero((group == end) & (rows.splits[kept] == side))[0]])
                for end, side in zip(ends, (split, other), strict=True)
            ]
            shown.append({"similarity": float(similarity[pair]), "rows": texts})
        return shown

    return {
        "threshold": THRESHOLD,
        "recall": 1 - (1 - THRESHOLD**BAND_SIZE) ** BANDS,
        "distinct": {name: int(present[:, split].sum()) for split, name in enumerate(rows.split_names)},
        "compared": {name: int(chosen[:, split].sum()) for split, name in enumerate(rows.split_names)},
        "within": [
            {
                "split": name,
                "rows": int(counts[partner[:, split], split].sum()),
                "examples": examples(split, split),
            }
            for split, name in enumerate(rows.split_names)
        ],
        "across": [
            {
                "first": rows.split_names[one],
                "second": rows.split_names[two],
                "rows_first": int(counts[partner[:, two] & ~present[:, two], one].sum()),
                "rows_second": int(counts[partner[:, one] & ~present[:, one], two].sum()),
                "examples": examples(one, two),
            }
            for one, two in rows.pairs()
        ],
    }


def near_pairs(keys: list[str]) -> tuple[Ints, Floats]:
    """Pairs of `keys` with a similarity of `THRESHOLD` or more, (P, 2) with the lower position first, and it, (P,)."""
    found, similarity = [], []
    last, here = -1, set[str]()
    for one, other in candidates(sketches(keys)):
        if one != last:
            last, here = one, shingles(keys[one])
        there = shingles(keys[other])
        common = len(here & there)
        jaccard = common / (len(here) + len(there) - common)
        if jaccard >= THRESHOLD:
            found.append((one, other))
            similarity.append(jaccard)
    return np.array(found, dtype=np.int64).reshape(-1, 2), np.array(similarity, dtype=np.float64)


def shingles(key: str) -> set[str]:
    """The character 4-grams of a text; a shorter text is its own only one."""
    return {key[start : start + CHARACTERS] for start in range(max(1, len(key) - CHARACTERS + 1))}


def sketches(keys: list[str]) -> npt.NDArray[np.uint32]:
    """MinHash signatures, (N, BANDS · BAND_SIZE)."""
    values = np.empty((len(keys), BANDS * BAND_SIZE), dtype=np.uint32)
    made = MinHash.generator(map(shingles, keys), num_perm=BANDS * BAND_SIZE, seed=1, hashfunc=_hash)
    for row, sketch in enumerate(made):
        values[row] = sketch.hashvalues
    return values


def candidates(values: npt.NDArray[np.uint32]) -> list[tuple[int, int]]:
    """Pairs of rows that agree in all of a band, sorted.

    Equal bands are found by sorting: datasketch's own index keeps a Python set for every band of every text, which
    takes three times the memory and twice the time.
    """
    pairs: set[tuple[int, int]] = set()
    for band in range(BANDS):
        pairs.update(_agreeing(values[:, band * BAND_SIZE : (band + 1) * BAND_SIZE]))
    return sorted(pairs)


def _agreeing(band: npt.NDArray[np.uint32]) -> Iterator[tuple[int, int]]:
    order = np.lexsort(band.T)
    ends = np.flatnonzero((band[order[1:]] != band[order[:-1]]).any(axis=1)) + 1
    for start, stop in zip((0, *ends.tolist()), (*ends.tolist(), len(order)), strict=True):
        bucket = np.sort(order[start:stop]).tolist() if stop - start > 1 else []
        for place, row in enumerate(bucket):
            for other in bucket[place + 1 : place + 1 + MOST_NEIGHBOURS]:
                yield row, other


def _hash(shingle: str) -> int:
    return zlib.crc32(shingle.encode("utf-8", "surrogatepass"))
