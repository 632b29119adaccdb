"""Write the report: `report.html` (self-contained, no network), `report.md` (same numbers) and `digest.md`."""

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.config.variants import prose_name
from pipeline.runtime.markdown import escape, table
from pipeline.runtime.templates import page_file, render
from pipeline.study.report.blocks import Block, Page, Table, Tables
from pipeline.study.report.figures.all import Figure
from pipeline.study.report.sections.all import SectionSpec, report_page
from pipeline.study.report.study_results import StudyResults

PACKAGE = "pipeline.study.report"
# Sections of the digest.
DIGEST = ("curves", "settings", "differences", "label-budgets", "factorial", "transfer", "commands")


def write_report(
    results: StudyResults, figures: Sequence[Figure], folder: Path, extra: Sequence[SectionSpec] = ()
) -> None:
    """Write `report.html`, `report.md` and `digest.md` into the existing `folder`; equal results give equal bytes.

    Parameters
    ----------
    figures : what `write_figures` wrote. The page embeds their SVG and links to the files, which should lie below
        `folder` so that the links survive a move.
    extra : sections before those of every study.
    """
    page = report_page(results, figures, extra)
    files = {figure.name: _relative_url(figure.png, folder) for figure in figures}
    texts = {"report.html": page_html(page, folder), "report.md": page_markdown(page, files)}
    for name, text in (texts | {"digest.md": page_markdown(digest(page), {})}).items():
        # A tweet may hold a lone surrogate, which UTF-8 cannot encode.
        (folder / name).write_text(text, "utf-8", errors="replace", newline="\n")


def digest(page: Page) -> Page:
    """The page's answers and main tables only: no figure, and no comparison that was not planned."""
    sections = [
        replace(section, blocks=[block for block in section.blocks if _is_main(block)])
        for section in page.sections
        if section.key in DIGEST
    ]
    return replace(page, sections=sections)


def _is_main(block: Block) -> bool:
    return block.kind == "commands" or (isinstance(block, Table) and not block.caption.startswith("Other pairs"))


def page_html(page: Page, folder: Path) -> str:
    """The page as one HTML file with style, script, figures and map data inline; links are relative to `folder`.

    The template escapes all text. A content security policy allows the page's own script and style by their digests,
    and inline images, but no request.
    """
    style, script = page_file(PACKAGE, "style.css"), page_file(PACKAGE, "map.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_sha256(style)}'; script-src '{_sha256(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    sections = [
        replace(section, blocks=[_for_template(block, folder) for block in section.blocks]) for section in page.sections
    ]
    has_map = any(block.kind == "map" for section in page.sections for block in section.blocks)
    values = {"sections": sections, "has_map": has_map, "style": style, "script": script, "policy": policy}
    return render(PACKAGE, "template.html.j2", page=page, **values)


def page_markdown(page: Page, files: Mapping[str, str]) -> str:
    """Markdown of a page; `files` holds, by figure name, the address of its PNG relative to the report."""
    label = "**GENERATED** · " if page.generated else ""
    paragraphs = [f"# {escape(page.title)}", label + escape(page.summary)]
    if page.warnings:
        warnings = [f"> - `{warning.code}` {escape(warning.text)}" for warning in page.warnings]
        paragraphs.append("\n".join(["> **Warnings**", ">", *warnings]))
    for verdict in page.verdicts:
        paragraphs += [f"## {escape(verdict.question)}", f"**{escape(verdict.answer)}**", *_list(verdict.evidence)]
    for section in page.sections:
        paragraphs += [f"## {escape(section.title)}", f"*{escape(section.guide)}*"]
        for block in section.blocks:
            paragraphs += _block_markdown(block, files)
    return "\n\n".join(paragraphs) + "\n"


def _block_markdown(block: Block, files: Mapping[str, str]) -> list[str]:
    if isinstance(block, Table):
        header, *rows = [[escape(cell) for cell in row] for row in (block.columns, *block.rows)]
        return [f"**{escape(block.caption)}**", table(header, rows)]
    if isinstance(block, Tables):
        return [paragraph for member in block.tables for paragraph in _block_markdown(member, files)]
    content = block.content
    match block.kind:
        case "text":
            return [escape(content)]
        case "bullets":
            return _list(content)
        case "plot":
            title, caption = escape(content.title), escape(content.caption)
            return [f"![{title}]({files[content.name]})", f"{title}. {caption}"]
        case "commands":
            return [_fenced(line) for line in content]
        case "map":
            return ["The map is interactive: see `report.html`."]


def _list(items: Sequence[str]) -> list[str]:
    return ["\n".join(f"- {escape(item)}" for item in items)] if items else []


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def script_json(value: Any) -> str:
    """JSON for a script element: no character of it can end the element or open another; NaN and infinity are null."""
    finite = json.loads(json.dumps(value), parse_constant=lambda _: None)
    text = json.dumps(finite, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _for_template(block: Block, folder: Path) -> Any:
    if block.kind == "plot":
        figure = block.content
        svg = figure.svg.read_bytes()
        urls = {"png": _relative_url(figure.png, folder), "svg": _relative_url(figure.svg, folder)}
        urls["data_uri"] = "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")
        return {"kind": "plot", "title": figure.title, "caption": figure.caption, **urls, **_size(svg)}
    if block.kind == "map":
        words, counts = block.content["words"], block.content["counts"]
        return {
            "kind": "map",
            "words": f"{len(words):,}",
            "frequent": max(zip(counts, words, strict=True))[1],
            "variants": {name: prose_name(name) for name in block.content["variants"]},
            "json": script_json(block.content),
        }
    return block


def _size(svg: bytes) -> dict[str, int]:
    """Width and height in CSS pixels, which keep the layout stable while loading; empty if the SVG has no view box."""
    view_box = re.search(rb'<svg[^>]*?\sviewBox="[\d.\-]+ [\d.\-]+ ([\d.]+) ([\d.]+)"', svg)
    return {"width": round(float(view_box[1]) * 4 / 3), "height": round(float(view_box[2]) * 4 / 3)} if view_box else {}


def _relative_url(path: Path, folder: Path) -> str:
    return quote(Path(os.path.relpath(path, folder)).as_posix())


def _sha256(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
