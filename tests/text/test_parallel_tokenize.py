import json
import os
import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.schema import TextConfig
from pipeline.data.duplicates import digests
from pipeline.runtime.errors import RunError
from pipeline.text import parallel_tokenize as module
from pipeline.text.parallel_tokenize import BatchTokenizer, IdMapper, TokenBatch, WordCounter, WordIds, tokenize_batches
from pipeline.text.presets import build_tokenizer

TWEET = TextConfig(
    "tweet",
    handles="keep",
    links="keep",
    emoticons="keep",
    min_count=1,
    unlabelled_min_count=None,
    max_tokens=None,
)


@pytest.fixture
def small_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start worker processes from ten texts on."""
    monkeypatch.setattr(module, "MIN_POOL_TEXTS", 10)


def tokens_of(batches: Iterable[TokenBatch]) -> list[list[list[str]]]:
    """The tokens of each text of each batch."""
    word_ids = WordIds()
    map_ids = IdMapper(word_ids.__getitem__)
    texts_by_batch = []
    for batch in batches:
        tokens = [word_ids.words[id] for id in map_ids(batch).tolist()]
        texts_by_batch.append([tokens[start:end] for start, end in pairwise(batch.offsets.tolist())])
    return texts_by_batch


def test_tokens_of_a_batch() -> None:
    tokenize = BatchTokenizer(str.split, with_lines=True)
    first = tokenize(["b a b", "", "c"])
    assert (first.process_id, first.first_new_id, first.new_words) == (os.getpid(), 0, ["b", "a", "c"])
    assert (first.ids.tolist(), first.offsets.tolist()) == ([0, 1, 0, 2], [0, 3, 3, 4])
    assert (len(first), first.lines) == (3, b"b a b\nc\n")
    second = tokenize(["d c"])
    assert (second.first_new_id, second.new_words, second.ids.tolist(), second.lines) == (3, ["d"], [3, 2], b"d c\n")
    assert tokens_of([first, second]) == [[["b", "a", "b"], [], ["c"]], [["d", "c"]]]
    assert BatchTokenizer(str.split)(["b a b"]).lines is None


@given(st.lists(st.lists(st.lists(st.sampled_from(["a", "b", "cc", "\u00e9", "\u2603"]))), max_size=4))
def test_every_word_is_sent_once(batches: list[list[list[str]]]) -> None:
    tokenize, counter = BatchTokenizer(str.split, with_lines=True), WordCounter()
    tokenized = [tokenize([" ".join(tweet) for tweet in batch]) for batch in batches]
    assert tokens_of(tokenized) == batches
    sent = [word for batch in tokenized for word in batch.new_words]
    assert sorted(sent) == sorted({token for batch in batches for tweet in batch for token in tweet})
    for tweets, batch in zip(batches, tokenized, strict=True):
        assert batch.lines is not None
        assert batch.lines.decode() == "".join(" ".join(tweet) + "\n" for tweet in tweets if tweet)
        ids = counter.add(batch)
        assert [counter.words[id] for id in ids] == [token for tweet in tweets for token in tweet]
    assert counter.counts() == Counter(token for batch in batches for tweet in batch for token in tweet)
    assert sorted(counter.words) == sorted(counter.counts())


def test_truncated_words_do_not_count() -> None:
    counter = WordCounter()
    tokenize = BatchTokenizer(build_tokenizer(replace(TWEET, max_tokens=2)))
    for batch in (["one two three", "four"], ["three", "one two five"]):
        counter.add(tokenize(batch))
    assert counter.counts() == {"one": 2, "two": 2, "three": 1, "four": 1}


def test_a_token_with_white_space_is_refused_again_and_again() -> None:
    tokenize = BatchTokenizer(json.loads, with_lines=True)
    for _ in range(2):
        with pytest.raises(ValueError, match="white space, found 'a b'"):
            tokenize(['["c", "a b"]'])


def test_words_are_mapped_once_for_each_process() -> None:
    calls: list[str] = []

    def id_of(word: str) -> int:
        calls.append(word)
        return len(word)

    def batch(process_id: int, first_new_id: int, new_words: list[str], ids: list[int]) -> TokenBatch:
        return TokenBatch(process_id, first_new_id, new_words, np.array(ids, np.int32), np.array([0, len(ids)]))

    map_ids = IdMapper(id_of)
    assert map_ids(batch(1, 0, ["a", "bb"], [1, 0, 1])).tolist() == [2, 1, 2]
    assert map_ids(batch(2, 0, ["ccc"], [0])).tolist() == [3]
    assert map_ids(batch(1, 2, ["dddd"], [2, 0])).tolist() == [4, 1]
    assert map_ids(batch(2, 1, [], [0])).tolist() == [3]
    assert calls == ["a", "bb", "ccc", "dddd"]
    with pytest.raises(ValueError, match="first new id is 2, but 1 ids are mapped"):
        map_ids(batch(2, 2, ["e"], [2]))
    assert map_ids(batch(1, 0, ["eeeee"], [0])).tolist() == [5]  # the process restarts its numbering
    assert map_ids(batch(3, 0, [], [])).tolist() == []


def test_the_number_of_stored_words_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WORDS", 3)
    tokenize = BatchTokenizer(build_tokenizer(TWEET))
    batches = [[f"w{start} same w{start + 1}", "same"] for start in range(0, 40, 2)]
    tokenized = []
    for batch in batches:
        tokenized.append(tokenize(batch))
        assert len(tokenize._word_ids) <= 3 + 3
    assert sum(batch.first_new_id == 0 for batch in tokenized) > 5
    assert tokens_of(tokenized) == [[text.split() for text in batch] for batch in batches]


def test_held_out_texts_are_dropped_and_counted() -> None:
    held_out = np.sort(digests([["a  test\ttweet ", "another @one"]], "masked"))
    tokens = BatchTokenizer(str.split, held_out)(["keep", " a test tweet", "A test tweeted", "Another @two", "keep"])
    assert tokens_of([tokens]) == [[["keep"], ["A", "test", "tweeted"], ["keep"]]]
    assert (len(tokens), tokens.dropped) == (3, 2)


@pytest.mark.usefixtures("small_pool")
@pytest.mark.parametrize(("fork", "with_lines"), [(True, True), (True, False), (False, True)])
def test_workers_change_nothing_but_time(monkeypatch: pytest.MonkeyPatch, fork: bool, with_lines: bool) -> None:
    forks = fork and module.can_fork()
    monkeypatch.setattr(module, "can_fork", lambda: forks)
    texts = [f"Tweet no{i} :) @user {'x' * (i % 7)} http://t.co/{i}" for i in range(60)]
    batches = [texts[i : i + 5] for i in range(0, 60, 5)]
    tokenizer = build_tokenizer(TWEET)
    n_read = 0

    def source() -> Iterator[list[str]]:
        nonlocal n_read
        for n_read, batch in enumerate(batches, 1):  # noqa: B007
            yield batch

    held_out = np.sort(digests([[texts[7], texts[41]]], "masked"))
    stream = tokenize_batches(source(), tokenizer, 2, held_out, with_lines=with_lines)
    first = next(stream)
    assert n_read < len(batches)
    parallel = [first, *stream]
    remaining = [[text for text in batch if text not in (texts[7], texts[41])] for batch in batches]
    assert tokens_of(parallel) == [[tokenizer(text) for text in batch] for batch in remaining]
    assert os.getpid() not in {batch.process_id for batch in parallel}
    assert all(sum(word in batch.new_words for batch in parallel) <= 2 for word in ("no1", "tweet", ":)"))
    assert [batch.dropped for batch in parallel] == [5 - len(batch) for batch in remaining]
    serial = list(tokenize_batches(batches, tokenizer, 1, held_out, with_lines=with_lines))
    assert {batch.process_id for batch in serial} == {os.getpid()}
    assert [batch.lines for batch in serial] == [batch.lines for batch in parallel]
    assert {batch.lines is not None for batch in parallel} == {with_lines}


def test_pickled_batches_are_small() -> None:
    import pickle

    tokenize = BatchTokenizer(str.split)
    texts = ["one two three four five " * 20] * 500
    batch = tokenize(texts)
    assert tokenize(texts).new_words == []
    assert len(pickle.dumps(batch)) < batch.ids.nbytes + batch.offsets.nbytes + 2_000
    copy = pickle.loads(pickle.dumps(batch))
    assert isinstance(copy, TokenBatch)
    np.testing.assert_array_equal(copy.ids, batch.ids)


@pytest.mark.usefixtures("small_pool")
def test_an_error_in_a_worker_is_raised_unchanged() -> None:
    with pytest.raises(json.JSONDecodeError, match="Expecting value"):
        list(tokenize_batches([["[]"] * 9, ["bad"] * 9, ["[]"] * 9], json.loads, workers=2))


@pytest.mark.usefixtures("small_pool")
def test_a_dead_worker_is_a_run_error() -> None:
    with pytest.raises(RunError, match="ended unexpectedly"):
        list(tokenize_batches([["a"] * 9, ["b"] * 9], die, workers=2))


def die(text: str) -> list[str]:
    os.kill(os.getpid(), signal.SIGTERM)
    return [text]


@pytest.mark.usefixtures("small_pool")
@pytest.mark.parametrize("batches", [[["a b"] * 9], [["a b"] * 100], [["a"] * 4, ["b"] * 4], []])
def test_no_workers_for_little_text(batches: list[list[str]]) -> None:
    # A lambda cannot be sent to a process.
    tokenized = tokenize_batches(batches, lambda text: text.split(), workers=4)
    assert tokens_of(tokenized) == [[text.split() for text in batch] for batch in batches]
