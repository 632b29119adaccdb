import json
import os
import signal
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.duplicates import digests
from pipeline.errors import RunError
from pipeline.schema import TextConfig
from pipeline.text import tokens as module
from pipeline.text.presets import build_tokenizer
from pipeline.text.tokens import Columns, Tally, Tokens, tokenize_batches

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
    monkeypatch.setattr(module, "POOL_TEXTS", 10)


def test_tokens_of_a_batch() -> None:
    tokens = Columns(str.split)(["b a b", "", "c"])
    assert tokens.words == ["b", "a", "c"]
    assert (tokens.ids.tolist(), tokens.offsets.tolist()) == ([0, 1, 0, 2], [0, 3, 3, 4])
    assert (len(tokens), list(tokens)) == (3, [["b", "a", "b"], [], ["c"]])
    assert tokens.lines == b"b a b\nc\n"


@given(st.lists(st.lists(st.lists(st.sampled_from(["a", "b", "cc", "\u00e9"]))), max_size=4))
def test_batches_hold_their_own_words(batches: list[list[list[str]]]) -> None:
    columns, tally = Columns(str.split), Tally()
    for batch in batches:
        tokens = columns([" ".join(tweet) for tweet in batch])
        assert list(tokens) == batch
        assert sorted(tokens.words) == sorted({token for tweet in batch for token in tweet})
        assert tokens.lines.decode() == "".join(" ".join(tweet) + "\n" for tweet in batch if tweet)
        numbers = tally.add(tokens)
        spelled = list(tally.counts())
        assert [spelled[number] for number in numbers] == [token for tweet in batch for token in tweet]
    assert tally.counts() == Counter(token for batch in batches for tweet in batch for token in tweet)
    assert len(tally) == len(tally.counts())


def test_a_process_forgets_words_beyond_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WORDS", 3)
    columns = Columns(build_tokenizer(TWEET))
    for start in range(0, 40, 2):
        texts = [f"w{start} same w{start + 1}", "same"]
        assert list(columns(texts)) == [text.split() for text in texts]
        assert len(columns._words) <= 3 + 3


def test_held_out_texts_are_dropped_and_counted() -> None:
    held_out = np.sort(digests([["a  test\ttweet ", "another @one"]], "masked"))
    tokens = Columns(str.split, held_out)(["keep", " a test tweet", "A test tweeted", "Another @two", "keep"])
    assert list(tokens) == [["keep"], ["A", "test", "tweeted"], ["keep"]]
    assert (len(tokens), tokens.dropped) == (3, 2)


@pytest.mark.usefixtures("small_pool")
@pytest.mark.parametrize(("fork", "with_lines"), [(True, True), (True, False), (False, True)])
def test_workers_change_nothing_but_time(monkeypatch: pytest.MonkeyPatch, fork: bool, with_lines: bool) -> None:
    able = fork and module.can_fork()
    monkeypatch.setattr(module, "can_fork", lambda: able)
    texts = [f"Tweet no{i} :) @user {'x' * (i % 7)} http://t.co/{i}" for i in range(60)]
    batches = [texts[i : i + 5] for i in range(0, 60, 5)]
    tokenizer = build_tokenizer(TWEET)
    taken = 0

    def source() -> Iterator[list[str]]:
        nonlocal taken
        for taken, batch in enumerate(batches, 1):  # noqa: B007
            yield batch

    held_out = np.sort(digests([[texts[7], texts[41]]], "masked"))
    stream = tokenize_batches(source(), tokenizer, 2, held_out, with_lines=with_lines)
    first = next(stream)
    assert taken < len(batches)
    found = [first, *stream]
    assert {"lines" in vars(tokens) for tokens in found} == {with_lines}
    kept = [[text for text in batch if text not in (texts[7], texts[41])] for batch in batches]
    assert [list(tokens) for tokens in found] == [[tokenizer(text) for text in batch] for batch in kept]
    assert [tokens.dropped for tokens in found] == [5 - len(batch) for batch in kept]
    alone = tokenize_batches(batches, tokenizer, 1, held_out)
    assert [tokens.lines for tokens in alone] == [tokens.lines for tokens in found]


def test_what_processes_send_is_small() -> None:
    import pickle

    tokens = Columns(str.split)(["one two three four five " * 20] * 500)
    assert len(pickle.dumps(tokens)) < tokens.ids.nbytes + tokens.offsets.nbytes + 2_000
    copy = pickle.loads(pickle.dumps(tokens))
    assert isinstance(copy, Tokens)
    np.testing.assert_array_equal(copy.ids, tokens.ids)


@pytest.mark.usefixtures("small_pool")
def test_an_error_in_a_worker_arrives_as_itself() -> None:
    with pytest.raises(json.JSONDecodeError, match="Expecting value"):
        list(tokenize_batches([["[]"] * 9, ["bad"] * 9, ["[]"] * 9], json.loads, workers=2))


@pytest.mark.usefixtures("small_pool")
def test_a_dead_worker_is_told_on_one_line() -> None:
    with pytest.raises(RunError, match="ended unexpectedly"):
        list(tokenize_batches([["a"] * 9, ["b"] * 9], die, workers=2))


def die(text: str) -> list[str]:
    os.kill(os.getpid(), signal.SIGTERM)
    return [text]


@pytest.mark.usefixtures("small_pool")
@pytest.mark.parametrize("batches", [[["a b"] * 9], [["a b"] * 100], [["a"] * 4, ["b"] * 4], []])
def test_no_workers_for_little_text(batches: list[list[str]]) -> None:
    # A lambda cannot be sent to a process.
    found = tokenize_batches(batches, lambda text: text.split(), workers=4)
    assert [list(tokens) for tokens in found] == [[text.split() for text in batch] for batch in batches]
