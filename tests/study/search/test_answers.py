"""What is said of a search, on invented trials whose answers are known."""

from dataclasses import replace
from typing import Any

import pytest

from pipeline.study.search.answers import answers, search_warnings
from pipeline.study.search.figures import curves, slices
from pipeline.study.search.report import search_page
from pipeline.study.search.search_results import (
    SearchResults,
    Space,
    Trial,
    best_of,
    curve_frame,
    lead_frame,
    trial_frame,
)
from tests.study.report.fake_results import fake_results

# cbow_frozen is good at once, cbow_finetuned better with more settings.
SCORES = {"cbow_frozen": [0.70, 0.71, 0.70, 0.71], "cbow_finetuned": [0.60, 0.80, 0.62, None]}


def invented(**changes: Any) -> SearchResults:
    trials = [
        Trial(name, number, {"train.lr_head": 10.0**-number}, score, None if score else "the loss is not finite.")
        for name, scores in SCORES.items()
        for number, score in enumerate(scores, start=1)
    ]
    best = {"cbow_frozen": 0.01, "cbow_finetuned": 0.01}
    space = Space("train.lr_head", "0.0001 to 0.1, log", (1e-4, 0.1), True, [], 0.003, best, ["cbow_frozen"])
    pairs = [("cbow_finetuned", "cbow_frozen")]
    return replace(SearchResults(fake_results(), trials, [space], "macro_recall", "random", pairs, 200), **changes)


class TestTrials:
    def test_the_best_is_the_first_of_equal_ones_and_the_lowest_loss(self):
        found = invented()
        assert found.best("cbow_frozen").number == 2
        losses = [Trial("a", number, {}, score, None) for number, score in enumerate([0.5, 0.4, None, 0.4], start=1)]
        assert best_of(losses, "nll") == losses[1]
        assert best_of([losses[2]], "nll") is None

    def test_a_trial_that_diverged_counts_with_the_worst_score_of_the_search(self):
        found = invented()
        assert found.scores()["cbow_finetuned"].tolist() == [0.60, 0.80, 0.62, 0.60]
        assert found.bands()["cbow_finetuned"].mean[0] == pytest.approx(0.655)
        frame = trial_frame(found)
        assert frame["best"].tolist() == [False, True, False, False] * 2
        assert frame["reason"].tolist()[-1] == "the loss is not finite."

    def test_a_loss_is_better_when_it_is_lower(self):
        found = replace(invented(), monitor="nll")
        assert found.best("cbow_frozen").number == 1
        frame = curve_frame(found)
        own = frame[frame["variant"] == "cbow_finetuned"]
        # The one without a score has the highest loss of the search.
        assert own["expected_best"].tolist()[::3] == pytest.approx([(0.6 + 0.8 + 0.62 + 0.8) / 4, 0.6])
        assert own["best_so_far"].tolist() == pytest.approx([0.6, 0.6, 0.6, 0.6])
        assert (own["low"] <= own["expected_best"]).all()
        assert (own["expected_best"] <= own["high"]).all()
        assert "nats" in answers(found)[0].answer


class TestAnswers:
    def test_say_who_is_ahead_by_how_much_and_where_the_curves_cross(self):
        found = invented()
        ahead = answers(found)[0]
        assert ahead.answer == (
            "With 4 settings each, the best validation macro recall, % is: cbow_finetuned 80.0, cbow_frozen 71.0."
        )
        (told, _) = ahead.evidence
        assert told.startswith(
            "At 4 trials the expected best of cbow_finetuned exceeds that of cbow_frozen by +9.0 points"
        )
        # Means of the largest of 2: frozen (5 × 0.71 + 0.7) / 6, fine-tuned (3 × 0.8 + 2 × 0.62 + 0.6) / 6.
        assert ", at 2 by −0.2 points [" in told
        assert told.endswith("cbow_frozen is ahead with fewer, the curves cross at k = 3.")
        assert set(lead_frame(found)["crossing"]) == {3}

    def test_the_sentence_holds_whichever_way_round_the_pair_is_planned(self):
        turned = replace(invented(), pairs=[("cbow_frozen", "cbow_finetuned")])
        assert answers(turned)[0].evidence[0] == answers(invented())[0].evidence[0]

    def test_trials_that_depend_on_each_other_are_called_so(self):
        assert [warning.code for warning in search_warnings(invented())] == ["setting_at_edge", "diverged_trials"]
        tpe = replace(invented(), sampler="tpe")
        assert search_warnings(tpe)[-1].code == "dependent_trials"
        assert "not independent" in answers(tpe)[0].evidence[-1]
        assert "Dotted" in curves(tpe).caption
        assert "Dotted" not in curves(invented()).caption


class TestPage:
    def test_tables_hold_settings_and_curves(self):
        sections = {section.key: section for section in search_page(invented(), []).sections}
        settings = sections["settings"].blocks[0]
        assert settings.rows[0] == ["train.lr_head", "0.0001 to 0.1, log", "0.003", "0.01 ←", "0.01"]
        assert settings.rows[1][-2:] == ["71.0", "80.0"]
        curve = sections["curves"].blocks[0]
        assert curve.columns == ["variant", "k = 1", "k = 2", "k = 3", "k = 4"]
        assert curve.rows[1][1].startswith("65.5 ± ")

    def test_every_trial_with_a_score_is_drawn(self):
        (panel, _) = slices(invented()).drawing.axes
        # All trials, the best once more, and the default as a line between two points.
        assert sorted(len(line.get_xdata()) for line in panel.get_lines()) == [1, 1, 2, 3, 4]
        assert panel.get_xscale() == "log"
