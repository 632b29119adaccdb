"""Measure this project beside its peers: `scripts/benchmark [--quick] [--only SECTION …] [--output FILE]`."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measure import Scale
from page import terminal, write_page
from sections import SECTIONS, measured
from store import Section, now, read, where, write

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results" / "benchmark.json"
PAGE = ROOT / "docs" / "performance.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for, print the table, write the page; 1 where a section failed."""
    asked = _parser().parse_args(arguments)
    names = SECTIONS if asked.only is None else [name for name in SECTIONS if name in asked.only]
    here = where(ROOT)
    data = ROOT.parent / "shared" / "data"
    with TemporaryDirectory(prefix="benchmark-") as folder:
        scale = Scale(asked.quick, here["machine"]["cores"], data if data.is_dir() else None, Path(folder))
        results = Path(folder) / "quick.json" if asked.quick else RESULTS
        sections = measure(names, scale, here, results)
    missing = () if asked.quick else SECTIONS
    whole = {
        name: sections.get(name) or Section(here, "", problem="not yet")
        for name in SECTIONS
        if name in sections or name in missing
    }
    output = asked.output or (None if asked.quick else PAGE)
    if output is not None:
        write_page(output, whole, quick=asked.quick)
    print(terminal(whole, quick=asked.quick))
    return int(any(sections[name].failed for name in names))


def measure(names: Sequence[str], scale: Scale, here: dict[str, Any], results: Path) -> dict[str, Section]:
    """Measure sections one after another; every figure is in the file `results` at once, beside those of others."""
    sections = read(results)
    for position, name in enumerate(names, 1):
        began = time.monotonic()
        _say(f"[{position}/{len(names)}] {name}")
        section = sections[name] = Section(here, now())
        for kind, content in measured(name, scale):
            if kind == "figure":
                section.figures.append(content)
                write(results, sections, SECTIONS)
            elif kind == "image":
                section.images[content[0]] = content[1]
            elif kind == "about":
                section.about = content
            elif kind == "notes":
                section.notes, section.problem = content, ""
            else:
                section.problem, section.failed = content, kind == "failed"
                _say(f"{name}: {kind}: {content}")
        write(results, sections, SECTIONS)
        _say(f"[{position}/{len(names)}] {name}: {time.monotonic() - began:.0f} s")
    return sections


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/benchmark", description="Measure this project beside its peers.")
    parser.add_argument(
        "--quick", action="store_true", help="two minutes, to see that all of it runs; no figures to quote"
    )
    parser.add_argument(
        "--only",
        nargs="*",
        choices=SECTIONS,
        metavar="SECTION",
        help=f"these alone, the others as last measured; none: write the page again. {', '.join(SECTIONS)}",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="the page; docs/performance.md, or with --quick none"
    )
    return parser


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the section at work is ended too
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        _say("interrupted; figures measured until now are kept")
        sys.exit(130)
