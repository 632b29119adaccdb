import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.duplicates import KEYS, exact_key
from pipeline.evaluation.audit import duplicates
from pipeline.evaluation.audit.concatenated import LabelledRows, group_texts

SPLITS = {
    "train": [("good day", 1), ("good  day", 0), ("@a so bad", 0), ("@b So bad", 0), ("  ", 0), ("", 1), ("own", 1)],
    "validation": [("fine", 1), (" ", 0)],
    "test": [("good day", 1), ("@c so bad http://x", 0), ("@c so bad", 1), ("good day", 1), ("fine", 0)],
}


def find_duplicates(rows, kind):
    return duplicates.find_duplicates(rows, group_texts(rows, kind))


def pair(report, first, second):
    (record,) = [r for r in report["across"] if (r["first"], r["second"]) == (first, second)]
    return {key: value for key, value in record.items() if key not in ("first", "second", "examples")}


def test_exact_duplicates(rows_of):
    report = find_duplicates(rows_of(SPLITS), "exact")
    counts = [(r["split"], r["groups"], r["rows"], r["repeats"]) for r in report["within"]]
    assert counts == [("train", 1, 2, 1), ("validation", 0, 0, 0), ("test", 1, 2, 1)]
    assert pair(report, "train", "test") == {"groups": 1, "rows_first": 2, "rows_second": 2}
    assert pair(report, "validation", "test") == {"groups": 1, "rows_first": 1, "rows_second": 1}
    assert pair(report, "train", "validation") == {"groups": 0, "rows_first": 0, "rows_second": 0}
    assert {key: report["conflicts"][key] for key in ("groups", "rows", "train_groups")} == {
        "groups": 2,
        "rows": 6,
        "train_groups": 1,
    }


def test_masked_duplicates_and_their_examples(rows_of):
    report = find_duplicates(rows_of(SPLITS), "masked")
    assert [(r["groups"], r["rows"], r["repeats"]) for r in report["within"]] == [(2, 4, 2), (0, 0, 0), (1, 2, 1)]
    assert pair(report, "train", "test") == {"groups": 2, "rows_first": 4, "rows_second": 3}
    train_test = report["across"][1]["examples"]
    assert [[(row["split"], row["row"]) for row in group] for group in train_test] == [
        [("train", 0), ("test", 0)],
        [("train", 2), ("test", 2)],
    ]
    assert train_test[1][1] == {"split": "test", "row": 2, "label": "good", "text": "@c so bad"}
    conflicts = report["conflicts"]
    assert (conflicts["groups"], conflicts["rows"], conflicts["train_groups"]) == (3, 9, 1)
    assert [[row["label"] for row in group] for group in conflicts["examples"]] == [
        ["good", "bad"],
        ["bad", "good"],
        ["good", "bad"],
    ]


def test_long_texts_are_cut_and_few_groups_are_listed(rows_of):
    splits = {"train": [(f"{number} " + "x" * 400, 0) for number in range(9)] * 3, "test": [("z", 1)]}
    (record, _) = find_duplicates(rows_of(splits), "exact")["within"]
    assert (record["groups"], record["rows"], record["repeats"]) == (9, 27, 18)
    assert [[row["row"] for row in group] for group in record["examples"]] == [[k, k + 9] for k in range(5)]
    assert len(record["examples"][0][0]["text"]) == 300
    assert record["examples"][0][0]["text"].endswith("x…")


def test_blank_texts_only():
    zeros = np.zeros(2, dtype=np.int64)
    report = find_duplicates(LabelledRows(["", " "], zeros, np.array([0, 1]), zeros, ["train", "test"], ["a"]), "exact")
    assert report["conflicts"]["groups"] == 0
    assert pair(report, "train", "test") == {"groups": 0, "rows_first": 0, "rows_second": 0}


@pytest.mark.parametrize("kind", list(KEYS))
@given(
    st.lists(st.tuples(st.sampled_from(["a", "A ", "a  b", "@x a", "@y a", ""]), st.integers(0, 2), st.integers(0, 1)))
)
def test_counts_are_those_of_the_definition(kind, drawn):
    drawn = [("first", 0, 0), *drawn]
    names = ["train", "validation", "test"]
    texts, splits, labels = (list(column) for column in zip(*drawn, strict=True))
    rows = LabelledRows(texts, np.array(labels), np.array(splits), np.arange(len(drawn)), names, ["a", "b"])
    report = find_duplicates(rows, kind)
    keyed = [(KEYS[kind](t), s, y) for t, s, y in drawn if exact_key(t)]
    for number, record in enumerate(report["within"]):
        own = [key for key, split, _ in keyed if split == number]
        assert record["repeats"] == len(own) - len(set(own))
        assert record["rows"] == sum(own.count(key) > 1 for key in own)
    for record in report["across"]:
        one, two = (names.index(record[side]) for side in ("first", "second"))
        shared = {k for k, s, _ in keyed if s == one} & {k for k, s, _ in keyed if s == two}
        assert record["groups"] == len(shared)
        assert record["rows_second"] == sum(k in shared and s == two for k, s, _ in keyed)
    both = {k for k, _, y in keyed if y == 0} & {k for k, _, y in keyed if y == 1}
    assert (report["conflicts"]["groups"], report["conflicts"]["rows"]) == (
        len(both),
        sum(k in both for k, _, _ in keyed),
    )
