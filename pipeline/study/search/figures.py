"""The figures of a search: expected best score by number of trials, and the trials by each hyper-parameter."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from pipeline.config.variants import variant_style
from pipeline.study.report.figures.all import Figure, draw_all
from pipeline.study.report.figures.differences import differences
from pipeline.study.report.figures.style import GREY, Sketch, legend_below, new_drawing
from pipeline.study.search.answers import INDEPENDENT, factor, monitor_name, unit
from pipeline.study.search.search_results import SearchResults, Space
from pipeline.study.statistics.expected_best import best_so_far

COLUMNS = 2
BAND = 0.13  # opacity


def write_search_figures(found: SearchResults, folder: Path) -> list[Figure]:
    """Draw the curves, the slices and the forest plot of the test scores as `NAME.png` and `NAME.svg` in `folder`."""
    return draw_all(FIGURES, found, folder, prefix="search-")


def curves(found: SearchResults) -> Sketch:
    """Expected best validation score against number of trials; with dependent trials, the best so far as well."""
    drawing, title = new_drawing(found.findings, f"Expected best validation {monitor_name(found)} by trials", 4.2)
    axes = drawing.add_subplot()
    scale = found.sign * factor(found)
    trials = np.arange(1, found.budget + 1)
    scores = found.scores()
    for name, band in found.bands().items():
        style = variant_style(name)
        every = max(1, found.budget // 10)
        axes.plot(trials, scale * band.mean, label=name, markersize=5, markevery=every, **style)
        axes.fill_between(trials, scale * band.low, scale * band.high, color=style["color"], alpha=BAND, linewidth=0)
        if found.sampler not in INDEPENDENT:
            axes.step(trials, scale * best_so_far(scores[name]), where="post", color=style["color"], linestyle=":")
    if found.sampler not in INDEPENDENT:
        axes.add_line(Line2D([], [], color=GREY, linestyle=":", label="best so far, as tried"))
    # Bands of one trial are wide where some settings are useless; what is compared are the curves.
    means = [scale * band.mean for band in found.bands().values()]
    low, high = float(np.min(means)), float(np.max(means))
    margin = 0.15 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)
    axes.set_xlim(1, found.budget)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid()
    axes.set_xlabel("settings tried")
    axes.set_ylabel(f"best validation {monitor_name(found)}{unit(found)}")
    legend_below(drawing, axes, 2)
    caption = (
        f"Mean best validation {monitor_name(found)} of k of the {found.budget} settings tried for each variant "
        "(all subsets of k, no bias for independent trials), with a 95 % bootstrap band over settings."
    )
    if found.sampler not in INDEPENDENT:
        caption += (
            " Dotted: the best so far in the order tried. The sampler learned from trial to trial, so only these "
        )
        caption += "are what a shorter search would have found."
    return Sketch(title, caption, drawing)


def slices(found: SearchResults) -> Sketch:
    """The score of every trial by the value of each hyper-parameter, the best ones marked."""
    rows = -(-len(found.spaces) // COLUMNS)
    name = monitor_name(found)
    drawing, title = new_drawing(found.findings, f"Validation {name} of every trial by hyper-parameter", 2.3 * rows)
    panels = drawing.subplots(rows, COLUMNS, squeeze=False, sharey=True).flatten()
    for panel, space in zip(panels, found.spaces, strict=False):
        _slice(panel, found, space)
    for unused in panels[len(found.spaces) :]:
        unused.set_axis_off()
    for panel in panels[::COLUMNS]:
        panel.set_ylabel(f"{name}{unit(found)}")
    legend_below(drawing, panels[0], 2)
    caption = (
        f"Every trial's mean validation {name} by the value of one hyper-parameter, the others varying with it; "
        "large marks are the best setting of each variant, the grey line is the default. Trials that diverged are left "
        "out."
    )
    return Sketch(title, caption, drawing)


def _slice(panel: Axes, found: SearchResults, space: Space) -> None:
    texts = [str(choice) for choice in space.choices]

    def place(value: Any) -> float:
        return float(texts.index(str(value)) if texts else value)

    if texts:
        panel.set_xticks(range(len(texts)), texts)
    elif space.log:
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.xaxis.set_minor_formatter(NullFormatter())
    for number, name in enumerate(found.variants):
        style = {key: value for key, value in variant_style(name).items() if key != "linestyle"}
        own = [trial for trial in found.trials if trial.variant == name and trial.score is not None]
        # Choices stand side by side, so that variants do not hide each other.
        shift = 0.12 * (number - (len(found.variants) - 1) / 2) if space.choices else 0.0
        x = [place(trial.setting[space.key]) + shift for trial in own]
        y = [factor(found) * (trial.score or 0.0) for trial in own]
        panel.plot(x, y, linestyle="", markersize=4, alpha=0.65, label=name, **style)
        best = found.best(name)
        assert best.score is not None
        at = place(best.setting[space.key]) + shift, factor(found) * best.score
        panel.plot(*at, markersize=10, markeredgecolor="black", **style)
    known = str(space.default) in texts if texts else space.default is not None and (space.default > 0 or not space.log)
    if known:
        panel.axvline(place(space.default), color=GREY, linewidth=1, zorder=0)
    if space.ends is not None:
        low, high = space.ends
        margin = (high / low) ** 0.05 if space.log else 0.05 * (high - low)
        panel.set_xlim(*((low / margin, high * margin) if space.log else (low - margin, high + margin)))
    panel.set_xlabel(space.key)
    panel.grid(axis="y")


FIGURES: dict[str, Callable[[SearchResults], Sketch | None]] = {
    "curves": curves,
    "slices": slices,
    "differences": lambda found: differences(found.findings),
}
