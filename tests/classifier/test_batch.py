"""Splits over memory-mapped files, batches taken from them, and their inverted indices."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.classifier.batch import Bags, Texts, take
from pipeline.classifier.fast.mean_gradients import indexed_batches

TWEETS = st.lists(st.lists(st.integers(0, 12), max_size=5), min_size=1, max_size=12)


def texts_of(tweets):
    ids = np.array([id for tweet in tweets for id in tweet], np.int32)
    return Texts.from_arrays(ids, np.cumsum([0, *map(len, tweets)]), np.arange(len(tweets), dtype=np.int32))


def test_a_memory_mapped_split_is_read_where_it_is(tmp_path):
    arrays = (np.arange(2, 9, dtype=np.int32), np.array([0, 3, 3, 7]), np.array([1, 0, 1], np.int32))
    for number, array in enumerate(arrays):
        np.save(tmp_path / f"{number}.npy", array)
    mapped = [np.load(tmp_path / f"{number}.npy", mmap_mode="r") for number in range(3)]
    texts = Texts.from_arrays(*mapped)
    for array, tensor in zip(mapped, (texts.ids, texts.offsets, texts.labels_N), strict=True):
        assert tensor.data_ptr() == array.ctypes.data
    del mapped, array, tensor
    assert texts.ids.tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert take(texts, torch.tensor([2, 0])).ids.tolist() == [5, 6, 7, 8, 2, 3, 4]


def test_other_integers_are_converted():
    texts = Texts.from_arrays(np.array([5, 6], np.int64), np.array([0, 2], np.int32), np.array([1], np.int8))
    assert (texts.ids.dtype, texts.offsets.dtype, texts.labels_N.dtype) == (torch.int32, torch.int64, torch.int64)
    assert (texts.ids.tolist(), texts.offsets.tolist(), texts.labels_N.tolist()) == ([5, 6], [0, 2], [1])


def equal(one: Bags, two: Bags) -> bool:
    return all(
        torch.equal(getattr(one, name), getattr(two, name).to(getattr(one, name).dtype))
        for name in ("ids", "starts_B", "lengths_B")
    )


@given(TWEETS, st.integers(1, 5))
def test_batches_are_the_tweets_in_their_order(tweets, size):
    texts = texts_of(tweets)
    expected = [take(texts, rows) for rows in torch.split(torch.arange(len(texts)), size)]
    assert all(equal(one, two) for one, two in zip(texts.batches(size), expected, strict=True))


def test_an_inverted_index_by_hand():
    (first, second) = indexed_batches(take(texts_of([[7, 3, 7], [], [3, 2], [9]]), torch.arange(4)), 3)
    assert first.ids_U.tolist() == [2, 3, 7]
    assert first.starts_U.tolist() == [0, 1, 3]
    assert first.postings.tolist() == [2, 0, 2, 0, 0]
    assert (second.ids_U.tolist(), second.starts_U.tolist(), second.postings.tolist()) == ([9], [0], [0])


@given(TWEETS, st.integers(1, 5), st.randoms())
def test_inverted_indices_hold_every_token_once(tweets, size, random):
    order = torch.tensor(random.sample(range(len(tweets)), len(tweets)))
    texts = texts_of(tweets)
    for rows_B, batch in zip(torch.split(order, size), indexed_batches(take(texts, order), size), strict=True):
        assert equal(batch.bags, take(texts, rows_B))
        assert batch.ids_U.tolist() == sorted({id for row in rows_B.tolist() for id in tweets[row]})
        ends = [*batch.starts_U.tolist(), len(batch.postings)]
        tokens = [
            (id, tweet)
            for id, start, end in zip(batch.ids_U.tolist(), ends, ends[1:], strict=False)
            for tweet in batch.postings[start:end].tolist()
        ]
        assert tokens == sorted((id, tweet) for tweet, row in enumerate(rows_B.tolist()) for id in tweets[row])
