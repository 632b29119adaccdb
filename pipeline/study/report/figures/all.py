"""Draw all figures of a study and save each as PNG and SVG; equal results give equal bytes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.study.report.figures.curves import factorial, learning_rates, parameters_and_score, score_curves
from pipeline.study.report.figures.differences import amounts, differences, resplits
from pipeline.study.report.figures.style import Sketch, plot_settings, save
from pipeline.study.report.figures.words import (
    confusion,
    drift_by_frequency,
    probes,
    transfer,
    unknown_words,
    unseen_leads,
)
from pipeline.study.report.study_results import StudyResults

FIGURES: dict[str, Callable[[StudyResults], Sketch | None]] = {
    draw.__name__: draw
    for draw in (
        *(differences, resplits, score_curves, amounts, parameters_and_score, factorial, probes, transfer),
        *(drift_by_frequency, unknown_words, unseen_leads, confusion, learning_rates),
    )
}


@dataclass(frozen=True)
class Figure:
    """A figure on disk; its caption names what is shown, the number of seeds and the interval."""

    name: str
    title: str
    caption: str
    png: Path
    svg: Path


def write_figures(
    results: StudyResults, folder: Path, extra: Mapping[str, Callable[[StudyResults], Sketch | None]] | None = None
) -> list[Figure]:
    """Draw every figure that the results hold data for, `extra` ones too, as `NAME.png` and `NAME.svg` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in {**FIGURES, **(extra or {})}.items():
        with plot_settings(f"tweet-embeddings-{name}"):
            sketch = draw(results)
            if sketch is None:
                continue
            png, svg = folder / f"{name}.png", folder / f"{name}.svg"
            save(sketch.drawing, png, svg)
        written.append(Figure(name, sketch.title, sketch.caption, png, svg))
    return written
