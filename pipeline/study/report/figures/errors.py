"""Figures of errors: accuracy by share of unseen tokens, and confusion matrices."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.variants import prose_name, variant_style
from pipeline.study.report.figures.style import (
    SMALL,
    Sketch,
    budget_and_seeds,
    captioned,
    half_widths,
    legend_below,
    new_drawing,
    ordered,
    shorten,
    variants_in,
    with_values,
    wrapped_names,
)
from pipeline.study.report.formatting import records
from pipeline.study.report.study_results import StudyResults

MAX_SIDE_BY_SIDE = 4  # classes up to which two matrices share a row of panels
MAX_NUMBERED = 12  # classes up to which cells hold numbers
MAX_NAMED = 40  # classes up to which axes hold names
TILTED: tuple[dict[str, Any], dict[str, Any]] = (
    {"rotation": 20, "ha": "right", "rotation_mode": "anchor"},
    {"rotation": 90},
)


def unknown_words(results: StudyResults) -> Sketch | None:
    """Accuracy by the share of a tweet's tokens that no labelled tweet contains."""
    frame = with_values(results.unknown, "accuracy")
    if frame.empty:
        return None
    bands = list(dict.fromkeys(str(band) for band in results.unknown["band"]))
    tweets = {str(row["band"]): row["tweets"] for row in records(frame)}
    drawing, title = new_drawing(results, "Accuracy by share of unseen tokens", 3.9)
    axes = drawing.add_subplot()
    names = variants_in(results, frame)
    step = min(0.14, 0.7 / len(names))
    for index, name in enumerate(names):
        points = frame[frame["variant"] == name].rename(columns={"accuracy": "mean"})
        x = [bands.index(str(band)) + step * (index - (len(names) - 1) / 2) for band in points["band"]]
        style = variant_style(name) | {"linestyle": ""}
        y = 100 * pd.to_numeric(points["mean"])
        axes.errorbar(x, y, half_widths(points, 100), label=prose_name(name), markersize=7, capsize=3, **style)
    axes.set_xticks(range(len(bands)), [f"{shorten(band, 14)}\n({tweets.get(band, 0):,.0f})" for band in bands])
    axes.set_xlim(-0.5, len(bands) - 0.5)
    axes.grid(axis="y")
    axes.set_xlabel("share of the tweet's tokens that no labelled tweet contains (number of tweets)")
    axes.set_ylabel("test accuracy, %")
    legend_below(drawing, axes, 2)
    return captioned("unknown_words", title, drawing, **budget_and_seeds(results))


def confusion(results: StudyResults) -> Sketch | None:
    """One matrix per variant: shares of the true label, and how many tweets."""
    names = ordered(list(results.confusion), results.design["variants"])
    if not names:
        return None
    columns = 2 if len(results.data["label_names"]) <= MAX_SIDE_BY_SIDE and len(names) > 1 else 1
    labels = [shorten(str(label), 12 if columns == 2 else 18) for label in results.data["label_names"]]
    rows = -(-len(names) // columns)
    cell = 0.55 if columns == 2 else 0.5 if len(labels) <= MAX_NUMBERED else 0.24
    height = min(cell * len(labels), 7.0) + (0.9 if columns == 2 else 1.4)
    titles, title_height = wrapped_names(names, 28 if columns == 2 else 72)
    drawing, title = new_drawing(results, "Confusion matrices", rows * (height + title_height))
    panels = drawing.subplots(rows, columns, squeeze=False).flatten()
    for panel, panel_title, name in zip(panels, titles, names, strict=False):
        counts = np.asarray(results.confusion[name], dtype=float)
        totals = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
        panel.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        if len(labels) <= MAX_NUMBERED:
            for row, column in np.ndindex(counts.shape):
                text = f"{100 * shares[row, column]:.0f} %" + f"\n{counts[row, column]:,.0f}" * (
                    len(labels) <= MAX_SIDE_BY_SIDE
                )
                colour = "white" if shares[row, column] > 0.55 else "black"
                panel.text(column, row, text, ha="center", va="center", fontsize=SMALL, color=colour)
        ticks = labels if len(labels) <= MAX_NAMED else []
        panel.set_xticks(range(len(ticks)), ticks, **TILTED[len(labels) > MAX_SIDE_BY_SIDE])
        panel.set_yticks(range(len(ticks)), ticks)
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
        panel.set_title(panel_title, loc="left", fontweight="bold", fontsize=SMALL)
        panel.set_ylabel("true")
        panel.set_xlabel("predicted")
    for unused in panels[len(names) :]:
        unused.set_axis_off()
    counts = " and number of tweets" if len(labels) <= MAX_SIDE_BY_SIDE else ""
    return captioned("confusion", title, drawing, counts=counts, **budget_and_seeds(results))
