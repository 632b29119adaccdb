"""The two plots of a run: confusion matrix and learning curves.

Figures are built without pyplot, which keeps global state and is not thread-safe.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

TRAIN, VALIDATION, CHOSEN = "#b5651d", "#1f5a94", "#555555"


def plot_confusion(path: Path, confusion: NDArray[np.integer], label_names: Sequence[str], title: str) -> None:
    """Draw the confusion matrix (C, C), true classes as rows; colour and percentages are shares of the row."""
    classes = len(label_names)
    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.zeros(confusion.shape), where=totals > 0)
    side = min(3.2 + 0.8 * classes, 18.0)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if classes <= 20:
        for row, column in np.ndindex(confusion.shape):
            text = f"{confusion[row, column]:,}\n{shares[row, column]:.0%}"
            colour = "white" if shares[row, column] > 0.55 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=10 if classes < 8 else 7)
    axes.set_xticks(range(classes), label_names, rotation=35 if classes > 3 else 0, parse_math=False)
    axes.set_yticks(range(classes), label_names, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"{title}\n{int(confusion.sum()):,} test tweets", fontsize=11, parse_math=False)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
    _save(figure, path)


def plot_curves(
    path: Path, history: Sequence[Mapping[str, float]], monitor: str, chosen_epoch: int | None, title: str
) -> None:
    """Draw the losses and the score `monitor` that chose the epoch, per epoch; mark the chosen epoch."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    loss, score = figure.subplots(1, 2)
    for axes, key, label, colour in (
        (loss, "train/loss", "training loss", TRAIN),
        (loss, "validation/nll", "validation loss (nll)", VALIDATION),
        (score, f"validation/{monitor}", f"validation {monitor}", VALIDATION),
    ):
        if points := [(row["epoch"], row[key]) for row in history if key in row]:
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3.5, linewidth=1.6, color=colour, label=label)
    loss.set_ylabel("loss (nats per tweet)")
    score.set_ylabel(monitor)
    for axes in (loss, score):
        if chosen_epoch is not None:
            axes.axvline(chosen_epoch, color=CHOSEN, linestyle="--", linewidth=1, label=f"chosen epoch {chosen_epoch}")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
        else:
            axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center")
    figure.suptitle(title, fontsize=11, parse_math=False)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    """Write a PNG without date or version. Characters that the font lacks show as boxes, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
        figure.savefig(path, format="png", metadata={"Software": None})
