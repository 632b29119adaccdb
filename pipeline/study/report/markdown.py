"""Render a report page as markdown: the same sections and numbers, figures by link."""

import re
from collections.abc import Mapping, Sequence

from pipeline.runtime.markdown import escape, table
from pipeline.study.report.blocks import Block, Bullets, Commands, Page, Plot, Table, Tables, Text


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
            paragraphs += _block(block, files)
    return "\n\n".join(paragraphs) + "\n"


def _block(block: Block, files: Mapping[str, str]) -> list[str]:
    match block:
        case Text():
            return [escape(block.text)]
        case Bullets():
            return _list(block.items)
        case Table():
            header, *rows = [[escape(cell) for cell in row] for row in (block.columns, *block.rows)]
            return [f"**{escape(block.caption)}**", table(header, rows)]
        case Tables():
            return [paragraph for member in block.tables for paragraph in _block(member, files)]
        case Plot():
            title, caption = escape(block.figure.title), escape(block.figure.caption)
            return [f"![{title}]({files[block.figure.name]})", f"{title}. {caption}"]
        case Commands():
            return [_fenced(line) for line in block.lines]
        case _:
            return ["The map is interactive: see `report.html`."]


def _list(items: Sequence[str]) -> list[str]:
    return ["\n".join(f"- {escape(item)}" for item in items)] if items else []


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
