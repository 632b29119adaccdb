"""Validation of raw rows: unusable rows are reported, the others are stored as Arrow with label codes.

Every source is a stream of rows. Texts go to an Arrow file in batches; labels are codes in order of first appearance.
Memory therefore grows by two bytes per row.
"""

import json
import math
import re
import unicodedata
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.data.arrow import in_batches, write_texts
from pipeline.runtime.errors import UserError, nearest

BATCH = 10_000
MAX_LABELS = 1_000
MAX_LISTED = 20  # rows per split that are reported one by one
FAST_LABEL_TYPES = frozenset({str, int})  # not bool and float: they compare equal to numbers that are other labels
SURROGATE = re.compile("[\ud800-\udfff]")
INTEGER = re.compile(r"([+-]?\d+)(?:\.0*)?")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
MISSING_WORDS = frozenset({"nan", "na", "n/a", "null", "none", "nil", "missing", "unknown", "?", "-", "#n/a", "<na>"})


class Row(NamedTuple):
    """One row as its source holds it; `number` counts from 1, `line` is the first line of the row in its file."""

    number: int
    text: object
    label: object
    line: int | None = None
    problem: str | None = None


@dataclass(frozen=True)
class SourceSplit:
    """The rows of one split of a source; `name` stands in messages."""

    name: str
    rows: Iterable[Row]
    text_column: str = "text"
    label_column: str = "label"


@dataclass(frozen=True)
class Source:
    """The contents of a data source."""

    splits: dict[str, SourceSplit]  # under `train`, `validation` and `test`, as far as the source has them
    label_names: tuple[str, ...] | None = None  # the declared classes; None where they follow from the rows
    unlabelled: Iterable[list[str]] | None = None  # batches of texts
    generated: bool = False
    notes: list[str] = field(default_factory=list)  # messages for the user


class BadRow(NamedTuple):
    """A row that is left out: its position, and the problem with the expected value."""

    number: int
    line: int | None
    problem: str

    def describe(self, split: str) -> str:
        """One line for the user."""
        line = f" (line {self.line})" if self.line is not None else ""
        return f"{split}, row {self.number}{line}: {self.problem}"


@dataclass(slots=True)
class Label:
    """A label value: its code, the number of its rows, and the first of them."""

    code: int
    count: int = 0
    first: list[BadRow] = field(default_factory=list)


@dataclass
class StoredSplit:
    """The usable rows of one split: texts in memory-mapped batches, labels as codes into `labels`, (N,)."""

    source: SourceSplit
    texts: list[pa.Array]
    codes: NDArray[np.int16]
    labels: dict[str, Label]
    bad_rows: list[BadRow]
    bad_count: int


def numbered_rows(pairs: Iterable[tuple[object, object]]) -> Iterator[Row]:
    """Rows of texts and labels, numbered from 1."""
    return (Row(number, text, label) for number, (text, label) in enumerate(pairs, 1))


def label_value(value: object) -> str | None:
    """The label as text, None for a missing one: `1`, `1.0`, `"1"` and `" 1.0 "` are the same label."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    text = str(value).strip()
    integer = INTEGER.fullmatch(text)
    return integer[1] if integer else text or None


def text_value(value: object) -> object:
    """The text: a number as a string, NaN as None, anything else unchanged."""
    if isinstance(value, float) and math.isnan(value):
        return None
    return str(value) if isinstance(value, int | float) else value


def quoted(value: object) -> str:
    """`value` for a message: quoted, on one line, at most 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…{text[-1]}"


def is_usable(text: object) -> bool:
    """Whether the text is a string in which `row_problem` finds no problem: the fast check."""
    if type(text) is not str or not text or text.isspace():
        return False
    return text.isascii() or SURROGATE.search(text) is None


def row_problem(split: SourceSplit, text: object, label: str | None, raw_label: object) -> str | None:
    """Why a row cannot be used; None for a usable row."""
    problems = []
    if text is None or (isinstance(text, str) and not text.strip()):
        problems.append(f"no text (column {split.text_column!r} is {'missing' if text is None else 'empty'})")
    elif not isinstance(text, str):
        problems.append(f"column {split.text_column!r} holds {quoted(text)}, expected text")
    elif not text.isascii() and SURROGATE.search(text):
        problems.append(f"column {split.text_column!r} holds half a surrogate pair, expected valid Unicode")
    if label is None:
        problems.append(f"no label (column {split.label_column!r} is {'missing' if raw_label is None else 'empty'})")
    elif not isinstance(raw_label, str | int | float | Decimal):
        problems.append(f"column {split.label_column!r} holds {quoted(raw_label)}, expected a label")
    elif SURROGATE.search(label):
        problems.append(f"column {split.label_column!r} holds bytes that are not valid text")
    return f"{' and '.join(problems)}; expected a text and a label" if problems else None


def store_split(split: SourceSplit, path: Path) -> StoredSplit:
    """Check the rows of a split and write the texts of the usable ones to `path`, in batches.

    Raises UserError where the label column has more than `MAX_LABELS` values.
    """
    codes, labels, bad_rows, bad_count = array("h"), dict[str, Label](), list[BadRow](), 0
    fast_labels: dict[object, Label] = {}  # by the source's own value, once MAX_LISTED of its rows are known

    def usable_texts() -> Iterator[str]:
        nonlocal bad_count
        for row in split.rows:
            text = row.text
            label = fast_labels.get(row.label) if type(row.label) in FAST_LABEL_TYPES else None
            if label is None or row.problem is not None or not is_usable(text):
                text, value = text_value(text), label_value(row.label)
                problem = row.problem or row_problem(split, text, value, row.label)
                if problem is not None or value is None:
                    bad_count += 1
                    if len(bad_rows) < MAX_LISTED:
                        bad_rows.append(BadRow(row.number, row.line, str(problem)))
                    continue
                if value not in labels and len(labels) == MAX_LABELS:
                    raise UserError(
                        f"{split.name}: column {split.label_column!r} has more than {MAX_LABELS} different values, "
                        f"the last {quoted(value)}; is it the label column?"
                    )
                label = labels.setdefault(value, Label(len(labels)))
                if len(label.first) < MAX_LISTED:
                    label.first.append(BadRow(row.number, row.line, ""))
                elif type(row.label) in FAST_LABEL_TYPES and len(fast_labels) < MAX_LABELS:
                    fast_labels[row.label] = label
            label.count += 1
            codes.append(label.code)
            yield cast(str, text)

    texts = write_texts(in_batches(usable_texts(), BATCH), path)["text"].chunks
    return StoredSplit(split, texts, np.frombuffer(codes, dtype=np.int16), labels, bad_rows, bad_count)


@dataclass(frozen=True)
class LabelCoding:
    """The names of the classes in the order of their indices, and the class of each label value that has one."""

    names: list[str]
    classes: dict[str, int]


def label_coding(
    splits: Sequence[StoredSplit],
    configured: Sequence[str] | Mapping[str, str] | None,
    declared: Sequence[str] | None,
    notes: list[str],
) -> LabelCoding:
    """The classes of the label values that the rows hold.

    `configured` (`data.labels`) names them, or else `declared` by the source, or else the values themselves, sorted
    (as numbers where all are). A mapping gives the name of each value; several values may have one name. `notes` gets
    a sentence for values that are joined, or that probably should be. Raises UserError where the first split has no
    usable row, `configured` names a label twice, or there are fewer than two labels.
    """
    counts: Counter[str] = Counter()
    for split in splits:
        counts.update({value: label.count for value, label in split.labels.items()})
    first = splits[0]
    if not first.labels:
        reason = first.bad_rows[0].describe(first.source.name) if first.bad_rows else "it has no rows"
        raise UserError(f"{first.source.name}: no usable row; {reason}")
    if configured is not None:
        name_of = configured_names(configured)
    elif declared is not None:
        name_of = {name: name for name in declared}
    else:
        name_of = {value: value for value in default_classes(counts)}
        notes.extend(label_variants(first.source.name, {value: counts[value] for value in name_of}))
    names = list(dict.fromkeys(name_of.values()))
    if len(names) < 2:
        raise UserError(f"{first.source.name}: only one label, {quoted(names[0])}; a classifier needs at least two")
    index = {value: names.index(name) for value, name in name_of.items()}
    by_position = {str(position): position for position in range(len(names))}
    if not isinstance(configured, Mapping) and not counts.keys() & index.keys() and counts.keys() <= by_position.keys():
        return LabelCoding(
            names, by_position
        )  # a source coded 0, 1, 2 is named by data.labels=[negative,neutral,positive]
    joined = {} if configured is None else spelling_variants(counts, index)
    for value, label in joined.items():
        rows = f"{counts[value]:,} rows with the label {quoted(value)}"
        notes.append(f"{first.source.name}: {rows} count as {names[label]}")
    return LabelCoding(names, index | joined)


def configured_names(configured: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """The class name of each label value that `data.labels` holds."""
    pairs = list(configured.items()) if isinstance(configured, Mapping) else [(name, name) for name in configured]
    name_of = {label_value(value) or "": label_value(name) or "" for value, name in pairs}
    if len(name_of) < len(pairs) or not pairs or "" in {*name_of, *name_of.values()}:
        raise UserError(f"data.labels={list(configured)} holds a label twice, an empty one or none")
    return name_of


def default_classes(values: Iterable[str]) -> list[str]:
    """The label values that are classes, sorted; words for missing values beside numbers are none."""
    ordered = sorted(values)
    numbers = [value for value in ordered if NUMBER.fullmatch(value)]
    if len(numbers) >= 2 and all(value.casefold() in MISSING_WORDS for value in {*ordered} - {*numbers}):
        return sorted(numbers, key=float)
    return ordered


def folded(value: str) -> str:
    """A label without case, invisible characters, compatibility forms and repeated blanks; a number by its value."""
    if NUMBER.fullmatch(value):
        return f"{float(value):g}"
    text = unicodedata.normalize("NFKC", value)
    return " ".join("".join(char for char in text if unicodedata.category(char) != "Cf").split()).casefold()


def spelling_variants(values: Iterable[str], classes: Mapping[str, int]) -> dict[str, int]:
    """The class of each value that is none of the `classes`, but equals a single one of them when folded."""
    by_fold: dict[str, set[int]] = defaultdict(set)
    for value, label in classes.items():
        by_fold[folded(value)].add(label)
    others = {value: by_fold.get(folded(value), set()) for value in values if value not in classes}
    return {value: next(iter(labels)) for value, labels in others.items() if len(labels) == 1}


def label_variants(name: str, counts: Mapping[str, int]) -> list[str]:
    """A message where labels differ in case, blanks, invisible characters or the form of a number alone."""
    groups: dict[str, list[str]] = defaultdict(list)
    for value in sorted(counts, key=lambda value: (-counts[value], value)):
        groups[folded(value)].append(value)
    doubtful = [
        f"{quoted(value)} ({counts[value]:,} rows)" for group in groups.values() if len(group) > 1 for value in group
    ]
    if not doubtful:
        return []
    names = ",".join(sorted(json.dumps(group[0], ensure_ascii=False) for group in groups.values()))
    return [
        f"{name}: labels differ in case, blanks or invisible characters alone: {', '.join(doubtful[:MAX_LISTED])}; "
        f"join them with 'data.labels=[{names}]'"
    ]


def encode_labels(split: StoredSplit, coding: LabelCoding) -> tuple[NDArray[np.signedinteger], list[str]]:
    """Class of each stored row, (N,), -1 for a label outside `names`; and messages about at most `MAX_LISTED` bad rows.

    The array has the smallest integer type that holds all classes.
    """
    classes, names = coding.classes, coding.names
    class_of_code = np.array([classes.get(value, -1) for value in split.labels], dtype=np.min_scalar_type(-len(names)))
    bad_rows, total = list(split.bad_rows), split.bad_count
    for value, label in split.labels.items():
        if value not in classes:
            problem = f"label {quoted(value)}, expected one of {', '.join(classes)}"
            bad_rows += [row._replace(problem=problem) for row in label.first]
            total += label.count
    messages = [row.describe(split.source.name) for row in sorted(bad_rows)[:MAX_LISTED]]
    if total:
        rest = f"; the first {MAX_LISTED} are named" if total > MAX_LISTED else ""
        rows = len(split.codes) + split.bad_count
        messages.insert(0, f"{split.source.name}: {total} of {rows} rows left out{rest}")
    return class_of_code[split.codes] if len(class_of_code) else np.empty(0, class_of_code.dtype), messages


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """The nearest of `options` as the end of an error message; empty where none is similar."""
    hint = nearest(name, options)
    return hint if hint.startswith("; did you mean") else ""
