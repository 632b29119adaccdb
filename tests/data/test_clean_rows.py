import numpy as np

from pipeline.data import clean_rows as module
from pipeline.data.clean_rows import MAX_LISTED, Row, SourceSplit, StoredSplit, store_split

TEXTS = ("good", "naïve café", "", "  \t", "\u2003", None, float("nan"), 7, 2.5, True, "half \ud83d", "a\x1cb", ["x"])
NONE = (None, "", float("nan"), ("x",))
LABELS = ("pos", " pos ", "1", "1.0", 1, 1.0, True, "True", 0, -0.0, 10**16, 1e16, False, *NONE)


def stored(tmp_path, rows: list[Row]) -> tuple[StoredSplit, list[str]]:
    split = store_split(SourceSplit("rows", iter(rows)), tmp_path / "rows.arrow")
    return split, [text for batch in split.texts for text in batch.to_pylist()]


def test_the_fast_path_stores_the_same_rows_as_the_slow_one(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    indices = rng.integers((len(TEXTS), len(LABELS)), size=(20_000, 2)).tolist()
    problems = rng.random(len(indices)) < 0.1
    rows = [
        Row(number, TEXTS[text], LABELS[label], number + 1, "torn" if torn else None)
        for number, ((text, label), torn) in enumerate(zip(indices, problems, strict=True), 1)
    ]
    fast, fast_texts = stored(tmp_path, rows)
    monkeypatch.setattr(module, "FAST_LABEL_TYPES", frozenset())  # every row takes the slow check
    slow, slow_texts = stored(tmp_path, rows)
    assert fast_texts == slow_texts
    assert fast.codes.tolist() == slow.codes.tolist()
    assert fast.labels == slow.labels
    assert (fast.bad_rows, fast.bad_count) == (slow.bad_rows, slow.bad_count)
    assert set(fast.labels) == {"pos", "1", "True", "0", "-0", "10000000000000000", "1e+16", "False"}
    counts = [label.count for label in fast.labels.values()]
    assert counts == np.bincount(fast.codes).tolist()
    assert min(counts) > 5 * MAX_LISTED


def test_the_fast_check_of_a_text_agrees_with_the_slow_one():
    for text in TEXTS:
        value = module.text_value(text)
        if isinstance(text, str):
            problem = module.row_problem(SourceSplit("train", ()), value, "1", "1")
            assert module.is_usable(text) == (problem is None), repr(text)
        else:
            assert not module.is_usable(text)
