"""The step of a stack: its batches against plain loops, its Adam against torch's, and what a recording asks of it."""

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from simulated_gpu import simulated_gpu
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.classifier.batch import Texts
from pipeline.classifier.fast.stack_batches import Batch, plan_batches, room
from pipeline.classifier.fast.stack_step import Moving, Pooled, Rates, Stack, row_update, update_rows

CPU = torch.device("cpu")
TWEETS = [[3, 1, 3], [], [2], [5, 4, 1, 2, 2, 2, 1], [1], [], [4, 4]]
TEXTS = Texts.from_arrays(
    np.array(list(chain(*TWEETS))), np.cumsum([0, *map(len, TWEETS)]), np.array([0, 1, 0, 1, 2, 0, 1])
)


def bags(ids, starts, places):
    """What `embedding_bag` sums: the ids of each place, the last up to the end."""
    ends = [*starts[1:], len(ids)]
    assert len(starts) == places
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
    buffers, sizes = plan_batches(torch.from_numpy(tweets_KRB), TEXTS)
    for buffer, tweets_RB in zip(buffers, tweets_KRB, strict=True):
        batch = Batch.of(buffer, sizes)
        assert np.array_equal(batch.tweets_RB, tweets_RB)
        read = bags(batch.ids_RT.flatten().tolist(), batch.starts_RG.flatten().tolist(), runs * sizes.bags)
        members = bags(batch.members_RT.flatten().tolist(), batch.begins_RS.flatten().tolist(), runs * sizes.rows)
        for run in range(runs):
            tokens = [TWEETS[tweet] if tweet >= 0 else [] for tweet in tweets_RB[run].tolist()]
            own = read[run * sizes.bags : (run + 1) * sizes.bags]
            assert own[:width] == [[word * runs + run for word in words] for words in tokens]
            assert not any(map(any, own[width:]))
            rows = batch.rows_RS[run].tolist()
            words = sorted(set(chain(*tokens)))
            assert rows == [word * runs + run for word in words] + [0] * (sizes.rows - len(words))
            own = members[run * sizes.rows : (run + 1) * sizes.rows]
            expected = [[run * width + at for at in range(width) for _ in range(tokens[at].count(w))] for w in words]
            assert own[: len(words)] == expected
            assert {place for bag in own[len(words) :] for place in bag} <= {runs * width}


def test_unused_places_never_make_one_long_bag():
    tweets_KRB = torch.full((1, 2, 300), -1)
    tweets_KRB[0, 0] = 3
    buffers, sizes = plan_batches(tweets_KRB, TEXTS)
    batch = Batch.of(buffers[0], sizes)
    assert sizes.tokens >= 2100
    for ids, starts in ((batch.ids_RT, batch.starts_RG), (batch.members_RT, batch.begins_RS)):
        assert torch.diff(starts[1], append=torch.tensor([ids.numel()])).max() <= 40


@given(st.integers(1, 10**9))
def test_room_is_at_most_an_eighth_more(needed):
    assert needed <= room(needed) <= needed * 1.125


def test_rows_take_the_steps_of_sparse_adam():
    rng = torch.Generator().manual_seed(0)
    rows, rates = torch.randn(12, 3, generator=rng), torch.tensor([0.1, 0.02])
    expected = [torch.nn.Parameter(rows.clone()) for _ in rates]
    optimizers = [torch.optim.SparseAdam([one], lr=float(rate)) for one, rate in zip(expected, rates, strict=True)]
    first, second = torch.zeros_like(rows), torch.zeros_like(rows)
    for step in range(1, 6):
        # Row 0 is the spare one; the first run has even rows, the second odd ones.
        index_RS = torch.stack(
            [2 + 2 * torch.randperm(5, generator=rng)[:3], 3 + 2 * torch.randperm(4, generator=rng)[:3]]
        )
        gradient_RSD, clip_R = torch.randn(2, 3, 3, generator=rng), torch.tensor([1.0, 0.25])
        size_R = rates * (1 - 0.999**step) ** 0.5 / (1 - 0.9**step)
        update_rows(rows, first, second, index_RS, gradient_RSD, clip_R, size_R)
        for run, optimizer in enumerate(optimizers):
            values = gradient_RSD[run] * clip_R[run]
            expected[run].grad = torch.sparse_coo_tensor(
                index_RS[run][None], values, rows.shape, check_invariants=False
            )
            optimizer.step()
    assert torch.allclose(rows[2::2], expected[0][2::2], atol=1e-6)
    assert torch.allclose(rows[3::2], expected[1][3::2], atol=1e-6)


def make_stack(moving, runs=2, dim=4, classes=3):
    rng = torch.Generator().manual_seed(1)
    rows_WRD = torch.randn(7, runs, dim, generator=rng)
    rows_WRD[0] = 0
    pooled = Pooled(torch.zeros(runs, dtype=torch.long), {"train": torch.randn(1, len(TEXTS), dim, generator=rng)})
    numbers = {name: torch.full((runs,), 0.1, dtype=torch.float64) for name in Rates.__annotations__}
    rates = Rates(**(numbers | {"weights_RC": torch.ones(runs, classes)}))
    source = Moving(rows_WRD, 6) if moving else pooled
    return Stack(source, torch.randn(runs, dim + 1, classes, generator=rng), rates, TEXTS.labels_N)


def tensors(stack):
    return {
        f"{type(owner).__name__}.{name}": value
        for owner in (stack, stack.source, stack.rates)
        for name, value in vars(owner).items()
        if isinstance(value, torch.Tensor)
    }


def first_batch(moving):
    buffers, sizes = plan_batches(torch.tensor([[[0, 1, 3], [2, 3, -1]]]), TEXTS if moving else None)
    return Batch.of(buffers[0], sizes), sizes


class NothingThatWaits(TorchDispatchMode):
    """Refuses operations whose shape depends on data, that read a number, draw noise or copy from the host."""

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
        self.seen = getattr(self, "seen", 0) + 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("moving", [True, False])
@torch.no_grad()
def test_a_step_can_be_recorded(moving):
    stack, (batch, _) = make_stack(moving), first_batch(moving)
    before = {name: (value.data_ptr(), value.clone()) for name, value in tensors(stack).items()}
    with NothingThatWaits() as watch:
        stack.step(batch, torch.ones(2, 3, 4, dtype=torch.bool))
    assert watch.seen > 20
    after = tensors(stack)
    assert {name: value.data_ptr() for name, value in after.items()} == {name: at for name, (at, _) in before.items()}
    changed = {name for name, (_, value) in before.items() if not torch.equal(after[name], value)}
    heads = {"Stack.head_RFC", "Stack.first_RFC", "Stack.second_RFC", "Stack.steps_R", "Stack.loss_R"}
    assert changed == heads | ({"Moving.rows_WRD", "Moving.first_URD", "Moving.second_URD"} if moving else set())


@pytest.mark.parametrize("moving", [True, False])
@torch.no_grad()
def test_a_batch_of_no_tweets_changes_nothing(moving):
    stack, (batch, sizes) = make_stack(moving), first_batch(moving)
    kept = torch.ones(2, 3, 4, dtype=torch.bool)
    stack.step(batch, kept)
    before = {name: value.clone() for name, value in tensors(stack).items()}
    empty = Batch.of(torch.zeros(2 * sum(sizes.parts), dtype=torch.int32), sizes)
    empty.tweets_RB.fill_(-1)
    stack.step(empty, kept)
    for name, value in tensors(stack).items():
        assert torch.equal(value, before[name]), name


@torch.no_grad()
def test_a_run_whose_numbers_overflow_leaves_its_companion_alone():
    kept = torch.ones(2, 3, 4, dtype=torch.bool)
    batch, _ = first_batch(True)
    sound, broken = make_stack(True), make_stack(True)
    broken.source.rows_WRD[3, 0] = torch.inf
    for _ in range(3):
        sound.step(batch, kept)
        broken.step(batch, kept)
    assert broken.loss_R[0].isnan()
    assert torch.equal(broken.source.rows_WRD[:, 1], sound.source.rows_WRD[:, 1])
    assert torch.equal(broken.head_RFC[1], sound.head_RFC[1])


@torch.no_grad()
def test_runs_that_stay_keep_all_that_is_theirs():
    stack = make_stack(True, runs=4)
    whole = {name: value.clone() for name, value in tensors(stack).items()}
    twin = stack.part([3, 1])
    for name, value in tensors(twin).items():
        suffix = name.rpartition("_")[2]
        if name in ("Moving.first_URD", "Moving.second_URD"):
            assert value.numel() == 0  # it takes no more steps
            continue
        expected = whole[name].index_select(suffix.index("R"), torch.tensor([3, 1])) if "R" in suffix else whole[name]
        assert torch.equal(value, expected), name
    assert all(torch.equal(value, whole[name]) for name, value in tensors(stack).items())


@pytest.mark.parametrize("works", [True, False])
def test_rows_are_updated_by_what_is_compiled_where_that_can_be(monkeypatch, works):
    called = []

    def compiled(*tensors):
        called.append(tensors)
        if not works:
            raise RuntimeError("Failed to find\n  C compiler")
        update_rows(*tensors)

    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr(torch, "compile", lambda function, **options: compiled)
    with simulated_gpu():
        if works:
            assert row_update.__wrapped__("cuda") is compiled
        else:
            with pytest.warns(UserWarning, match="torch.compile fails: Failed to find C compiler"):
                assert row_update.__wrapped__("cuda") is update_rows
    assert len(called) == 1
    assert row_update.__wrapped__("cpu") is update_rows
