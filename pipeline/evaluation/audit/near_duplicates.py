"""Near duplicates: candidate pairs from MinHash, each verified by its exact Jaccard similarity.

A text is the set of its character 4-grams, after handles and links are masked and case is folded. Words would make
similarities unstable: a tweet has a dozen of them, so one spelling or a missing space moves the Jaccard similarity of
word n-grams by a tenth or more. Characters also need no tokenizer, whose presets drop differences between texts.

At a threshold of 0.8, texts still match with a retweet mark, a truncated end, one more hashtag, or a changed word in a
long tweet. Different tweets on one subject do not.

Texts equal by the `masked` key are one text here, so near duplicates are counted in addition to masked duplicates.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.evaluation.audit.concatenated import EXAMPLES, Ints, LabelledRows, TextGroups, sampled

THRESHOLD = 0.8
CHARACTERS = 4
# A pair of similarity s is a candidate with probability 1 − (1 − s⁵)²⁴: 0.9999 at 0.8, less for very short texts.
BANDS, BAND_SIZE = 24, 5
MIN_AGREEMENT = 0.5  # of the values of two signatures: only such candidates are verified
MAX_TEXTS = 200_000  # distinct texts compared per split; a larger split is sampled at even intervals
MAX_NEIGHBOURS = 16  # in a larger bucket, each text is compared with this many that follow it
BATCH = 2_000  # texts hashed at a time, so that their hashes stay in the processor's cache
EMPTY = np.uint32(2**32 - 1)  # the value of a bin without a hash

Hashes = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float64]


def find_near_duplicates(rows: LabelledRows, groups: TextGroups) -> dict[str, Any]:
    """Count the rows that have a near duplicate in their own split, and in every other; `groups` are those of `masked`.

    `within`, one record per split: `rows` with a near duplicate in it. `across`, one record per pair of splits:
    `rows_first` and `rows_second` that have a near duplicate, but no masked duplicate, in the other split. `compared`
    and `distinct`: for each split, the number of distinct texts compared, and in all. `recall`: probability that a pair
    at exactly `threshold` is found.
    """
    counts = groups.counts
    present = counts > 0
    compared = np.zeros(counts.shape, dtype=np.bool_)
    for split in range(counts.shape[1]):
        compared[sampled(np.flatnonzero(present[:, split]), MAX_TEXTS), split] = True
    members = np.flatnonzero(np.any(compared, axis=1))
    pairs, similarity = near_pairs([groups.keys[member] for member in members.tolist()])
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
        "compared": {name: int(compared[:, split].sum()) for split, name in enumerate(rows.split_names)},
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
    signatures = minhash_signatures(keys)
    candidates = candidate_pairs(signatures)
    left, right = candidates.T
    agreement = sum((values[left] == values[right] for values in signatures), np.zeros(len(left))) / len(signatures)
    for first, second in candidates[agreement >= MIN_AGREEMENT].tolist():
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


def minhash_signatures(keys: list[str]) -> Hashes:
    """MinHash signatures, (BANDS · BAND_SIZE, N), by one-permutation hashing (Shrivastava and Li 2014).

    Each shingle is hashed once, and its hash falls into one bin of its text. A value is the smallest hash of a bin. A
    bin without one takes the value of the next bin.
    """
    bins = BANDS * BAND_SIZE
    signatures = np.empty((bins, len(keys)), np.uint32)
    for start in range(0, len(keys), BATCH):
        batch = keys[start : start + BATCH]
        hashes, text = _shingle_hashes(batch)
        smallest = np.full(len(batch) * bins, EMPTY, np.uint32)
        np.minimum.at(smallest, text * bins + hashes % np.uint32(bins), hashes)
        signatures[:, start : start + BATCH] = smallest.reshape(-1, bins).T
    for row in (*reversed(range(bins - 1)), *reversed(range(bins))):  # the second round closes the circle
        np.copyto(signatures[row], signatures[(row + 1) % bins], where=signatures[row] == EMPTY)
    return signatures


def _shingle_hashes(keys: list[str]) -> tuple[Hashes, Ints]:
    """A hash of every shingle of the keys, (S,), and the number of its key, (S,)."""
    end = "\n" * (CHARACTERS - 1)  # no key holds a line break: white space in keys is one blank
    joined = "".join([key + end for key in keys]).encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(joined, np.uint32)
    count = len(codes) - len(end)
    hashes = np.zeros(count, np.uint32)
    for position in range(CHARACTERS):
        hashes += codes[position : position + count]
        hashes *= np.uint32(0x9E3779B1)
        hashes ^= hashes >> np.uint32(15)
    lengths = np.fromiter(map(len, keys), np.int64, len(keys)) + len(end)
    inside = (codes[:count] != ord("\n")) & (codes[len(end) :] != ord("\n"))
    inside[np.cumsum(lengths) - lengths] = True  # the one shingle of a short text
    return hashes[inside], np.repeat(np.arange(len(keys)), lengths)[:count][inside]


def candidate_pairs(signatures: Hashes) -> Ints:
    """Pairs of columns that agree in all values of at least one band, (P, 2), sorted, the lower number first.

    Equal bands are neighbours in the order of their hashes. Hash and column number are sorted as one integer, which is
    faster than `np.argsort`. The bins of a band are drawn at random, as a short text has the same value in many
    consecutive bins.
    """
    n = signatures.shape[1]
    number_bits = np.uint64(n.bit_length())
    numbers, number_mask = np.arange(n, dtype=np.uint64), (np.uint64(1) << number_bits) - np.uint64(1)
    pairs = []
    for bins in np.random.default_rng(0).permutation(len(signatures)).reshape(BANDS, BAND_SIZE):
        band = np.zeros(n, np.uint64)
        for values in signatures[bins]:
            band = (band ^ values) * np.uint64(0x9E3779B97F4A7C15)
            band ^= band >> np.uint64(29)
        both = np.sort((band << number_bits) | numbers)
        band, order = both >> number_bits, (both & number_mask).astype(np.int64)
        for distance in range(1, MAX_NEIGHBOURS + 1):
            equal = np.flatnonzero(band[distance:] == band[:-distance])
            pairs.append(order[equal] * n + order[equal + distance])
            if not len(equal):
                break
    return np.stack(np.divmod(np.unique(np.concatenate(pairs)), n), axis=1)
