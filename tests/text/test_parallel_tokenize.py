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
from pipeline.text.parallel_tokenize import Columns, Lookup, Tally, Tokens, Words, tokenize_batches
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
    monkeypatch.setattr(module, "POOL_TEXTS", 10)


def texts_of(batches: Iterable[Tokens]) -> list[list[list[str]]]:
    """The tokens of each text of each batch, spelled."""
    words = Words()
    lookup = Lookup(words.__getitem__)
    found = []
    for tokens in batches:
        spelled = [words.spelled[number] for number in lookup(tokens).tolist()]
        found.append([spelled[start:end] for start, end in pairwise(tokens.offsets.tolist())])
    return found


def test_tokens_of_a_batch() -> None:
    columns = Columns(str.split, with_lines=True)
    tokens = columns(["b a b", "", "c"])
    assert (tokens.maker, tokens.known, tokens.new) == (os.getpid(), 0, ["b", "a", "c"])
    assert (tokens.ids.tolist(), tokens.offsets.tolist()) == ([0, 1, 0, 2], [0, 3, 3, 4])
    assert (len(tokens), tokens.lines) == (3, b"b a b\nc\n")
    following = columns(["d c"])
    assert (following.known, following.new, following.ids.tolist(), following.lines) == (3, ["d"], [3, 2], b"d c\n")
    assert texts_of([tokens, following]) == [[["b", "a", "b"], [], ["c"]], [["d", "c"]]]
    assert Columns(str.split)(["b a b"]).lines is None


@given(st.lists(st.lists(st.lists(st.sampled_from(["a", "b", "cc", "\u00e9", "\u2603"]))), max_size=4))
def test_every_word_is_named_once(batches: list[list[list[str]]]) -> None:
    columns, tally = Columns(str.split, with_lines=True), Tally()
    made = [columns([" ".join(tweet) for tweet in batch]) for batch in batches]
    assert texts_of(made) == batches
    named = [word for tokens in made for word in tokens.new]
    assert sorted(named) == sorted({token for batch in batches for tweet in batch for token in tweet})
    for batch, tokens in zip(batches, made, strict=True):
        assert tokens.lines is not None
        assert tokens.lines.decode() == "".join(" ".join(tweet) + "\n" for tweet in batch if tweet)
        numbers = tally.add(tokens)
        assert [tally.words[number] for number in numbers] == [token for tweet in batch for token in tweet]
    assert tally.counts() == Counter(token for batch in batches for tweet in batch for token in tweet)
    assert sorted(tally.words) == sorted(tally.counts())


def test_words_that_are_cut_off_do_not_count() -> None:
    tally = Tally()
    columns = Columns(build_tokenizer(replace(TWEET, max_tokens=2)))
    for batch in (["one two three", "four"], ["three", "one two five"]):
        tally.add(columns(batch))
    assert tally.counts() == {"one": 2, "two": 2, "three": 1, "four": 1}


def test_a_token_with_white_space_is_refused_again_and_again() -> None:
    columns = Columns(json.loads, with_lines=True)
    for _ in range(2):
        with pytest.raises(ValueError, match="white space, found 'a b'"):
            columns(['["c", "a b"]'])


def test_words_are_looked_up_once_for_each_maker() -> None:
    asked: list[str] = []

    def number(word: str) -> int:
        asked.append(word)
        return len(word)

    def tokens(maker: int, known: int, new: list[str], ids: list[int]) -> Tokens:
        return Tokens(maker, known, new, np.array(ids, np.int32), np.array([0, len(ids)]))

    lookup = Lookup(number)
    assert lookup(tokens(1, 0, ["a", "bb"], [1, 0, 1])).tolist() == [2, 1, 2]
    assert lookup(tokens(2, 0, ["ccc"], [0])).tolist() == [3]
    assert lookup(tokens(1, 2, ["dddd"], [2, 0])).tolist() == [4, 1]
    assert lookup(tokens(2, 1, [], [0])).tolist() == [3]
    assert asked == ["a", "bb", "ccc", "dddd"]
    with pytest.raises(ValueError, match="before number 2 were not looked up, only 1"):
        lookup(tokens(2, 2, ["e"], [2]))
    assert lookup(tokens(1, 0, ["eeeee"], [0])).tolist() == [5]  # it began anew
    assert lookup(tokens(3, 0, [], [])).tolist() == []


def test_a_process_forgets_words_beyond_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WORDS", 3)
    columns = Columns(build_tokenizer(TWEET))
    batches = [[f"w{start} same w{start + 1}", "same"] for start in range(0, 40, 2)]
    made = []
    for batch in batches:
        made.append(columns(batch))
        assert len(columns._words) <= 3 + 3
    assert sum(tokens.known == 0 for tokens in made) > 5
    assert texts_of(made) == [[text.split() for text in batch] for batch in batches]


def test_held_out_texts_are_dropped_and_counted() -> None:
    held_out = np.sort(digests([["a  test\ttweet ", "another @one"]], "masked"))
    tokens = Columns(str.split, held_out)(["keep", " a test tweet", "A test tweeted", "Another @two", "keep"])
    assert texts_of([tokens]) == [[["keep"], ["A", "test", "tweeted"], ["keep"]]]
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
    kept = [[text for text in batch if text not in (texts[7], texts[41])] for batch in batches]
    assert texts_of(found) == [[tokenizer(text) for text in batch] for batch in kept]
    assert os.getpid() not in {tokens.maker for tokens in found}
    assert all(sum(word in tokens.new for tokens in found) <= 2 for word in ("no1", "tweet", ":)"))
    assert [tokens.dropped for tokens in found] == [5 - len(batch) for batch in kept]
    alone = list(tokenize_batches(batches, tokenizer, 1, held_out, with_lines=with_lines))
    assert {tokens.maker for tokens in alone} == {os.getpid()}
    assert [tokens.lines for tokens in alone] == [tokens.lines for tokens in found]
    assert {tokens.lines is not None for tokens in found} == {with_lines}


def test_what_processes_send_is_small() -> None:
    import pickle

    columns = Columns(str.split)
    texts = ["one two three four five " * 20] * 500
    tokens = columns(texts)
    assert columns(texts).new == []
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
    assert texts_of(found) == [[text.split() for text in batch] for batch in batches]
