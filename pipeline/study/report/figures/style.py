"""Common style of a study's figures: size, fonts, axes, legends, variant names, and reproducible saving."""

import textwrap
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from numpy.typing import NDArray

from pipeline.config.variants import prose_name
from pipeline.study.report.formatting import TEXTS, budget_name
from pipeline.study.report.study_results import StudyResults

WIDTH = 7.0  # inches: at this width the smallest text, 9 points, can be read on a phone held sideways
DPI = 160
SMALL = 9
GREY = "#6b6b6b"
LIGHT = "#e9e9e9"
MARGIN = 1.25  # beyond the smallest and the largest label budget, on a logarithmic axis

BASELINE_STYLES: dict[str, tuple[Any, str]] = {
    "majority": (":", "1"),
    "vader": ("--", "2"),
    "tfidf_logistic": ("-.", "3"),
    "nb_logistic": ((0, (6, 1)), "4"),
    "fasttext": ((0, (3, 1, 1, 1, 1, 1)), "+"),
    "model2vec": ((0, (1, 2)), "x"),
}


@dataclass(frozen=True)
class Sketch:
    """A drawing in memory with its title and caption."""

    title: str
    caption: str
    drawing: Drawing


@contextmanager
def plot_settings(name: str) -> Iterator[None]:
    """Use matplotlib's defaults and our settings in place of the user's settings, which are restored afterwards.

    `name` seeds the identifiers inside the SVG, so that figures on one page do not share them.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)  # drawn as boxes
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(TEXTS["figure_settings"] | {"svg.hashsalt": name})
        yield


def save(drawing: Drawing, png: Path, svg: Path) -> None:
    """Save a drawing without dates or versions, so that equal drawings give equal bytes."""
    drawing.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    drawing.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})


def panels_for(drawing: Drawing, names: Sequence[str], columns: int, **settings: Any) -> list[Axes]:
    """A panel for each name, row by row; those left over in the last row stay blank."""
    panels = drawing.subplots(-(-len(names) // columns), columns, squeeze=False, **settings).flatten()
    for unused in panels[len(names) :]:
        unused.set_axis_off()
    return list(panels[: len(names)])


def captioned(name: str, title: str, drawing: Drawing, **values: object) -> Sketch:
    """A sketch with the caption of this name in `page/texts.yaml`."""
    return Sketch(title, TEXTS["figures"][name].format(**values), drawing)


def budget_and_seeds(results: StudyResults) -> dict[str, object]:
    """The largest label budget and the planned number of seeds, for a caption."""
    largest = max(results.design["label_budgets"])
    return {"labels": budget_name(results, largest), "seeds": results.design["seeds"]}


def baseline_style(name: str) -> dict[str, Any]:
    """Grey line of a baseline with its own dashes and marker."""
    dashes, marker = BASELINE_STYLES.get(name, ("-", "x"))
    return {"color": GREY, "linestyle": dashes, "marker": marker, "linewidth": 1.1}


def new_drawing(results: StudyResults, title: str, height: float) -> tuple[Drawing, str]:
    """An empty drawing of the common width and `height` inches, and its title, which names the data set."""
    title = f"{title}, {results.data['name']}" + (" (generated tweets)" if results.generated else "")
    lines = textwrap.wrap(title, 62, break_on_hyphens=False)
    drawing = Drawing(figsize=(WIDTH, height + 0.2 * len(lines)), layout="constrained")
    drawing.get_layout_engine().set(w_pad=0.06, h_pad=0.06)  # type: ignore[union-attr, call-arg]
    drawing.suptitle("\n".join(lines), fontsize=12, fontweight="bold", x=0.01, ha="left")
    return drawing, title


def legend_below(drawing: Drawing, axes: Axes | Sequence[Axes], max_columns: int) -> None:
    """Put the legend of `axes` below the drawing, which grows by the legend's lines; each label once."""
    panels = [axes] if isinstance(axes, Axes) else axes
    pairs = [pair for panel in panels for pair in zip(*panel.get_legend_handles_labels(), strict=True)]
    unique = {label: handle for handle, label in pairs}
    if unique:
        columns = max(n for n in range(1, max_columns + 1) if n == 1 or _legend_width(list(unique), n) <= WIDTH)
        drawing.set_figheight(drawing.get_figheight() + 0.2 * -(-len(unique) // columns))
        drawing.legend(unique.values(), unique.keys(), loc="outside lower center", ncols=columns, handlelength=3.2)


def _legend_width(labels: list[str], columns: int) -> float:
    """Approximate width in inches of a legend: per column the handle and its longest label."""
    filled = [column for column in np.array_split(labels, columns) if len(column)]
    return sum(0.7 + 0.063 * max(map(len, column)) for column in filled)


def ordered(names: Sequence[str], first: Sequence[str]) -> list[str]:
    """Unique `names`: those in `first` in its order, then the others sorted."""
    return [*(name for name in first if name in set(names)), *sorted(set(names) - set(first))]


def variants_in(results: StudyResults, frame: pd.DataFrame, *, repetitions: bool = True) -> list[str]:
    """The variants in `frame`, in the order of the design; without repetitions with fewer unlabelled texts if asked."""
    hidden = () if repetitions else results.design.get("repetitions", ())
    return ordered([str(name) for name in frame["variant"] if name not in hidden], results.design["variants"])


def budget_labels(results: StudyResults, budgets: Sequence[int]) -> list[str]:
    """Tick labels of label budgets; the number of `all (7,200)` is on a second line."""
    return [budget_name(results, budget).replace(" (", "\n(") for budget in budgets]


def log_budget_axis(axes: Axes, results: StudyResults, budgets: Sequence[int]) -> None:
    """Make x a logarithmic axis with ticks at the study's label budgets."""
    axes.set_xscale("log")
    axes.set_xticks(budgets, budget_labels(results, budgets))
    axes.set_xticks([], minor=True)
    axes.set_xlim(min(budgets) / MARGIN, max(budgets) * MARGIN)


def shorten(text: str, width: int) -> str:
    """`text` on one line, cut with an ellipsis to `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def half_widths(frame: pd.DataFrame, factor: float = 1.0, suffix: str = "") -> NDArray[np.float64]:
    """Distances (2, rows) from `mean` to `low` and to `high`, times `factor`; NaN where there is no interval.

    With the suffix `_total`, those to `low_total` and to `high_total`.
    """
    columns = ("mean", f"low{suffix}", f"high{suffix}")
    mean, low, high = (pd.to_numeric(frame[name]).to_numpy(dtype=float) for name in columns)
    distances: NDArray[np.float64] = np.abs(np.stack([mean - low, high - mean])) * factor
    return distances


def count_range(counts: Iterable[int]) -> str:
    """The range of counts: `10`, or `9 to 10`."""
    unique = sorted({int(count) for count in counts})
    return f"{unique[0]}" if len(unique) == 1 else f"{unique[0]} to {unique[-1]}"


def with_values(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """The rows of `frame` that have a value in `column`; `frame` itself where it is empty and may lack the column."""
    return frame.dropna(subset=[column]) if len(frame) else frame


def wrapped_names(variants: Sequence[str], width: int = 16) -> tuple[list[str], float]:
    """Prose names on lines of at most `width` characters, and the inches that the tallest of them needs."""
    names = ["\n".join(textwrap.wrap(prose_name(variant), width)) for variant in variants]
    return names, 0.17 * (1 + max(name.count("\n") for name in names))
