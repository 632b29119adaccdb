"""Figures of paired differences: a forest plot with decisions, the lead on resplits and by amount of text."""

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pipeline.config.variants import prose_name, variant_style
from pipeline.study.report.figures.style import (
    GREY,
    LIGHT,
    SMALL,
    Sketch,
    budget_labels,
    captioned,
    count_range,
    legend_below,
    log_budget_axis,
    new_drawing,
    panels_for,
    wrapped_names,
)
from pipeline.study.report.formatting import budget_name, number, points_text, records, score_text
from pipeline.study.report.phrases import effect_text
from pipeline.study.report.study_results import StudyResults
from pipeline.study.statistics.frames import LEARNED

ROW = 0.27  # inches
HEADING = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
# Marker and whether it is filled. The colour is that of the better variant; the decision is written next to it.
DECISIONS = {
    "higher": (">", True), "lower": ("<", True), "equivalent": ("s", True), "undecided": ("o", False),
    "too few seeds": ("X", False),
}  # fmt: skip


def differences(results: StudyResults) -> Sketch | None:
    """Every planned pair at every label budget: both intervals, the decision, and the zone of negligible effects."""
    rows = [row for row in records(results.differences) if row["planned"] and number(row["mean"]) is not None]
    if not rows:
        return None
    metric, smallest = results.design["metric_name"], results.design["smallest_effect"]
    pairs = list(dict.fromkeys((row["a"], row["b"]) for row in rows))
    headings = [textwrap.wrap(f"{prose_name(first)} − {prose_name(second)}", 64) for first, second in pairs]
    lines = len(rows) + sum(0.5 + len(heading) for heading in headings)
    drawing, title = new_drawing(results, f"Paired differences in test {metric}", ROW * lines + 1.35)
    axes = drawing.add_subplot()
    axes.axvspan(-100 * smallest, 100 * smallest, color=LIGHT, linewidth=0, zorder=0)
    axes.axvline(0, color="black", linewidth=1, zorder=1)
    ticks: dict[float, str] = {}
    y = 0.0
    for pair, heading in zip(pairs, headings, strict=True):
        y += 0.5 + (len(heading) - 1) / 2
        # Blended coordinates: x as a fraction of the axes' width, y in rows.
        text, x_fraction = "\n".join(heading), axes.get_yaxis_transform()
        axes.text(0.0, y, text, transform=x_fraction, weight="bold", va="center", bbox=HEADING)
        y += (len(heading) - 1) / 2
        for row in rows:
            if (row["a"], row["b"]) == pair:
                y += 1
                ticks[y] = budget_name(results, row["label_budget"])
                _draw_row(axes, y, row)
        y += 1
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.set_ylim(y - 0.3, -0.2)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_ylabel("labelled tweets")
    axes.set_xlabel(f"points of {metric} (first − second)")
    used = {str(row["decision"]) for row in rows}
    handles = [
        *(Line2D([], [], ls="", markersize=7, label=name, **_marker(name)) for name in DECISIONS if name in used),
        Line2D([], [], color=GREY, linewidth=6, label="over seeds"),
        Line2D([], [], color=GREY, linewidth=1.1, label="seeds and tweets"),
        Patch(color=LIGHT, label=f"below {effect_text(smallest)}"),
    ]
    drawing.legend(handles=handles, loc="outside lower center", ncols=4, handlelength=1.8)
    seeds = count_range(row["n"] for row in rows)
    return captioned("differences", title, drawing, metric=metric, seeds=seeds, small=effect_text(smallest))


def _draw_row(axes: Axes, y: float, row: dict[str, Any]) -> None:
    decision = str(row["decision"])
    colour = variant_style(row["a"] if decision == "higher" else row["b"])["color"]
    colour = colour if decision in ("higher", "lower") else GREY
    for low, high, width in (("low_total", "high_total", 1.1), ("low", "high", 6)):
        bottom, top = number(row[low]), number(row[high])
        if bottom is not None and top is not None:
            axes.plot([100 * bottom, 100 * top], [y, y], color=colour, linewidth=width, solid_capstyle="butt")
    axes.plot(100 * row["mean"], y, color=colour, markersize=6, **_marker(decision, colour))
    text, transform = (
        f"{points_text(row['mean'], row['low_total'], row['high_total'])}  {decision}",
        axes.get_yaxis_transform(),
    )
    axes.annotate(text, (1.01, y), xycoords=transform, va="center", fontsize=SMALL, annotation_clip=False)


def _marker(decision: str, colour: str = GREY) -> dict[str, Any]:
    marker, filled = DECISIONS.get(decision, ("o", False))
    return {"marker": marker, "markerfacecolor": colour if filled else "white", "markeredgecolor": "black"}


def resplits(results: StudyResults) -> Sketch | None:
    """Lead of each variant that started from vectors by label budget: on the test split, and on the resplits."""
    pairs = [(first, LEARNED) for first in results.design["variants"]]
    of_resplits = {pair: lead_rows(results.resplits, *pair) for pair in pairs}
    pairs = [pair for pair in pairs if of_resplits[pair]]
    if not pairs:
        return None
    metric = results.design["metric_name"]
    columns = min(len(pairs), 2)
    titles, title_height = wrapped_names([first for first, _ in pairs], 36)
    height = (2.6 + title_height) * -(-len(pairs) // columns) + 0.8
    drawing, title = new_drawing(results, "Lead on the test split and on resplits", height)
    panels = panels_for(drawing, [first for first, _ in pairs], columns, sharex=True, sharey=True)
    budgets = [int(row["label_budget"]) for row in of_resplits[pairs[0]]]
    for index, (pair, panel) in enumerate(zip(pairs, panels, strict=True)):
        colour = variant_style(pair[0])["color"]
        of_test = lead_rows(results.differences, *pair, "_total")
        lines = ((of_test, "-", "o", "own test split"), (of_resplits[pair], "--", "s", "resplits of train"))
        for rows, dashes, marker, label in lines:
            x = [row["label_budget"] for row in rows]
            panel.plot(x, [100 * row["mean"] for row in rows], dashes, marker=marker, color=colour, label=label)
            if all(row["low"] is not None for row in rows):
                low, high = ([100 * row[end] for row in rows] for end in ("low", "high"))
                panel.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        panel.axhline(0, color="black", linewidth=1)
        panel.set_title(titles[index], loc="left", fontweight="bold")
        log_budget_axis(panel, results, budgets)
        if index % columns == 0:
            panel.set_ylabel(f"points of {metric}")
        if index + columns >= len(pairs):
            panel.set_xlabel("labelled tweets (logarithmic)")
        panel.grid()
    legend_below(drawing, panels[0], 2)
    numbers = count_range(row["n"] for rows in of_resplits.values() for row in rows)
    return captioned("resplits", title, drawing, learned=prose_name(LEARNED), metric=metric, resplits=numbers)


def amounts(results: StudyResults) -> Sketch | None:
    """Heat map of the lead over vectors learned from scratch by labels and unlabelled texts, with the crossover."""
    frame = results.amounts
    if frame.empty:
        return None
    metric, names = results.design["metric_name"], list(dict.fromkeys(frame["variant"]))
    sizes = frame.groupby("variant")["unlabelled_texts"].nunique()
    height = sum(0.4 * sizes[name] + 1.0 for name in names)
    drawing, title = new_drawing(results, "Lead by amount of text that CBOW read", height)
    panels = drawing.subplots(len(names), 1, squeeze=False, height_ratios=[sizes[name] + 1 for name in names])[:, 0]
    limit = max(100 * float(frame["mean"].abs().max()), 0.1)
    for name, panel in zip(names, panels, strict=True):
        cells = frame[frame["variant"] == name]
        leads = 100 * cells.pivot(index="unlabelled_texts", columns="label_budget", values="mean")
        image = panel.imshow(leads, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto", origin="lower")
        for row in records(cells):
            x, y = (axis.get_loc(row[axis.name]) for axis in (leads.columns, leads.index))
            colour = "white" if abs(100 * row["mean"]) > 0.6 * limit else "black"
            text = score_text(row["mean"], row["low"], row["high"])
            panel.text(x, y, f"{'+' * (row['mean'] > 0)}{text}", ha="center", va="center", color=colour, fontsize=SMALL)
        if min(leads.shape) > 1 and leads.min(axis=None) < 0 < leads.max(axis=None):
            x, y = ([-0.5, *range(size), size - 0.5] for size in leads.shape[::-1])  # to the edge of the outer cells
            panel.contour(x, y, np.pad(leads, 1, mode="edge"), levels=[0], colors="black", linewidths=1.5)
        panel.set_xticks(range(leads.shape[1]), budget_labels(results, list(leads.columns)))
        panel.set_yticks(range(leads.shape[0]), [f"{size:,}" for size in leads.index])
        panel.set_title(prose_name(name), loc="left", fontweight="bold")
        panel.set_ylabel("unlabelled texts")
    panels[-1].set_xlabel("labelled tweets")
    drawing.colorbar(image, ax=list(panels), label=f"points of {metric}")
    seeds = count_range(frame["n"])
    return captioned("amounts", title, drawing, learned=prose_name(LEARNED), metric=metric, seeds=seeds)


def lead_rows(frame: pd.DataFrame, first: str, second: str, suffix: str = "") -> list[dict[str, Any]]:
    """The rows of first minus second by label budget, with `low` and `high` of that suffix as numbers or None."""
    rows = [row for row in records(frame) if (row["a"], row["b"]) == (first, second)]
    bounds = (("low", f"low{suffix}"), ("high", f"high{suffix}"))
    return [row | {name: number(row[column]) for name, column in bounds} for row in rows]
