"""Forest plot of the planned paired differences, with intervals and decisions."""

import textwrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pipeline.config.variants import prose_name, variant_style
from pipeline.study.report.figures.style import GREY, LIGHT, SMALL, Sketch, captioned, count_range, new_drawing
from pipeline.study.report.formatting import budget_name, number, points_text, records
from pipeline.study.report.phrases import effect_text
from pipeline.study.report.study_results import StudyResults

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
