"""Near duplicates: candidate pairs from MinHash, each verified by its exact Jaccard similarity.

A text is the set of its character 4-grams, after handles and links are masked and case is folded. Words would make
similarities unstable: a tweet has a dozen of them, so one spelling or a missing space moves the Jaccard similarity of
word n-grams by a tenth or more. Characters also need no tokenizer, whose presets drop differences between texts.

At a threshold of 0.8, texts still match with a retweet mark, a truncated end, one more hashtag, or a changed word in a
long tweet. Different tweets on one subject do not.

Texts equal by the `masked` key are one text here, so near duplicates are counted in addition to masked duplicates.
"""

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from datasketch import MinHash

from pipeline.data.duplicates import masked_key
from pipeline.evaluation.audit.concatenated import EXAMPLES, Ints, LabelledRows, group_texts

THRESHOLD = 0.8
CHARACTERS = 4
# A pair of similarity s is a candidate with probability 1 − (1 − s⁶)²⁰: 0.998 at 0.8, more above, 0.001 at 0.2.
BANDS, BAND_SIZE = 20, 6
MAX_TEXTS = 200_000  # distinct texts compared per split; a larger split is sampled at even intervals
MAX_NEIGHBOURS = 16  # in a larger bucket, each text is compared with this many that follow it

Floats = npt.NDArray[np.float64]


def find_near_duplicates(rows: LabelledRows) -> dict[str, Any]:
    """Count the rows that have a near duplicate in their own split, and in every other.

    `within`, one record per split: `rows` with a near duplicate in it. `across`, one record per pair of splits:
    `rows_first` and `rows_second` that have a near duplicate, but no masked duplicate, in the other split. `compared`
    and `distinct`: for each split, the number of distinct texts compared, and in all. `recall`: probability that a pair
    at exactly `threshold` is found.
    """
    groups = group_texts(rows, "masked")
    counts, first = groups.counts, groups.first
    present = counts > 0
    sampled = np.zeros(counts.shape, dtype=np.bool_)
    for split in range(counts.shape[1]):
        of_split = np.flatnonzero(present[:, split])
        step = max(1.0, len(of_split) / MAX_TEXTS)
        in_order = of_split[np.argsort(first[of_split], kind="stable")]
        sampled[in_order[np.arange(0, len(in_order), step).astype(np.int64)], split] = True
    members = np.flatnonzero(np.any(sampled, axis=1))
    members = members[np.argsort(first[members], kind="stable")]
    pairs, similarity = near_pairs([masked_key(rows.texts[groups.rows[first[member]]]) for member in members])
    pairs = members[pairs]
    left, right = pairs.T

    # (G, S) whether a group has a near duplicate in a split.
    matched = np.zeros(counts.shape, dtype=np.bool_)
    np.logical_or.at(matched, left, present[right])
    np.logical_or.at(matched, right, present[left])

    def examples(split: int, other: int) -> list[dict[str, Any]]:
        """The most similar pairs with one text in each of two splits, or both in one."""
        forward, backward = present[left, split] & present[right, other], present[right, split] & present[left, other]
        if split != other:
            shared = present[:, split] & present[:, other]
            forward, backward = (match & ~(shared[left] | shared[right]) for match in (forward, backward))
        best = np.flatnonzero(forward | backward)
        best = best[np.argsort(-similarity[best], kind="stable")][:EXAMPLES]
        records = []
        for pair in best.tolist():
            ends = (left[pair], right[pair]) if forward[pair] else (right[pair], left[pair])
            texts = [
                rows.example(groups.rows[np.flatnonzero((groups.group == end) & (groups.splits == side))[0]])
                for end, side in zip(ends, (split, other), strict=True)
            ]
            records.append({"similarity": float(similarity[pair]), "rows": texts})
        return records

    return {
        "threshold": THRESHOLD,
        "recall": 1 - (1 - THRESHOLD**BAND_SIZE) ** BANDS,
        "distinct": {name: int(present[:, split].sum()) for split, name in enumerate(rows.split_names)},
        "compared": {name: int(sampled[:, split].sum()) for split, name in enumerate(rows.split_names)},
        "within": [
            {"split": name, "rows": int(counts[matched[:, split], split].sum()), "examples": examples(split, split)}
            for split, name in enumerate(rows.split_names)
        ],
        "across": [
            {
                "first": rows.split_names[one],
                "second": rows.split_names[two],
                "rows_first": int(counts[matched[:, two] & ~present[:, two], one].sum()),
                "rows_second": int(counts[matched[:, one] & ~present[:, one], two].sum()),
                "examples": examples(one, two),
            }
            for one, two in rows.split_pairs()
        ],
    }


def near_pairs(keys: list[str]) -> tuple[Ints, Floats]:
    """Pairs of `keys` (P, 2), the lower position first, with a Jaccard similarity of at least `THRESHOLD`, (P,)."""
    pairs, similarities = [], []
    last, first_set = -1, set[str]()
    for first, second in candidate_pairs(minhash_signatures(keys)):
        if first != last:
            last, first_set = first, shingles(keys[first])
        second_set = shingles(keys[second])
        common = len(first_set & second_set)
        jaccard = common / (len(first_set) + len(second_set) - common)
        if jaccard >= THRESHOLD:
            pairs.append((first, second))
            similarities.append(jaccard)
    return np.array(pairs, dtype=np.int64).reshape(-1, 2), np.array(similarities, dtype=np.float64)


def shingles(key: str) -> set[str]:
    """The character 4-grams of a text; a shorter text is itself the only one."""
    return {key[start : start + CHARACTERS] for start in range(max(1, len(key) - CHARACTERS + 1))}


def minhash_signatures(keys: list[str]) -> npt.NDArray[np.uint32]:
    """MinHash signatures, (N, BANDS · BAND_SIZE)."""
    hashes = MinHash.generator(map(shingles, keys), num_perm=BANDS * BAND_SIZE, seed=1, hashfunc=_hash)
    row = np.dtype((np.uint32, BANDS * BAND_SIZE))
    return np.fromiter((minhash.hashvalues for minhash in hashes), row, len(keys))


def candidate_pairs(signatures: npt.NDArray[np.uint32]) -> list[tuple[int, int]]:
    """Pairs of rows that agree in all values of at least one band, sorted.

    Equal bands are found by sorting. datasketch's own index keeps a Python set for every band of every text, which
    takes three times the memory and twice the time.
    """
    return sorted({pair for band in np.split(signatures, BANDS, axis=1) for pair in _equal_rows(band)})


def _equal_rows(band: npt.NDArray[np.uint32]) -> Iterator[tuple[int, int]]:
    """Pairs of equal rows, the lower number first."""
    order = np.lexsort(band.T)
    ends = np.flatnonzero((band[order[1:]] != band[order[:-1]]).any(axis=1)) + 1
    for start, stop in zip((0, *ends.tolist()), (*ends.tolist(), len(order)), strict=True):
        bucket = np.sort(order[start:stop]).tolist() if stop - start > 1 else []
        for position, row in enumerate(bucket):
            for other in bucket[position + 1 : position + 1 + MAX_NEIGHBOURS]:
                yield row, other


def _hash(shingle: str) -> int:
    return zlib.crc32(shingle.encode("utf-8", "surrogatepass"))
