"""Tables of nested facts whose keys are not known beforehand, such as an audit or an environment."""

from collections.abc import Mapping
from typing import Any

from pipeline.study.report.blocks import Table


def nested_tables(title: str, facts: Mapping[str, Any]) -> list[Table]:
    """Tables that hold every value of `facts` once.

    Single values stand together under `title`; every other value has tables under its own key. A mapping of flat
    mappings with the same keys is a grid; other values that no list holds are rows, each named by its keys; a list of
    mappings is a table with their keys as columns.
    """
    single = {key: value for key, value in facts.items() if not _is_nested(value)}
    tables = [_pairs(title, single)] if single else []
    for key, value in facts.items():
        if _is_nested(value) and len(value):
            tables += _tables(_words(key), value)
    return tables


def shown(value: Any) -> str:
    """A value for a reader: whole numbers with thousands, others with four significant digits."""
    if value is None or value != value:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() and abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return " | ".join(shown(member) for member in value)
    return str(value)


def _tables(title: str, value: Any) -> list[Table]:
    if isinstance(value, Mapping):
        members = list(value.values())
        if all(_is_flat(member) for member in members) and len({tuple(member) for member in members}) == 1:
            rows = [[_words(key), *map(shown, member.values())] for key, member in value.items()]
            return [Table(title, ["", *map(_words, members[0])], rows)]
        flat = _flattened(value)
        lists = {key: member for key, member in flat.items() if _is_nested(member)}
        pairs = {key: member for key, member in flat.items() if key not in lists}
        tables = [_pairs(title, pairs)] if pairs else []
        for key, member in lists.items():
            tables += _tables(f"{title}: {key}", member) if len(member) else []
        return tables
    if all(isinstance(member, Mapping) for member in value):
        return _records(title, [_flattened(member) for member in value])
    return [Table(title, ["item"], [[shown(member)] for member in value])]


def _pairs(title: str, facts: Mapping[str, Any]) -> Table:
    return Table(title, ["what", "value"], [[_words(key), shown(value)] for key, value in facts.items()])


def _records(title: str, members: list[dict[str, Any]]) -> list[Table]:
    """A table of mappings; a column of lists becomes a table of its own, each row named by its record's first value."""
    columns = list(dict.fromkeys(key for member in members for key in member))
    lists = [key for key in columns if any(isinstance(member.get(key), (list, tuple)) for member in members)]
    plain = [key for key in columns if key not in lists]
    tables = [Table(title, plain, [[shown(member.get(key)) for key in plain] for member in members])] if plain else []
    for key in lists:
        rows = []
        for member in members:
            name = {plain[0]: member.get(plain[0])} if plain else {}
            rows += [name | (_flattened(m) if isinstance(m, Mapping) else {key: m}) for m in member.get(key) or []]
        tables += _records(f"{title}: {key}", rows) if rows else []
    return tables


def _flattened(facts: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in facts.items():
        name = f"{above}{_words(key)}"
        flat |= _flattened(value, f"{name}, ") if isinstance(value, Mapping) else {name: value}
    return flat


def _is_flat(value: Any) -> bool:
    return isinstance(value, Mapping) and not any(_is_nested(member) for member in value.values())


def _is_nested(value: Any) -> bool:
    return isinstance(value, (Mapping, list, tuple))


def _words(key: Any) -> str:
    return str(key).replace("_", " ")
