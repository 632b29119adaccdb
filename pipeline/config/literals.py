"""Plain values as OmegaConf reads them back: `${` starts no interpolation, and `true` may be a text."""

import re
from collections.abc import Callable
from typing import Any


def escape(text: str) -> str:
    """A text as OmegaConf reads it back: `${` starts no interpolation."""
    return re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + r"\${", text)


def literal(value: Any, holds_text: Callable[[str], bool], key: str = "") -> Any:
    """The value of `key`, or all below it, with texts escaped; true and false are texts for a key that `holds_text`."""
    if isinstance(value, dict):
        return {name: literal(item, holds_text, f"{key}.{name}".lstrip(".")) for name, item in value.items()}
    if isinstance(value, list):
        return [literal(item, holds_text, key) for item in value]
    if isinstance(value, bool) and holds_text(key):
        return str(value).lower()
    return escape(value) if isinstance(value, str) else value


def value_text(value: Any) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(value_text, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
