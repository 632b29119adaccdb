"""Where the variants err: by how much of a tweet is new to them, and by its true label."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.variants import variant_style
from pipeline.study.report.figures.style import (
    SMALL,
    Sketch,
    half_widths,
    legend_below,
    new_drawing,
    ordered,
    shorten,
    variants_in,
)
from pipeline.study.report.formatting import budget_name, records
from pipeline.study.report.study_results import StudyResults

BESIDE = 4  # up to so many classes, two matrices stand side by side
NUMBERED = 12  # up to so many classes, cells hold numbers
NAMED = 40
TILTED: tuple[dict[str, Any], dict[str, Any]] = (
    {"rotation": 20, "ha": "right", "rotation_mode": "anchor"},
    {"rotation": 90},
)


def unknown_words(findings: StudyResults) -> Sketch | None:
    """Accuracy by the share of a tweet's tokens that no labelled tweet had."""
    frame = findings.unknown.dropna(subset=["accuracy"]) if len(findings.unknown) else findings.unknown
    if frame.empty:
        return None
    bands = list(dict.fromkeys(str(band) for band in findings.unknown["band"]))
    tweets = {str(row["band"]): row["tweets"] for row in records(frame)}
    drawing, title = new_drawing(findings, "Accuracy by share of tokens that no labelled tweet had", 3.9)
    axes = drawing.add_subplot()
    names = variants_in(findings, frame)
    step = min(0.14, 0.7 / len(names))
    for place, name in enumerate(names):
        points = frame[frame["variant"] == name].rename(columns={"accuracy": "mean"})
        x = [bands.index(str(band)) + step * (place - (len(names) - 1) / 2) for band in points["band"]]
        style = variant_style(name) | {"linestyle": ""}
        y = 100 * pd.to_numeric(points["mean"])
        axes.errorbar(x, y, half_widths(points, 100), label=name, markersize=7, capsize=3, **style)
    axes.set_xticks(range(len(bands)), [f"{shorten(band, 14)}\n({tweets.get(band, 0):,.0f})" for band in bands])
    axes.set_xlim(-0.5, len(bands) - 0.5)
    axes.grid(axis="y")
    axes.set_xlabel("share of the tweet's tokens that no labelled tweet had (tweets)")
    axes.set_ylabel("test accuracy, %")
    legend_below(drawing, axes, 2)
    largest = budget_name(findings, max(findings.design["label_budgets"]))
    caption = (
        f"Test accuracy with {largest} labels by how much of a tweet the labelled tweets never showed, with 95 % "
        "intervals. In brackets: tweets per band."
    )
    return Sketch(title, caption, drawing)


def confusion(findings: StudyResults) -> Sketch | None:
    """One matrix per variant: shares of the true label, and how many tweets."""
    names = ordered(list(findings.confusion), findings.design["variants"])
    if not names:
        return None
    columns = 2 if len(findings.data["label_names"]) <= BESIDE and len(names) > 1 else 1
    labels = [shorten(str(label), 12 if columns == 2 else 18) for label in findings.data["label_names"]]
    rows = -(-len(names) // columns)
    cell = 0.55 if columns == 2 else 0.5 if len(labels) <= NUMBERED else 0.24
    height = min(cell * len(labels), 7.0) + (1.1 if columns == 2 else 1.6)
    drawing, title = new_drawing(findings, "Confusion matrices", rows * height)
    panels = drawing.subplots(rows, columns, squeeze=False).flatten()
    for panel, name in zip(panels, names, strict=False):
        counts = np.asarray(findings.confusion[name], dtype=float)
        totals = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
        panel.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        if len(labels) <= NUMBERED:
            for row, column in np.ndindex(counts.shape):
                text = f"{100 * shares[row, column]:.0f} %" + f"\n{counts[row, column]:,.0f}" * (len(labels) <= BESIDE)
                colour = "white" if shares[row, column] > 0.55 else "black"
                panel.text(column, row, text, ha="center", va="center", fontsize=SMALL, color=colour)
        shown = labels if len(labels) <= NAMED else []
        panel.set_xticks(range(len(shown)), shown, **TILTED[len(labels) > BESIDE])
        panel.set_yticks(range(len(shown)), shown)
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
        panel.set_title(name, loc="left", fontweight="bold")
        panel.set_ylabel("true")
        panel.set_xlabel("predicted")
    for unused in panels[len(names) :]:
        unused.set_axis_off()
    largest = budget_name(findings, max(findings.design["label_budgets"]))
    caption = (
        f"Test tweets by true and predicted label with {largest} labels: shares of the true label"
        + (" and, below, tweets" if len(labels) <= BESIDE else "")
        + f", mean over the seeds ({findings.design['seeds']} planned), without an interval."
    )
    return Sketch(title, caption, drawing)
