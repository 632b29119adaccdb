"""Each remedy that names a key is set, and leads on: the finding goes, or its next remedy comes."""

import csv
import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.compose import compose
from pipeline.config.validate import KEYS
from pipeline.evaluation.audit import findings
from pipeline.evaluation.audit.findings import TEXTS
from pipeline.evaluation.audit.remedies import remedy
from pipeline.stages.audit import audit
from pipeline.stages.prepare import prepare

KEY = re.compile(r"Set ((\w+\.[\w.]+)=(\w+))")
WORDS = [a + b for a in ("ba", "ko", "mi", "tu", "ze", "ri", "lo", "na", "pu", "se") for b in ("la", "do", "fi", "gu")]


def texts(count: int, start: int = 0) -> list[str]:
    """Unlike texts of eight words each, all of them frequent."""
    return [" ".join(random.Random(n).choices(WORDS, k=8)) for n in range(start, start + count)]


def write(folder: Path, **splits: list[tuple[str, str]]) -> list[str]:
    folder.mkdir(exist_ok=True)
    for name, rows in splits.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *rows])
    return ["data=files", f"data.path={folder}", f"paths.root={folder / 'root'}", "workers=1"]


def labelled(count: int, start: int = 0) -> list[tuple[str, str]]:
    return [(text, "good" if n % 2 else "bad") for n, text in enumerate(texts(count, start))]


def remedies(overrides: list[str]) -> dict[str, str]:
    """The remedies of the audit's findings by code, that of a warning before that of a note."""
    config = compose(overrides)
    report = audit(config, prepare(config)).outcome
    by_code: dict[str, str] = {}
    for finding in report["findings"]:
        by_code.setdefault(finding["code"], remedy(finding, report, config))
    return by_code


def followed(overrides: list[str], code: str) -> tuple[list[str], str | None]:
    """Set the key that the remedy of `code` names, until there is none: the keys, and the last remedy."""
    keys: list[str] = []
    while (text := remedies([*overrides, *keys]).get(code)) is not None and (match := KEY.search(text)):
        assert match[1] not in keys, "a remedy that is set is suggested again"
        keys.append(match[1])
    return keys, text


def test_every_key_that_a_remedy_names_exists():
    named = [match for text in TEXTS["remedies"].values() for match in KEY.findall(text.replace("{epochs}", "40"))]
    assert len(named) >= 12
    for override, key, value in named:
        assert key in KEYS
        assert compose([override]) is not None
        assert value in KEYS[key].metadata.get("choices", (value,))


@pytest.mark.parametrize(
    ("marks", "overrides", "keys"),
    [
        ((":(", ":)"), (), ["text.emoticons=strip"]),
        (("(", ")"), ("text.emoticons=strip",), ["text.emoticons=strip_fragments"]),
        (("", "@someone_{n}"), (), ["text.handles=strip"]),
        (("", "@the_same"), ("text.handles=keep",), ["text.handles=mask", "text.handles=strip"]),
        (("", "http://t.co/x{n}"), (), ["text.links=strip"]),
    ],
)
def test_a_leak_goes_with_its_tokens(tmp_path: Path, marks: tuple[str, str], overrides: Any, keys: list[str]):
    def marked(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
        return [(f"{text} {marks[y == 'good'].format(n=n)}", y) for n, (text, y) in enumerate(rows)]

    data = write(
        tmp_path / "data", train=marked(labelled(600)), validation=marked(labelled(60, 600)),
        test=marked(labelled(200, 660)),
    )  # fmt: skip
    assert followed([*data, *overrides], "label_leak") == (keys, None)


def test_a_leak_by_words_names_no_key(tmp_path: Path):
    def marked(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
        return [(f"{text} tell" if y == "good" else text, y) for text, y in rows]

    data = write(tmp_path / "data", train=marked(labelled(600)), test=marked(labelled(200, 660)))
    keys, text = followed([*data, "data.validation_size=0.1"], "label_leak")
    assert keys == []
    assert text == "Remove these tokens from the texts, unless they are what the label means."


def test_the_generated_leak_goes_with_its_key(tmp_path: Path):
    sample = [f"paths.root={tmp_path}", "data.sample.labelled=3000", "data.sample.unlabelled=0", "workers=1"]
    assert followed([*sample, "data.sample.leak=0.3"], "label_leak") == (["data.sample.leak=0"], None)


def test_nltks_emoticons_and_then_their_brackets(shared, tmp_path: Path):
    nltk = ["data=nltk_twitter", f"data.path={shared('nltk_data')}", f"paths.root={tmp_path}"]
    assert followed(nltk, "label_leak") == (["text.emoticons=strip", "text.emoticons=strip_fragments"], None)


@pytest.mark.parametrize(
    ("handles", "keys"),
    [
        (["@me"], ["data.deduplicate=exact"]),
        (["@you"], ["data.deduplicate=masked"]),
        (["@me", "@you"], ["data.deduplicate=masked"]),
    ],
)
def test_duplicates_of_training_texts_are_dropped(tmp_path: Path, handles: list[str], keys: list[str]):
    test = labelled(100, 700)
    repeated = [(f"{text} {handles[n % len(handles)]}", y) for n, (text, y) in enumerate(test[:10])]
    test = [(f"{text} @me", y) for text, y in test]
    data = write(tmp_path / "data", train=[*labelled(600), *repeated], validation=labelled(60, 610), test=test)
    assert followed(data, "duplicates_between_splits") == (keys, None)


def test_near_duplicates_name_no_key(tmp_path: Path):
    near = [(text + "!", y) for text, y in labelled(10, 700)]
    train, test = [*labelled(600), *near], labelled(100, 700)
    data = write(tmp_path / "data", train=train, validation=labelled(60, 610), test=test)
    keys, text = followed(data, "duplicates_between_splits")
    assert (keys, text) == ([], TEXTS["remedies"]["near"])
    assert followed([*data, "data.deduplicate=masked"], "duplicates_between_splits")[0] == []


def test_duplicates_of_validation_and_test_name_no_key(tmp_path: Path):
    data = write(tmp_path / "data", train=labelled(600), validation=labelled(60, 700), test=labelled(100, 700))
    assert followed(data, "duplicates_between_splits") == ([], TEXTS["remedies"]["duplicates_held_out"])


def test_words_too_rare_for_the_vocabulary(tmp_path: Path):
    rare = [(f"q{n}x", "good" if n % 2 else "bad") for n in range(30)]
    train, test = [*labelled(600), *rare], labelled(100, 700)
    data = write(tmp_path / "data", train=train, validation=labelled(60, 610), test=test)
    assert followed(data, "unknown_texts") == (["text.min_count=1"], None)


def test_class_shares(tmp_path: Path):
    ones = [(text, "good") for text, _ in labelled(100, 700)]
    data = write(tmp_path / "data", train=labelled(600), validation=labelled(60, 610), test=ones)
    assert followed(data, "class_shares") == (["train.class_weights=balanced"], TEXTS["remedies"]["macro_recall"])


def audit_of(validation: int = 100, repeated: int = 0) -> dict[str, Any]:
    across = [{"first": "train", "second": "validation", "rows_second": repeated}]
    splits = [{"split": "train", "texts": 900}, {"split": "validation", "texts": validation}]
    return {"splits": splits, "duplicates": {"masked": {"across": across}}}


@pytest.mark.parametrize(
    ("code", "values", "overrides", "report", "expected"),
    [
        ("validation_above_test", {"drops": True}, [], audit_of(repeated=1), "data.deduplicate=masked"),
        ("validation_above_test", {"drops": True}, ["data.label_budget=50"], audit_of(), "hold out a test split from"),
        ("below_majority", {"drops": True}, ["train.class_weights=balanced"], audit_of(), "hold out a test split from"),
        ("below_majority", {"drops": False}, ["train.class_weights=balanced"], audit_of(), "train.class_weights=none"),
        ("below_majority", {"drops": False}, ["data.label_budget=50"], audit_of(), "data.label_budget=null"),
        ("below_majority", {"drops": False}, ["train.max_epochs=7"], audit_of(), "train.max_epochs=14"),
        ("below_majority", {"drops": False}, [], audit_of(), "Add labelled training texts."),
        ("at_chance", {"drops": False, "predicts_majority": True}, [], audit_of(), "train.class_weights=balanced"),
        ("at_chance", {"drops": False, "predicts_majority": False}, ["data.label_budget=50"], audit_of(), "=null"),
        (
            "at_chance", {"drops": False, "predicts_majority": True},
            ["train.class_weights=balanced", "data.label_budget=50"], audit_of(), "data.label_budget=null",
        ),
    ],
)  # fmt: skip
def test_remedies_of_scores(code: str, values: Any, overrides: list[str], report: dict[str, Any], expected: str):
    finding = {"code": code, "values": {"chosen_epoch": 7, **values}}
    text = remedy(finding, report, compose(overrides))
    assert expected in text
    if match := KEY.search(text):
        assert match[1] not in overrides
        assert remedy(finding, audit_of(), compose([*overrides, match[1]])) != text


def test_every_warning_has_a_remedy():
    """Each code whose finding can warn has a branch or a text of its own name."""
    texts = yaml.safe_load(Path(findings.__file__).with_suffix(".yaml").read_text("utf-8"))
    own = {"label_leak", "shortcut", "label_conflicts", "empty_texts", "duplicates_held_out"}
    assert own <= set(texts["remedies"])
