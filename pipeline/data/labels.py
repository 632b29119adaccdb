"""Label values and classes: equal values, configured names, spellings of one label, words for a missing one."""

import json
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.runtime.errors import UserError

INTEGER = re.compile(r"([+-]?\d+)(?:\.0*)?")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
MISSING_WORDS = frozenset({"nan", "na", "n/a", "null", "none", "nil", "missing", "unknown", "?", "-", "#n/a", "<na>"})

SQL_NULL = "\\N"  # as MySQL, Hive and Spark write a missing value into text files
SPELLINGS = "labels differ in case, blanks or invisible characters alone"
JOIN = "; join them with "
MAX_LISTED = 20  # spellings in a message


def label_value(value: object) -> str | None:
    """The label as text, None for a missing one: `1`, `1.0`, `"1"` and `" 1.0 "` are the same label."""
    if value is None or value == SQL_NULL or (isinstance(value, float) and math.isnan(value)):
        return None
    text = str(value).strip()
    integer = INTEGER.fullmatch(text)
    return integer[1] if integer else text or None


def quoted(value: object) -> str:
    """`value` for a message: quoted, on one line, at most 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…{text[-1]}"


@dataclass(frozen=True)
class LabelCoding:
    """The names of the classes in the order of their indices, and the class of each label value that has one."""

    names: list[str]
    classes: dict[str, int]


def label_coding(
    source: str,
    counts: Mapping[str, int],
    configured: Sequence[str] | Mapping[str, str] | None,
    declared: Sequence[str] | None,
    notes: list[str],
) -> LabelCoding:
    """The classes of the label values of a source, of which `counts` has the numbers of rows.

    `configured` (`data.labels`) names them, or else `declared` by the source, or else the values themselves, sorted
    (as numbers where all are). A mapping gives the name of each value; several values may have one name. `notes` gets
    a sentence for values that are joined, or that probably should be. Raises UserError where `configured` names a label
    twice, or there are fewer than two labels.
    """
    if configured is not None:
        name_of = configured_names(configured)
    elif declared is not None:
        name_of = {name: name for name in declared}
    else:
        name_of = {value: value for value in default_classes(counts)}
        notes.extend(label_variants(source, {value: counts[value] for value in name_of}))
    names = list(dict.fromkeys(name_of.values()))
    if isinstance(configured, Mapping) and not counts.keys() & name_of.keys() and {*name_of.values()} <= counts.keys():
        pairs = json.dumps({name: value for value, name in name_of.items()}, ensure_ascii=False)
        raise UserError(f"data.labels maps values to names, not names to values: try 'data.labels={pairs}'")
    if len(names) < 2:
        raise UserError(f"{source}: only one label, {quoted(names[0])}; a classifier needs at least two")
    index = {value: names.index(name) for value, name in name_of.items()}
    by_position = {str(position): position for position in range(len(names))}
    if not isinstance(configured, Mapping) and not counts.keys() & index.keys() and counts.keys() <= by_position.keys():
        return LabelCoding(
            names, by_position
        )  # a source coded 0, 1, 2 is named by data.labels=[negative,neutral,positive]
    joined = {} if configured is None else spelling_variants(counts, index)
    for value, label in joined.items():
        rows = f"{counts[value]:,} rows with the label {quoted(value)}"
        notes.append(f"{source}: {rows} count as {names[label]}")
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
    """Messages where labels differ in spelling alone, or stand for a missing label."""
    groups: dict[str, list[str]] = defaultdict(list)
    for value in sorted(counts, key=lambda value: (-counts[value], value)):
        groups[folded(value)].append(value)
    missing = [f"{quoted(value)} ({counts[value]:,} rows)" for value in counts if value.casefold() in MISSING_WORDS]
    others = [value for value in counts if value.casefold() not in MISSING_WORDS]
    messages = []
    if missing and len(others) > 1:
        listed = ",".join(sorted(json.dumps(value, ensure_ascii=False) for value in others))
        advice = f"'data.labels=[{listed}]' leaves it out"
        messages.append(f"{name}: {', '.join(missing[:MAX_LISTED])} may stand for a missing label; {advice}")
    doubtful = [
        f"{quoted(value)} ({counts[value]:,} rows)" for group in groups.values() if len(group) > 1 for value in group
    ]
    if not doubtful:
        return messages
    names = ",".join(sorted(json.dumps(group[0], ensure_ascii=False) for group in groups.values()))
    return [
        *messages,
        f"{name}: {SPELLINGS}: {', '.join(doubtful[:MAX_LISTED])}{JOIN}'data.labels=[{names}]'",
    ]
