"""Row selection for train, validation and test: stratified splits, resplits, de-duplication, class checks."""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from pipeline.config.schema import DataConfig
from pipeline.data.clean_rows import StoredSplit, encode_labels
from pipeline.data.duplicates import digests, is_member
from pipeline.data.label_budget import IntArray, index_dtype, stratified_order
from pipeline.data.labels import LabelCoding
from pipeline.data.records import shortened
from pipeline.runtime.errors import UserError

MAX_TEST_SHARE = 0.15  # of the pooled rows of a resplit


@dataclass
class Selection:
    """The rows that make a split, ascending, of a stored split; and the class of each of its N rows, (N,)."""

    stored: StoredSplit
    labels: IntArray
    rows: IntArray

    def batches(self) -> Iterator[tuple[pa.Array, IntArray]]:
        """Batches of texts and their rows, in the order of the source."""
        start = low = 0
        for texts in self.stored.texts:
            high = bisect_left(self.rows, start + len(texts), low)  # np.searchsorted may copy all rows each time
            rows = self.rows[low:high]
            yield texts.take(pa.array(rows - start)), rows
            start, low = start + len(texts), high


def select_usable(stored_splits: dict[str, StoredSplit], coding: LabelCoding, notes: list[str]) -> dict[str, Selection]:
    """The rows of each split that have a text and one of the labels; `notes` get a message about the others.

    A validation or test split in which no row has a label counts as absent: the labels of many are secret.
    """
    selections = {}
    for split, stored in stored_splits.items():
        labels, messages = encode_labels(stored, coding)
        rows = np.flatnonzero(labels >= 0).astype(index_dtype(len(labels)))
        if split != "train" and len(rows) == 0 and len(stored.labels) <= 1 and len(labels) + stored.bad_count:
            alone = "".join(f" but {value}" for value in stored.labels)
            notes.append(f"{stored.source.name}: no row has a label{alone}, so the split is not used")
            continue
        if len(rows) == 0:
            raise UserError(f"{stored.source.name}: no usable row; {messages[1] if messages else 'it has no rows'}")
        notes.extend(messages)
        selections[split] = Selection(stored, labels, rows)
    return selections


def make_splits(selections: dict[str, Selection], config: DataConfig, notes: list[str]) -> None:
    """Hold out the splits that the source lacks from its training rows, stratified by label; changes `selections`.

    With `data.resplit`, all splits are dealt anew. Raises UserError for `data.test_size=0` without a test split, and
    for a size that is no whole number of rows, too small or too large.
    """
    train = selections["train"]
    total = len(train.rows)
    sizes = {"test": config.test_size, "validation": config.validation_size}
    counts = {split: row_count(f"data.{split}_size", size, total) for split, size in sizes.items()}
    missing = [split for split in sizes if split not in selections and (split == "test" or sizes[split])]
    for split in missing:
        if counts[split] == 0:
            raise UserError(
                f"data.{split}_size={sizes[split]:g} of {total} rows is no row, and the source has no {split} split"
            )
    if sum(counts[split] for split in missing) >= total:
        settings = " and ".join(f"data.{split}_size={sizes[split]:g}" for split in missing)
        raise UserError(f"{settings} leave no training row of the {total} that {train.stored.source.name} has")
    if config.resplit is not None:
        own = {split: len(selections[split].rows) for split in sizes if split in selections}
        deal(selections, config, config.resplit, counts | own, notes)
        return
    for split in missing:
        order = train.rows[stratified_order(train.labels[train.rows], config.split_seed)]
        held_out, train.rows = np.sort(order[: counts[split]]), np.sort(order[counts[split] :])
        selections[split] = Selection(train.stored, train.labels, held_out)
        notes.append(
            f"{split}: {len(held_out)} of {total} rows, stratified "
            f"(data.{split}_size={sizes[split]:g}, data.split_seed={config.split_seed})"
        )


def deal(
    selections: dict[str, Selection], config: DataConfig, number: int, counts: dict[str, int], notes: list[str]
) -> None:
    """Pool splits and deal their rows anew, for the random resplit `number`; changes `selections`.

    `counts`: rows of test and validation without a resplit. Validation has as many; test too, but at most 15 % of the
    pool. Both are stratified by label. Texts that are equal after masking go to one split. Raises UserError for a
    pooled split that does not exist, and where a split would be empty.
    """
    source, pool_text = selections["train"].stored.source.name, f"data.resplit_pool=[{','.join(config.resplit_pool)}]"
    if "validation" in config.resplit_pool and "validation" not in selections and not counts["validation"]:
        raise UserError(
            f"{pool_text}: {source} has no validation split, and data.validation_size=0 draws none: leave validation "
            "out, or set the size"
        )
    unused = {split: len(selections.pop(split).rows) for split in (*selections,) if split not in config.resplit_pool}
    pool = concatenated(list(selections.values()))
    total = len(pool.rows)
    room = {split: count for split, count in counts.items() if count}
    room["test"] = min(room["test"], int(MAX_TEST_SHARE * total))
    keys = digests((texts.to_pylist() for texts, _ in pool.batches()), "masked")
    _, first_G, group_N, sizes_G = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    # 1 + number: numpy takes the seed [s, 0] for s, and a resplit is to be independent of the ordinary splits.
    order_G = stratified_order(pool.labels[pool.rows[first_G]], [config.split_seed, 1 + number])
    split_G = np.full(len(first_G), "train", "U10")
    for index, size in zip(order_G.tolist(), sizes_G[order_G].tolist(), strict=True):
        split = next((split for split in room if size <= room[split]), None)
        if split is not None:
            split_G[index] = split
            room[split] -= size
    for split in ("train", *room):
        selections[split] = replace(pool, rows=pool.rows[split_G[group_N] == split])
        if not len(selections[split].rows):
            texts = f"{total:,} rows with {len(first_G):,} different texts"
            raise UserError(f"data.resplit={number}: {texts} of {source} leave no row for {split}")
    rows = ", ".join(f"{len(selections[split].rows):,} {split}" for split in ("train", *room))
    notes.append(
        f"the splits are a random resplit (data.resplit={number}, data.split_seed={config.split_seed}) of {total:,} "
        f"rows ({pool_text}), stratified, texts equal but for handles, links and case in one split: {rows}"
    )
    notes += [f"the data set's own {split} split is not used ({rows:,} rows)" for split, rows in unused.items()]


def concatenated(selections: Sequence[Selection]) -> Selection:
    """The rows of all `selections`, which have no stored split in common, as one selection."""
    starts = np.cumsum([0, *(len(selection.labels) for selection in selections)])
    stored = replace(
        selections[0].stored, texts=[batch for selection in selections for batch in selection.stored.texts]
    )
    labels = np.concatenate([selection.labels for selection in selections])
    rows = np.concatenate([start + selection.rows for start, selection in zip(starts, selections, strict=False)])
    return Selection(stored, labels, rows.astype(index_dtype(len(labels))))


def row_count(key: str, size: float, total: int) -> int:
    """A size as a number of rows: below 1 it is a fraction of `total`."""
    if size < 1:
        return math.floor(size * total + 0.5)
    if size != int(size):
        raise UserError(f"{key}={size:g}: expected a whole number of rows, or a fraction below 1")
    return int(size)


def drop_duplicates(selections: dict[str, Selection], deduplicate: str, notes: list[str]) -> None:
    """Drop training rows whose text is also in another split, by `data.deduplicate`; changes `selections`."""
    if deduplicate == "none":
        return
    train = selections["train"]
    others = [selection for selection in selections.values() if selection is not train]
    held_out = digests((texts.to_pylist() for other in others for texts, _ in other.batches()), deduplicate)
    held_out.sort()
    duplicated = np.concatenate(
        [is_member(digests([texts.to_pylist()], deduplicate), held_out) for texts, _ in train.batches()]
    )
    train.rows = train.rows[~duplicated]
    notes.append(
        f"train: {int(duplicated.sum())} of {len(duplicated)} rows dropped, their text is in another split "
        f"(data.deduplicate={deduplicate})"
    )


def check_classes(selections: dict[str, Selection], names: list[str], notes: list[str]) -> None:
    """Refuse a training split without one of the labels; note a held-out split without one."""
    counts = {split: np.bincount(s.labels[s.rows], minlength=len(names)) for split, s in selections.items()}
    for split, selection in selections.items():
        absent = [name for name, count in zip(names, counts[split], strict=True) if count == 0]
        labels = ", ".join(shortened(map(repr, absent)))
        if absent and split == "train":
            first = names.index(absent[0])
            others = [f"{counts[other][first]} {other} rows have it" for other in counts if counts[other][first]]
            raise UserError(
                f"{selection.stored.source.name}: no training row has the label {labels}"
                f"{' (' + ', '.join(others) + ')' if others else ''}; "
                "give it more rows, or name the labels to use in data.labels"
            )
        if absent:
            notes.append(f"{split}: no row has the label {labels}")
