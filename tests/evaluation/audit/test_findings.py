import random
import string

import pytest

from pipeline.evaluation.audit import near_duplicates as near


def plain(rows, start=0):
    """Rows of two alternating classes, with unrelated texts."""
    numbers = range(start, start + rows)
    return [("".join(random.Random(k).choices(string.ascii_lowercase, k=30)), k % 2) for k in numbers]


def by_code(report):
    grouped = {}
    for finding in report["findings"]:
        grouped.setdefault(finding["code"], []).append((finding["severity"], finding["text"]))
    return grouped


def with_word(rows, word, label, often):
    """Put a word in front of the first `often` rows of a label."""
    remaining, result = often, []
    for text, y in rows:
        result.append((f"{word} {text}", y) if y == label and remaining else (text, y))
        remaining -= y == label and remaining > 0
    return result


def letters(text):
    """A tokenizer with the same token for every text, besides its leading words."""
    return ["x", *text.split()[:-1]]


def test_data_without_defects_has_no_findings(report_of):
    splits = {"train": plain(400), "validation": plain(40, 400), "test": plain(100, 440)}
    report = report_of(splits, tokenizer=letters)
    assert report["findings"] == []
    assert list(report) == ["splits", "class_shares", "shift", "duplicates", "near_duplicates", "leaks", "findings"]


def test_a_leak_that_holds_on_test(report_of):
    splits = {"train": with_word(plain(400), "tell", 1, 100), "test": with_word(plain(100, 400), "tell", 1, 10)}
    assert by_code(report_of(splits, tokenizer=letters))["label_leak"] == [
        (
            "warning",
            "Label leak: 1 token almost determines the label: “tell” (good). It occurs in 25.0 % of training tweets "
            "and in 10.0 % of test tweets. On these test tweets, the token alone predicts the label with 100.0 % "
            "accuracy.",
        )
    ]


@pytest.mark.parametrize(
    ("label", "often", "end"),
    [
        (
            0,
            10,
            "of test tweets. On these test tweets, the token alone predicts the label with 0 % accuracy.",
        ),
        (1, 0, "in 25.0 % of training tweets and in 0 % of test tweets."),
    ],
)
def test_a_shortcut_that_fails_on_test(report_of, label, often, end):
    splits = {"train": with_word(plain(400), "tell", 1, 100), "test": with_word(plain(100, 400), "tell", label, often)}
    grouped = by_code(report_of(splits, tokenizer=letters))
    ((severity, text),) = grouped["shortcut"]
    assert "label_leak" not in grouped
    assert severity == "warning"
    assert text.startswith("Shortcut in training that does not transfer to test: 1 token almost determines the label: ")
    assert text.endswith(end)


def test_deciding_tokens_of_few_tweets_are_a_note(report_of):
    splits = {"train": with_word(plain(2_000), "\x99", 1, 80), "test": with_word(plain(100, 2_000), "\x99", 1, 10)}
    report = report_of(splits, tokenizer=letters)
    ((severity, text),) = by_code(report)["deciding_tokens"]
    assert severity == "note"
    assert text.startswith("Strong tokens, too rare for a notable label leak: 1 token almost determines the label: ")
    assert "“\\x99” (good). It occurs in 4 % of training tweets" in text


@pytest.mark.parametrize(("rows", "severity"), [(101, "note"), (100, "warning")])
def test_duplicates_between_splits_warn_from_one_in_a_hundred(report_of, rows, severity):
    test = plain(rows, 400)
    test[0] = (test[0][0] + " @a", 0)
    splits = {"train": [*plain(400), (test[0][0][:-2] + "@bcd", 0)], "test": test}
    grouped = by_code(report_of(splits, tokenizer=letters))
    share = f"{100 / rows:.2g}"
    assert grouped["duplicates_between_splits"] == [
        (
            severity,
            f"Duplicates between train and test: 1 of {rows} test texts ({share} %). 0 are exact, 1 differ in handles, "
            "links or case only, and 0 are near duplicates.",
        )
    ]


def test_conflicts_duplicates_and_texts_without_words(report_of):
    train = [*plain(400), plain(1)[0], (plain(2)[1][0].upper(), 0), ("", 0)]
    splits = {"train": train, "test": [*plain(20, 400), ("new", 0)]}
    grouped = by_code(report_of(splits, tokenizer=str.split))
    assert grouped["label_conflicts"] == [
        (
            "note",
            "Texts with conflicting labels: 0 among exact duplicates, 1 if handles, links and case are ignored. "
            "These are 2 of 424 rows (0.47 %). At least one label of each text is wrong or doubtful.",
        )
    ]
    assert grouped["duplicates_in_train"] == [
        (
            "note",
            "Duplicates in training: 2 of 403 texts (0.5 %) repeat an earlier one. 1 are exact, 1 differ in handles, "
            "links or case only. Texts with a near duplicate: 0.",
        )
    ]
    assert grouped["empty_texts"] == [("note", "Training texts without tokens: 1 of 403, of which empty: 1.")]
    assert grouped["unknown_texts"] == [("warning", "Test texts of out-of-vocabulary words only: 21 of 21.")]
    assert grouped["unseen_tokens"] == [
        (
            "note",
            "Unseen tokens in test: 100.0 % of its tokens do not occur in the training texts, or too rarely for the "
            "vocabulary.",
        )
    ]


def test_class_shares(report_of):
    ones = [(text, 1) for text, _ in plain(100, 400)]
    splits = {"train": plain(400), "test": ones}
    ((severity, text),) = by_code(report_of(splits, tokenizer=letters))["class_shares"]
    assert severity == "warning"
    # Expected 160 and 240, 40 and 60: 40² · (1/160 + 1/240 + 1/40 + 1/60) = 83.3.
    assert text == (
        "Class shares differ between the splits: chi-square 83.3 with 1 degrees of freedom, p < 0.001, Cramér's V "
        "0.408."
    )


def test_sampled_near_duplicates_are_a_note_and_warnings_come_first(report_of, monkeypatch):
    monkeypatch.setattr(near, "MAX_TEXTS", 50)
    splits = {"train": plain(400), "test": [(text, 1) for text, _ in plain(40, 398)]}
    report = report_of(splits, tokenizer=letters)
    assert [(f["severity"], f["code"]) for f in report["findings"]] == [
        ("warning", "class_shares"),
        ("warning", "duplicates_between_splits"),
        ("note", "label_conflicts"),
        ("note", "near_sampled"),
    ]
    assert by_code(report)["near_sampled"][0][1] == (
        "Near duplicates are counted among 50 of 400 distinct train texts, sampled at even intervals. The true "
        "number is higher."
    )
