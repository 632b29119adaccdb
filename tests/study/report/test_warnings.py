"""Each coded warning appears where it applies, and only there."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from pipeline.config.compose import compose
from pipeline.study.report.study_results import StudyWarning
from pipeline.study.report.warnings import WarningInputs, study_warnings
from pipeline.study.statistics.significance import smallest_holm_p, smallest_p


def differences(count: int, seeds: int) -> pd.DataFrame:
    """`count` planned differences and one that was not planned, all with `seeds` seeds."""
    corrected = [*smallest_holm_p([seeds] * count), None]
    rows = [
        {"planned": p is not None, "n": seeds, "p_smallest": smallest_p(seeds), "p_holm_smallest": p} for p in corrected
    ]
    return pd.DataFrame(rows)


def scores(*rows: tuple[str, str, int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["kind", "variant", "label_budget", "mean"])


def trials(*rows: tuple[str, int, float, bool, bool]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["variant", "label_budget", "factor", "seeds", "edge"])


def audit(*findings: tuple[str, str, str]) -> dict[str, Any]:
    return {"findings": [dict(zip(("code", "severity", "text"), finding, strict=True)) for finding in findings]}


CLEAN = WarningInputs(
    generated=False,
    not_comparable=[],
    scores=scores(("variant", "one", 100, 0.7), ("baseline", "majority", 100, 0.5)),
    differences=differences(4, 10),
    trials=trials(("one", 100, 1.0, True, False), ("one", 100, 3.0, False, False)),
    audits={"keep": audit()},
    failures=[],
    notes=[],
)


def only(**changes: Any) -> StudyWarning:
    (warning,) = study_warnings(replace(CLEAN, **changes))
    return warning


def test_a_clean_study_has_no_warnings():
    assert study_warnings(CLEAN) == []
    empty = replace(CLEAN, scores=scores(), differences=CLEAN.differences.iloc[:0], trials=trials(), audits={})
    assert study_warnings(empty) == []


def test_generated_data_stands_first():
    warnings = study_warnings(
        replace(CLEAN, generated=True, notes=["label budget 300 is left out"], not_comparable=["seed"])
    )
    assert [warning.code for warning in warnings] == ["generated_data", "not_comparable", "left_out"]
    assert warnings[1].text == "Runs differ in more than their embedding: seed."
    assert warnings[2].text == "label budget 300 is left out."


def test_failures_name_the_first_cell():
    failure = {"variant": "cbow_frozen", "label_budget": 1000, "seed": 0, "reason": "the loss is not finite."}
    text = "1 part of the study failed: CBOW, frozen, 1,000 labels, seed 0: the loss is not finite."
    assert only(failures=[failure]) == StudyWarning("failed_runs", text)
    whole_choice = failure | {"seed": None, "reason": "no trial worked"}
    text = "2 parts of the study failed, the first: CBOW, frozen, 1,000 labels: no trial worked."
    assert only(failures=[whole_choice, failure]) == StudyWarning("failed_runs", text)


@pytest.mark.parametrize(("count", "enough"), [(1, 6), (4, 8), (20, 10), (32, 11), (100, 12)])
def test_the_seeds_it_asks_for_are_enough_and_one_less_is_not(count: int, enough: int):
    text = only(differences=differences(count, enough - 1)).text
    assert text.startswith(f"{enough - 1} seeds are too few to test {count} differences as one family")
    assert f"study.seeds={enough} " in text
    assert study_warnings(replace(CLEAN, differences=differences(count, enough))) == []


def test_too_few_seeds_gives_the_smallest_possible_p():
    warning = only(differences=differences(2, 5))
    assert warning.code == "too_few_seeds"
    assert "the corrected p cannot fall below 0.125 (a single p not below 0.0625)" in warning.text


def test_a_comparison_that_lost_its_seeds_is_counted():
    # 1 / 1024 leaves room for 20 comparisons, 2 / 8 for none.
    corrected = smallest_holm_p([10, 10, 3])
    frame = pd.DataFrame(
        {"planned": True, "n": [10, 10, 3], "p_smallest": [0.002, 0.002, 0.25], "p_holm_smallest": corrected}
    )
    assert only(differences=frame).text.startswith("3 seeds are too few to test 1 of 3 differences")


def test_a_baseline_is_named_where_no_variant_reaches_it():
    rows = [("variant", "one", 100, 0.6), ("variant", "two", 100, 0.7), ("baseline", "vader", 100, 0.8)]
    rows += [("variant", "one", 1000, 0.9), ("baseline", "vader", 1000, 0.8), ("baseline", "tfidf_logistic", 100, 0.75)]
    warning = only(scores=scores(*rows))
    assert warning.code == "below_baseline"
    assert warning.text == "A baseline scores higher than every variant: vader 0.800 against two 0.700 at 100 labels."
    assert (
        study_warnings(replace(CLEAN, scores=scores(("variant", "one", 100, 0.8), ("baseline", "vader", 100, 0.8))))
        == []
    )


def test_learning_rates_at_the_edge_are_counted_among_the_choices():
    rows = [(f"v{number}", 100, 10.0, 2, True) for number in range(8)] + [("w", 1000, 1.0, 12, False)]
    rows += [("w", 1000, 3.0, 0, False)]
    warning = only(trials=trials(*rows))
    assert warning.code == "learning_rate_at_edge"
    assert warning.text.startswith("Of 28 choices, 16 are the smallest or largest learning rate")
    named = "; ".join(f"v{number} at 100 labels (× 10, 2 seeds)" for number in range(6))
    assert warning.text.endswith(f"A better one may lie beyond (study.extra_trials): {named}; and 2 more.")


def test_the_audits_warnings_are_taken_over_and_notes_are_not():
    leak, note = ("label_leak", "warning", "One token decides."), ("unseen_tokens", "note", "Some are new.")
    assert only(audits={"keep": audit(leak, note)}) == StudyWarning("label_leak", "One token decides.")
    report = audit(leak)
    report["findings"][0]["values"] = {}
    report["leaks"] = {"deciding": {"tokens": [{"token": ":)", "tweets": 5}]}}
    text = "One token decides. Set text.emoticons=strip: it removes emoticons and emoji."
    assert only(audits={"text.emoticons=keep": report}, config=compose([])) == StudyWarning("label_leak", text)


def test_a_warning_of_every_condition_is_given_once():
    leak, copies = (
        ("label_leak", "warning", "One token decides."),
        ("duplicates_between_splits", "warning", "Copies: 3."),
    )
    warnings = study_warnings(
        replace(CLEAN, audits={"text.emoticons=keep": audit(leak, copies), "text.emoticons=strip": audit(copies)})
    )
    assert warnings == [
        StudyWarning("label_leak", "With text.emoticons=keep: One token decides."),
        StudyWarning("duplicates_between_splits", "Copies: 3."),
    ]


def test_variants_at_the_level_of_the_most_frequent_label_are_named():
    rows = [("variant", "random_frozen", 100, 0.5), ("variant", "cbow_frozen", 100, 0.4), ("variant", "two", 100, 0.6)]
    rows += [("variant", "random_frozen", 10, 0.3), ("baseline", "majority", 100, 0.5)]
    warning = only(scores=scores(*rows))
    assert warning.code == "at_chance"
    assert warning.text.startswith(
        "Some variants learned nothing: they score no more than the most frequent label does (0.500). "
        "These are random vectors, frozen; CBOW, frozen. "
    )
