"""The answers, tables and figures of a search, on invented trials whose answers are known."""

from dataclasses import replace

import pytest

from pipeline.config.compose import compose
from pipeline.study.search.figures import curves, slices
from pipeline.study.search.report import curve_tables, search_answers, search_sections, search_warnings, setting_table
from pipeline.study.search.search_results import SearchResults, curve_frame, lead_frame, trial_frame
from pipeline.study.search.space import Range
from pipeline.study.search.trials import Trial
from tests.study.report.fake_results import fake_results

# cbow_frozen is good at once, cbow_finetuned better with more settings.
SCORES = {"cbow_frozen": [0.70, 0.71, 0.70, 0.71], "cbow_finetuned": [0.60, 0.80, 0.62, None]}


def invented(*overrides: str) -> SearchResults:
    # The second rate, the best of both variants, is 0.1 for cbow_frozen, at the end of the range, else 0.01.
    trials = [
        Trial(name, number, {"train.lr_head": rate * 10.0**-number}, score, None if score else "the loss is infinite.")
        for rate, (name, scores) in zip((10, 1), SCORES.items(), strict=True)
        for number, score in enumerate(scores, start=1)
    ]
    pairs = "study.pairs=[[cbow_finetuned,cbow_frozen]]"
    config = compose(["+experiment=search", "train.monitor=macro_recall", "study.resamples=200", pairs, *overrides])
    return SearchResults(config, [Range("train.lr_head", 1e-5, 0.1, True)], trials)


class TestTrials:
    def test_seeds_choose_among_the_best_settings(self):
        search = invented()
        ranked = sorted((t for t in search.trials if t.variant == "cbow_frozen"), key=lambda t: -(t.score or 0))
        best = search.finalists("cbow_frozen")
        assert list(best) == [trial.number for trial in ranked[: search.config.study.finalists]]
        assert best[ranked[0].number] == search.best["cbow_frozen"].setting
        search.chosen = {("cbow_frozen", 60, seed): ranked[seed % 2].number for seed in range(5)}
        seeds = trial_frame(search).set_index(["variant", "trial"])["seeds"]
        assert seeds["cbow_frozen", ranked[0].number] == 3
        assert seeds.sum() == 5

    def test_the_best_is_the_first_of_equal_ones_and_the_lowest_loss(self):
        assert invented().best["cbow_frozen"].number == 2
        losses = [Trial("a", number, {}, score, None) for number, score in enumerate([0.5, 0.4, None, 0.4], start=1)]
        search = replace(invented("train.monitor=nll"), trials=[*losses, Trial("b", 1, {}, None, "nan")])
        assert search.best == {"a": losses[1]}
        assert search.failed == {"b": "nan"}

    def test_a_trial_that_diverged_counts_with_the_worst_score_of_the_search(self):
        search = invented()
        assert search.scores["cbow_finetuned"].tolist() == [0.60, 0.80, 0.62, 0.60]
        assert search.bands["cbow_finetuned"].mean[0] == pytest.approx(0.655)
        frame = trial_frame(search)
        assert frame["best"].tolist() == [False, True, False, False] * 2
        assert frame["reason"].tolist()[-1] == "the loss is infinite."

    def test_a_loss_is_better_when_it_is_lower(self):
        search = invented("train.monitor=nll")
        assert search.best["cbow_frozen"].number == 1
        frame = curve_frame(search)
        own = frame[frame["variant"] == "cbow_finetuned"]
        # The one without a score has the highest loss of the search.
        assert own["expected_best"].tolist()[::3] == pytest.approx([(0.6 + 0.8 + 0.62 + 0.8) / 4, 0.6])
        assert own["best_so_far"].tolist() == pytest.approx([0.6, 0.6, 0.6, 0.6])
        assert (own["low"] <= own["expected_best"]).all()
        assert (own["expected_best"] <= own["high"]).all()
        assert "nats" in search_answers(search, fake_results())[0].answer


class TestAnswers:
    def test_say_who_is_ahead_by_how_much_and_where_the_curves_cross(self):
        search = invented()
        ahead = search_answers(search, fake_results())[0]
        assert ahead.answer == (
            "With 4 settings each, the best validation macro recall, % is: CBOW, fine-tuned 80.0; CBOW, frozen 71.0."
        )
        (sentence, _) = ahead.evidence
        assert sentence.startswith(
            "At 4 trials the expected best of CBOW, fine-tuned exceeds that of CBOW, frozen by +9.0 points"
        )
        # Means of the largest of 2: frozen (5 × 0.71 + 0.7) / 6, fine-tuned (3 × 0.8 + 2 × 0.62 + 0.6) / 6.
        assert ", at 2 by −0.2 points [" in sentence
        assert sentence.endswith("CBOW, frozen is ahead with fewer, the curves cross at k = 3.")
        assert set(lead_frame(search)["crossing"]) == {3}

    def test_the_sentence_holds_whichever_way_round_the_pair_is_planned(self):
        swapped = invented("study.pairs=[[cbow_frozen,cbow_finetuned]]")
        first, second = (search_answers(search, fake_results())[0].evidence[0] for search in (swapped, invented()))
        assert first == second

    def test_trials_that_depend_on_each_other_are_called_so(self):
        assert [warning.code for warning in search_warnings(invented())] == ["setting_at_edge", "diverged_trials"]
        tpe = invented("search.sampler=tpe")
        assert search_warnings(tpe)[-1].code == "dependent_trials"
        assert "not independent" in search_answers(tpe, fake_results())[0].evidence[-1]
        assert "Dotted" in curves(tpe, fake_results()).caption
        assert "Dotted" not in curves(invented(), fake_results()).caption


class TestPage:
    def test_tables_hold_settings_and_curves(self):
        assert [key for key, *_ in search_sections(invented())] == ["curves", "settings"]
        (settings,) = setting_table(invented())
        assert settings.columns[-2:] == ["CBOW, frozen", "CBOW, fine-tuned"]
        assert settings.rows[0] == ["train.lr_head", "1e-05 to 0.1, log", "0.003", "0.1 ←", "0.01"]
        assert settings.rows[1][-2:] == ["71.0", "80.0"]
        curve, _ = curve_tables(invented())
        assert curve.columns == ["variant", "k = 1", "k = 2", "k = 3", "k = 4"]
        assert curve.rows[1][1].startswith("65.5 ± ")

    def test_every_trial_with_a_score_is_drawn(self):
        (panel, _) = slices(invented(), fake_results()).drawing.axes
        # All trials, the best once more, and the default as a line between two points.
        assert sorted(len(line.get_xdata()) for line in panel.get_lines()) == [1, 1, 2, 3, 4]
        assert panel.get_xscale() == "log"
