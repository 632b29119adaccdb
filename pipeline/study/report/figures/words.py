"""Figures of the word vectors (probes, transfer, drift) and of errors (unseen tokens, confusion matrices)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pipeline.config.variants import prose_name, variant_style
from pipeline.study.report.figures import style
from pipeline.study.report.formatting import budget_name, records
from pipeline.study.report.study_results import StudyResults
from pipeline.study.report.tables import MEANS_OF_TASKS, PROBE_CHANCE, main_probes

SIDES = ("before", "after")
MEASURES = {
    "spearman": "Spearman's ρ",
    "auc": "AUC",
    "neighbours": "neighbours of the same polarity",
    "nearer": "synonym nearer than antonym",
}
MAX_SIDE_BY_SIDE = 4  # classes up to which two matrices share a row of panels
MAX_NUMBERED = 12  # classes up to which cells hold numbers
MAX_NAMED = 40  # classes up to which axes hold names
TILTED: tuple[dict[str, Any], dict[str, Any]] = (
    {"rotation": 20, "ha": "right", "rotation_mode": "anchor"},
    {"rotation": 90},
)


def probes(results: StudyResults) -> style.Sketch | None:
    """One panel per probe, one row per variant: the value before training (hollow) and after (filled)."""
    frame = style.with_values(main_probes(results), "mean")
    if frame.empty:
        return None
    names = list(dict.fromkeys(map(str, frame["probe"])))
    variants = style.variants_in(results, frame)
    labels, label_height = style.wrapped_names(variants)
    rows = -(-len(names) // 2)
    height = rows * (0.9 + max(0.4, label_height) * len(variants)) + 0.8
    drawing, title = style.new_drawing(results, "Probes of the word vectors before and after training", height)
    panels = style.panels_for(drawing, names, 2, sharey=True)
    for panel, name in zip(panels, names, strict=True):
        for y, variant in enumerate(variants):
            _draw_probe(panel, y, frame[(frame["probe"] == name) & (frame["variant"] == variant)], variant)
        *parts, measure = name.removeprefix("probe/").split("/")
        heading = style.shorten(" ".join(part for part in parts if part != "similarity"), 36)
        panel.axvline(PROBE_CHANCE[measure], color="black", linewidth=1.1, zorder=0.9)
        panel.set_title(f"{heading}:\n{MEASURES[measure]}", loc="left", fontweight="bold")
        panel.set_yticks(range(len(variants)), labels)
        panel.set_ylim(len(variants) - 0.4, -0.6)
        panel.margins(x=0.12)
        panel.grid()
    dot: dict[str, Any] = {"linestyle": "", "marker": "o", "color": style.GREY, "markersize": 7}
    before = Line2D([], [], label="before training", markerfacecolor="white", **dot)
    handles = [before, Line2D([], [], label="after training", **dot)]
    drawing.legend(handles=handles, loc="outside lower center", ncols=2)
    return style.captioned("probes", title, drawing, seeds=style.count_range(frame["n"]))


def _draw_probe(panel: Axes, y: float, rows: pd.DataFrame, variant: str, offset: float = 0.14) -> None:
    look = variant_style(variant)
    means = {str(row["when"]): float(row["mean"]) for row in records(rows)}
    if set(SIDES) <= set(means) and means["before"] != means["after"]:
        panel.plot(
            [means[side] for side in SIDES], [y - offset, y + offset], color=look["color"], linewidth=1, alpha=0.6
        )
    for side, shift in zip(SIDES, (-offset, offset), strict=True):
        point = rows[rows["when"] == side]
        if len(point):
            face = "white" if side == "before" else look["color"]
            panel.errorbar(
                point["mean"], [y + shift], xerr=style.half_widths(point), color=look["color"], marker=look["marker"],
                markersize=7, markerfacecolor=face, markeredgecolor=look["color"], markeredgewidth=1.4, linestyle="",
                capsize=2,
            )  # fmt: skip


def transfer(results: StudyResults) -> style.Sketch | None:
    """By task, the scores before (hollow) and after training (filled), and the gain by training with its interval."""
    frame = style.with_values(results.transfer, "mean")
    if frame.empty:
        return None
    names = [name for name in style.variants_in(results, frame) if not name.startswith("(")]
    tasks = sorted(dict.fromkeys(map(str, frame["task"])), key=lambda task: task in MEANS_OF_TASKS)
    height = 0.27 * len(names) * len(tasks) + 0.25 * len(tasks) + 0.8
    drawing, title = style.new_drawing(results, "Word vectors as features for other tasks", height)
    scores, gains = drawing.subplots(1, 2, sharey=True)
    percent = frame.assign(**{column: 100 * pd.to_numeric(frame[column]) for column in ("mean", "low", "high")})
    for position, task in enumerate(tasks):
        of_task = percent[percent["task"] == task]
        for row in records(of_task[of_task["variant"].str.startswith("(")]):
            dashes = {"linestyle": style.BASELINE_STYLES[str(row["variant"]).strip("()")][0], "color": style.GREY}
            scores.plot([row["mean"]] * 2, [position - 0.42, position + 0.42], label=row["variant"], **dashes)
        for index, name in enumerate(names):
            y = position + 0.8 * ((index + 0.5) / len(names) - 0.5)
            rows, look = of_task[of_task["variant"] == name], variant_style(name)
            _draw_probe(scores, y, rows[rows["when"].isin(SIDES)], name, offset=0.05)
            gain = rows[(rows["when"] == "gain") & (rows["mean"] != 0)]
            gains.errorbar(
                gain["mean"], [y] * len(gain), xerr=style.half_widths(gain), color=look["color"], marker=look["marker"],
                markersize=7, linestyle="", capsize=2, label=prose_name(name),
            )  # fmt: skip
    gains.axvline(0, color="black", linewidth=1.1, zorder=0.9)
    for panel, label in ((scores, "macro recall, %"), (gains, "gain by training, points")):
        panel.set_yticks(range(len(tasks)), [task.strip("()").replace(" of ", " of\n") for task in tasks])
        panel.set_ylim(len(tasks) - 0.4, -0.6)
        panel.set_xlabel(label)
        panel.grid(axis="x")
    style.legend_below(drawing, [gains, scores], 2)
    seeds = style.count_range(frame[frame["variant"].isin(names) & ~frame["task"].isin(MEANS_OF_TASKS)]["n"])
    return style.captioned("transfer", title, drawing, seeds=seeds)


def drift_by_frequency(results: StudyResults) -> style.Sketch | None:
    """How far training moved the word vectors, by the frequency of their words in the training text."""
    frame = style.with_values(results.bands, "mean_drift")
    if frame.empty:
        return None
    bands = list(dict.fromkeys(str(band) for band in frame["band"]))
    counts = {str(row["band"]): row["rows"] for row in records(frame)}
    drawing, title = style.new_drawing(results, "Drift of the word vectors during training", 5.0)
    upper, lower = drawing.subplots(2, 1, sharex=True)
    names = style.variants_in(results, frame)
    columns = {"mean_drift": "drift, 1 − cos", "mean_relative_l2": "change / initial length"}
    for axes, (column, label) in zip((upper, lower), columns.items(), strict=True):
        for index, name in enumerate(names):
            line = frame[frame["variant"] == name]
            axes.plot(
                [bands.index(str(band)) for band in line["band"]], pd.to_numeric(line[column]),
                label=prose_name(name), linewidth=1.8, markersize=max(10 - 1.5 * index, 4), **variant_style(name),
            )  # fmt: skip
        axes.set_xticks(range(len(bands)), [f"{band}\n({counts[band]:,.0f})" for band in bands])
        axes.set_ylabel(label)
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.grid(axis="y")
    lower.set_xlabel("occurrences of the word in the labelled tweets (number of words)")
    style.legend_below(drawing, upper, 2)
    return style.captioned("drift_by_frequency", title, drawing, **style.budget_and_seeds(results))


def unknown_words(results: StudyResults) -> style.Sketch | None:
    """Accuracy by the share of a tweet's tokens that no labelled tweet contains."""
    frame = style.with_values(results.unknown, "accuracy")
    if frame.empty:
        return None
    bands = list(dict.fromkeys(str(band) for band in results.unknown["band"]))
    tweets = {str(row["band"]): row["tweets"] for row in records(frame)}
    drawing, title = style.new_drawing(results, "Accuracy by share of unseen tokens", 3.9)
    axes = drawing.add_subplot()
    names = style.variants_in(results, frame)
    step = min(0.14, 0.7 / len(names))
    for index, name in enumerate(names):
        points = frame[frame["variant"] == name].rename(columns={"accuracy": "mean"})
        x = [bands.index(str(band)) + step * (index - (len(names) - 1) / 2) for band in points["band"]]
        look = variant_style(name) | {"linestyle": ""}
        y = 100 * pd.to_numeric(points["mean"])
        axes.errorbar(x, y, style.half_widths(points, 100), label=prose_name(name), markersize=7, capsize=3, **look)
    axes.set_xticks(range(len(bands)), [f"{style.shorten(band, 14)}\n({tweets.get(band, 0):,.0f})" for band in bands])
    axes.set_xlim(-0.5, len(bands) - 0.5)
    axes.grid(axis="y")
    axes.set_xlabel("share of the tweet's tokens that no labelled tweet contains (number of tweets)")
    axes.set_ylabel("test accuracy, %")
    style.legend_below(drawing, axes, 2)
    return style.captioned("unknown_words", title, drawing, **style.budget_and_seeds(results))


def unseen_leads(results: StudyResults) -> style.Sketch | None:
    """The lead over vectors learned from scratch by the share of unseen tokens: a panel per pair, a line per budget."""
    frame = style.with_values(results.unseen_leads, "mean")
    if frame.empty:
        return None
    names, bands = style.variants_in(results, frame.rename(columns={"a": "variant"})), list(frame["band"].unique())
    budgets = sorted({int(budget) for budget in frame["label_budget"]})
    titles, title_height = style.wrapped_names(names, 36)
    rows = -(-len(names) // 2)
    drawing, title = style.new_drawing(results, "Lead by share of unseen tokens", (2.4 + title_height) * rows + 0.9)
    panels = style.panels_for(drawing, names, 2, sharey=True)
    shades = colormaps["viridis"](np.linspace(0.0, 0.85, len(budgets)))
    for index, (panel, name) in enumerate(zip(panels, names, strict=True)):
        panel.axhline(0, color="black", linewidth=1)
        for step, (budget, shade) in enumerate(zip(budgets, shades, strict=True)):
            line = frame[(frame["a"] == name) & (frame["label_budget"] == budget)]
            x = [bands.index(band) + 0.12 * (step - (len(budgets) - 1) / 2) for band in line["band"]]
            label = f"{budget_name(results, budget)} labels"
            panel.errorbar(x, 100 * line["mean"], style.half_widths(line, 100), color=shade, marker="o", markersize=4,
                           linewidth=1, capsize=2, label=label)  # fmt: skip
        panel.set_title(titles[index], loc="left", fontweight="bold")
        panel.set_xticks(range(len(bands)), bands, rotation=30)
        panel.grid(axis="y")
        if index % 2 == 0:
            panel.set_ylabel("points of accuracy")
    style.legend_below(drawing, panels[0], 3)
    reference, seeds = prose_name(str(frame["b"].iloc[0])), style.count_range(frame["n"])
    return style.captioned("unseen_leads", title, drawing, learned=reference, seeds=seeds)


def confusion(results: StudyResults) -> style.Sketch | None:
    """One matrix per variant: shares of the true label, and how many tweets."""
    names = style.ordered(list(results.confusion), results.design["variants"])
    if not names:
        return None
    columns = 2 if len(results.data["label_names"]) <= MAX_SIDE_BY_SIDE and len(names) > 1 else 1
    labels = [style.shorten(str(label), 12 if columns == 2 else 18) for label in results.data["label_names"]]
    rows = -(-len(names) // columns)
    cell = 0.55 if columns == 2 else 0.5 if len(labels) <= MAX_NUMBERED else 0.24
    height = min(cell * len(labels), 7.0) + (0.9 if columns == 2 else 1.4)
    titles, title_height = style.wrapped_names(names, 28 if columns == 2 else 72)
    drawing, title = style.new_drawing(results, "Confusion matrices", rows * (height + title_height))
    panels = style.panels_for(drawing, names, columns)
    for panel, panel_title, name in zip(panels, titles, names, strict=True):
        counts = np.asarray(results.confusion[name], dtype=float)
        totals = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
        panel.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        if len(labels) <= MAX_NUMBERED:
            for row, column in np.ndindex(counts.shape):
                count = f"\n{counts[row, column]:,.0f}" if len(labels) <= MAX_SIDE_BY_SIDE else ""
                text = f"{100 * shares[row, column]:.0f} %{count}"
                colour = "white" if shares[row, column] > 0.55 else "black"
                panel.text(column, row, text, ha="center", va="center", fontsize=style.SMALL, color=colour)
        ticks = labels if len(labels) <= MAX_NAMED else []
        panel.set_xticks(range(len(ticks)), ticks, **TILTED[len(labels) > MAX_SIDE_BY_SIDE])
        panel.set_yticks(range(len(ticks)), ticks)
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
        panel.set_title(panel_title, loc="left", fontweight="bold", fontsize=style.SMALL)
        panel.set_ylabel("true")
        panel.set_xlabel("predicted")
    suffix = " and number of tweets" if len(labels) <= MAX_SIDE_BY_SIDE else ""
    return style.captioned("confusion", title, drawing, counts=suffix, **style.budget_and_seeds(results))
