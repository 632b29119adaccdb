"""Figures of scores by label budget, by parameters and by learning rate, and of the 2 × 2 effects."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D

from pipeline.config.variants import prose_name, variant_style
from pipeline.study.report.figures import style
from pipeline.study.report.formatting import budget_name, number, records
from pipeline.study.report.phrases import capital
from pipeline.study.report.study_results import StudyResults
from pipeline.study.report.tables import crossover_table

# Not the colours of variants.
EFFECT_STYLES = {"CBOW init": ("#222222", "o"), "training": ("#882255", "s"), "interaction": ("#808000", "^")}
OTHER_EFFECT = ("#6b6b6b", "x")
EDGE: dict[str, Any] = {
    "linestyle": "", "marker": "s", "markersize": 15, "markerfacecolor": "none", "markeredgecolor": "black",
}  # fmt: skip


def score_curves(results: StudyResults) -> style.Sketch | None:
    """Score by label budget with bands, baselines, and a strip with the crossovers of vectors learned from scratch."""
    scores = style.with_values(results.scores, "mean")
    if scores.empty:
        return None
    metric = results.design["metric_name"]
    crossings = crossover_table(results)
    height = 4.5 + (0.45 * len(crossings) + 0.3) * bool(crossings)
    drawing, title = style.new_drawing(results, f"Test {metric} by label budget", height)
    ratios = [4.0, 0.45 * len(crossings)] if crossings else [1.0]
    panels = drawing.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    axes: Axes = panels[0]
    budgets = sorted({int(budget) for budget in scores["label_budget"]})
    variants = scores[scores["kind"] == "variant"]
    for name in style.variants_in(results, variants, repetitions=False):
        line = variants[variants["variant"] == name].sort_values("label_budget")
        look = variant_style(name)
        down, up = style.half_widths(line, 100, "_total")
        x, y = line["label_budget"].to_numpy(dtype=float), 100 * line["mean"].to_numpy(dtype=float)
        axes.fill_between(x, y - down, y + up, color=look["color"], alpha=0.22, linewidth=0)
        axes.plot(x, y, label=prose_name(name), linewidth=2, markersize=6.5, **look)
    for name in style.ordered(scores.loc[scores["kind"] != "variant", "variant"].tolist(), []):
        line = scores[(scores["variant"] == name) & (scores["kind"] != "variant")].sort_values("label_budget")
        axes.plot(line["label_budget"], 100 * line["mean"], label=name, zorder=1, **style.baseline_style(name))
    style.log_budget_axis(axes, results, budgets)
    axes.grid()
    axes.set_ylabel(f"test {metric}, %")
    if crossings:
        _crossover_strip(axes, panels[1], results)
        style.log_budget_axis(panels[1], results, budgets)
        axes.tick_params(axis="x", length=0, labelbottom=False)
    panels[-1].set_xlabel("labelled tweets (logarithmic)")
    style.legend_below(drawing, axes, 3)
    seeds = style.count_range((variants if len(variants) else scores)["n"])
    sketch = style.captioned("score_curves", title, drawing, metric=metric, seeds=seeds)
    if not crossings:
        return sketch
    strip = style.captioned("crossover_strip", title, drawing, learned=prose_name("random_trainable"))
    return replace(strip, caption=f"{sketch.caption} {strip.caption}")


def _crossover_strip(curves: Axes, strip: Axes, results: StudyResults) -> None:
    """Two lines per rival: the crossover in words, and below it the estimate with its interval (arrow: open end)."""
    end = curves.get_xlim()[1]
    rows, texts = records(results.crossover), crossover_table(results)
    for y, (row, text) in enumerate(zip(rows, texts, strict=True)):
        look = variant_style(row["variant"])
        estimate, low, high = (number(row[name]) for name in ("estimate", "low", "high"))
        if low is not None:
            strip.plot([low, high or end], [y + 0.2, y + 0.2], color=look["color"], linewidth=3, solid_capstyle="butt")
            if high is None:
                strip.plot(end, y + 0.2, marker=">", color=look["color"], markersize=8, clip_on=False)
        if estimate is not None:
            strip.plot(estimate, y + 0.2, **(look | {"linestyle": ""}), markersize=8, markeredgecolor="black")
            curves.axvline(estimate, color=look["color"], linewidth=1.3, linestyle=":", zorder=0)
        words = f"at {text['labels']} labels" if estimate is not None else text["outcome"]
        words = f"{text['rival']}: {words}, 95 % interval {text['95 % interval']}"
        strip.text(0.01, y - 0.22, words, transform=strip.get_yaxis_transform(), va="center", fontsize=style.SMALL)
    strip.set_ylim(len(rows) - 0.4, -0.6)
    strip.set_yticks([])
    title = f"{capital(prose_name('random_trainable'))} reach"
    strip.set_title(title, loc="left", fontsize=style.SMALL, fontweight="bold")


def parameters_and_score(results: StudyResults) -> style.Sketch | None:
    """Trainable parameters against the score at the largest label budget."""
    scores = style.with_values(results.scores, "mean")
    sized = scores[(scores["kind"] == "variant") & (pd.to_numeric(scores["trainable"]) > 0)] if len(scores) else scores
    if sized.empty:
        return None
    metric, largest = results.design["metric_name"], int(sized["label_budget"].max())
    sized = sized[sized["label_budget"] == largest]
    drawing, title = style.new_drawing(results, f"Trainable parameters and test {metric}", 4.1)
    axes = drawing.add_subplot()
    for name in style.variants_in(results, sized, repetitions=False):
        point = sized[sized["variant"] == name]
        look = variant_style(name) | {"linestyle": ""}
        x, y = point["trainable"], 100 * point["mean"]
        axes.errorbar(
            x, y, style.half_widths(point, 100, "_total"), label=prose_name(name), markersize=8, capsize=5, **look
        )
    for row in records(scores[(scores["kind"] != "variant") & (scores["label_budget"] == largest)]):
        look = style.baseline_style(row["variant"]) | {"marker": ""}
        axes.axhline(100 * row["mean"], label=row["variant"], zorder=0, **look)
    axes.set_xscale("log")
    low, high = float(sized["trainable"].min()), float(sized["trainable"].max())
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    axes.set_xticks(powers, [f"{power:,.0f}" for power in powers])
    axes.set_xticks([], minor=True)
    axes.set_xlim(low / 2, high * 2)
    axes.grid()
    axes.set_xlabel("trainable parameters (logarithmic)")
    axes.set_ylabel(f"test {metric}, %")
    style.legend_below(drawing, axes, 3)
    seeds = style.count_range(sized["n"])
    labels = budget_name(results, largest)
    return style.captioned("parameters_and_score", title, drawing, metric=metric, labels=labels, seeds=seeds)


def factorial(results: StudyResults) -> style.Sketch | None:
    """Main effects and interaction of CBOW initialisation and training at every label budget."""
    frame = style.with_values(results.factorial, "mean")
    if frame.empty:
        return None
    metric = results.design["metric_name"]
    drawing, title = style.new_drawing(results, f"Effects of CBOW initialisation and training on test {metric}", 4.0)
    axes = drawing.add_subplot()
    budgets = sorted({int(budget) for budget in frame["label_budget"]})
    effects = style.ordered([str(effect) for effect in frame["effect"]], list(EFFECT_STYLES))
    axes.axhline(0, color="black", linewidth=1)
    for index, effect in enumerate(effects):
        line = frame[frame["effect"] == effect].sort_values("label_budget")
        x = np.array([budgets.index(int(budget)) for budget in line["label_budget"]]) + 0.12 * (index - 1)
        colour, marker = EFFECT_STYLES.get(effect, OTHER_EFFECT)
        axes.errorbar(
            x, 100 * line["mean"], style.half_widths(line, 100, "_total"), color=colour, marker=marker, markersize=7,
            capsize=4, linewidth=1, elinewidth=2, linestyle=":", label=effect,
        )  # fmt: skip
    axes.set_xticks(range(len(budgets)), style.budget_labels(results, budgets))
    axes.grid(axis="y")
    axes.set_xlabel("labelled tweets")
    axes.set_ylabel(f"points of {metric}")
    style.legend_below(drawing, axes, 3)
    return style.captioned("factorial", title, drawing, metric=metric, seeds=style.count_range(frame["n"]))


def learning_rates(results: StudyResults) -> style.Sketch | None:
    """Validation score of every setting; a star marks those that seeds chose, larger for more seeds."""
    trials = style.with_values(results.trials, "score")
    if trials.empty:
        return None
    names, budgets = style.variants_in(results, trials), sorted({int(budget) for budget in trials["label_budget"]})
    rows = -(-len(names) // 2)
    titles, title_height = style.wrapped_names(names, 36)
    drawing, title = style.new_drawing(results, "Validation score by learning rate", (2.3 + title_height) * rows + 0.9)
    panels = style.panels_for(drawing, names, 2, sharex=True, sharey=True)
    shades = colormaps["viridis"](np.linspace(0.0, 0.85, len(budgets)))
    likelihood = results.design["monitor"] == "nll"
    scale, most = (1 if likelihood else 100), max(int(trials["seeds"].max()), 1)
    for index, (panel, name) in enumerate(zip(panels, names, strict=True)):
        for budget, shade in zip(budgets, shades, strict=True):
            of_budget = trials[(trials["variant"] == name) & (trials["label_budget"] == budget)]
            for dropout, line in of_budget.sort_values("factor").groupby("dropout"):
                dashes = "-" if dropout else "--"
                panel.plot(line["factor"], scale * line["score"], dashes, color=shade, marker="o", markersize=3)
                for row in records(line[line["seeds"] > 0]):
                    x, y, size = row["factor"], scale * row["score"], 6 + 8 * row["seeds"] / most
                    panel.plot(x, y, marker="*", markersize=size, color=shade, markeredgecolor="black")
                    if row["edge"]:
                        panel.plot(x, y, **EDGE)
        panel.set_title(titles[index], loc="left", fontweight="bold")
        panel.set_xscale("log")
        if index % 2 == 0:
            panel.set_ylabel("validation NLL, nats" if likelihood else "validation score, %")
        if index + 2 >= len(names):  # no panel below
            panel.tick_params(axis="x", labelbottom=True)
            panel.set_xlabel("learning-rate factor")
        panel.grid()
    if likelihood:  # settings far too large would flatten all else
        best, worst = trials["score"].min(), trials["score"].quantile(0.9)
        panels[0].set_ylim(best - 0.05 * (worst - best), worst + 0.05 * (worst - best))
    _trial_legend(drawing, results, budgets, shades)
    return style.captioned("learning_rates", title, drawing, seeds=results.design["trial_seeds"])


def _trial_legend(drawing: Drawing, results: StudyResults, budgets: list[int], shades: Any) -> None:
    handles = [
        Line2D([], [], color=shade, marker="o", markersize=4, label=f"{budget_name(results, budget)} labels")
        for budget, shade in zip(budgets, shades, strict=True)
    ]
    star: dict[str, Any] = {"linestyle": "", "marker": "*", "markersize": 13, "markeredgecolor": "black"}
    handles.append(Line2D([], [], color=style.GREY, label="chosen, larger by more seeds", **star))
    handles.append(Line2D([], [], color=style.GREY, linestyle="--", label="without dropout"))
    handles.append(Line2D([], [], label="at the edge of the grid", **EDGE))
    drawing.legend(handles=handles, loc="outside lower center", ncols=3)
