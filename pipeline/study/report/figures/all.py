"""The figures of a study, each as PNG and SVG, the same bytes for the same findings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipeline.study.report.figures.curves import factorial, learning_rates, parameters_and_score, score_curves
from pipeline.study.report.figures.differences import differences
from pipeline.study.report.figures.errors import confusion, unknown_words
from pipeline.study.report.figures.style import Sketch, fixed_look, save
from pipeline.study.report.figures.words import drift_by_frequency, probes, transfer
from pipeline.study.report.study_results import StudyResults

Found = TypeVar("Found")

FIGURES: dict[str, Callable[[StudyResults], Sketch | None]] = {
    "differences": differences,
    "score_curves": score_curves,
    "parameters_and_score": parameters_and_score,
    "factorial": factorial,
    "probes": probes,
    "transfer": transfer,
    "drift_by_frequency": drift_by_frequency,
    "unknown_words": unknown_words,
    "confusion": confusion,
    "learning_rates": learning_rates,
}


@dataclass(frozen=True)
class Figure:
    """A figure on disk; its caption says in one or two sentences what is shown, of how many, with which interval."""

    name: str
    title: str
    caption: str
    png: Path
    svg: Path


def write_figures(findings: StudyResults, folder: Path) -> list[Figure]:
    """Draw what the findings hold data for, in the order of a report, as `NAME.png` and `NAME.svg` in `folder`."""
    return draw_all(FIGURES, findings, folder)


def draw_all(
    figures: Mapping[str, Callable[[Found], Sketch | None]], found: Found, folder: Path, kind: str = ""
) -> list[Figure]:
    """Draw every figure that `found` holds data for; `kind` keeps the marks within SVG files of two pages apart."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in figures.items():
        with fixed_look(f"tweet-embeddings-{kind}{name}"):
            sketch = draw(found)
            if sketch is None:
                continue
            png, svg = folder / f"{name}.png", folder / f"{name}.svg"
            save(sketch.drawing, png, svg)
        written.append(Figure(name, sketch.title, sketch.caption, png, svg))
    return written
