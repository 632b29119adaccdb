"""Sentences of the report, word by word, and the frames that get them as a column."""

from dataclasses import asdict

import pandas as pd
import pytest

from pipeline.study.report.phrases import (
    crossover_sentence,
    difference_sentence,
    in_prose,
    reversing_scores,
    with_crossover_sentences,
    with_difference_sentences,
)
from pipeline.study.statistics.comparisons import compare_family
from pipeline.study.statistics.crossover import Crossover
from pipeline.study.statistics.frames import difference_row


@pytest.mark.parametrize(
    ("values", "effect", "family", "sentence"),
    [
        ([0.10, 0.11, 0.12, 0.10, 0.11, 0.12], 0.01, 1, "a scores higher than b: +11.0 points [+10.1, +11.9]"),
        ([-0.10, -0.11, -0.12] * 2, 0.01, 1, "a scores lower than b: −11.0 points [−11.9, −10.1]"),
        (
            [0.004, 0.005, 0.006] * 2,
            0.01,
            1,
            "a scores higher than b, but by less than 1 point: +0.5 points [+0.4, +0.6]",
        ),
        ([0.001, -0.001] * 3, 0.02, 1, "a and b differ by less than 2 points: 0.0 points [−0.1, +0.1]"),
        (
            [0.03, -0.03] * 3,
            0.005,
            1,
            "a and b are not told apart, nor shown to be within 0.5 points of each other: 0.0 points [−3.4, +3.4]",
        ),
        (
            [0.10, 0.11, 0.12, 0.10, 0.11],
            0.01,
            2,
            "a and b: 5 seeds are too few to test this family (the corrected p cannot fall below 0.125); read the "
            "interval: +10.8 points [+9.8, +11.8]",
        ),
    ],
)  # fmt: skip
def test_the_sentence_of_a_difference(values: list[float], effect: float, family: int, sentence: str):
    comparison = compare_family(dict.fromkeys(range(family), values), None, effect)[0]
    row = difference_row("a", "b", 100, True, comparison)
    assert difference_sentence(row, effect) == sentence
    unplanned = difference_sentence(difference_row("a", "b", 100, False, comparison), effect)
    assert unplanned.startswith("a − b: ")
    assert unplanned.endswith("(not planned, not tested)")


@pytest.mark.parametrize(
    ("mean", "auc", "nll", "names"),
    [
        (0.1, 0.1, -0.1, ()),
        (0.1, -0.1, -0.1, ("macro AUC",)),
        (0.1, -0.1, 0.1, ("macro AUC", "NLL")),
        (-0.1, -0.1, -0.1, ("NLL",)),
        (0.01, -0.1, 0.1, ()),
        (0.1, -0.01, 0.01, ()),
        (0.1, None, None, ()),
    ],
)
def test_an_order_is_reversed_where_both_intervals_exclude_zero(
    mean: float, auc: float | None, nll: float | None, names: tuple[str, ...]
):
    row = {"a": "a", "b": "b", "planned": True, "equivalent": False, "decision": "higher", "mean": mean}
    row |= {"n": 10, "p_holm_smallest": 0.01}
    for prefix, value in (("", mean), ("auc_", auc), ("nll_", nll)):
        suffix = "" if prefix else "_total"
        row |= {f"{prefix}{end}{suffix}": value and value + side * 0.05 for end, side in (("low", -1), ("high", 1))}
    assert reversing_scores(row) == names
    if names:
        assert difference_sentence(row, 0.01).endswith(f"]; by {' and '.join(names)} the order is the reverse")


@pytest.mark.parametrize(
    ("crossover", "sentence"),
    [
        (Crossover("reached", 512.4, 300.0, 900.6, True), "reaches v at about 512 labels (95 % interval 300 to 901)"),
        (
            Crossover("reached", 512.4, 100.0, None, False),
            "reaches v at about 512 labels (95 % interval 100 or fewer to more than 1,000)",
        ),
        (Crossover("reached", 512.4, None, None, False), "reaches v at about 512 labels (one seed, no interval)"),
        (Crossover("not reached", None, None, None, True), "has not reached v with 1,000 labels"),
        (
            Crossover("not reached", None, 300.0, None, False),
            "has not reached v with 1,000 labels, which is not certain: with 300 labels or more it may have",
        ),
        (
            Crossover("not reached", None, None, None, False),
            "has not reached v with 1,000 labels (one seed, no interval)",
        ),
        (Crossover("ahead from the start", None, 100.0, 100.0, True), "is not behind v with 100 labels or more"),
        (
            Crossover("ahead from the start", None, 100.0, 300.0, False),
            "is not behind v with 100 labels or more, which is not certain: it may be so only from 300 labels on",
        ),
        (
            Crossover("ahead from the start", None, 100.0, None, False),
            "is not behind v with 100 labels or more, which is not certain: it may be so only with more than 1,000 "
            "labels",
        ),
    ],
)  # fmt: skip
def test_the_sentence_of_a_crossover(crossover: Crossover, sentence: str):
    row = {"variant": "v"} | asdict(crossover)
    assert crossover_sentence(row, [100, 300, 1000]) == f"random_trainable {sentence}"


def test_frames_get_a_sentence_per_row_and_keep_their_numbers():
    planned = compare_family({"a-b": [0.10, 0.11, 0.12] * 2}, None, 0.02)["a-b"]
    other = compare_family({"a-c": [0.001, -0.001] * 3}, None, 0.02)["a-c"]
    rows = [difference_row("a", "b", 100, True, planned), difference_row("a", "c", 100, False, other)]
    differences = with_difference_sentences(pd.DataFrame(rows), 0.02)
    assert differences["sentence"].tolist() == [
        "a scores higher than b: +11.0 points [+10.1, +11.9]",
        "a − c: 0.0 points [−0.1, +0.1] (not planned, not tested)",
    ]
    pd.testing.assert_frame_equal(differences.drop(columns="sentence"), pd.DataFrame(rows))


def test_a_crossover_is_told_over_the_label_budgets_that_both_variants_have():
    crossovers = pd.DataFrame(
        [["v", "not reached", None, None, None, True], ["w", "reached", 512.4, 100.0, None, False]],
        columns=["variant", "kind", "estimate", "low", "high", "certain"],
    )
    cells = [("random_trainable", n) for n in (100, 300, 1000, 3000)]
    cells += [("v", n) for n in (100, 1000, 9000)] + [("w", n) for n in (100, 300)]
    scores = pd.DataFrame(cells, columns=["variant", "label_budget"])
    assert with_crossover_sentences(crossovers, scores)["sentence"].tolist() == [
        "random_trainable has not reached v with 1,000 labels",
        "random_trainable reaches w at about 512 labels (95 % interval 100 or fewer to more than 300)",
    ]
    none = with_crossover_sentences(crossovers.iloc[:0], scores)
    assert none.columns.tolist()[-1] == "sentence"


@pytest.mark.parametrize(
    ("sentence", "prose"),
    [
        (
            "random_trainable reaches cbow_frozen at about 512 labels",
            "“vectors learned from scratch” reaches “CBOW, frozen” at about 512 labels",
        ),
        (
            "cbow_finetuned@strip − vader: 0.0 points (not planned, not tested)",
            "“CBOW, fine-tuned (emoticons stripped)” − vader: 0.0 points (not planned, not tested)",
        ),
        (
            "cbow_frozen@cbow.sources=[train,a] and random_trainable@embedding.dim=2: 3 seeds",
            "“CBOW, frozen (text: train and a)” and “vectors learned from scratch (2 dimensions)”: 3 seeds",
        ),
        (
            "cbow_frozen@strip,cbow.unlabelled_texts=5, but not by much.",
            "“CBOW, frozen (emoticons stripped, 5 unlabelled texts)”, but not by much.",
        ),
        ("my_cbow_frozen is another name", "my_cbow_frozen is another name"),
    ],
)
def test_readers_get_the_prose_names_of_variants(sentence: str, prose: str):
    assert in_prose(sentence) == prose
