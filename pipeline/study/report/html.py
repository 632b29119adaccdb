"""The report of a study: `report.html`, one file that needs no network, and `report.md` with the same numbers."""

import base64
import hashlib
import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined

from pipeline.study.report.blocks import Block, Commands, Page, Plot, Section, Table, WordMap
from pipeline.study.report.figures.all import Figure
from pipeline.study.report.markdown import page_markdown
from pipeline.study.report.sections.all import SectionSpec, page_of
from pipeline.study.report.study_results import StudyResults

# Sections of the digest.
DIGEST = ("curves", "settings", "differences", "label-budgets", "factorial", "transfer", "commands")


def write_report(
    findings: StudyResults, figures: Sequence[Figure], folder: Path, sections: Sequence[SectionSpec] = ()
) -> None:
    """Write `report.html`, `report.md` and `digest.md` into `folder`, which exists; equal findings give equal bytes.

    figures : what `write_figures` wrote; the page holds their SVG and links to the files, which should lie below
        `folder` so that the links survive a move. sections : further ones, which come first.
    """
    page = page_of(findings, figures, sections)
    files = {figure.name: _address(figure.png, folder) for figure in figures}
    _write(folder / "report.html", page_html(page, folder))
    _write(folder / "report.md", page_markdown(page, files))
    _write(folder / "digest.md", page_markdown(digest(page), {}))


def digest(page: Page) -> Page:
    """The page's answers and main tables alone: no picture, and nothing that was not planned."""
    sections = [
        replace(section, blocks=[block for block in section.blocks if _is_main(block)])
        for section in page.sections
        if section.key in DIGEST
    ]
    return replace(page, sections=sections)


def _is_main(block: Block) -> bool:
    return isinstance(block, Commands) or (isinstance(block, Table) and not block.caption.startswith("Other pairs"))


def page_html(page: Page, folder: Path) -> str:
    """One HTML file: style, script, figures and the map's data are inside; links are as seen from `folder`.

    All text is escaped by the template. A content security policy allows the page's own script and style (by their
    digests) and pictures inside it, and no request at all.
    """
    style, script = _asset("style.css"), _asset("map.js")
    policy = "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src '{_digest(style)}'",
            f"script-src '{_digest(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_asset("template.html.j2"))
    sections = [
        {"key": section.key, "title": section.title, "guide": section.guide, "blocks": _shown(section, folder)}
        for section in page.sections
    ]
    has_map = any(isinstance(block, WordMap) for section in page.sections for block in section.blocks)
    return template.render(page=page, sections=sections, has_map=has_map, style=style, script=script, policy=policy)


def island(value: Any) -> str:
    """JSON that may stand inside a script element: no character of it can end the element or open another.

    Numbers that JSON cannot hold become null.
    """
    text = json.dumps(_finite(value), sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _shown(section: Section, folder: Path) -> list[Any]:
    return [_for_template(block, folder) for block in section.blocks]


def _for_template(block: Block, folder: Path) -> Any:
    if isinstance(block, Plot):
        picture = block.figure.svg.read_bytes()
        return {
            "kind": block.kind,
            "title": block.figure.title,
            "caption": block.figure.caption,
            "data_uri": "data:image/svg+xml;base64," + base64.b64encode(picture).decode("ascii"),
            "png": _address(block.figure.png, folder),
            "svg": _address(block.figure.svg, folder),
            **_size(picture),
        }
    if isinstance(block, WordMap):
        words, counts = block.data["words"], block.data["counts"]
        return {
            "kind": block.kind,
            "words": f"{len(words):,}",
            "frequent": max(zip(counts, words, strict=True))[1],
            "variants": list(block.data["variants"]),
            "json": island(block.data),
        }
    return block


def _size(svg: bytes) -> dict[str, int]:
    """Width and height in CSS pixels, so that the page does not jump while it loads; empty where the file has none."""
    found = re.search(rb'<svg[^>]*?\sviewBox="[\d.\-]+ [\d.\-]+ ([\d.]+) ([\d.]+)"', svg)
    return {"width": round(float(found[1]) * 4 / 3), "height": round(float(found[2]) * 4 / 3)} if found else {}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(member) for member in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _address(path: Path, folder: Path) -> str:
    return quote(Path(os.path.relpath(path, folder)).as_posix())


def _asset(name: str) -> str:
    return (resources.files("pipeline.study.report") / "page" / name).read_text("utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _write(path: Path, text: str) -> None:
    # A tweet may hold half of a surrogate pair, which UTF-8 cannot.
    path.write_text(text, "utf-8", errors="replace", newline="\n")
