"""Rows of labelled text on their way from a source to the splits: checked, counted, kept on disk.

Every source is a stream of rows. A row that cannot be used is named and left out; the others go to an Arrow file in
batches, with the label as a code in order of first appearance, so memory does not grow with the number of rows
beyond two bytes each.
"""

import math
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.runtime.errors import UserError, nearest

BATCH = 10_000
MAX_LABELS = 1_000
LISTED = 20
USUAL = frozenset({str, int})  # types of labels; not bool and float, which equal numbers that are other labels
SURROGATE = re.compile("[\ud800-\udfff]")
INTEGER = re.compile(r"([+-]?\d+)(?:\.0*)?")
TEXT_SCHEMA = pa.schema([("text", pa.string())])


class Row(NamedTuple):
    """One row as its source holds it; `number` counts from 1, `line` is the line of the file it starts on."""

    number: int
    text: object
    label: object
    line: int | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Part:
    """The rows of one split of a source, and how messages call it."""

    name: str
    rows: Iterable[Row]
    text_column: str = "text"
    label_column: str = "label"


@dataclass(frozen=True)
class Source:
    """What a source offers.

    `parts` holds the splits it has under `train`, `validation`, `test`; `label_names` is None where only the rows
    tell the labels; `unlabelled` yields batches of texts.
    """

    parts: dict[str, Part]
    label_names: tuple[str, ...] | None = None
    unlabelled: Iterable[list[str]] | None = None
    generated: bool = False
    notes: list[str] = field(default_factory=list)


class BadRow(NamedTuple):
    """Where a row that is left out stands, what was found there and what was expected."""

    number: int
    line: int | None
    problem: str

    def describe(self, part: str) -> str:
        """One line for the user."""
        line = f" (line {self.line})" if self.line is not None else ""
        return f"{part}, row {self.number}{line}: {self.problem}"


@dataclass(slots=True)
class Label:
    """A label value: its code, how many rows hold it, and the first of them."""

    code: int
    count: int = 0
    first: list[BadRow] = field(default_factory=list)


@dataclass
class Stored:
    """The usable rows of one part: texts in an Arrow file, labels as codes into `labels`, (N,)."""

    part: Part
    path: Path
    codes: NDArray[np.int16]
    labels: dict[str, Label]
    bad: list[BadRow]
    bad_count: int

    def texts(self) -> Iterator[pa.Array]:
        """All texts in order, in batches."""
        with pa.memory_map(str(self.path)) as file, pa.ipc.open_stream(file) as reader:
            for batch in reader:
                yield batch.column(0)


def label_value(value: object) -> str | None:
    """The label as text, None where there is none: `1`, `1.0`, `"1"` and `" 1.0 "` are one label."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    text = str(value).strip()
    integer = INTEGER.fullmatch(text)
    return integer[1] if integer else text or None


def text_value(value: object) -> object:
    """A number in the place of a text as text, not-a-number as None, anything else as it is."""
    if isinstance(value, float) and math.isnan(value):
        return None
    return str(value) if isinstance(value, int | float) else value


def shown(value: object) -> str:
    """`value` for a message: quoted, on one line, at most 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…{text[-1]}"


def usable(text: object) -> bool:
    """Whether `problem_of` finds nothing wrong with a text that is a string already."""
    if type(text) is not str or not text or text.isspace():
        return False
    return text.isascii() or SURROGATE.search(text) is None


def problem_of(part: Part, text: object, label: str | None, raw_label: object) -> str | None:
    """What keeps a row from being used, or None."""
    problems = []
    if text is None or (isinstance(text, str) and not text.strip()):
        problems.append(f"no text (column {part.text_column!r} is {'missing' if text is None else 'empty'})")
    elif not isinstance(text, str):
        problems.append(f"column {part.text_column!r} holds {shown(text)}, expected text")
    elif not text.isascii() and SURROGATE.search(text):
        problems.append(f"column {part.text_column!r} holds half a surrogate pair, expected valid Unicode")
    if label is None:
        problems.append(f"no label (column {part.label_column!r} is {'missing' if raw_label is None else 'empty'})")
    elif not isinstance(raw_label, str | int | float):
        problems.append(f"column {part.label_column!r} holds {shown(raw_label)}, expected a label")
    return f"{' and '.join(problems)}; expected a text and a label" if problems else None


def store(part: Part, path: Path) -> Stored:
    """Check the rows of `part` and write the texts of the good ones to `path`, in batches.

    Raises
    ------
    UserError
        The label column has more than `MAX_LABELS` values.
    """
    codes, labels, bad, bad_count = array("h"), dict[str, Label](), list[BadRow](), 0
    usual: dict[object, Label] = {}  # by the label as the source holds it, once enough of its rows are noted
    texts: list[str] = []
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, TEXT_SCHEMA) as writer:
        for row in part.rows:
            text = row.text
            label = usual.get(row.label) if type(row.label) in USUAL else None
            if label is None or row.problem is not None or not usable(text):
                text, value = text_value(text), label_value(row.label)
                problem = row.problem or problem_of(part, text, value, row.label)
                if problem is not None or value is None:
                    bad_count += 1
                    if len(bad) < LISTED:
                        bad.append(BadRow(row.number, row.line, str(problem)))
                    continue
                if value not in labels and len(labels) == MAX_LABELS:
                    raise UserError(
                        f"{part.name}: column {part.label_column!r} has more than {MAX_LABELS} different values, "
                        f"the last {shown(value)}; is it the label column?"
                    )
                label = labels.setdefault(value, Label(len(labels)))
                if len(label.first) < LISTED:
                    label.first.append(BadRow(row.number, row.line, ""))
                elif type(row.label) in USUAL and len(usual) < MAX_LABELS:
                    usual[row.label] = label
            label.count += 1
            codes.append(label.code)
            texts.append(cast(str, text))
            if len(texts) == BATCH:
                writer.write_batch(pa.record_batch([pa.array(texts, pa.string())], schema=TEXT_SCHEMA))
                texts.clear()
        if texts:
            writer.write_batch(pa.record_batch([pa.array(texts, pa.string())], schema=TEXT_SCHEMA))
    return Stored(part, path, np.frombuffer(codes, dtype=np.int16), labels, bad, bad_count)


def label_names(parts: Sequence[Stored], wanted: Sequence[str] | None, known: Sequence[str] | None) -> list[str]:
    """The names of the classes, in the order of their indices.

    `wanted` (`data.labels`) decides, then `known` (what the source declares), then the values found, sorted as numbers
    where all are integers.

    Raises
    ------
    UserError
        No row of the first part can be used, `wanted` names a label twice, or there are fewer than two labels.
    """
    found = {value for stored in parts for value in stored.labels}
    if not parts[0].labels:
        first = parts[0].bad[0].describe(parts[0].part.name) if parts[0].bad else "it has no rows"
        raise UserError(f"{parts[0].part.name}: no usable row; {first}")
    if wanted is not None:
        names = [label_value(name) or "" for name in wanted]
        if len(set(names)) < len(names) or "" in names or not names:
            raise UserError(f"data.labels={list(wanted)} holds a label twice, an empty one or none")
    elif known is not None:
        names = list(known)
    elif all(INTEGER.fullmatch(value) for value in found):
        names = sorted(found, key=int)
    else:
        names = sorted(found)
    if len(names) < 2:
        raise UserError(f"{parts[0].part.name}: only one label, {shown(names[0])}; a classifier needs at least two")
    return names


def class_of_code(parts: Sequence[Stored], names: Sequence[str]) -> dict[str, int]:
    """Index into `names` of each label value found; a value that is not there is outside.

    Where no row holds a name and every value is an index into `names`, the values are those indices: a source coded
    0, 1, 2 is named by `data.labels=[negative,neutral,positive]`.
    """
    found = {value for stored in parts for value in stored.labels}
    by_index = {str(index): index for index in range(len(names))}
    if found and not found & set(names) and found <= by_index.keys():
        return by_index
    return {name: index for index, name in enumerate(names)}


def encode(
    stored: Stored, classes: dict[str, int], names: Sequence[str]
) -> tuple[NDArray[np.signedinteger], list[str]]:
    """Class of each stored row, (N,), -1 for a label outside `names`; and a line for each bad row, at most `LISTED`.

    Classes take as few bytes as hold all of them.
    """
    remap = np.array([classes.get(value, -1) for value in stored.labels], dtype=np.min_scalar_type(-len(names)))
    outside = {value: label for value, label in stored.labels.items() if value not in classes}
    expected = f"expected one of {', '.join(names)}"
    bad = [
        place._replace(problem=f"label {shown(value)}, {expected}")
        for value, label in outside.items()
        for place in label.first
    ]
    bad = sorted([*stored.bad, *bad])[:LISTED]
    total = stored.bad_count + sum(label.count for label in outside.values())
    lines = [row.describe(stored.part.name) for row in bad]
    if total:
        rest = f"; the first {LISTED} are named" if total > LISTED else ""
        lines.insert(0, f"{stored.part.name}: {total} of {len(stored.codes) + stored.bad_count} rows left out{rest}")
    return remap[stored.codes] if len(remap) else np.empty(0, remap.dtype), lines


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """The nearest of `options` as the end of an error line, nothing where none is near."""
    hint = nearest(name, options)
    return hint if hint.startswith("; did you mean") else ""
