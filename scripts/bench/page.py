"""The table of all figures, for a terminal and as docs/performance.md."""

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from measure import Figure
from store import Section

HEAD = ("section", "what", "ours", "peer", "ratio (range)", "target", "met")
COMMAND = "scripts/benchmark"
NOT_FIGURES = "Measured with --quick, for completion: these are not figures to quote."
READING = """\
A row compares this project with the named peer on one machine in one run. The two take turns, and who goes first
changes from round to round. Each side shows its median over the rounds. The ratio is ours over theirs, formed in each
round; the table shows the median of these ratios and, in brackets, the smallest and the largest. A row meets its target
if the median does. Rows without a target are there for information."""
MET = {True: "yes", False: "no", None: ""}


def number(value: float, digits: int = 3) -> str:
    """As many significant digits, or all of a large number's whole part."""
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:,.{digits}g}" if abs(value) >= 0.001 or not value else f"{value:.{digits - 2}e}"


def spread(values: tuple[float, ...], digits: int = 3) -> str:
    """Median, and in brackets the smallest and largest of several."""
    middle, least, most = (number(choose(values), digits) for choose in (median, min, max))
    return middle if len(values) == 1 else f"{middle} ({least}–{most})"


def digits_told(figure: Figure) -> int:
    """Digits with which the row does not contradict itself: what is bounded by "≤ 1.1" and misses it reads 1.102."""
    if not figure.target:
        return 3
    value = median(figure.bounded)
    return next((digits for digits in range(3, 17) if figure.holds(_read(number(value, digits))) == figure.met), 17)


def cells(figure: Figure, elsewhere: str = "") -> tuple[str, ...]:
    """A figure as a row of the table; `elsewhere` tells a row that was measured apart from the others."""
    peer = f"{figure.peer}: {number(median(figure.theirs))}" if figure.theirs else figure.peer
    digits = digits_told(figure)
    ratio = f"{spread(figure.ratios, digits)} ×" if figure.ratios else ""
    what = f"{figure.what} [{elsewhere}]" if elsewhere else figure.what
    ours = f"{number(median(figure.ours), digits if figure.bounded == figure.ours else 3)} {figure.unit}"
    return figure.section, what, ours, peer, ratio, figure.target, MET[figure.met]


def table(sections: Mapping[str, Section]) -> list[tuple[str, ...]]:
    """The rows of all sections."""
    here = newest(sections)
    return [cells(figure, _elsewhere(section, here)) for section in sections.values() for figure in section.figures]


def problems(sections: Mapping[str, Section]) -> list[str]:
    """One line for each section that is missing, or whose rest is, with the reason."""
    return [f"{_missing(name, section)}: {section.problem}" for name, section in sections.items() if section.problem]


def terminal(sections: Mapping[str, Section], *, quick: bool) -> str:
    """Machine, versions and table as plain text, columns aligned."""
    rows = [HEAD, *table(sections)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*_place(newest(sections)), "", *lines, *problems(sections), *([NOT_FIGURES] if quick else [])])


def write_page(output: Path, sections: Mapping[str, Section], *, quick: bool) -> None:
    """Write the page, and its images into the folder `images` beside it."""
    here = newest(sections)
    blocks = [
        "# Performance",
        f"Written by `{COMMAND}{' --quick' if quick else ''}`, which measures all of it again; do not edit.",
        *([f"**{NOT_FIGURES}**"] if quick else []),
        "\n".join(f"- {line}" for line in _place(here)),
        READING,
        "\n".join(map(_row, [HEAD, ["---"] * len(HEAD), *table(sections)])),
        "\n".join(f"- {line}." for line in problems(sections)),
        "## How, section by section",
    ]
    for section in sections.values():
        if not section.figures:
            continue
        apart = _elsewhere(section, here)
        blocks += [f"### {section.figures[0].section}", section.about, f"Measured apart: {apart}." if apart else ""]
        for note, figures in groupby(section.figures, key=lambda figure: figure.note):
            blocks.append("\n".join(map(_detail, figures)))
            blocks.append(f"{note[:1].upper()}{note[1:].rstrip('.')}." if note else "")
        for image, drawing in section.images.items():
            path = output.parent / "images" / image
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(drawing, "utf-8")
            blocks.append(f"![{Path(image).stem.replace('_', ' ')}](images/{image})")
        blocks.append(section.notes.strip())
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("\n\n".join(filter(None, blocks)) + "\n", "utf-8")


def newest(sections: Mapping[str, Section]) -> Section:
    """The section measured last: its machine, versions and commit head the page."""
    return max(sections.values(), key=lambda section: section.measured)


def _missing(name: str, section: Section) -> str:
    title = name.replace("_", " ")
    if section.failed:
        return f"{title.capitalize()} failed"
    return f"{f'The rest of {title}' if section.figures else title.capitalize()} was not measured"


def _read(told: str) -> float:
    return float(told.replace(",", ""))


def _row(row: Any) -> str:
    return "| " + " | ".join(" ".join(str(cell).replace("|", "/").split()) for cell in row) + " |"


def _detail(figure: Figure) -> str:
    rounds = f"{len(figure.ours)} round{'s' if len(figure.ours) > 1 else ''}"
    theirs = f", {figure.peer} {spread(figure.theirs)}" if figure.theirs else ""
    return f"- **{figure.what}**: {spread(figure.ours)} {figure.unit}{theirs}; {rounds}"


def _place(section: Section) -> list[str]:
    """When and on what a section was measured, in three lines."""
    machine, versions, code = (section.where[key] for key in ("machine", "versions", "code"))
    state = {True: ", with changes that are not committed", False: "", None: ""}[code["dirty"]]
    cores = f"{machine['cores']} core{'s' if machine['cores'] > 1 else ''}"
    return [
        f"{machine['cpu']}, {cores}, {machine['memory_gib']} GiB memory, GPU: {machine['gpu']}, {machine['system']}",
        ", ".join(f"{name} {version}" for name, version in versions.items()),
        f"{section.measured}, commit {code['commit']}{state}",
    ]


def _elsewhere(section: Section, here: Section) -> str:
    """What sets a section apart from the newest one: another machine, other versions, another commit; or nothing."""
    there, reference = section.where, here.where
    if not section.figures or there == reference:
        return ""
    machine, versions, code = there["machine"], there["versions"], there["code"]
    found = []
    if machine != reference["machine"]:
        found.append(f"on {machine['cpu']}, {machine['cores']} cores, GPU: {machine['gpu']}")
    if changed := [f"{name} {version}" for name, version in versions.items() if version != reference["versions"][name]]:
        found.append(f"with {', '.join(changed)}")
    if code["commit"] != reference["code"]["commit"]:
        found.append(f"commit {code['commit']}")
    return "; ".join([*found, section.measured]) if found else ""
