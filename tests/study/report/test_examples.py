import numpy as np

from pipeline.study.report.examples import disagreements

TEXTS = ["all right", "first wins", "second wins clearly", "second wins", "a tie"]
LABELS = np.array([0, 1, 1, 0, 1])
# Three seeds of two variants, and a third variant that is not compared.
FIRST = {0: [0, 1, 0, 0, 1], 1: [0, 1, 0, 1, 0], 2: [0, 0, 0, 1, 2]}
SECOND = {0: [0, 0, 1, 0, 1], 1: [0, 2, 1, 0, 0], 2: [0, 0, 1, 1, 2]}
THIRD = {0: [2, 2, 2, 2, 1]}
NAMES = ["negative", "positive", "neutral"]


def predictions(**columns):
    return {name: {seed: np.array(rows) for seed, rows in seeds.items()} for name, seeds in columns.items()}


def test_the_clearest_disagreements_of_each_side():
    table = disagreements(TEXTS, LABELS, predictions(a=FIRST, b=SECOND, c=THIRD), ("a", "b"), NAMES)
    assert table.to_dict("split")["columns"] == ["text", "label", "a", "b", "c"]
    assert table.to_numpy().tolist() == [
        ["first wins", "positive", "positive", "negative", "neutral"],
        ["second wins clearly", "positive", "negative", "positive", "neutral"],
        ["second wins", "negative", "positive", "negative", "neutral"],
    ]


def test_the_same_from_the_other_side():
    table = disagreements(TEXTS, LABELS, predictions(a=FIRST, b=SECOND), ("b", "a"), NAMES)
    assert list(table["text"]) == ["second wins clearly", "second wins", "first wins"]


def test_at_most_ten_of_each_side_the_first_rows_of_equal_ones():
    labels = np.zeros(30, np.int64)
    first, second = np.zeros(30, np.int64), np.ones(30, np.int64)
    first[25:], second[25:] = 1, 0
    table = disagreements(
        [str(row) for row in range(30)], labels, predictions(a={0: first}, b={0: second}), ("a", "b"), NAMES
    )
    assert list(table["text"]) == [*map(str, range(10)), "25", "26", "27", "28", "29"]


def test_variants_that_agree_give_an_empty_table_with_columns():
    table = disagreements(TEXTS, LABELS, predictions(a=FIRST, b=FIRST), ("a", "b"), NAMES)
    assert table.empty
    assert list(table.columns) == ["text", "label", "a", "b"]


def test_seeds_may_differ_in_number():
    table = disagreements(["x"], np.array([1]), predictions(a={0: [1], 1: [1], 2: [0]}, b={0: [0]}), ("a", "b"), NAMES)
    assert table.to_numpy().tolist() == [["x", "positive", "positive", "negative"]]
