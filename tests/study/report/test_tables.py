import csv
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.study.report.export import TABLES, latex_escape, latex_table, write_tables
from pipeline.study.report.formatting import p_note, p_text, points_text, score_text, share_text, signed
from pipeline.study.report.tables import (
    crossover_table,
    difference_table,
    ensemble_table,
    environment_table,
    factorial_table,
    probability_table,
    probe_table,
    score_table,
    transfer_table,
)
from pipeline.study.statistics.probe_frames import OTHER_TASKS, THESE_TASKS
from tests.study.report.fake_results import TEXTS, WORDS, fake_results

NAMES = ["vectors learned from scratch", "random vectors, frozen", "CBOW, frozen", "CBOW, fine-tuned"]


def test_display_of_scores_and_differences() -> None:
    assert score_text(0.59749, 0.592, 0.604) == "59.7 ± 0.6"
    assert score_text(0.5, None, float("nan")) == "50.0"
    assert score_text(-0.01, -0.03, 0.01, factor=1, decimals=3) == "−0.010 ± 0.020"
    assert score_text(-0.0001, factor=1, decimals=3) == "0.000"
    assert score_text(None) == "–"
    assert points_text(0.032, 0.0208, 0.0431) == "+3.2 [+2.1, +4.3]"
    assert points_text(-0.0004, -0.011, 0.01) == "0.0 [−1.1, +1.0]"
    assert points_text(0.01, None, None) == "+1.0"
    assert points_text(float("nan")) == "–"
    assert share_text(0.9, 0.6, 0.98) == "0.90 [0.60, 0.98]"


def test_display_of_p_values() -> None:
    assert p_text(0.001953125, 0.001953125) == "0.002"
    assert p_text(0.0009) == "< 0.001"
    assert p_text(0.0) == "< 0.001"
    assert p_text(1.0) == "1.000"
    assert p_text(None) == "–"
    assert p_text(0.0625, 0.0625) == "0.0625 (cannot fall below 0.0625)"


@given(st.floats(0, 1), st.floats(0, 1) | st.none())
def test_a_p_value_is_never_shown_as_zero(p: float, smallest: float | None) -> None:
    least = None if smallest is None else min(p, smallest)
    assert not re.fullmatch(r"0(\.0*)?", p_text(p, least).split(" (")[0])


@given(st.floats(-100, 100))
def test_a_signed_number_reads_back(value: float) -> None:
    text = signed(value)
    assert abs(float(text.replace("−", "-")) - value) <= 0.0500001
    assert "-" not in text
    assert text[0] in "+−" or text == "0.0"


def test_scores_have_a_row_per_variant_and_a_column_per_budget() -> None:
    results = fake_results()
    rows = score_table(results)
    assert [row["variant"] for row in rows] == [*NAMES, "majority", "tfidf_logistic", "vader"]
    assert list(rows[0]) == ["variant", "trainable", *results.design["budget_names"]]
    cell = results.scores.query("variant == 'cbow_frozen' and label_budget == 1000").iloc[0]
    assert rows[2]["1,000"] == f"{100 * cell['mean']:.1f} ± {50 * (cell['high_total'] - cell['low_total']):.1f}"
    assert rows[1]["3,000"].endswith(" (n = 9)"), "one run failed"
    assert sum("(n =" in text for row in rows for text in row.values()) == 1
    assert rows[0]["trainable"] == "2,327,042"
    assert rows[4]["trainable"] == "–"
    assert "±" not in rows[5]["100"], "a single value has no interval"


def test_a_missing_cell_is_a_dash() -> None:
    results = fake_results()
    scores = results.scores.query("not (variant == 'cbow_frozen' and label_budget == 1000)")
    assert score_table(fake_results(scores=scores))[2]["1,000"] == "–"


def test_planned_differences_carry_holm_and_the_others_do_not() -> None:
    results = fake_results()
    planned, others = difference_table(results), difference_table(results, planned=False)
    assert len(planned) + len(others) == len(results.differences)
    assert planned[0]["first − second"] == "CBOW, frozen − vectors learned from scratch"
    assert planned[4]["labels"] == "all (7,200)"
    row = results.differences.iloc[4]
    assert planned[4][
        "points"
    ] == f"{100 * row['mean']:+.1f} [{100 * row['low_total']:+.1f}, {100 * row['high_total']:+.1f}]".replace("-", "−")
    assert planned[4]["p (Holm)"] == "0.039"
    assert planned[4]["p (equivalence, Holm)"] == p_text(row["p_equivalence_holm"])
    assert all(not key.endswith("Holm)") for other in others for key in other)


def test_an_average_of_runs_has_a_row_per_variant_and_a_column_per_budget() -> None:
    rows = ensemble_table(fake_results())
    assert [row["variant"] for row in rows] == NAMES
    assert rows[2] == {
        "variant": "CBOW, frozen", "average of": "10 runs", "100": "48.7 ± 0.9", "300": "53.6 ± 0.9",
        "1,000": "57.4 ± 0.9", "3,000": "59.3 ± 0.9", "all (7,200)": "60.7 ± 0.9",
    }  # fmt: skip


def test_scores_without_a_threshold_stand_beside_the_study_s_own() -> None:
    results = fake_results()
    reversed_nll = results.differences.assign(nll=0.02, nll_low=0.01, nll_high=0.0304)
    row = probability_table(fake_results(differences=reversed_nll))[0]
    planned = results.differences.iloc[0]
    assert row["macro recall, points"] == points_text(planned["mean"], planned["low_total"], planned["high_total"])
    assert row["NLL, nats"] == "+0.020 [+0.010, +0.030]"
    assert row["order"] == "reversed by NLL"
    assert {row["order"] for row in probability_table(results)} == {"not reversed"}
    assert len(probability_table(results)) == 20
    assert probability_table(fake_results(differences=results.differences.drop(columns="auc"))) == []


def test_with_five_seeds_the_tables_say_what_p_cannot_be(tmp_path: Path) -> None:
    few = fake_results(seeds=5)
    assert p_note(few) == "With 5 seeds the sign-flip p cannot fall below 0.0625, however large the difference is."
    assert p_note(fake_results()) is None
    assert p_note(fake_results(empty=["differences"])) is None
    assert p_note(fake_results(differences=pd.DataFrame())) is None
    assert all("cannot fall below 0.0625" in row["p"] for row in difference_table(few))
    write_tables(few, tmp_path)
    assert "cannot fall below 0.0625, however large" in (tmp_path / "differences.tex").read_text("utf-8")


def test_effects_have_a_column_each() -> None:
    rows = factorial_table(fake_results())
    assert [row["labels"] for row in rows] == ["100", "300", "1,000", "3,000", "all (7,200)"]
    assert rows[3]["n"] == "9"
    assert [name for name in rows[0] if not name.startswith("p ")] == [
        "labels", "n", "CBOW init", "training", "interaction",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("estimate", "low", "high", "labels", "interval"),
    [
        (6040.4, 5480.0, 6910.0, "6,040", "5,480 to 6,910"),
        (6040.0, 5480.0, None, "6,040", "5,480 to > 7,200"),
        (None, None, None, "–", "> 7,200"),
        (None, 100.0, 100.0, "–", "≤ 100"),
        (150.0, 100.0, 420.0, "150", "≤ 100 to 420"),
    ],
)
def test_open_ends_of_a_crossover_are_said(
    estimate: float | None, low: float | None, high: float | None, labels: str, interval: str
) -> None:
    columns = ["variant", "kind", "estimate", "low", "high", "sentence"]
    frame = pd.DataFrame([["cbow_frozen", "reached", estimate, low, high, ""]], columns=columns)
    (row,) = crossover_table(fake_results(crossover=frame))
    assert (row["labels"], row["95 % interval"]) == (labels, interval)


def test_transfer_has_a_row_per_task_and_variant_and_the_means_last() -> None:
    rows = {(row.pop("task"), row.pop("variant")): [*row.values()] for row in transfer_table(fake_results())}
    assert rows["emotion", "(majority)"] == ["–", "25.0", "–", "–"]
    learned = "vectors learned from scratch"
    assert rows["emotion", learned] == ["41.0 ± 1.2", "47.7 ± 1.2", "+6.7 [+5.7, +7.7]", "−10.3 [−12.3, −8.3]"]
    assert rows["irony", "CBOW, frozen"] == ["58.0 ± 1.2", "58.0 ± 1.2", "0.0 [0.0, 0.0]", "–"]
    assert [*dict.fromkeys(task for task, _ in rows)] == ["emotion", "irony", "offensive", THESE_TASKS, OTHER_TASKS]
    assert rows[OTHER_TASKS, learned] == ["–", "–", "+5.3 [−13.7, +24.3]", "–"]


def test_probes_are_grouped_by_probe_in_their_order() -> None:
    results = fake_results()
    rows = probe_table(results)
    assert len(rows) == 5 * 4
    assert [row["variant"] for row in rows[:4]] == NAMES
    assert {row["probe"] for row in rows[:4]} == {"similarity/wordsim353/spearman"}
    assert (rows[0]["before"], rows[0]["after"]) == ("0.010 ± 0.015", "−0.010 ± 0.015")


def test_the_environment_is_one_table_with_a_row_per_library() -> None:
    environment = {"cpu": None, "cores": 4, "libraries": {"torch": "2.13.0"}, "git_sha": "0123abc", "git_dirty": True}
    assert [tuple(row.values()) for row in environment_table(environment)] == [
        ("cpu", "–"), ("cores", "4"), ("git sha", "0123abc"), ("git dirty", "yes"), ("torch", "2.13.0"),
    ]  # fmt: skip
    assert environment_table({}) == []


def same(cell: str, value: object) -> bool:
    """Whether a CSV cell is the value, to the last digit."""
    if isinstance(value, str):
        return cell == value
    if value is None or pd.isna(value):
        return cell == ""
    return cell == str(value) if isinstance(value, (bool, np.bool_)) else float(cell) == value


def test_probes_that_only_count_are_not_in_the_table() -> None:
    results = fake_results()
    more = results.probes.head(8).assign(
        probe=["polarity/coverage", "drift/mean", "antonyms/evaluative/seen/nearer", "similarity/x/n"] * 2
    )
    both = pd.concat([more, results.probes], ignore_index=True)
    assert probe_table(fake_results(probes=both)) == probe_table(results)


def test_every_frame_comes_back_from_its_csv(tmp_path: Path) -> None:
    results = fake_results()
    nasty = pd.DataFrame({"text": [*TEXTS, "a\rb", "c\r\nd", 'quote " and, comma', "\u2028"], "label": [*WORDS[:9]]})
    results = fake_results(examples=nasty)
    written = {path.name for path in write_tables(results, tmp_path)}
    frames = [field.name for field in fields(results) if isinstance(getattr(results, field.name), pd.DataFrame)]
    assert len(frames) == 18
    assert written == {f"{name}.csv" for name in [*frames, "confusion"]} | {f"{name}.tex" for name in TABLES}
    for name in frames:
        with (tmp_path / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream)
        frame = getattr(results, name)
        assert header == frame.columns.tolist()
        assert len(rows) == len(frame)
        for stored, wanted in zip(rows, frame.itertuples(index=False), strict=True):
            assert all(same(cell, value) for cell, value in zip(stored, wanted, strict=True)), (name, stored)


def test_confusion_is_written_as_rows(tmp_path: Path) -> None:
    results = fake_results(confusion={"cbow_frozen": [[1.5, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]})
    write_tables(results, tmp_path)
    rows = pd.read_csv(tmp_path / "confusion.csv")
    assert rows["tweets"].tolist() == [1.5, 2, 3, 4, 5, 6, 7, 8, 9]
    assert rows.loc[1, ["true", "predicted"]].tolist() == ["negative", "so_so $x_1$ & <b>"]


def test_tables_are_the_same_bytes_twice_and_empty_ones_have_no_latex(tmp_path: Path) -> None:
    first, second = (write_tables(fake_results(), tmp_path / name) for name in ("first", "second"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    empty = write_tables(fake_results(empty=["all"]), tmp_path / "empty")
    assert not [path for path in empty if path.suffix == ".tex"]
    assert pd.read_csv(tmp_path / "empty" / "scores.csv").columns.tolist() == fake_results().scores.columns.tolist()
    bare = {name: pd.DataFrame() for name in ("scores", "differences", "factorial", "crossover", "transfer", "probes")}
    assert not [p for p in write_tables(fake_results(**bare), tmp_path / "bare") if p.stem in bare]


@given(st.text())
def test_escaped_latex_holds_no_active_sign(text: str) -> None:
    escaped = latex_escape(text)
    bare = re.sub(r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar)\{\}", "", escaped)
    bare = re.sub(r"\$(-|\\pm|\\times|\\leq|\\rho)\$", "", bare)
    bare = re.sub(r"\\[{}&%$#_]", "", bare)
    assert not re.search(r"[\\{}&%$#_~^<>|\n]", bare)


def test_a_latex_table_has_as_many_cells_in_every_line() -> None:
    rows = [{"name": "a_b & 50%", "points": "+3.2 [+2.1, +4.3]"}, {"name": "<c>|\\d", "points": "–"}]
    lines = latex_table(rows, "What # holds", "tab:x").splitlines()
    assert r"\caption{What \# holds}" in lines
    assert r"\begin{tabular}{lr}" in lines
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    assert body == [
        r"a\_b \& 50\% & +3.2 [+2.1, +4.3] \\",
        r"\textless{}c\textgreater{}\textbar{}\textbackslash{}d & -- \\",
    ]


def test_latex_files_have_balanced_environments_and_whole_rows(tmp_path: Path) -> None:
    paths = [path for path in write_tables(fake_results(), tmp_path) if path.suffix == ".tex"]
    assert len(paths) == len(TABLES)
    for path in paths:
        text = path.read_text("utf-8")
        assert (
            re.findall(r"\\begin\{(\w+)\}", text) == re.findall(r"\\end\{(\w+)\}", text)[::-1] == ["table", "tabular"]
        )
        assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\centering")] == [1, 1, 1, 1]
        assert len(re.findall(r"(?<!\\)\{", text)) == len(re.findall(r"(?<!\\)\}", text))
        assert text.count("$") % 2 == 0
        alignment = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)
        rows = TABLES[path.stem](fake_results())
        assert alignment is not None
        assert len(alignment[1]) == len(rows[0])
        lines = [line for line in text.splitlines() if line.endswith(r"\\")]
        cells = [[latex_escape(cell) for cell in row] for row in (list(rows[0]), *(row.values() for row in rows))]
        assert lines == [" & ".join(row) + r" \\" for row in cells]


def test_captions_say_that_tweets_are_generated(tmp_path: Path) -> None:
    for path in write_tables(fake_results(generated=True), tmp_path):
        if path.suffix == ".tex":
            assert "(generated tweets)" in path.read_text("utf-8")
