"""Dataclass fields of configuration keys: choices, ranges, lists."""

from dataclasses import field
from typing import Any

MISSING: Any = "???"  # omegaconf's mark of a value that a file must give; not imported, so that classifier/ stays light


def choice(*names: str, located: bool = False) -> Any:
    """A string key that takes one of `names`, or a list of them; where `located`, each may be NAME@PATH."""
    return field(default=MISSING, metadata={"choices": names, "located": located})


def several(kind: type, *names: str, null: bool = False) -> Any:
    """A key that takes one value of `kind` (where `names` are given, one of them), or a list of such values."""
    return field(default=MISSING, metadata={"each": kind, "null": null} | ({"choices": names} if names else {}))


def within(low: float, high: float = float("inf"), *, above: bool = False) -> Any:
    """A number (or a list of numbers) from `low` (or, with `above`, greater than it) to `high`; null where Optional."""
    return field(default=MISSING, metadata={"low": low, "high": high, "above": above})
