import random
import string

import pytest

from pipeline.evaluation.audit import near_duplicates as near


def plain(rows, start=0):
    """Rows of two classes by turns, every text unlike the others."""
    numbers = range(start, start + rows)
    return [("".join(random.Random(k).choices(string.ascii_lowercase, k=30)), k % 2) for k in numbers]


def by_code(report):
    found = {}
    for finding in report["findings"]:
        found.setdefault(finding["code"], []).append((finding["severity"], finding["text"]))
    return found


def with_word(rows, word, label, often):
    """The first `often` rows of a label get a word in front."""
    left, made = often, []
    for text, y in rows:
        made.append((f"{word} {text}", y) if y == label and left else (text, y))
        left -= y == label and left > 0
    return made


def letters(text):
    """Tokens of which every text holds the same, besides its first word."""
    return ["x", *text.split()[:-1]]


def test_data_without_faults_has_no_findings(report_of):
    splits = {"train": plain(400), "validation": plain(40, 400), "test": plain(100, 440)}
    report = report_of(splits, tokenizer=letters)
    assert report["findings"] == []
    assert list(report) == ["splits", "class_shares", "duplicates", "near_duplicates", "leaks", "findings"]


def test_a_leak_that_holds_on_test(report_of):
    splits = {"train": with_word(plain(400), "tell", 1, 100), "test": with_word(plain(100, 400), "tell", 1, 10)}
    assert by_code(report_of(splits, tokenizer=letters))["label_leak"] == [
        (
            "warning",
            "1 token nearly decides the label, “tell” (good): it stands in 25.0 % of training tweets and in 10.0 % of "
            "test tweets, where going by the token alone is right 100.0 % of the time: the label can be read off.",
        )
    ]


@pytest.mark.parametrize(("label", "often"), [(0, 10), (1, 0)])
def test_a_shortcut_that_fails_on_test(report_of, label, often):
    splits = {"train": with_word(plain(400), "tell", 1, 100), "test": with_word(plain(100, 400), "tell", label, often)}
    found = by_code(report_of(splits, tokenizer=letters))
    ((severity, text),) = found["shortcut"]
    assert "label_leak" not in found
    assert severity == "warning"
    assert text.endswith("what training can learn from it does not carry over to test.")


def test_deciding_tokens_of_few_tweets_are_a_note(report_of):
    splits = {"train": with_word(plain(2_000), "\x99", 1, 80), "test": with_word(plain(100, 2_000), "\x99", 1, 10)}
    report = report_of(splits, tokenizer=letters)
    ((severity, text),) = by_code(report)["deciding_tokens"]
    assert severity == "note"
    assert "“\\x99” (good): it stands in 4 % of training tweets" in text


@pytest.mark.parametrize(("rows", "severity"), [(101, "note"), (100, "warning")])
def test_copies_between_splits_warn_from_one_in_a_hundred(report_of, rows, severity):
    test = plain(rows, 400)
    test[0] = (test[0][0] + " @a", 0)
    splits = {"train": [*plain(400), (test[0][0][:-2] + "@bcd", 0)], "test": test}
    found = by_code(report_of(splits, tokenizer=letters))
    share = f"{100 / rows:.2g}"
    assert found["duplicates_between_splits"] == [
        (
            severity,
            f"Copies of train texts among the test texts: 1 of {rows} ({share} %), 0 exactly, 1 but for handles, links "
            "and case, 0 nearly.",
        )
    ]


def test_conflicts_copies_and_texts_without_words(report_of):
    train = [*plain(400), plain(1)[0], (plain(2)[1][0].upper(), 0), ("", 0)]
    splits = {"train": train, "test": [*plain(20, 400), ("new", 0)]}
    found = by_code(report_of(splits, tokenizer=str.split))
    assert found["label_conflicts"] == [
        (
            "note",
            "Texts under different labels: 0, or 1 when handles, links and case do not count: 2 of 424 rows (0.47 %), "
            "at least one of each text labelled wrongly or in doubt.",
        )
    ]
    assert found["duplicates_in_train"] == [
        (
            "note",
            "Training texts that repeat an earlier one: 2 of 403 (0.5 %), 1 exactly, the others but for handles, "
            "links and case; with a near-duplicate: 0.",
        )
    ]
    assert found["empty_texts"] == [("note", "Training texts without tokens: 1 of 403, empty: 1.")]
    assert found["unknown_texts"] == [("warning", "Test texts without a word of the vocabulary: 21 of 21.")]
    assert found["unseen_tokens"] == [
        ("note", "100.0 % of the running tokens of test are words that training lacks or drops as rare.")
    ]


def test_class_shares(report_of):
    ones = [(text, 1) for text, _ in plain(100, 400)]
    splits = {"train": plain(400), "test": ones}
    ((severity, text),) = by_code(report_of(splits, tokenizer=letters))["class_shares"]
    assert severity == "warning"
    # Expected 160 and 240, 40 and 60: 40² · (1/160 + 1/240 + 1/40 + 1/60) = 83.3.
    assert "chi-square 83.3 with 1 degrees of freedom, p < 0.001, Cramér's V 0.408" in text


def test_sampled_near_duplicates_are_told_and_warnings_come_first(report_of, monkeypatch):
    monkeypatch.setattr(near, "MOST_TEXTS", 50)
    splits = {"train": plain(400), "test": [(text, 1) for text, _ in plain(40, 398)]}
    report = report_of(splits, tokenizer=letters)
    assert [(f["severity"], f["code"]) for f in report["findings"]] == [
        ("warning", "class_shares"),
        ("warning", "duplicates_between_splits"),
        ("note", "label_conflicts"),
        ("note", "near_sampled"),
    ]
    assert by_code(report)["near_sampled"][0][1].startswith(
        "Near-duplicates were looked for among 50 of 400 distinct train"
    )
