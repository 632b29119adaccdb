import json
from collections import Counter
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.compose import compose
from pipeline.config.schema import SampleConfig
from pipeline.data.sample.generate import blocks
from pipeline.evaluation.probes import transfer_tasks
from pipeline.evaluation.probes.transfer import open_task, transfer_score
from pipeline.evaluation.probes.transfer_tasks import (
    TOPIC_ROWS,
    load_task,
    overlap,
    task_fingerprint,
    task_text,
    topic_config,
    topic_task,
    write_task,
)
from pipeline.runtime.errors import UserError
from pipeline.text.encoded_split import EncodedSplit
from pipeline.text.presets import build_tokenizer
from pipeline.text.vocabulary import Vocabulary

TWEET_EVAL = "hub/cardiffnlp/tweet_eval"
RUN = SampleConfig(labelled=10_000, unlabelled=0, seed=7, label_noise=0.05, leak=0.0)


@pytest.fixture(scope="module")
def topics():
    return topic_task(topic_config(RUN))


def test_topic_tweets_are_not_those_of_the_run(topics):
    texts = {split: part.texts for split, part in topics.splits.items()}
    assert {split: len(part) for split, part in texts.items()} == TOPIC_ROWS
    assert topic_config(RUN).seed == 8
    assert topic_config(None).seed == 1
    (block,) = blocks(RUN, "labelled")
    counts = overlap(texts, {"train": block.texts})
    assert counts["train"] == {split: {"exact": 0, "masked": 0} for split in texts}
    assert max(count for split in counts["own_train"].values() for count in split.values()) <= 3
    # With the seed of the task, the tweets are the same.
    (same,) = blocks(SampleConfig(10_000, 0, 8, 0.05, 0.0), "labelled")
    assert overlap(texts, {"train": same.texts})["train"]["test"]["exact"] == TOPIC_ROWS["test"]


def test_topics_are_labelled_by_topic(topics):
    from pipeline.data.sample.words import TOPICS

    assert topics.label_names == [topic.name for topic in TOPICS]
    hits = []
    for part in topics.splits.values():
        assert set(part.labels) == set(range(len(TOPICS)))
        for text, label in zip(part.texts, part.labels, strict=True):
            topic, words = TOPICS[label], set(text.lower().split())
            hits.append(bool(words & {*chain(*topic.themes), *topic.places, *topic.people, *topic.verbs}))
    assert np.mean(hits) > 0.8


def test_a_task_is_written_and_opened(tmp_path, topics):
    train = topics.splits["train"].texts
    words = sorted(set(" ".join(train[:500]).split()))
    vocabulary = Vocabulary.from_counts(dict.fromkeys(words, 1), 1)
    read = {"train": iter(train[:7]), "unlabelled": iter(["none of it"])}
    outcome = write_task("sample_topic", "absent", RUN, str.split, vocabulary, read, tmp_path)
    assert outcome == json.loads(json.dumps(outcome))
    assert outcome["rows"] == TOPIC_ROWS
    assert outcome["generated"] is True
    assert outcome["overlap"]["train"]["train"]["exact"] == 7
    assert outcome["overlap"]["unlabelled"]["train"] == {"exact": 0, "masked": 0}
    test = topics.splits["test"]
    stored = EncodedSplit.open(tmp_path, "test")
    assert stored.labels.tolist() == test.labels.tolist()
    for row in (0, 1, 500, 999):
        ids = stored.ids[stored.offsets[row] : stored.offsets[row + 1]]
        assert ids.tolist() == vocabulary.encode(test.texts[row].split())
    tokens = [token for text in test.texts for token in text.split()]
    share = sum(token in vocabulary.id_of for token in tokens) / len(tokens)
    assert outcome["known_tokens"]["test"] == pytest.approx(share)
    assert 0.5 < share < 1
    unknown = sum(not set(text.split()) & set(words) for text in test.texts)
    assert outcome["tweets_without_known_token"]["test"] == unknown
    task = open_task(tmp_path, "sample_topic", len(outcome["label_names"]), len(vocabulary))
    matrix = np.random.default_rng(0).standard_normal((len(vocabulary), 200)).astype(np.float32)
    macro_recall = transfer_score(matrix, task)[0]["macro_recall"]
    references = outcome["references"]
    assert references["majority"]["macro_recall"] + 0.1 < macro_recall < references["tfidf_logistic"]["macro_recall"]
    assert references["tfidf_logistic"]["macro_recall"] > 0.8


def test_overlap_is_counted_by_source_split_and_key():
    splits = {
        "train": ["one  two", "see http://a.b", "three"],
        "test": ["Three", "one two", "one two", "see http://c.d"],
    }
    read = {"train": iter(["ONE TWO", "three"]), "extra_text": iter([])}
    assert overlap(splits, read) == {
        "own_train": {"test": {"exact": 2, "masked": 4}},
        "train": {"train": {"exact": 1, "masked": 2}, "test": {"exact": 0, "masked": 3}},
        "extra_text": {"train": {"exact": 0, "masked": 0}, "test": {"exact": 0, "masked": 0}},
    }


def test_a_fingerprint_identifies_the_source_of_a_task():
    assert task_fingerprint("sample_topic", "a", RUN) == task_fingerprint("sample_topic", "b", RUN)
    assert task_fingerprint("sample_topic", "a", RUN) != task_fingerprint("sample_topic", "a", None)
    hub = "cardiffnlp/tweet_eval"
    assert task_fingerprint("irony", hub, RUN) == task_fingerprint("irony", hub, None)
    assert len({task_fingerprint(name, hub, None) for name in ("irony", "emotion", "sample_topic")}) == 3


def test_an_absent_task_is_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    for place in ("no/such/folder", str(tmp_path / "empty")):
        with pytest.raises(UserError) as error:
            load_task("irony", place, None, tmp_path)
        assert place in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="no/such/folder"):
        task_fingerprint("irony", "no/such/folder", None)


def test_large_splits_are_sampled_by_class_and_the_test_split_is_whole(tmp_path, monkeypatch):
    rows = [(f"word{row} word{row % 7}", ("negative", "positive")[row % 4 == 0]) for row in range(400)]
    for name, part in (("train", rows), ("test", rows[:60])):
        table = pa.table({"text": [text for text, _ in part], "sentiment": [4 * (y == "positive") for _, y in part]})
        pq.write_table(table, tmp_path / f"{name}-00000-of-00001.parquet")
    monkeypatch.setattr(transfer_tasks, "MOST_ROWS", 100)
    task = load_task("sentiment140", str(tmp_path), None, tmp_path)
    assert task.label_names == ["negative", "positive"]
    assert {split: len(part.texts) for split, part in task.splits.items()} == {
        "train": 100,
        "validation": 8,
        "test": 60,
    }
    assert task.splits["train"].labels.sum() == 25
    assert set(task.splits["train"].texts) <= {text for text, _ in rows}
    assert task_fingerprint("sentiment140", str(tmp_path), None) != task_fingerprint("sentiment140", None, None)


def test_emoticons_that_made_the_labels_are_removed(shared, monkeypatch, tmp_path):
    text = compose(["text.emoticons=keep"]).text
    assert task_text("irony", text) == text
    assert {task_text(name, text).emoticons for name in ("nltk_twitter", "sentiment140")} == {"strip_fragments"}
    monkeypatch.setenv("NLTK_DATA", str(shared("nltk_data")))
    task = load_task("nltk_twitter", str(shared("nltk_data")), None, tmp_path)
    assert {split: len(part.texts) for split, part in task.splits.items()} == {
        "train": 7200, "validation": 800, "test": 2000,
    }  # fmt: skip
    tokenizer = build_tokenizer(task_text("nltk_twitter", text))
    counts = Counter(token for text in task.splits["test"].texts for token in set(tokenizer(text)))
    assert not {":)", ":(", ":-)", ":D"} & counts.keys()
    assert counts["("] == counts[")"]  # pairs that enclose text
    tokenizer = build_tokenizer(text)
    assert sum(":)" in tokenizer(text) for text in task.splits["test"].texts) > 500


def test_emotion_as_published(tmp_path, shared):
    path = str(shared(TWEET_EVAL))
    vocabulary = Vocabulary.from_counts({"happy": 3, "the": 2}, 1)
    emotion = load_task("emotion", path, None, tmp_path)
    outcome = write_task(
        "emotion", path, None, str.split, vocabulary, {"train": emotion.splits["train"].texts}, tmp_path
    )
    assert outcome["label_names"] == ["anger", "joy", "optimism", "sadness"]
    assert outcome["rows"] == {"train": 3257, "validation": 374, "test": 1421}
    assert outcome["generated"] is False
    assert outcome["overlap"]["train"]["train"]["exact"] == 3257  # the same task
    assert outcome["references"]["majority"]["accuracy"] == pytest.approx(558 / 1421)
    assert 0.5 < outcome["references"]["tfidf_logistic"]["macro_recall"] < 0.75
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{split}.{part}.npy" for split in ("train", "validation", "test") for part in ("ids", "offsets", "labels")
    )
    joy = emotion.label_names.index("joy")
    test = emotion.splits["test"]
    happy = np.array(["happy" in text.split() for text in test.texts])
    assert (test.labels[happy] == joy).mean() > 0.6 > (test.labels == joy).mean()


def test_duplicates_of_a_published_task_are_counted(tmp_path, shared):
    offensive = load_task("offensive", str(shared(TWEET_EVAL)), None, tmp_path)
    counts = overlap({split: part.texts for split, part in offensive.splits.items()}, {})
    assert counts["own_train"]["test"]["exact"] == 5
