import tracemalloc
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.compose import compose
from pipeline.runtime.errors import RunError, UserError
from pipeline.text import encoded_split as encoding
from pipeline.text.encoded_split import EncodedSplit, encode_splits
from pipeline.text.presets import build_tokenizer
from pipeline.text.vocabulary import Vocabulary


def split_words(text: str) -> list[str]:
    return text.split()


def tweets(split: EncodedSplit, vocabulary: Vocabulary) -> list[list[str]]:
    return [[vocabulary.words[id] for id in split.ids[a:b]] for a, b in pairwise(split.offsets)]


def test_known_answer(tmp_path: Path) -> None:
    batches = {
        "validation": [(["b new", ""], [1, 0])],
        "train": [(["z b a", "", "b a"], [2, 0, 1]), ([], []), (["b once"], [0])],
        "test": [],
    }
    vocabulary = encode_splits(batches, split_words, 2, tmp_path, workers=1)
    assert vocabulary.words == ["<pad>", "<unk>", "b", "a"]
    train, validation, test = (EncodedSplit.open(tmp_path, name) for name in ("train", "validation", "test"))
    assert train.ids.tolist() == [1, 2, 3, 2, 3, 2, 1]
    assert train.offsets.tolist() == [0, 3, 3, 5, 7]
    assert train.labels.tolist() == [2, 0, 1, 0]
    assert validation.ids.tolist() == [2, 1]
    assert validation.offsets.tolist() == [0, 2, 2]
    assert (len(train), len(validation), len(test), len(test.ids)) == (4, 2, 0, 0)
    assert (train.ids.dtype, train.offsets.dtype, train.labels.dtype) == (np.int32, np.int64, np.int32)
    assert isinstance(train.ids, np.memmap)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        f"{s}.{part}.npy" for s in batches for part in ("ids", "offsets", "labels")
    )


def test_words_that_are_cut_off_are_no_types_and_corpus_lines_are_made(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(replace(compose([]).text, max_tokens=3))
    lines = []
    vocabulary = encode_splits(
        {"train": [(["one two three four five", "one six"], [0, 1])], "test": [(["four one"], [0])]},
        tokenizer, 2, tmp_path, workers=1, on_train=lambda tokens: lines.append(tokens.lines),
    )  # fmt: skip
    assert (vocabulary.words[2:], vocabulary.types_dropped) == (["one"], 3)
    assert lines == [b"one two three\none six\n"]
    assert EncodedSplit.open(tmp_path, "test").ids.tolist() == [1, 2]


def test_unknown_words_as_their_parts_but_not_in_training(tmp_path: Path) -> None:
    batches = {
        "train": [(["good day good day", "good-day good"], [0, 1])],
        "test": [(["a good-day", "", "good"], [0, 1, 0]), (["#goodday good-day good-day"], [1])],
    }
    vocabulary = encode_splits(batches, split_words, 2, tmp_path, workers=1, unknown="parts")
    train, test = (EncodedSplit.open(tmp_path, name) for name in ("train", "test"))
    assert tweets(train, vocabulary) == [["good", "day", "good", "day"], ["<unk>", "good"]]
    assert tweets(test, vocabulary) == [["<unk>", "good", "day"], [], ["good"], ["good", "day"] * 3]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.lists(st.sampled_from("abcdefg")), max_size=4), max_size=5),
    st.lists(st.lists(st.sampled_from("abcxyz")), max_size=4),
    st.integers(1, 4),
)
def test_equals_encoding_tweet_by_tweet(
    tmp_path_factory: pytest.TempPathFactory, train: list[list[list[str]]], test: list[list[str]], min_count: int
) -> None:
    train = [*train, [["a"]]]
    folder = tmp_path_factory.mktemp("encoded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "_SLICE", 3)
        vocabulary = encode_splits(
            {
                "train": [([" ".join(t) for t in batch], [len(t) for t in batch]) for batch in train],
                "test": [([" ".join(t) for t in test], [len(t) for t in test])],
            },
            split_words,
            min_count,
            folder,
            workers=1,
        )
    flat = [tweet for batch in train for tweet in batch]
    expected = Vocabulary.from_counts(Counter(token for tweet in flat for token in tweet), min_count)
    assert vocabulary.words == expected.words
    assert vocabulary.counts.tolist() == expected.counts.tolist()
    for name, texts in (("train", flat), ("test", test)):
        split = EncodedSplit.open(folder, name)
        assert [split.ids[a:b].tolist() for a, b in pairwise(split.offsets)] == [expected.encode(t) for t in texts]
        assert split.labels.tolist() == [len(t) for t in texts]


def test_more_types_than_the_first_count_array(tmp_path: Path) -> None:
    texts = [" ".join(f"w{i}" for i in range(start, start + 50_000)) for start in (0, 50_000, 100_000)]
    vocabulary = encode_splits({"train": [([text], [0]) for text in texts]}, split_words, 1, tmp_path, workers=1)
    assert len(vocabulary) == 150_002
    assert set(vocabulary.counts[2:].tolist()) == {1}
    split = EncodedSplit.open(tmp_path, "train")
    assert tweets(split, vocabulary)[2] == texts[2].split()


def test_memory_does_not_grow_with_the_number_of_tweets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "_SLICE", 1 << 12)

    def peak(batches: int) -> int:
        def stream() -> Iterator[tuple[list[str], list[int]]]:
            for _ in range(batches):
                yield ["a b c d e f g h i j " * 10] * 100, [0] * 100

        tracemalloc.start()
        encode_splits({"train": stream()}, split_words, 1, tmp_path, workers=1)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)
    few, many = peak(10), peak(60)
    # 5,000 tweets more hold 2 MB of ids; 12 bytes a tweet are offsets and labels.
    assert many - few < 400_000


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="training split has no tokens"):
        encode_splits({"train": [([""], [0])]}, split_words, 1, tmp_path, workers=1)
    with pytest.raises(ValueError, match="2 texts has 1 labels"):
        encode_splits({"train": [(["a", "b"], [0])]}, split_words, 1, tmp_path, workers=1)
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(RunError, match="'train' cannot be read"):
        EncodedSplit.open(tmp_path / "none", "train")
    encode_splits({"train": [(["a b"], [0])]}, split_words, 1, tmp_path, workers=1)
    np.save(tmp_path / "train.labels.npy", np.zeros(2, np.int32))
    with pytest.raises(RunError, match="'train' is damaged"):
        EncodedSplit.open(tmp_path, "train")
