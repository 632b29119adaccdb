"""Markdown: escaped text and tables."""

import re
from collections.abc import Iterable, Sequence


def escape(text: str) -> str:
    """Quote text so that markdown shows it literally, on one line: no markup, no HTML, no entity, no table cell."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", " ".join(text.split())).replace("&", "&amp;")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table of cells that are markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
