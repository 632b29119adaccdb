import json
import shutil

import numpy as np
import pytest
import yaml

from pipeline.tracking.model_card import model_card
from pipeline.tracking.read_record import load_test_probabilities
from pipeline.tracking.score_intervals import macro_recall_interval, wilson


@pytest.fixture
def folder(make_run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(make_run("embedding=random_trainable", "model=mean"), copy)
    return copy


def test_scores_have_intervals(folder):
    card = model_card(folder)
    true, probabilities = load_test_probabilities(folder)
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((3, 3), np.int64)
    np.add.at(confusion, (true, predicted), 1)
    low, high = wilson(int((true == predicted).sum()), len(true))
    assert f"| `accuracy` | **{(true == predicted).mean():.4f}** | {low:.4f} to {high:.4f} |" in card
    low, high = macro_recall_interval(confusion)
    assert f"{low:.4f} to {high:.4f}" in card
    recall, precision = confusion[1, 1] / confusion[1].sum(), confusion[1, 1] / max(confusion[:, 1].sum(), 1)
    assert f"| good | {confusion[1].sum()} | {recall:.4f} | {precision:.4f} |" in card
    assert f"n = {len(true)} test tweets" in card


def test_data_limits_and_loading_are_described_without_paths(folder):
    card = model_card(folder)
    assert "TRAINED AND TESTED ON GENERATED TWEETS" in card
    assert "**toy** (tweets.csv), fingerprint `0123456789abcdef`: 27 test, 54 train, 27 validation tweets" in card
    assert "54 training labels were used" in card
    assert "- the tweets were made up for a test" in card
    assert "It reads the first 256 tokens of a text." in card
    assert "models:/tweet-sentiment-sample@champion" in card
    assert str(folder.parent) not in card
    assert "/home/" not in card


def test_a_card_of_real_tweets_has_no_warning(folder):
    facts = json.loads((folder / "run.json").read_text())
    facts["tags"]["generated"] = "false"
    (folder / "run.json").write_text(json.dumps(facts))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["text"] |= {"max_tokens": None, "emoticons": "strip", "tokenizer": "course"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    card = model_card(folder)
    assert "GENERATED" not in card
    assert "reads the first" not in card
    assert "Emoticons are tokens" not in card
    assert "needs NLTK's English stop words" in card


def test_the_card_names_the_warnings_and_a_model_that_is_no_champion(folder):
    assert "## Warnings" not in model_card(folder)
    facts = json.loads((folder / "run.json").read_text())
    facts["warnings"] = [{"code": "label_leak", "text": "Label leak: one token.", "remedy": ""}]
    (folder / "run.json").write_text(json.dumps(facts))
    card = model_card(folder, model_id="m-123")
    assert "## Warnings\n\n- `label_leak` Label leak: one token.\n\nThe input is a raw tweet." in card
    assert "predict --run models:/m-123" in card
    assert "@champion" not in card


def test_a_record_that_lacks_a_value_is_an_error_that_names_it(folder):
    facts = json.loads((folder / "run.json").read_text())
    del facts["dataset"]["fingerprint"]
    (folder / "run.json").write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=r"model_card\.md\.j2.*fingerprint"):
        model_card(folder)
