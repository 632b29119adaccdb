"""The whole audit on data with known defects."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.schema import DataConfig, SampleConfig, TextConfig
from pipeline.data.duplicates import exact_key
from pipeline.data.sample.generate import LEAKS
from pipeline.data.splits import load
from pipeline.evaluation.audit.label_leaks import find_label_leaks
from pipeline.evaluation.audit.report import audit_report
from pipeline.text.encoded_split import EncodedSplit, encode_splits
from pipeline.text.presets import build_tokenizer

Prepared = tuple[dict[str, list[str]], dict[str, EncodedSplit], list[str], list[str]]


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[..., Prepared]:
    """Reads, splits and encodes a data source as a run does, for the audit."""

    def make(source: str, emoticons: str = "keep", **changes: Any) -> Prepared:
        settings: dict[str, Any] = {"path": None, "name": None, "revision": None, "labels": None, "label_budget": None}
        settings |= {"text_column": "text", "label_column": "label", "deduplicate": "none"}
        settings |= dict.fromkeys(("encoding", "delimiter", "quoting", "header"), "auto")
        settings |= {"validation_size": 0.1, "test_size": 0.1, "split_seed": 0, "resplit": None, "resplit_pool": []}
        splits = load(DataConfig(source=source, **(settings | changes)), tmp_path)
        parts = {name: part for name, part in splits.tables() if name != "unlabelled"}
        text = TextConfig(
            tokenizer="tweet",
            handles="mask",
            links="mask",
            emoticons=emoticons,
            min_count=2,
            unlabelled_min_count=None,
            max_tokens=256,
        )
        batches = {name: [(part["text"].to_pylist(), part["label"].to_pylist())] for name, part in parts.items()}
        vocabulary = encode_splits(batches, build_tokenizer(text), text.min_count, tmp_path, 1)
        texts = {name: batch[0][0] for name, batch in batches.items()}
        encoded = {name: EncodedSplit.open(tmp_path, name) for name in parts}
        return texts, encoded, vocabulary.words, splits.label_names

    return make


def codes(report: dict[str, Any], severity: str | None = None) -> list[str]:
    return [finding["code"] for finding in report["findings"] if severity in (None, finding["severity"])]


def text_of(report: dict[str, Any], code: str) -> str:
    (text,) = [finding["text"] for finding in report["findings"] if finding["code"] == code]
    return str(text)


def sample(leak: float) -> dict[str, Any]:
    return {"sample": SampleConfig(labelled=4_000, unlabelled=0, seed=0, label_noise=0.05, leak=leak)}


def test_the_planted_leak_is_found(prepare):
    report = audit_report(*prepare("sample", **sample(0.3)))
    deciding = report["leaks"]["deciding"]
    assert {(record["token"], record["label"]) for record in deciding["tokens"]} == {
        (LEAKS[0], "negative"),
        (LEAKS[1], "positive"),
    }
    assert {record["token"] for record in report["leaks"]["tokens"][:2]} == set(LEAKS)
    for rule in deciding["rule"].values():
        assert rule["coverage"] == pytest.approx(0.3, abs=0.07)
        assert rule["accuracy"] == rule["removed"] == 1
    assert codes(report)[:2] == ["duplicates_between_splits", "duplicates_between_splits"]
    assert "label_leak" in codes(report, "warning")


def test_the_default_sample_has_no_leak_and_its_duplicates_are_counted(prepare):
    report = audit_report(*prepare("sample", **sample(0.0)))
    assert report["leaks"]["deciding"]["count"] == 0
    assert not {"label_leak", "shortcut", "deciding_tokens"} & set(codes(report))
    assert codes(report, "warning") == ["duplicates_between_splits"] * 2
    assert 0 < report["duplicates"]["exact"]["conflicts"]["groups"] < 20


def test_equal_input_gives_equal_bytes(prepare):
    inputs = prepare("sample", **sample(0.1))
    first, again = (json.dumps(audit_report(*inputs), allow_nan=False) for _ in range(2))
    assert first == again
    reordered = ({name: inputs[0][name] for name in ("test", "train", "validation")}, dict(reversed(inputs[1].items())))
    assert json.dumps(audit_report(*reordered, *inputs[2:]), allow_nan=False) == first


def test_nltk_emoticons_and_their_fragments_are_found(prepare, shared):
    path = str(shared("nltk_data"))
    results = {}
    for emoticons in ("keep", "strip", "strip_fragments"):
        report = audit_report(*prepare("nltk_twitter", emoticons, path=path))
        results[emoticons] = (report, [record["token"] for record in report["leaks"]["deciding"]["tokens"]])
    report, tokens = results["keep"]
    assert tokens[:2] == [":(", ":)"]
    assert {":-)", ":D", ":-("} <= set(tokens)
    rule = report["leaks"]["deciding"]["rule"]["test"]
    assert rule["coverage"] > 0.98
    assert rule["accuracy"] > 0.995
    assert "label_leak" in codes(report, "warning")
    report, tokens = results["strip"]
    assert tokens[:2] == ["(", ")"]
    rule = report["leaks"]["deciding"]["rule"]["test"]
    assert 0.08 < rule["coverage"] < 0.15
    assert rule["accuracy"] > 0.9
    assert "label_leak" in codes(report, "warning")
    assert "“(” (negative), “)” (positive)" in text_of(report, "label_leak")
    report, tokens = results["strip_fragments"]
    assert tokens == ["》"]
    assert not {"label_leak", "shortcut"} & set(codes(report))


def test_offensive_has_five_duplicates_between_splits(prepare, shared):
    report = audit_report(*prepare("tweet_eval", path=str(shared("hub/cardiffnlp/tweet_eval")), name="offensive"))
    across = {(r["first"], r["second"]): r for r in report["duplicates"]["exact"]["across"]}
    assert across["train", "test"]["rows_second"] == across["train", "test"]["groups"] == 5
    for one, other in across["train", "test"]["examples"]:
        assert (one["split"], other["split"]) == ("train", "test")
        assert exact_key(one["text"]) == exact_key(other["text"])
    texts = [finding["text"] for finding in report["findings"]]
    expected = "Duplicates between train and test: 5 of 860 test texts (0.58 %). 5 are exact, "
    assert any(text.startswith(expected) for text in texts)


def test_sentiment_has_no_leak(prepare, shared):
    _, encoded, words, names = prepare("tweet_eval", path=str(shared("hub/cardiffnlp/tweet_eval")), name="sentiment")
    leaks = find_label_leaks(encoded, words, names)
    assert leaks["deciding"]["count"] == 0
    assert "!" in [record["token"] for record in leaks["tokens"][:5]]
