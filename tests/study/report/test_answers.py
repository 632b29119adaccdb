"""The report's answers: every outcome of a comparison has its own sentence, which claims no more than was shown."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from pipeline.study.report.answers.all import verdicts
from pipeline.study.report.study_results import StudyResults, Verdict
from pipeline.study.statistics.probe_frames import OTHER_TASKS, THESE_TASKS

LEARNED, FLOOR, FROZEN, TUNED = "random_trainable", "random_frozen", "cbow_frozen", "cbow_finetuned"
DIFFERENCES = ["a", "b", "label_budget", "planned", "n", "mean", "low_total", "high_total", "decision", "equivalent"]
OTHER_SCORES = ["auc_low", "auc_high", "nll_low", "nll_high"]
SCORES = ["kind", "variant", "label_budget", "n", "mean", "low_total", "high_total", "trainable"]
CROSSOVER = ["variant", "kind", "estimate", "low", "high", "certain", "sentence"]
LEAK = "2 tokens nearly decide the label, “:)” (positive) and “:(” (negative): the label can be read off."


def row(
    a: str,
    b: str,
    budget: int,
    mean: float,
    decision: str | None,
    *,
    small: bool = False,
    half: float = 0.01,
    n: int = 10,
) -> dict[str, Any]:
    """A row of differences; `decision` None: not planned."""
    entry = {"a": a, "b": b, "label_budget": budget, "planned": decision is not None, "n": n, "mean": mean}
    entry |= {"low_total": mean - half, "high_total": mean + half, "decision": decision, "equivalent": small}
    return entry | {"sentence": f"{a} and {b}: {decision} with {budget}"}


def score(
    variant: str, mean: float, budget: int = 1000, kind: str = "variant", trainable: float = 10.0
) -> dict[str, Any]:
    entry = {"kind": kind, "variant": variant, "label_budget": budget, "n": 10, "mean": mean, "trainable": trainable}
    return entry | {"low_total": mean - 0.01, "high_total": mean + 0.01}


def run(variant: str, seed: int, **metrics: float | None) -> dict[str, Any]:
    entry = {"kind": "variant", "variant": variant, "label_budget": 1000, "seed": seed}
    return entry | {"params/embedding": 20_000.0, "params/touched_rows": 500.0} | metrics


def answers(
    scores: list[dict[str, Any]] | None = None,
    differences: list[dict[str, Any]] | None = None,
    crossover: list[list[Any]] | None = None,
    runs: list[dict[str, Any]] | None = None,
    leak: str | None = None,
    tasks: dict[str, dict[str, Any]] | None = None,
    budgets: tuple[int, ...] = (1000,),
    transfer: list[dict[str, Any]] | None = None,
    **more: Any,
) -> list[Verdict]:
    """The verdicts on a study with these rows and no others."""
    design = {
        "label_budgets": list(budgets),
        "metric_name": "macro recall",
        "smallest_effect": 0.01,
        "dim": 20,
        **more,
    }
    results = SimpleNamespace(
        scores=pd.DataFrame(scores or [], columns=SCORES),
        differences=pd.DataFrame(differences or [], columns=[*DIFFERENCES, *OTHER_SCORES, "sentence"]),
        crossover=pd.DataFrame(crossover or [], columns=CROSSOVER),
        runs=pd.DataFrame(runs or [run(LEARNED, 0)]),
        design=design,
        resplits=None,
        transfer=pd.DataFrame(transfer or [], columns=["variant", "task", "when", "n", "mean", "low", "high"]),
    )
    return verdicts(cast(StudyResults, results), leak, tasks)


def enough(decision: str | None, mean: float = 0.2, **more: Any) -> Verdict:
    small = more.pop("small", False)
    return answers(
        [score(LEARNED, 0.7), score(FLOOR, 0.5), *more.pop("baselines", [])],
        [row(LEARNED, FLOOR, 1000, mean, decision, small=small, n=more.pop("n", 10))],
        **more,
    )[0]


def test_later_test_tweets_are_named():
    later = {"later_test": True, "own_test": "later tweets (of 2017)"}
    named = enough("higher", **later).answer
    assert named == f"On later tweets (of 2017): {enough('higher').answer}"


class TestEnoughLabels:
    def test_the_question_and_a_gain(self):
        verdict = enough("higher")
        assert verdict.question == "Are 1,000 labelled tweets enough to learn 20,000 embedding parameters?"
        assert verdict.answer == (
            "Yes. Vectors learned from scratch reach macro recall 0.700 [0.690, 0.710], +20.0 points [+19.0, +21.0] "
            "against random vectors, frozen."
        )
        assert verdict.evidence == [
            "The embedding matrix has 20,000 parameters: 1,000 word vectors of 20 dimensions. Training read 500 of "
            "these vectors (50 %); the others keep their initial values.",
            "vectors learned from scratch − random vectors, frozen: +20.0 points [+19.0, +21.0] at 1,000 labels.",
        ]

    @pytest.mark.parametrize(
        ("decision", "mean", "small", "opening", "ending"),
        [
            ("higher", 0.006, True, "Barely", "against random vectors, frozen. The gain is below 1 point."),
            ("lower", -0.05, False, "No", "−5.0 points [−6.0, −4.0] against random vectors, frozen."),
            (
                "equivalent",
                0.0,
                True,
                "No",
                "0.0 points [−1.0, +1.0] against random vectors, frozen. The difference is within 1 point.",
            ),
            ("undecided", 0.01, False, "Not settled", "frozen. Whether learning the vectors helps is open."),
            ("too few seeds", 0.01, False, "Not tested", "frozen. 3 seeds are too few to test this."),
            (None, 0.01, False, "Not tested", "frozen. The comparison was not planned."),
        ],
    )
    def test_every_other_outcome(self, decision: str | None, mean: float, small: bool, opening: str, ending: str):
        answer = enough(decision, mean, small=small, n=3).answer
        assert answer.startswith(f"{opening}. Vectors learned from scratch reach macro recall 0.700")
        assert answer.endswith(ending)
        assert "no difference" not in answer.lower()

    def test_a_better_baseline_is_said_at_once(self):
        strong, weak = score("tfidf_logistic", 0.75, kind="baseline"), score("majority", 0.5, kind="baseline")
        answer = enough("higher", baselines=[weak, strong]).answer
        assert answer.startswith("Yes, but a simpler method scores higher. ")
        assert answer.endswith(" The best baseline, tfidf_logistic, has 0.750 [0.740, 0.760].")
        answer = enough("higher", baselines=[weak]).answer
        assert answer.startswith("Yes. ")
        assert answer.endswith(" The best baseline, majority, has 0.500 [0.490, 0.510].")
        other_budget = score("tfidf_logistic", 0.75, 100, kind="baseline")
        assert "baseline" not in enough("higher", baselines=[other_budget]).answer
        assert enough("undecided", baselines=[strong]).answer.startswith("Not settled. ")

    def test_the_best_baseline_of_each_label_budget_is_named(self):
        scores = [score(LEARNED, 0.6, 100), score(LEARNED, 0.7), score("vader", 0.65, 100, kind="baseline")]
        scores += [score("vader", 0.65, kind="baseline"), score("tfidf_logistic", 0.69, kind="baseline")]
        (verdict,) = answers(scores, budgets=(100, 1000))
        assert verdict.evidence[-1] == (
            "Macro recall of vectors learned from scratch and of the best baseline: 0.600 and 0.650 (vader) with 100 "
            "labels; 0.700 and 0.690 (tfidf_logistic) with 1,000 labels."
        )

    def test_a_leak_takes_the_answer_over(self):
        verdict = enough("higher", leak=LEAK)
        assert verdict.answer.startswith(
            "These tweets cannot tell, because single tokens give the label away. Vectors learned"
        )
        assert verdict.evidence[0] == LEAK

    def test_a_pair_planned_the_other_way_round_counts(self):
        (verdict, *_) = answers([score(LEARNED, 0.7)], [row(FLOOR, LEARNED, 1000, -0.2, "lower")])
        assert verdict.answer.startswith("Yes. ")
        assert "+20.0 points [+19.0, +21.0]" in verdict.answer

    def test_the_largest_budget_that_ran_is_asked(self):
        verdict = answers(
            [score(LEARNED, 0.6, 100), score(FLOOR, 0.5, 100)],
            [row(LEARNED, FLOOR, 100, 0.1, "higher")],
            runs=[run(LEARNED, 0) | {"label_budget": 100}],
            budgets=(100, 1000),
        )[0]
        assert verdict.question.startswith("Are 100 labelled")

    def test_without_learned_rows_or_without_their_floor(self):
        assert answers([score(FLOOR, 0.5)]) == []
        (verdict,) = answers([score(LEARNED, 0.7)])
        assert verdict.answer.startswith("Not compared. ")


def cbow_answer(rows: list[dict[str, Any]], crossover: list[list[Any]] | None = None) -> str:
    budgets = tuple(sorted({entry["label_budget"] for entry in rows}))
    (verdict,) = answers(differences=rows, crossover=crossover, budgets=budgets)
    assert verdict.question == (
        "Would CBOW vectors have been better than vectors learned from scratch, and up to how many labels?"
    )
    assert verdict.answer.count("..") == 0
    return verdict.answer


def course(variant: str, *steps: tuple[int, float, str | None], **more: Any) -> list[dict[str, Any]]:
    return [row(variant, LEARNED, budget, mean, decision, **more) for budget, mean, decision in steps]


class TestCbow:
    def test_ahead_then_open_then_behind_with_the_crossover(self):
        steps = [(100, 0.12, "higher"), (300, 0.13, "higher"), (1000, 0.04, "higher")]
        rows = course(FROZEN, *steps, (3000, 0.004, "undecided"), (7200, -0.014, "lower"))
        crossover = [[FROZEN, "reached", 3500.0, 2900.4, 5200.0, True, "learned reaches frozen"]]
        assert cbow_answer(rows, crossover) == (
            "Yes with few labels, up to 1,000. CBOW, frozen, is ahead of vectors learned from scratch from 100 to "
            "1,000 labels (+4.0 to +13.0 points). It is neither shown ahead of them nor behind with 3,000 labels (+0.4 "
            "points [−0.6, +1.4]). It is behind them with 7,200 labels (−1.4 points [−2.4, −0.4]). Vectors learned "
            "from scratch catch up with it at about 3,500 labels [2,900, 5,200]."
        )

    @pytest.mark.parametrize(
        ("frozen", "tuned", "opening"),
        [
            (["higher", "higher", "higher"], [], "Yes, with every label budget of this study."),
            (
                ["higher", "lower", "lower"],
                ["undecided", "higher", "higher"],
                "Yes, with every label budget of this study.",
            ),
            (["higher", "undecided", "lower"], ["higher", "undecided", "undecided"], "Yes with few labels, up to 100."),
            (
                ["lower", "lower", "undecided"],
                ["undecided", "undecided", "higher"],
                "Yes with many labels, from 900 on.",
            ),
            (["undecided", "higher", "lower"], [], "Yes with 300 labels, not shown with other numbers of labels."),
            (
                ["higher", "undecided", "higher"],
                [],
                "Yes with 100 and 900 labels, not shown with other numbers of labels.",
            ),
            (["lower", "equivalent", "lower"], ["equivalent", "equivalent", "lower"], "No."),
            (["equivalent", "undecided", "lower"], [], "Not settled."),
            (["too few seeds", "too few seeds", "equivalent"], [], "Not tested, because 4 seeds are too few."),
            ([None, None, None], [], "Not tested, because these pairs were not planned."),
        ],
    )
    def test_how_it_begins(self, frozen: list[str | None], tuned: list[str | None], opening: str):
        rows = []
        for variant, decisions in ((FROZEN, frozen), (TUNED, tuned)):
            steps = [(budget, 0.0, decision) for budget, decision in zip((100, 300, 900), decisions, strict=False)]
            rows += course(variant, *steps, n=4)
        assert cbow_answer(rows).startswith(f"{opening} CBOW, frozen, is ")

    def test_one_budget(self):
        assert cbow_answer(course(TUNED, (500, 0.05, "higher"))) == (
            "Yes. CBOW, fine-tuned, is ahead of vectors learned from scratch with 500 labels "
            "(+5.0 points [+4.0, +6.0])."
        )

    def test_a_certain_lead_below_the_smallest_effect_is_no_yes(self):
        answer = cbow_answer(course(FROZEN, (100, 0.004, "higher"), (300, 0.003, "higher"), small=True, half=0.002))
        assert answer.startswith(
            "No. CBOW, frozen, is ahead of vectors learned from scratch by less than 1 point with 100 and 300 labels"
        )

    def test_equal_is_said_within_the_smallest_effect(self):
        answer = cbow_answer(course(FROZEN, (100, 0.001, "equivalent"), small=True, half=0.004))
        assert answer == (
            "No. CBOW, frozen, is within 1 point of vectors learned from scratch with 100 labels "
            "(+0.1 points [−0.3, +0.5])."
        )

    def test_too_few_seeds_still_show_what_the_intervals_say(self):
        rows = course(
            FROZEN, (100, 0.1, "too few seeds"), (300, 0.0, "too few seeds"), (900, -0.1, "too few seeds"), n=5
        )
        assert cbow_answer(rows) == (
            "Not tested, because 5 seeds are too few. CBOW, frozen, is ahead of vectors learned from scratch, by the "
            "interval alone, with 100 labels (+10.0 points [+9.0, +11.0]). It is neither shown ahead of them nor "
            "behind with 300 labels (0.0 points [−1.0, +1.0]). It is behind them, by the interval alone, with 900 "
            "labels (−10.0 points [−11.0, −9.0])."
        )

    @pytest.mark.parametrize(
        ("entry", "ending"),
        [
            (
                ["reached", 250.0, 100.0, None, False],
                "catch up with it at about 250 labels [100 or fewer, more than 300].",
            ),
            (
                ["not reached", np.nan, np.nan, np.nan, True],
                "Vectors learned from scratch have not caught up with it by 300 labels.",
            ),
            (
                ["not reached", np.nan, 180.0, np.nan, False],
                "Whether vectors learned from scratch catch up with it by 300 labels is open.",
            ),
            (["ahead from the start", np.nan, 100.0, 100.0, True], "(+9.0 to +10.0 points)."),
        ],
    )
    def test_where_learned_rows_catch_up(self, entry: list[Any], ending: str):
        rows = course(FROZEN, (100, 0.1, "higher"), (300, 0.09, "higher"))
        assert cbow_answer(rows, [[FROZEN, *entry, "a sentence"]]).endswith(ending)

    def test_random_vectors_that_score_higher_are_named_for_each_use_of_cbow(self):
        rows = [*course(FROZEN, (100, -0.1, "lower"), (300, 0.1, "higher")), *course(TUNED, (100, -0.1, "lower"))]
        rows += [row(FROZEN, FLOOR, 100, -0.05, "lower"), row(FROZEN, FLOOR, 300, 0.2, "higher")]
        answer = cbow_answer([*rows, row(TUNED, FLOOR, 100, -0.04, None)])
        assert answer.endswith(
            "Random vectors, frozen, score higher than CBOW, frozen, with 100 labels (+5.0 points [+4.0, +6.0]). "
            "Random vectors, frozen, score higher, by the interval alone, than CBOW, fine-tuned, with 100 labels "
            "(+4.0 points [+3.0, +5.0])."
        )
        (verdict,) = answers(differences=rows, budgets=(100, 300))
        assert (
            "random vectors, frozen − CBOW, frozen: +5.0 points [+4.0, +6.0] at 100 labels; −20.0 points [−21.0, "
            "−19.0] at 300 labels."
        ) in verdict.evidence
        assert "Random vectors" not in cbow_answer([*rows[:3], row(FROZEN, FLOOR, 100, 0.0, "undecided")])

    def test_a_score_that_reverses_the_order_is_named_with_its_label_budgets(self):
        rows = course(FROZEN, (100, 0.1, "higher"), (300, 0.1, "higher"), (900, 0.0, "undecided"))
        worse = {"nll_low": 0.01, "nll_high": 0.02, "auc_low": -0.02, "auc_high": 0.01}
        answer = cbow_answer([entry | worse for entry in rows])
        assert answer.endswith(". By NLL, the order is the reverse with 100 and 300 labels.")
        better = {"nll_low": -0.02, "nll_high": -0.01, "auc_low": 0.01, "auc_high": 0.02}
        assert "reverse" not in cbow_answer([entry | better for entry in rows])
        learned = [row(LEARNED, FLOOR, 1000, 0.1, "higher") | {"auc_low": -0.02, "auc_high": -0.01}]
        (verdict,) = answers([score(LEARNED, 0.7)], learned)
        assert verdict.answer.endswith(" By macro AUC, the order is the reverse with 1,000 labels.")

    def test_no_lead_no_catching_up(self):
        rows = course(FROZEN, (100, 0.001, "undecided"), (300, -0.001, "undecided"))
        assert "catch" not in cbow_answer(rows, [[FROZEN, "reached", 200.0, 100.0, None, False, "a sentence"]])

    def test_evidence(self):
        rows = [*course(FROZEN, (100, 0.1, "higher"), (300, 0.09, "higher"))]
        rows += [row(FROZEN, TUNED, 300, -0.02, "lower")]
        scores = [score(FROZEN, 0.6, 300, trainable=34), score(LEARNED, 0.6, 300, trainable=23_650)]
        crossover = [[FROZEN, "not reached", None, None, None, True, "random_trainable has not reached cbow_frozen"]]
        *_, verdict = answers(
            scores, rows, crossover, runs=[run(LEARNED, 0) | {"label_budget": 300}], budgets=(100, 300)
        )
        assert verdict.evidence == [
            "CBOW, frozen − vectors learned from scratch: +10.0 points [+9.0, +11.0] at 100 labels; +9.0 points [+8.0, "
            "+10.0] at 300 labels.",
            "“vectors learned from scratch” has not reached “CBOW, frozen”.",
            "CBOW, fine-tuned − CBOW, frozen: +2.0 points [+1.0, +3.0] at 300 labels.",
            "Trained parameters: CBOW, frozen: 34; vectors learned from scratch: 23,650.",
        ]

    def test_a_single_seed_has_no_interval(self):
        rows = [row(FROZEN, LEARNED, 100, 0.1, "too few seeds", n=1) | {"low_total": None, "high_total": None}]
        assert cbow_answer(rows) == (
            "Not tested, because 1 seed is too few. CBOW, frozen, is neither shown ahead of vectors learned from "
            "scratch nor behind with 100 labels (+10.0 points)."
        )


def gain(
    task: str, mean: float, half: float | None = 0.01, when: str = "gain", variant: str = LEARNED
) -> dict[str, Any]:
    """A row of `StudyResults.transfer`: its interval has this half width; None: one seed."""
    low, high = (None, None) if half is None else (mean - half, mean + half)
    return {"variant": variant, "task": task, "when": when, "n": 10, "mean": mean, "low": low, "high": high}


def task(rows: dict[str, int], **overlap: dict[str, dict[str, int]]) -> dict[str, Any]:
    return {"rows": rows, "overlap": overlap}


def shared(train: int, test: int) -> dict[str, dict[str, int]]:
    return {"train": {"exact": 0, "masked": train}, "test": {"exact": 0, "masked": test}}


class TestElsewhere:
    @pytest.mark.parametrize(
        ("gains", "opening"),
        [
            ([0.067, -0.03, 0.121], "It depends on the task, yes for emotion and offensive, no for irony"),
            ([0.067, 0.0, 0.121], "It depends on the task, yes for emotion and offensive, no for irony"),
            ([0.067, 0.008, 0.03], "It depends on the task, yes for emotion and offensive, not settled for irony"),
            ([0.012, 0.008, 0.02], "Yes for emotion and offensive, not settled for irony"),  # intervals overlap
            ([0.067, 0.08, 0.121], "Yes"),
            ([-0.05, -0.02, -0.1], "No"),
            ([0.0005, 0.0, -0.02], "No"),
            ([-0.005, 0.008, 0.0], "No for emotion and offensive, not settled for irony"),
            ([0.008, 0.008, 0.007], "Not settled"),
        ],
    )
    def test_how_it_begins(self, gains: list[float], opening: str):
        half = 0.009
        rows = [gain(task, mean, half) for task, mean in zip(("emotion", "irony", "offensive"), gains, strict=True)]
        (verdict,) = answers(transfer=rows)
        assert verdict.question.startswith("Are word vectors learned on this task useful for other tasks")
        assert verdict.answer.startswith(f"{opening}: emotion ")

    def test_gains_below_the_smallest_effect_and_a_single_seed(self):
        (verdict,) = answers(transfer=[gain("irony", 0.005, 0.004), gain("emotion", 0.006, 0.003)])
        assert verdict.answer.startswith("Hardly, every gain is below 1 point: irony +0.5, emotion +0.6 points")
        (verdict,) = answers(transfer=[gain("irony", 0.05, None)])
        assert verdict.answer.startswith("Not tested, because there is one seed: irony +5.0 points")

    def test_each_task_its_test_set_and_what_the_intervals_hold(self):
        rows = [
            *(gain("irony", mean, 0.01, when) for mean, when in ((0.5, "before"), (0.47, "after"), (-0.03, "gain"))),
            gain("irony", -0.15, 0.02, "lead"),
            gain("irony", 0.62, 0.01, "after", FROZEN),
            gain("irony", 0.5, None, "after", "(majority)"),
            gain("irony", 0.625, None, "after", "(tfidf_logistic)"),
            *(gain("emotion", mean, 0.02, when) for mean, when in ((0.067, "gain"), (-0.1, "lead"))),
            gain(THESE_TASKS, 0.0185, 0.01),
            gain(OTHER_TASKS, 0.0185, 0.6),
            gain(THESE_TASKS, -0.125, 0.01, "lead"),
            gain(THESE_TASKS, 0.02, 0.01, variant=TUNED),
        ]
        outcome = task(
            {"train": 2862, "test": 784}, own_train=shared(0, 5), unlabelled=shared(1200, 3), train=shared(0, 2)
        )
        (verdict,) = answers(transfer=rows, tasks={"irony": outcome, "emotion": task({"train": 3257, "test": 1421})})
        assert verdict.answer == (
            "It depends on the task, yes for emotion, no for irony: irony −3.0, emotion +6.7 points of macro recall on "
            "the test tweets of each task (784 of irony and 1,421 of emotion). Each number is the change by training: "
            "vectors learned from scratch against the same vectors before, as fixed features of a classifier for that "
            "task. Against CBOW, frozen: irony −15.0, emotion −10.0 (mean −12.5 points [−13.5, −11.5])."
        )
        assert verdict.evidence == [
            "On irony: −3.0 points [−4.0, −2.0] by training, −15.0 points [−17.0, −13.0] against CBOW, frozen. Macro "
            "recall of vectors learned from scratch, before training: 0.500; vectors learned from scratch: 0.470; "
            "CBOW, frozen: 0.620; majority class, no embedding: 0.500; TF-IDF, no embedding: 0.625.",
            "This study read some of the 2,862 training and 784 test texts of irony, without their labels: 0 and 2 "
            "among the labelled training tweets of this study and 1,200 and 3 in the unlabelled text that CBOW read. "
            "Texts that differ only in handles and links count as the same.",
            "On emotion: +6.7 points [+4.7, +8.7] by training, −10.0 points [−12.0, −8.0] against CBOW, frozen.",
            "The mean gain on these tasks is +1.8 points [+0.8, +2.8], for other seeds and test tweets. Over other "
            "tasks, of which these 2 are taken as a sample, it is +1.8 points [−58.1, +61.8]. 1 of 2 gains are "
            "positive (sign test p = 1.000).",
            "Fine-tuning changes the score of CBOW vectors on these tasks by +2.0 points [+1.0, +3.0].",
            "Intervals are 95 %, for other seeds and other test tweets of a task; those of single gains and leads hold "
            "for all 2 tasks at once (Bonferroni).",
        ]

    def test_no_overlap_is_said_too(self):
        outcome = task({"train": 10, "test": 10}, train=shared(0, 0), unlabelled=shared(0, 0))
        (verdict,) = answers(transfer=[gain("irony", 0.1)], tasks={"irony": outcome})
        assert verdict.evidence[1] == "This study read none of the training and test texts of irony."

    def test_nothing_measured(self):
        assert answers(runs=[run(LEARNED, 0)]) == []
        assert answers(transfer=[gain("irony", 0.5, 0.1, "after", FROZEN)]) == []
        name = "probe/similarity/wordsim353/spearman"
        runs = [run(LEARNED, 0, **{name: 0.25, f"{name}_before": -0.05}), run(LEARNED, 1, **{name: None})]
        (verdict,) = answers(runs=runs)
        assert verdict.answer.startswith("Not measured on other tasks")
        assert verdict.evidence == [
            "Vectors learned from scratch, word similarity (Spearman's ρ, WordSim-353): −0.05 before "
            "training, 0.25 after.",
        ]


class TestOtherStudies:
    def test_emoticons(self):
        name = "random_trainable"
        rows = [
            row(f"{name}@keep", f"{name}@strip", 7200, 0.22, "higher"),
            row(f"{name}@strip", f"{name}@strip_fragments", 7200, 0.002, "undecided"),
        ]
        scores = [score(f"{name}@keep", 0.999, 7200), score(f"{name}@strip", 0.779, 7200)]
        (verdict,) = answers(scores, rows, leak=LEAK, budgets=(7200,))
        assert verdict.question == "How much of the score comes from the emoticons?"
        assert verdict.answer == (
            "With 7,200 labels, emoticons are worth +22.0 points [+21.0, +23.0] to vectors learned from scratch. The "
            "mean score is 0.999 with text.emoticons=keep and 0.779 with text.emoticons=strip. With 7,200 labels, the "
            "fragments that stripping leaves of emoticons are worth +0.2 points [−0.8, +1.2] to vectors learned from "
            "scratch. The mean score is 0.779 with text.emoticons=strip. Whether this gain differs from zero is open."
        )
        assert verdict.evidence == [LEAK]

    def test_planned_pairs_outside_the_questions_are_told(self):
        rows = [
            row("ppmi_frozen", FROZEN, 100, 0.01, "undecided"),
            row("ppmi_frozen", FROZEN, 1000, 0.03, "higher"),
            row(TUNED, FROZEN, 1000, 0.02, "higher"),
            row(TUNED, "ppmi_frozen", 1000, 0.02, None),
        ]
        (verdict,) = answers(differences=rows, budgets=(100, 1000))
        assert verdict.answer == (
            "With 1,000 labels: “PPMI, frozen” and “CBOW, frozen”: higher with 1000. “CBOW, fine-tuned” and "
            "“CBOW, frozen”: higher with 1000."
        )
        assert verdict.evidence == [
            "With 100 labels: “PPMI, frozen” and “CBOW, frozen”: undecided with 100.",
        ]

    def test_the_default_study_has_three_answers(self):
        rows = [row(LEARNED, FLOOR, 1000, 0.2, "higher"), row(FROZEN, LEARNED, 1000, 0.1, "higher")]
        rows += [row(TUNED, LEARNED, 1000, 0.1, "higher"), row(TUNED, FROZEN, 1000, 0.0, "undecided")]
        entry = answers([score(LEARNED, 0.7)], rows, transfer=[gain("irony", 0.15)])
        assert [verdict.question.split()[0] for verdict in entry] == ["Are", "Are", "Would"]
