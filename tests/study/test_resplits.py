"""The comparison on resplits: what a resplit study trains, its statistics, and what the report says of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.study.report.answers.resplits import resplit_sentences
from pipeline.study.report.figures.differences import resplits as drawing_of
from pipeline.study.report.phrases import Difference
from pipeline.study.report.sections.scores import resplits as blocks_of
from pipeline.study.resplits import Resplits, resplit_frame
from pipeline.study.statistics.intervals import resplit_interval, t_interval
from tests.study.report.fake_frames import resplits
from tests.study.report.fake_results import fake_results

FRAME = resplits()
OWN = [
    (budget, Difference(0.03, low, 0.06, "higher" if low > 0 else "undecided", False, 12))
    for budget, low in ((100, 0.02), (300, 0.01), (1000, 0.01), (3000, 0.02))
]


class TestInterval:
    def test_without_test_tweets_per_training_tweet_it_is_students(self):
        values = [0.1, 0.3, 0.2, 0.25]
        assert resplit_interval(values, 0.0) == t_interval(values)

    def test_the_variance_is_that_of_nadeau_and_bengio(self):
        values = np.array([0.01, 0.03, 0.02, 0.05, 0.0])
        interval = resplit_interval(values, 0.25)
        assert interval.se == pytest.approx(np.sqrt((1 / 5 + 0.25) * values.var(ddof=1)))
        assert (interval.high or 0) - interval.mean == pytest.approx(2.776445 * (interval.se or 0))

    @given(st.lists(st.floats(-1, 1), min_size=1, max_size=1))
    def test_one_resplit_has_no_interval(self, values: list[float]):
        interval = resplit_interval(values, 0.2)
        assert (interval.mean, interval.low, interval.high, interval.n) == (values[0], None, None, 1)


class TestSentences:
    def test_a_lead_on_the_test_split_alone_is_said(self):
        design = {"own_test": "later tweets"}
        sentences, evidence = resplit_sentences("cbow_frozen", OWN, FRAME, design)
        assert sentences == [
            "On tweets like the training ones (5 random resplits) it is ahead with 100 labels (+5.0 points), neither "
            "shown ahead nor behind with 300 labels (+1.0 points) and behind with 1,000 labels (−4.0 points).",
            "So with 1,000 labels it is ahead on later tweets, but behind on tweets like the training ones.",
            "So with 300 labels it is ahead on later tweets, and no lead is shown on tweets like the training ones.",
        ]
        assert evidence == [
            "CBOW, frozen, on resplits: +5.0 points [+3.0, +7.0] at 100 labels; +1.0 points [−1.0, +3.0] at 300 "
            "labels; −4.0 points [−5.0, −3.0] at 1,000 labels."
        ]

    def test_a_lead_on_both_needs_no_second_sentence(self):
        sentences, _ = resplit_sentences("cbow_frozen", OWN[:1], FRAME, {"own_test": "later tweets"})
        assert len(sentences) == 1

    def test_without_resplits_nothing_is_said(self):
        assert resplit_sentences("cbow_frozen", OWN, FRAME[:0], {"own_test": ""}) == ([], [])
        assert resplit_sentences("cbow_finetuned", OWN, FRAME, {"own_test": ""}) == ([], [])


class TestReport:
    def test_table_and_figure(self):
        results = fake_results()
        (table,) = blocks_of(results)
        cells = [row[1:] for row in table.rows]  # type: ignore[union-attr]
        assert cells[0][2] == "+5.0 [+3.0, +7.0]"
        assert "800 train, 150 test" in table.caption  # type: ignore[union-attr]
        sketch = drawing_of(results)
        assert sketch is not None
        (panel,) = sketch.drawing.axes
        assert {line.get_linestyle() for line in panel.get_lines()} == {"-", "--"}
        dashed = next(line for line in panel.get_lines() if line.get_linestyle() == "--")
        assert dashed.get_ydata() == pytest.approx([5.0, 1.0, -4.0])

    def test_without_resplits_there_is_neither(self):
        assert drawing_of(fake_results(resplits=FRAME[:0])) is None
        assert blocks_of(fake_results(resplits=FRAME[:0])) == []


def test_the_frame_pairs_runs_of_one_resplit(tmp_path, monkeypatch: pytest.MonkeyPatch):
    labels = np.tile([0, 1], 50)
    right = {("a", 0): 0.9, ("a", 1): 0.7, ("b", 0): 0.6, ("b", 1): 0.5, ("b", 2): 0.1}

    def load(folder):
        name, number = folder.name.split("-")
        predicted = np.where(np.arange(100) < 100 * right[name, int(number)], labels, 1 - labels)
        return labels, np.eye(2)[predicted]

    monkeypatch.setattr("pipeline.study.resplits.load_test_probabilities", load)
    folders = {(name, 60, number): tmp_path / f"{name}-{number}" for name, number in right}
    frame = resplit_frame(Resplits(folders, 0.2, {}), [("a", "b")], "accuracy")
    (row,) = frame.to_dict("records")
    assert (row["n"], row["mean"]) == (2, pytest.approx(0.25))
    assert row["high"] - row["mean"] == pytest.approx(
        12.7062 * np.sqrt((1 / 2 + 0.2) * np.var([0.3, 0.2], ddof=1)), 1e-4
    )
    assert resplit_frame(None, [("a", "b")], "accuracy").empty
