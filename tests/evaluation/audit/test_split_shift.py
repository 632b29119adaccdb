import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.audit.concatenated import sampled
from pipeline.evaluation.audit.findings import findings


def bags(count, seed, words=50, extra=""):
    """Texts of eight random words of a vocabulary, of alternating classes."""
    rng = np.random.default_rng(seed)
    return [(" ".join(f"w{word}" for word in rng.integers(0, words, 8)) + extra, row % 2) for row in range(count)]


def shift_of(report):
    return {record["split"]: record for record in report["shift"]}


def test_random_splits_show_no_shift(report_of):
    """New words of rare texts are in no training text, and yet no difference between the splits."""
    splits = {
        name: bags(n, seed, 4000) for seed, (name, n) in enumerate((("train", 900), ("validation", 300), ("test", 300)))
    }
    report = report_of(splits, min_count=2)
    for record in shift_of(report).values():
        assert record["low"] < 0.5 < record["high"]
    assert not [finding for finding in report["findings"] if finding["code"] == "split_shift"]


def test_a_shifted_test_split_is_warned_about_and_a_shifted_validation_split_noted(report_of):
    shifted = [(f"{text} trump" if row % 5 else text, y) for row, (text, y) in enumerate(bags(300, 2))]
    report = report_of({"train": bags(900, 0, extra=" may"), "validation": shifted, "test": shifted})
    record = shift_of(report)["test"]
    assert record["auc"] == 1.0  # `may` alone decides
    assert (record["train_tokens"][0], record["tokens"][0], record["texts"]) == ("may", "trump", [900, 300])
    severities = {f["values"]["split"]: f["severity"] for f in report["findings"] if f["code"] == "split_shift"}
    assert severities == {"validation": "note", "test": "warning"}
    (text,) = (f["text"] for f in report["findings"] if f["code"] == "split_shift" and f["severity"] == "warning")
    assert text.startswith(
        "The test texts differ from the training texts: by their words, a classifier tells them apart"
    )
    assert "AUC of 1.000" in text
    assert "Most typical of training: “may”, " in text
    assert "Most typical of test: “trump”, " in text


def test_a_word_of_some_texts_gives_the_area_of_its_share(report_of):
    """A word in half of the test texts and in no training text: it ranks a test text above with probability 3/4."""
    half = [(f"{text} new" if row % 2 else text, y) for row, (text, y) in enumerate(bags(1000, 1))]
    record = shift_of(report_of({"train": bags(1000, 0), "test": half}))["test"]
    assert record["auc"] == pytest.approx(0.75, abs=0.03)
    assert record["low"] < record["auc"] < record["high"]


@pytest.mark.parametrize("test", [bags(19, 1), [(f"x{row}", row % 2) for row in range(40)]])
def test_too_few_texts_or_words_are_undefined(report_of, test):
    train = [(f"y{row}", row % 2) for row in range(40)]
    record = shift_of(report_of({"train": train, "test": test}))["test"]
    assert (record["auc"], record["low"], record["tokens"]) == (None, None, [])


def test_links_handles_escapes_and_copies_are_no_shift(report_of):
    train = [(text.replace("w0 ", "see http://t.co/1 @ann it’s "), y) for text, y in bags(600, 0)]
    test = [(text.replace("w0 ", "see https://b.c @bob it\\u2019s "), y) for text, y in bags(600, 1)]
    record = shift_of(report_of({"train": train, "test": test + test[:1] * 300}))["test"]
    assert record["low"] < 0.5 < record["high"]
    assert record["texts"] == [600, 600]


@given(count=st.integers(0, 5000), limit=st.integers(1, 3000))
def test_samples_are_at_even_intervals(count, limit):
    sample = sampled(np.arange(count), limit)
    assert len(sample) == min(count, limit)
    gaps = np.diff(np.append(sample, count))
    assert not count or (sample[0] == 0 and gaps.max() - gaps.min() <= 1)


def test_findings_leave_undefined_shift_out(report_of):
    report = report_of({"train": bags(40, 0), "test": bags(10, 1)})
    assert "split_shift" not in {finding.code for finding in findings(report)}
