"""The step of a stack: its batches equal plain loops, its Adam equals torch's, and a CUDA graph can capture it."""

import json
import re
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from simulated_gpu import simulated_gpu
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.classifier.batch import Texts
from pipeline.classifier.fast.stack_batches import StackedBatch, pack_batches, round_up
from pipeline.classifier.fast.stack_step import (
    FrozenMeans,
    Hyperparameters,
    StackedModel,
    TrainableRows,
    compiled_update_rows,
    update_rows,
)

CPU = torch.device("cpu")
TWEETS = [[3, 1, 3], [], [2], [5, 4, 1, 2, 2, 2, 1], [1], [], [4, 4]]
TEXTS = Texts.from_arrays(
    np.array(list(chain(*TWEETS))), np.cumsum([0, *map(len, TWEETS)]), np.array([0, 1, 0, 1, 2, 0, 1])
)


def bags(ids, starts, count):
    """What `embedding_bag` sums: the ids of each of `count` bags, the last up to the end."""
    ends = [*starts[1:], len(ids)]
    assert len(starts) == count
    assert starts == sorted(starts)
    return [ids[start:end] for start, end in zip(starts, ends, strict=True)]


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 5)).flatmap(
        lambda shape: st.lists(
            st.integers(-1, len(TWEETS) - 1), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))
        ).map(lambda rows: np.array(rows).reshape(shape))
    )
)
def test_batches_hold_each_tweets_tokens_and_each_words_tweets(tweets_KRB):
    _, runs, width = tweets_KRB.shape
    buffers, sizes = pack_batches(torch.from_numpy(tweets_KRB), TEXTS)
    for buffer, tweets_RB in zip(buffers, tweets_KRB, strict=True):
        batch = StackedBatch.view(buffer, sizes)
        assert np.array_equal(batch.tweets_RB, tweets_RB)
        tweets = bags(batch.ids_RT.flatten().tolist(), batch.tweet_starts_RG.flatten().tolist(), runs * sizes.bags)
        postings = bags(batch.postings_RT.flatten().tolist(), batch.row_starts_RU.flatten().tolist(), runs * sizes.rows)
        for run in range(runs):
            tokens = [TWEETS[tweet] if tweet >= 0 else [] for tweet in tweets_RB[run].tolist()]
            of_run = tweets[run * sizes.bags : (run + 1) * sizes.bags]
            assert of_run[:width] == [[word * runs + run for word in words] for words in tokens]
            assert not any(map(any, of_run[width:]))
            rows = batch.rows_RU[run].tolist()
            words = sorted(set(chain(*tokens)))
            assert rows == [word * runs + run for word in words] + [0] * (sizes.rows - len(words))
            of_run = postings[run * sizes.rows : (run + 1) * sizes.rows]
            expected = [[run * width + at for at in range(width) for _ in range(tokens[at].count(w))] for w in words]
            assert of_run[: len(words)] == expected
            assert {tweet for bag in of_run[len(words) :] for tweet in bag} <= {runs * width}


def test_the_example_of_pack_batches():
    texts = Texts.from_arrays(np.array([5, 3, 5, 3, 7]), np.array([0, 3, 4, 5]), np.zeros(3, int))
    packed, sizes = pack_batches(torch.tensor([[[0, 1], [2, -1]]]), texts)
    rows = re.findall(r"^ +(\w+_R\w) +(\[.*?\]) +(\[.*?\])", pack_batches.__doc__, re.MULTILINE)
    fields = vars(StackedBatch.view(packed[0], sizes))
    assert {name: [json.loads(of_run) for of_run in runs] for name, *runs in rows} == {
        name: field.tolist() for name, field in fields.items()
    }


def test_unused_token_slots_never_make_one_long_bag():
    tweets_KRB = torch.full((1, 2, 300), -1)
    tweets_KRB[0, 0] = 3
    buffers, sizes = pack_batches(tweets_KRB, TEXTS)
    batch = StackedBatch.view(buffers[0], sizes)
    assert sizes.tokens >= 2100
    for ids, starts in ((batch.ids_RT, batch.tweet_starts_RG), (batch.postings_RT, batch.row_starts_RU)):
        assert torch.diff(starts[1], append=torch.tensor([ids.numel()])).max() <= 40


@given(st.integers(1, 10**9))
def test_sizes_are_rounded_up_by_at_most_an_eighth(size):
    assert size <= round_up(size) <= size * 1.125


def test_row_updates_equal_sparse_adam():
    rng = torch.Generator().manual_seed(0)
    rows, lrs = torch.randn(12, 3, generator=rng), torch.tensor([0.1, 0.02])
    expected = [torch.nn.Parameter(rows.clone()) for _ in lrs]
    optimizers = [torch.optim.SparseAdam([matrix], lr=float(lr)) for matrix, lr in zip(expected, lrs, strict=True)]
    first, second = torch.zeros_like(rows), torch.zeros_like(rows)
    for step in range(1, 6):
        # Row 0 is the spare one; the first run has even rows, the second odd ones.
        index_RU = torch.stack(
            [2 + 2 * torch.randperm(5, generator=rng)[:3], 3 + 2 * torch.randperm(4, generator=rng)[:3]]
        )
        gradient_RUD, clip_R = torch.randn(2, 3, 3, generator=rng), torch.tensor([1.0, 0.25])
        step_size_R = lrs * (1 - 0.999**step) ** 0.5 / (1 - 0.9**step)
        update_rows(rows, first, second, index_RU, gradient_RUD, clip_R, step_size_R)
        for run, optimizer in enumerate(optimizers):
            values = gradient_RUD[run] * clip_R[run]
            expected[run].grad = torch.sparse_coo_tensor(
                index_RU[run][None], values, rows.shape, check_invariants=False
            )
            optimizer.step()
    assert torch.allclose(rows[2::2], expected[0][2::2], atol=1e-6)
    assert torch.allclose(rows[3::2], expected[1][3::2], atol=1e-6)


def make_model(trainable, runs=2, dim=4, classes=3):
    rng = torch.Generator().manual_seed(1)
    rows_WRD = torch.randn(7, runs, dim, generator=rng)
    rows_WRD[0] = 0
    frozen = FrozenMeans(torch.zeros(runs, dtype=torch.long), {"train": torch.randn(1, len(TEXTS), dim, generator=rng)})
    numbers = {name: torch.full((runs,), 0.1, dtype=torch.float64) for name in Hyperparameters.__annotations__}
    settings = Hyperparameters(**(numbers | {"class_weights_RC": torch.ones(runs, classes)}))
    embedding = TrainableRows(rows_WRD, 6) if trainable else frozen
    return StackedModel(embedding, torch.randn(runs, dim + 1, classes, generator=rng), settings, TEXTS.labels_N)


def tensors(model):
    return {
        f"{type(owner).__name__}.{name}": value
        for owner in (model, model.embedding, model.settings)
        for name, value in vars(owner).items()
        if isinstance(value, torch.Tensor)
    }


def first_batch(trainable):
    buffers, sizes = pack_batches(torch.tensor([[[0, 1, 3], [2, 3, -1]]]), TEXTS if trainable else None)
    return StackedBatch.view(buffers[0], sizes), sizes


class CapturableOperations(TorchDispatchMode):
    """Refuses operations that synchronize, draw random numbers, copy from the host or whose shape depends on data."""

    refused = (
        "_local_scalar_dense",
        "nonzero",
        "unique",
        "masked_select",
        "rand",
        "bernoulli",
        "scalar_tensor",
        "repeat_interleave",
        "is_nonzero",
        "equal",
        "lift_fresh",
        "_to_copy.device",
    )

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert not any(str(func).startswith(f"aten.{name}") for name in self.refused), func
        self.count = getattr(self, "count", 0) + 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("trainable", [True, False])
@torch.no_grad()
def test_a_step_can_be_captured(trainable):
    model, (batch, _) = make_model(trainable), first_batch(trainable)
    before = {name: (value.data_ptr(), value.clone()) for name, value in tensors(model).items()}
    with CapturableOperations() as operations:
        model.step(batch, torch.ones(2, 3, 4, dtype=torch.bool))
    assert operations.count > 20
    after = tensors(model)
    assert {name: value.data_ptr() for name, value in after.items()} == {
        name: address for name, (address, _) in before.items()
    }
    changed = {name for name, (_, value) in before.items() if not torch.equal(after[name], value)}
    heads = {f"StackedModel.{name}" for name in ("head_RFC", "first_RFC", "second_RFC", "steps_R", "loss_R")}
    rows = {f"TrainableRows.{name}" for name in ("rows_WRD", "first_LRD", "second_LRD")}
    assert changed == heads | (rows if trainable else set())


@pytest.mark.parametrize("trainable", [True, False])
@torch.no_grad()
def test_a_batch_of_no_tweets_changes_nothing(trainable):
    model, (batch, sizes) = make_model(trainable), first_batch(trainable)
    mask = torch.ones(2, 3, 4, dtype=torch.bool)
    model.step(batch, mask)
    before = {name: value.clone() for name, value in tensors(model).items()}
    empty = StackedBatch.view(torch.zeros(2 * sum(sizes.slots), dtype=torch.int32), sizes)
    empty.tweets_RB.fill_(-1)
    model.step(empty, mask)
    for name, value in tensors(model).items():
        assert torch.equal(value, before[name]), name


@torch.no_grad()
def test_a_run_that_overflows_does_not_change_another():
    mask = torch.ones(2, 3, 4, dtype=torch.bool)
    batch, _ = first_batch(True)
    model, overflowing = make_model(True), make_model(True)
    overflowing.embedding.rows_WRD[3, 0] = torch.inf
    for _ in range(3):
        model.step(batch, mask)
        overflowing.step(batch, mask)
    assert overflowing.loss_R[0].isnan()
    assert torch.equal(overflowing.embedding.rows_WRD[:, 1], model.embedding.rows_WRD[:, 1])
    assert torch.equal(overflowing.head_RFC[1], model.head_RFC[1])


@torch.no_grad()
def test_a_copy_of_some_runs_has_all_their_tensors():
    model = make_model(True, runs=4)
    before = {name: value.clone() for name, value in tensors(model).items()}
    twin = model.copy_of_runs([3, 1])
    for name, value in tensors(twin).items():
        suffix = name.rpartition("_")[2]
        if name in ("TrainableRows.first_LRD", "TrainableRows.second_LRD"):
            assert value.numel() == 0  # the copy takes no steps
            continue
        expected = before[name].index_select(suffix.index("R"), torch.tensor([3, 1])) if "R" in suffix else before[name]
        assert torch.equal(value, expected), name
    assert all(torch.equal(value, before[name]) for name, value in tensors(model).items())


@pytest.mark.parametrize("compiles", [True, False])
def test_the_row_update_is_compiled_where_possible(monkeypatch, compiles):
    calls = []

    def compiled(*tensors):
        calls.append(tensors)
        if not compiles:
            raise RuntimeError("Failed to find\n  C compiler")
        update_rows(*tensors)

    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr(torch, "compile", lambda function, **options: compiled)
    with simulated_gpu():
        if compiles:
            assert compiled_update_rows.__wrapped__("cuda") is compiled
        else:
            with pytest.warns(UserWarning, match="torch.compile fails: Failed to find C compiler"):
                assert compiled_update_rows.__wrapped__("cuda") is update_rows
    assert len(calls) == 1
    assert compiled_update_rows.__wrapped__("cpu") is update_rows
