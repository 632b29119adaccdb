"""The figures of a search: expected best score by number of trials, and every trial by each hyper-parameter."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from pipeline.config.variants import prose_name, variant_style
from pipeline.study.design import value_of
from pipeline.study.report.figures.style import GREY, Sketch, legend_below, new_drawing
from pipeline.study.report.study_results import StudyResults
from pipeline.study.search.search_results import TEXTS, SearchResults
from pipeline.study.search.space import Range
from pipeline.study.statistics.expected_best import best_so_far

COLUMNS = 2
BAND = 0.13  # opacity


def curves(search: SearchResults, results: StudyResults) -> Sketch:
    """Expected best validation score against number of trials; with dependent trials, the best so far as well."""
    name = search.score_name.partition(",")[0]
    drawing, title = new_drawing(results, f"Expected best {name} by trials", 4.2)
    axes = drawing.add_subplot()
    scale = 100 if search.sign == 1 else -1
    trials = np.arange(1, search.budget + 1)
    for variant, band in search.bands.items():
        style = variant_style(variant)
        every = max(1, search.budget // 10)
        axes.plot(trials, scale * band.mean, label=prose_name(variant), markersize=5, markevery=every, **style)
        axes.fill_between(trials, scale * band.low, scale * band.high, color=style["color"], alpha=BAND, linewidth=0)
        if not search.independent:
            so_far = scale * best_so_far(search.scores[variant])
            axes.step(trials, so_far, where="post", color=style["color"], linestyle=":")
    # Bands of one trial are wide where some settings are useless; the limits follow the curves, which are compared.
    means = [scale * band.mean for band in search.bands.values()]
    low, high = float(np.min(means)), float(np.max(means))
    margin = 0.15 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)
    axes.set_xlim(1, search.budget)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid()
    axes.set_xlabel("settings tried")
    axes.set_ylabel(f"best {search.score_name}")
    caption = TEXTS["captions"]["curves"].format(score=name, trials=search.budget)
    if not search.independent:
        axes.add_line(Line2D([], [], color=GREY, linestyle=":", label="best so far, as tried"))
        caption += f" {TEXTS['captions']['best_so_far']}"
    legend_below(drawing, axes, 2)
    return Sketch(title, caption, drawing)


def slices(search: SearchResults, results: StudyResults) -> Sketch:
    """The score of every trial by the value of each hyper-parameter, the best ones marked."""
    rows = -(-len(search.ranges) // COLUMNS)
    score = search.score_name.partition(",")[0]
    drawing, title = new_drawing(results, f"Every trial's {score} by hyper-parameter", 2.3 * rows)
    panels = drawing.subplots(rows, COLUMNS, squeeze=False, sharey=True).flatten()
    for panel, range_ in zip(panels, search.ranges, strict=False):
        _slice(panel, search, range_)
    for unused in panels[len(search.ranges) :]:
        unused.set_axis_off()
    for panel in panels[::COLUMNS]:
        panel.set_ylabel(search.score_name)
    legend_below(drawing, panels[0], 2)
    return Sketch(title, TEXTS["captions"]["slices"].format(score=score), drawing)


def _slice(panel: Axes, search: SearchResults, range_: Range) -> None:
    choices = [str(choice) for choice in range_.choices]
    scale = 100 if search.sign == 1 else 1

    def position(value: Any) -> float:
        return float(choices.index(str(value)) if choices else value)

    if choices:
        panel.set_xticks(range(len(choices)), choices)
    elif range_.log:
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.xaxis.set_minor_formatter(NullFormatter())
    for number, (variant, best) in enumerate(search.best.items()):
        style = {key: value for key, value in variant_style(variant).items() if key != "linestyle"}
        # Choices stand side by side, so that variants do not hide each other.
        shift = 0.12 * (number - (len(search.best) - 1) / 2) if choices else 0.0
        points = [
            (position(trial.setting[range_.key]) + shift, scale * trial.score)
            for trial in search.trials
            if trial.variant == variant and trial.score is not None
        ]
        x, y = zip(*points, strict=True)
        panel.plot(x, y, linestyle="", markersize=4, alpha=0.65, label=prose_name(variant), **style)
        assert best.score is not None
        marked = position(best.setting[range_.key]) + shift, scale * best.score
        panel.plot(*marked, markersize=10, markeredgecolor="black", **style)
    default = value_of(search.config, range_.key)
    on_axis = str(default) in choices if choices else default is not None and (default > 0 or not range_.log)
    if on_axis:
        panel.axvline(position(default), color=GREY, linewidth=1, zorder=0)
    if not choices:
        low, high = range_.low, range_.high
        margin = (high / low) ** 0.05 if range_.log else 0.05 * (high - low)
        panel.set_xlim(*((low / margin, high * margin) if range_.log else (low - margin, high + margin)))
    panel.set_xlabel(range_.key)
    panel.grid(axis="y")
