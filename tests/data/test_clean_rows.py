import numpy as np

from pipeline.data import clean_rows as module
from pipeline.data.clean_rows import LISTED, Part, Row, Stored, store

TEXTS = ("good", "naïve café", "", "  \t", "\u2003", None, float("nan"), 7, 2.5, True, "half \ud83d", "a\x1cb", ["x"])
NONE = (None, "", float("nan"), ("x",))
LABELS = ("pos", " pos ", "1", "1.0", 1, 1.0, True, "True", 0, -0.0, 10**16, 1e16, False, *NONE)


def stored(tmp_path, rows: list[Row]) -> tuple[Stored, list[str]]:
    found = store(Part("rows", iter(rows)), tmp_path / "rows.arrow")
    return found, [text for batch in found.texts() for text in batch.to_pylist()]


def test_rows_after_the_first_of_a_label_are_checked_and_counted_like_these(tmp_path, monkeypatch):
    draw = np.random.default_rng(0)
    picks = draw.integers((len(TEXTS), len(LABELS)), size=(20_000, 2)).tolist()
    problems = draw.random(len(picks)) < 0.1
    rows = [
        Row(number, TEXTS[text], LABELS[label], number + 1, "torn" if torn else None)
        for number, ((text, label), torn) in enumerate(zip(picks, problems, strict=True), 1)
    ]
    quick, quick_texts = stored(tmp_path, rows)
    monkeypatch.setattr(module, "USUAL", frozenset())  # every row is checked at length
    slow, slow_texts = stored(tmp_path, rows)
    assert quick_texts == slow_texts
    assert quick.codes.tolist() == slow.codes.tolist()
    assert quick.labels == slow.labels
    assert (quick.bad, quick.bad_count) == (slow.bad, slow.bad_count)
    assert set(quick.labels) == {"pos", "1", "True", "0", "-0", "10000000000000000", "1e+16", "False"}
    counts = [label.count for label in quick.labels.values()]
    assert counts == np.bincount(quick.codes).tolist()
    assert min(counts) > 5 * LISTED


def test_no_text_but_a_usable_one_is_called_usable():
    for text in TEXTS:
        value = module.text_value(text)
        if isinstance(text, str):
            assert module.usable(text) == (module.problem_of(Part("p", ()), value, "1", "1") is None), repr(text)
        else:
            assert not module.usable(text)
