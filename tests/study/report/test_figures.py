import dataclasses
import re
import threading
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.image import imread
from matplotlib.text import Text

from pipeline.config import variants
from pipeline.config.variants import prose_name, variant_style
from pipeline.study.report.figures import style as figures_style
from pipeline.study.report.figures.all import FIGURES, write_figures
from pipeline.study.report.figures.style import Sketch, plot_settings
from pipeline.study.report.study_results import StudyResults
from tests.study.report.fake_results import fake_results

FRAMES = (
    "differences",
    "resplits",
    "amounts",
    "scores",
    "trials",
    "factorial",
    "crossover",
    "probes",
    "transfer",
    "bands",
    "unknown",
    "unseen_leads",
)


def draw(name: str, results: StudyResults) -> Sketch:
    with plot_settings(name):
        sketch = FIGURES[name](results)
        assert sketch is not None
        sketch.drawing.draw_without_rendering()
    return sketch


def texts(sketch: Sketch) -> list[str]:
    return [text.get_text() for text in sketch.drawing.findobj(Text) if text.get_text()]


def lines_of(axes: Axes, colour: str) -> list[tuple[list[float], list[float]]]:
    found = [line for line in axes.get_lines() if to_hex(line.get_color()) == colour]
    return [(list(map(float, line.get_xdata())), list(map(float, line.get_ydata()))) for line in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("figures")
    write_figures(fake_results(), path)
    return path


def test_every_figure_is_written_as_png_and_svg(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")}
    for name in FIGURES:
        picture = imread(folder / f"{name}.png")
        assert picture.shape[1] == 7 * figures_style.DPI
        assert (picture[[0, 0, -1, -1], [0, -1, 0, -1], :3] == 1).all(), "white background"
        assert ElementTree.parse(folder / f"{name}.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_equal_results_give_equal_bytes_whatever_the_settings_and_the_thread(folder: Path, tmp_path: Path) -> None:
    settings = {"font.size": 22, "axes.facecolor": "red", "svg.hashsalt": "other", "savefig.dpi": 50, "axes.grid": True}
    with matplotlib.rc_context(settings):
        thread = threading.Thread(target=write_figures, args=(fake_results(), tmp_path))
        thread.start()
        thread.join()
        assert matplotlib.rcParams["font.size"] == 22, "the user's settings are put back"
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_svg_holds_no_date_or_version_and_shares_no_identifier_with_the_others(folder: Path) -> None:
    clip_paths: list[str] = []
    for path in sorted(folder.glob("*.svg")):
        svg = path.read_text("utf-8")
        assert not re.search(r"20\d\d-\d\d-\d\dT|Matplotlib v", svg)
        clip_paths += set(re.findall(r'<clipPath id="(\w+)"', svg))
    assert len(clip_paths) == len(set(clip_paths)) > len(FIGURES)


def test_what_there_is_no_data_for_is_left_out(tmp_path: Path) -> None:
    assert write_figures(fake_results(empty=["all"]), tmp_path) == []
    assert write_figures(fake_results(confusion={}, **{name: pd.DataFrame() for name in FRAMES}), tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    fewer = write_figures(fake_results(empty=set(FRAMES) - {"bands", "crossover"}, confusion={}), tmp_path)
    assert [figure.name for figure in fewer] == ["drift_by_frequency"]


@pytest.mark.parametrize("name", FIGURES)
def test_text_is_large_enough_inside_the_picture_and_says_that_tweets_are_generated(name: str) -> None:
    sketch = draw(name, fake_results(generated=True))
    shown = [text for text in sketch.drawing.findobj(Text) if text.get_text() and text.get_visible()]
    assert len(shown) > 5
    assert min(text.get_fontsize() for text in shown) >= 9
    box, (width, height) = sketch.drawing.get_tightbbox(), sketch.drawing.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height
    assert sketch.title.endswith("tweet_eval-sentiment (generated tweets)")
    assert sketch.drawing.get_suptitle().replace("\n", " ") == sketch.title
    assert sketch.caption.endswith(".")


@pytest.mark.parametrize("name", FIGURES)
def test_names_with_conditions_stay_inside_the_picture(name: str) -> None:
    keys = {"random_frozen": "random_trainable@strip_fragments", "cbow_frozen": "cbow_finetuned@default"}
    results = fake_results()
    frames = {frame: getattr(results, frame).replace(keys) for frame in FRAMES if frame != "crossover"}
    confusion = {keys.get(variant, variant): counts for variant, counts in results.confusion.items()}
    if name == "resplits":  # leads over vectors learned from scratch, on the same text
        frames = {}
    sketch = draw(name, fake_results(confusion=confusion, **frames))
    box, (width, height) = sketch.drawing.get_tightbbox(), sketch.drawing.get_size_inches()
    assert min(box.x0, box.y0) >= 0
    assert box.x1 <= width
    assert box.y1 <= height


def test_titles_of_real_tweets_do_not_call_them_generated() -> None:
    with plot_settings("titles"):
        titles = [sketch.title for build in FIGURES.values() if (sketch := build(fake_results()))]
    assert len(set(titles)) == len(FIGURES)
    assert not any("generated" in title for title in titles)


def test_variants_have_a_colour_and_a_marker_of_their_own() -> None:
    names = list(variants.VARIANT_STYLES)
    assert len({variant_style(name)["color"] for name in names}) == len(names)
    assert len({variant_style(name)["marker"] for name in names}) == len(names)
    assert variant_style("cbow_frozen@strip")["color"] == variant_style("cbow_frozen")["color"]
    assert variant_style("cbow_frozen@strip")["markerfacecolor"] == "white"
    assert variant_style("made_up") == variant_style("made_up")


def test_curves_show_means_in_percent_and_bands_of_the_interval() -> None:
    results = fake_results()
    axes, strip = draw("score_curves", results).drawing.axes
    line = results.scores[results.scores["variant"] == "cbow_finetuned"].sort_values("label_budget")
    (xs, ys), *_ = lines_of(axes, "#0072b2")
    assert xs == [100, 300, 1000, 3000, 7200]
    np.testing.assert_allclose(ys, 100 * line["mean"])
    band = next(c for c in axes.collections if to_hex(c.get_facecolor()[0]) == "#0072b2").get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(100 * line["low_total"].min())
    assert band[:, 1].max() == pytest.approx(100 * line["high_total"].max())
    assert [label.get_text() for label in strip.get_xticklabels()] == ["100", "300", "1,000", "3,000", "all\n(7,200)"]


def crossover_frame(*row: object) -> pd.DataFrame:
    return pd.DataFrame([row], columns=["variant", "kind", "estimate", "low", "high", "sentence"])


@pytest.mark.parametrize(
    ("row", "interval", "words"),
    [
        (("cbow_frozen", "reached", 700.0, 480.0, 2100.0), [480, 2100], "at 700 labels, 95 % interval 480 to 2,100"),
        (("cbow_frozen", "reached", 6040.0, 480.0, None), [480, 9000], "at 6,040 labels, 95 % interval 480 to > 7,200"),
        (("cbow_frozen", "not reached", None, 480.0, None), [480, 9000], "not reached, 95 % interval 480 to > 7,200"),
        (("cbow_frozen", "not reached", None, None, None), None, "not reached, 95 % interval > 7,200"),
        (
            ("cbow_frozen", "ahead from the start", None, 100.0, 100.0),
            [100, 100],
            "from the start, 95 % interval ≤ 100",
        ),
    ],
)
def test_the_crossover_is_marked_with_its_interval(
    row: tuple[object, ...], interval: list[float] | None, words: str
) -> None:
    sketch = draw("score_curves", fake_results(crossover=crossover_frame(*row, "sentence")))
    curves, strip = sketch.drawing.axes
    colour = variant_style("cbow_frozen")["color"]
    drawn = lines_of(strip, colour)
    assert [xs for xs, _ in drawn if len(xs) == 2] == ([] if interval is None else [interval])
    dotted = [xs for xs, _ in lines_of(curves, colour) if len(xs) == 2]
    assert dotted == ([] if row[2] is None else [[row[2], row[2]]])
    assert any(text.endswith(words) for text in texts(sketch)), texts(sketch)
    arrow = [line for line in strip.get_lines() if line.get_marker() == ">"]
    assert len(arrow) == (row[3] is not None and row[4] is None)


def test_the_forest_plot_tells_decisions_apart_by_marker_and_word() -> None:
    results = fake_results()
    axes = draw("differences", results).drawing.axes[0]
    planned = results.differences[results.differences["planned"]]
    points = [line for line in axes.get_lines() if line.get_marker() not in ("None", None, "")]
    assert len(points) == len(planned) == 20
    np.testing.assert_allclose([line.get_xdata()[0] for line in points], 100 * planned["mean"])
    markers = {"higher": ">", "lower": "<", "equivalent": "s", "undecided": "o"}
    assert [line.get_marker() for line in points] == [markers[decision] for decision in planned["decision"]]
    assert set(planned["decision"]) == set(markers)
    assert to_hex(points[4].get_color()) == variant_style("random_trainable")["color"], "of the better variant"
    rightmost = [text.get_text() for text in axes.texts if "[" in text.get_text()]
    assert [text.split()[-1] for text in rightmost] == planned["decision"].tolist()
    thin, thick = [line for line in axes.get_lines() if len(line.get_xdata()) == 2 and line.get_linewidth() > 1.05][:2]
    row = planned.iloc[0]
    np.testing.assert_allclose(thin.get_xdata(), [100 * row["low_total"], 100 * row["high_total"]])
    np.testing.assert_allclose(thick.get_xdata(), [100 * row["low"], 100 * row["high"]])
    assert thick.get_linewidth() > 2 * thin.get_linewidth()
    zone = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert (zone.x0, zone.x1) == pytest.approx((-1, 1))


def test_five_seeds_are_said_to_be_too_few() -> None:
    sketch = draw("differences", fake_results(seeds=5))
    assert sum(text.endswith("too few seeds") for text in texts(sketch)) == 20 + 1
    assert "5 paired seeds" in sketch.caption


def test_transfer_draws_scores_and_gains_of_each_task_with_their_intervals() -> None:
    sketch = draw("transfer", fake_results())
    scores, gains = sketch.drawing.axes
    tasks = [label.get_text().replace("\n", " ") for label in scores.get_yticklabels()]
    assert tasks == ["emotion", "irony", "offensive", "mean of these tasks", "mean of other tasks"]
    drawn = {}  # position and gain of the vectors that moved: learned from scratch (first), CBOW, fine-tuned (last)
    for container in gains.containers:
        for x, y, bar in zip(*container[0].get_data(), container[2][0].get_segments(), strict=True):
            drawn[round(y), y - round(y) < 0] = (x, *bar[:, 0])
    expected = {
        0: (6.7, 5.7, 7.7),
        1: (-3, -4, -2),
        2: (12.1, 11.1, 13.1),
        3: (5.27, 4.27, 6.27),
        4: (5.27, -13.7, 24.3),
    }
    assert drawn == {
        (task, first): pytest.approx(x, abs=0.04) for task, x in expected.items() for first in (True, False)
    }
    points = {round(x, 1) for container in scores.containers for x in container[0].get_xdata()}
    assert points == {41.0, 47.7, 58.0, 64.7, 38.0, 55.0, 46.0, 58.1, 63.0, 75.1}
    grey = {round(line.get_xdata()[0], 2) for line in scores.lines if line.get_label().startswith("(")}
    assert grey == {25.0, 50.0, 61.23}
    assert "10 seeds" in sketch.caption


def test_probes_are_hollow_before_and_filled_after() -> None:
    results = fake_results()
    panels = draw("probes", results).drawing.axes
    panel = next(axes for axes in panels if axes.get_title(loc="left") == "polarity seen:\nAUC")
    points = [line for line in panel.get_lines() if line.get_marker() == "^"]
    faces = {to_hex(line.get_markerfacecolor()): float(line.get_xdata()[0]) for line in points}
    assert faces == {"#ffffff": pytest.approx(0.71), "#0072b2": pytest.approx(0.90)}


def test_probes_leave_out_counts_and_parts_of_the_antonyms() -> None:
    results = fake_results()
    names = [
        "antonyms/evaluative/seen/nearer",
        "polarity/coverage",
        "similarity/a/spearman",
        "similarity/b/n",
        "drift/mean",
    ]
    places = dict(zip(results.probes["probe"].unique(), names, strict=True))
    renamed = results.probes.assign(probe=[places[probe] for probe in results.probes["probe"]])
    panels = draw("probes", fake_results(probes=renamed)).drawing.axes
    assert [axes.get_title(loc="left") for axes in panels if axes.axison] == ["a:\nSpearman's ρ"]


def test_confusion_matrices_show_shares_of_the_true_label() -> None:
    matrix = [[8.0, 2.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 2.0]]
    (axes,) = draw("confusion", fake_results(confusion={"cbow_frozen": matrix})).drawing.axes
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells[0, 0] == "80 %\n8"
    assert cells[2, 2] == "50 %\n2"
    assert cells[0, 1] == "0 %\n0", "a label without tweets has no shares"
    assert "so_so $x_1$ & <b>" in [label.get_text() for label in axes.get_yticklabels()], "no formula is typeset"


def test_many_classes_have_no_numbers_in_the_cells() -> None:
    results = fake_results(confusion={"cbow_frozen": np.eye(20).tolist()})
    results.data["label_names"] = [f"label {i}" for i in range(20)]
    (axes,) = draw("confusion", results).drawing.axes
    assert not axes.texts
    results.data["label_names"] = results.data["label_names"][:3]


def test_the_chosen_learning_rate_is_marked_and_an_edge_framed() -> None:
    results = fake_results()
    keys = {prose_name(name): name for name in results.design["variants"]}
    drawing = draw("learning_rates", results).drawing
    panels = {keys[axes.get_title(loc="left")]: axes for axes in drawing.axes}
    for name, panel in panels.items():
        rows = results.trials[results.trials["variant"] == name]
        stars = [line.get_xdata()[0] for line in panel.get_lines() if line.get_marker() == "*"]
        frames = [line.get_xdata()[0] for line in panel.get_lines() if line.get_marker() == "s"]
        assert stars == rows.loc[rows["seeds"] > 0, "factor"].tolist()
        assert frames == rows.loc[rows["edge"], "factor"].tolist()
    assert set(panels) == set(results.design["variants"])


def test_a_study_of_one_budget_one_variant_and_one_seed_is_drawn(tmp_path: Path) -> None:
    results = fake_results()
    scores = results.scores.query("variant == 'cbow_frozen' and label_budget == 7200").assign(
        n=1, sd=None, low=None, high=None, low_total=None, high_total=None
    )
    alone = fake_results(empty=["all"], scores=scores)
    assert [figure.name for figure in write_figures(alone, tmp_path)] == ["score_curves", "parameters_and_score"]


class TestAmounts:
    def test_the_cells_are_the_leads_with_numbers(self):
        results = fake_results()
        sketch = draw("amounts", results)
        frozen, tuned, _ = sketch.drawing.axes
        for panel, name in ((frozen, "cbow_frozen"), (tuned, "cbow_finetuned")):
            frame = results.amounts[results.amounts["variant"] == name]
            expected = 100 * frame["mean"].to_numpy().reshape(3, 5)  # rows by amount, columns by label budget
            (image,) = panel.get_images()
            np.testing.assert_allclose(np.asarray(image.get_array()), expected)
            assert image.get_clim() == pytest.approx((-7.0, 7.0))
        assert {"+7.0 ± 2.0", "−7.0 ± 2.0", "540,000", "50,000", "0", "all\n(7,200)"} <= set(texts(sketch))
        first = next(text for text in frozen.texts if text.get_position() == (0, 2))
        assert first.get_text() == "+7.0 ± 2.0"

    def test_the_crossover_lies_between_cells_and_is_drawn_where_there_is_one(self):
        frozen, tuned, _ = draw("amounts", fake_results()).drawing.axes
        (contour,) = frozen.collections
        vertices = contour.get_paths()[0].vertices
        # A lead of 1 point, and 3 per amount, less 2 per label budget: zero at budget = 1.5 × amount + 0.5.
        inner = vertices[(vertices[:, 1] > 0) & (vertices[:, 1] < 2)]
        np.testing.assert_allclose(inner[:, 0], 1.5 * inner[:, 1] + 0.5, atol=1e-6)
        assert vertices[:, 1].min() == pytest.approx(-0.5)
        assert vertices[:, 1].max() == pytest.approx(2.5)
        assert list(tuned.collections) == []

    def test_repetitions_are_in_no_curve(self):
        name = "cbow_frozen"
        results = fake_results()
        hidden = dataclasses.replace(results, design=results.design | {"repetitions": [name]})
        for figure in ("score_curves", "parameters_and_score"):
            assert prose_name(name) in texts(draw(figure, results))
            assert prose_name(name) not in texts(draw(figure, hidden))
