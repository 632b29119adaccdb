"""Validation of raw rows: unusable rows are reported, the others are stored as Arrow with label codes.

Every source is a stream of rows. Texts go to an Arrow file in batches; labels are codes in order of first appearance.
Memory therefore grows by two bytes per row.
"""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.data.arrow import in_batches, write_texts
from pipeline.data.labels import SQL_NULL, LabelCoding, label_value, quoted
from pipeline.data.text_file import SURROGATE
from pipeline.runtime.errors import UserError, nearest

BATCH = 10_000
MAX_LABELS = 1_000
MAX_LISTED = 20  # rows per split that are reported one by one
FAST_LABEL_TYPES = frozenset({str, int})  # not bool and float: they compare equal to numbers that are other labels


class Row(NamedTuple):
    """One row as its source holds it; `number` counts from 1, `line` is the first line of the row in its file."""

    number: int
    text: object
    label: object
    line: int | None = None
    problem: str | None = None
    file: str = ""  # the name of its file, where the split has several


Codes = Mapping[object, str | None]  # the name of each label that is a code; None for the code of a missing label


@dataclass(frozen=True)
class SourceSplit:
    """The rows of one split of a source; `name` stands in messages."""

    name: str
    rows: Iterable[Row]
    text_column: str = "text"
    label_column: str = "label"
    codes: Codes = field(default_factory=dict)

    def label_value(self, label: object) -> str | None:
        """The label as text, or the name for which it is the code."""
        if type(label) in FAST_LABEL_TYPES and label in self.codes:
            return self.codes[label]
        value = label_value(label)
        return self.codes.get(value, value)


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

    file: str
    number: int
    line: int | None
    problem: str

    def describe(self, split: str) -> str:
        """One line for the user."""
        line = f" (line {self.line})" if self.line is not None else ""
        return f"{self.file or split}, row {self.number}{line}: {self.problem}"


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


def text_value(value: object) -> object:
    """The text: a number as a string, NaN and SQL's NULL as None, anything else unchanged."""
    if (isinstance(value, float) and math.isnan(value)) or value == SQL_NULL:
        return None
    return str(value) if isinstance(value, int | float) else value


def is_usable(text: object) -> bool:
    """Whether the text is a string in which `row_problem` finds no problem: the fast check."""
    if type(text) is not str or not text or text.isspace() or "\0" in text or text == SQL_NULL:
        return False
    return text.isascii() or SURROGATE.search(text) is None


def row_problem(split: SourceSplit, text: object, label: str | None, raw_label: object) -> str | None:
    """Why a row cannot be used; None for a usable row."""
    problems = []
    if text is None or (isinstance(text, str) and not text.strip()):
        problems.append(f"no text (column {split.text_column!r} is {'missing' if text is None else 'empty'})")
    elif not isinstance(text, str):
        problems.append(f"column {split.text_column!r} holds {quoted(text)}, expected text")
    elif "\0" in text:
        problems.append(f"column {split.text_column!r} holds a NUL character")
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
                text, value = text_value(text), split.label_value(row.label)
                problem = row.problem or row_problem(split, text, value, row.label)
                if problem is not None or value is None:
                    bad_count += 1
                    if len(bad_rows) < MAX_LISTED:
                        bad_rows.append(BadRow(row.file, row.number, row.line, str(problem)))
                    continue
                if value not in labels and len(labels) == MAX_LABELS:
                    raise UserError(
                        f"{split.name}: column {split.label_column!r} has more than {MAX_LABELS} different values, "
                        f"the last {quoted(value)}; is it the label column?"
                    )
                label = labels.setdefault(value, Label(len(labels)))
                if len(label.first) < MAX_LISTED:
                    label.first.append(BadRow(row.file, row.number, row.line, ""))
                elif type(row.label) in FAST_LABEL_TYPES and len(fast_labels) < MAX_LABELS:
                    fast_labels[row.label] = label
            label.count += 1
            codes.append(label.code)
            yield cast(str, text)

    texts = write_texts(in_batches(usable_texts(), BATCH), path)["text"].chunks
    return StoredSplit(split, texts, np.frombuffer(codes, dtype=np.int16), labels, bad_rows, bad_count)


def label_counts(splits: Sequence[StoredSplit]) -> Counter[str]:
    """The number of rows of each label value; UserError where the first split has no usable row."""
    first = splits[0]
    if not first.labels:
        reason = first.bad_rows[0].describe(first.source.name) if first.bad_rows else "it has no rows"
        raise UserError(f"{first.source.name}: no usable row; {reason}")
    counts: Counter[str] = Counter()
    for split in splits:
        counts.update({value: label.count for value, label in split.labels.items()})
    return counts


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
