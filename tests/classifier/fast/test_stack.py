"""A stack gives each run the history, weights and scores of the same run alone."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from simulated_gpu import NAME, simulated_gpu

from pipeline.classifier.batch import Texts
from pipeline.classifier.device import seeded_generator
from pipeline.classifier.engine import Run, Task, train_run
from pipeline.classifier.fast import dropout, stack
from pipeline.classifier.fast.stack import stackable, stacks, train_stacked
from pipeline.classifier.fast.stack_data import Corpus, run_bytes, stack_embeddings, stack_size
from pipeline.classifier.fast.stack_epoch import StackTrainer
from pipeline.config.schema import EmbeddingConfig, ModelConfig, TrainConfig
from pipeline.runtime.errors import RunError, UserError

V, D, C = 60, 6, 3
TOLERANCE = 1e-5  # sums of float32 in another order, over some forty steps
CPU = torch.device("cpu")


def split(size, seed, low=2, high=V - 20):
    """Tweets of 0 to 8 tokens, some words of which are frequent; one label occurs once in ten."""
    rng = np.random.default_rng(seed)
    tweets = [(low + (high - low) * rng.random(rng.integers(0, 9)) ** 2).astype(int) for _ in range(size)]
    labels = rng.choice(C, size, p=[0.6, 0.3, 0.1])
    return Texts.from_arrays(np.concatenate(tweets), np.cumsum([0, *map(len, tweets)]), labels)


@pytest.fixture(scope="module")
def task():
    """Validation and test have words that training lacks."""
    return Task(split(150, 1), split(60, 2, high=V - 10), split(70, 3, high=V), classes=C)


def make_run(task, seed=0, trainable=True, dropout=0.2, rows=None, init="random", **train):
    initial = np.random.default_rng(seed).standard_normal((V, D)).astype(np.float32)
    initial[0] = 0
    settings = {
        "device": "cpu",
        "threads": 1,
        "max_epochs": 4,
        "max_steps": None,
        "min_epoch_steps": 1,
        "batch_size": 16,
        "lr_embedding": 0.01,
        "lr_head": 0.02,
        "lr_schedule": "linear",
        "weight_decay": 0.0,
        "clip_norm": 5.0,
        "class_weights": "none",
        "monitor": "nll",
        "patience": None,
    }
    return Run(
        initial,
        EmbeddingConfig(init, trainable, False, 0.0, D, None, None, "auto"),
        np.arange(len(task.train)) if rows is None else rows,
        seed,
        ModelConfig("mean", dropout, 4, [2], 4),
        TrainConfig(**(settings | train)),
    )


def assert_same(stacked, single, tolerance=TOLERANCE):
    assert stacked.chosen_epoch == single.chosen_epoch
    assert len(stacked.history) == len(single.history)
    for ours, theirs in zip(stacked.history, single.history, strict=True):
        assert ours == pytest.approx(theirs, abs=tolerance)
    assert stacked.metrics == pytest.approx(single.metrics, abs=tolerance)
    assert np.array_equal(stacked.touched_V, single.touched_V)
    assert np.array_equal(stacked.initial_VE, single.initial_VE)
    assert np.allclose(stacked.embedding_VE, single.embedding_VE, atol=tolerance)
    assert stacked.layers.keys() == single.layers.keys()
    for name, layer in single.layers.items():
        assert stacked.layers[name].shape == layer.shape
        assert np.allclose(stacked.layers[name], layer, atol=tolerance)
    assert stacked.probabilities.keys() == single.probabilities.keys()
    for name, probabilities in single.probabilities.items():
        assert np.allclose(stacked.probabilities[name], probabilities, atol=tolerance)
    assert stacked.device == single.device


def different_runs(task, trainable):
    """Runs that differ in every setting in which the runs of a stack may differ."""
    few, some = np.arange(3, 40, 3), np.random.default_rng(0).permutation(150)[:130]
    return [
        make_run(task, 0, trainable),
        make_run(task, 0, trainable, dropout=0.0, class_weights="balanced", clip_norm=0.02),
        make_run(task, 1, trainable, dropout=0.5, clip_norm=None, weight_decay=0.3, lr_schedule="constant"),
        make_run(task, 2, trainable, rows=some, lr_head=0.2, lr_embedding=0.1, patience=1, max_epochs=9),
        make_run(task, 3, trainable, rows=few, min_epoch_steps=9, max_epochs=5, monitor="macro_recall"),
        make_run(task, 4, trainable, rows=few, min_epoch_steps=12, max_steps=19, class_weights="balanced"),
    ]


@pytest.mark.parametrize("trainable", [True, False])
def test_each_run_has_the_numbers_of_the_run_alone(task, trainable):
    runs = different_runs(task, trainable)
    assert stacks(runs) == [[0, 1, 2, 3, 4, 5]]
    single = [train_run(task, run) for run in runs]
    assert len({len(result.history) for result in single}) >= 3
    assert single[3].chosen_epoch + 1 == len(single[3].history) < 9
    for stacked, expected in zip(train_stacked(task, runs), single, strict=True):
        assert_same(stacked, expected)


def test_results_of_trainable_and_frozen_runs_of_several_lengths_are_in_order(task):
    runs = [
        make_run(task, seed, seed % 2 == 0, rows=np.arange(150 if seed < 4 else 20), max_epochs=2) for seed in range(6)
    ]
    assert stacks(runs) == [[0, 2], [1, 3], [4], [5]]
    for stacked, run in zip(train_stacked(task, runs), runs, strict=True):
        assert_same(stacked, train_run(task, run))


@pytest.mark.parametrize("trainable", [True, False])
def test_a_stack_of_one_and_one_of_many_agree(task, trainable):
    runs = different_runs(task, trainable)
    for run, stacked in zip(runs, train_stacked(task, runs), strict=True):
        assert_same(train_stacked(task, [run])[0], stacked)


def test_a_stack_too_large_for_memory_is_split(task, monkeypatch):
    runs = different_runs(task, True)
    monkeypatch.setattr(stack, "stack_size", lambda *_: 4)
    sizes = []
    train_stack = stack._train_stack
    monkeypatch.setattr(
        stack,
        "_train_stack",
        lambda task, corpus, runs, *rest: (sizes.append(len(runs)), train_stack(task, corpus, runs, *rest))[1],
    )
    results = train_stacked(task, runs)
    assert sizes == [4, 2]
    for run, result in zip(runs, results, strict=True):
        assert_same(result, train_run(task, run))


@pytest.mark.parametrize("trainable", [True, False])
def test_without_validation_the_last_epoch_is_chosen_and_without_test_none_is_read(task, trainable):
    bare = Task(task.train, None, None, C)
    runs = [make_run(task, 0, trainable), make_run(task, 1, trainable, max_epochs=2)]
    for run, stacked in zip(runs, train_stacked(bare, runs), strict=True):
        assert_same(stacked, train_run(bare, run))
        assert stacked.probabilities == {}


def test_tweets_without_any_token_train_the_head_alone(task):
    labels = np.tile([0, 1, 1], 10)
    empty = Texts.from_arrays(np.zeros(0, int), np.zeros(31, int), labels)
    run = make_run(task, rows=np.arange(30))
    stacked = train_stacked(Task(empty, task.validation, empty, C), [run])[0]
    assert_same(stacked, train_run(Task(empty, task.validation, empty, C), run))
    assert np.array_equal(stacked.embedding_VE, run.embedding_VD)
    assert not stacked.touched_V.any()


def test_frozen_rows_are_bit_equal_and_features_are_pooled_once_per_matrix(task):
    first, other = make_run(task, 0, False), make_run(task, 1, False)
    copied = dataclasses.replace(first, embedding_VD=first.embedding_VD.copy(), seed=5)
    embedding = stack_embeddings(Corpus.of(task, CPU), [first, other, copied], CPU)
    assert embedding.matrix_R.tolist() == [0, 1, 0]
    assert {name: len(pooled) for name, pooled in embedding.splits_MND.items()} == dict.fromkeys(
        ("train", "validation", "test"), 2
    )
    for run, stacked in zip((first, copied), train_stacked(task, [first, copied]), strict=True):
        assert stacked.embedding_VE.tobytes() == run.embedding_VD.tobytes()


def test_unread_rows_and_the_initial_matrix_do_not_change(task):
    run = make_run(task, rows=np.arange(20))
    before = run.embedding_VD.copy()
    result = train_stacked(task, [run])[0]
    assert np.array_equal(run.embedding_VD, before)
    assert np.array_equal((result.embedding_VE != before).any(axis=1), result.touched_V)
    assert 0 < result.touched_V.sum() < V - 22


def test_every_epoch_of_every_run_is_reported(task):
    runs = [make_run(task, 0, max_epochs=3), make_run(task, 1, max_epochs=1)]
    reports = []
    results = train_stacked(task, runs, reports.append)
    assert reports == [results[0].history[0], results[1].history[0], *results[0].history[1:]]
    assert all(result.seconds > 0 for result in results)


def test_runs_that_cannot_be_stacked_are_refused(task):
    run = make_run(task)
    assert stackable(run)
    mixed = {"init": ["cbow", "ppmi"], "trainable": [False, True]}
    for change in (mixed, {"projected": True}, {"anchor": 0.1}):
        other = dataclasses.replace(run, embedding=dataclasses.replace(run.embedding, **change))
        assert not stackable(other)
        with pytest.raises(ValueError, match="`mean`"):
            train_stacked(task, [run, other])
    assert not stackable(dataclasses.replace(run, model=dataclasses.replace(run.model, encoder="gru")))
    with pytest.raises(UserError, match="training split is empty"):
        train_stacked(task, [run, make_run(task, rows=np.arange(0))])
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no CUDA GPU"):
            train_stacked(task, [make_run(task, device="cuda")])


def test_different_batch_sizes_are_different_stacks(task):
    runs = [make_run(task), make_run(task, batch_size=17), make_run(task, 1)]
    assert stacks(runs) == [[0, 2], [1]]


@pytest.mark.parametrize("trainable", [True, False])
def test_a_run_whose_loss_is_not_finite_has_its_error_and_stops_no_other(task, trainable):
    """One run fails in its first epoch, one later; the others end before and after them."""
    infinite, late = make_run(task, 7, trainable), make_run(task, 8, trainable, lr_head=1e38, clip_norm=None)
    infinite.embedding_VD[3] = math.inf
    runs = [make_run(task, 0, trainable), infinite, make_run(task, 1, trainable, max_epochs=1), late]
    good, first, short, second = train_stacked(task, runs)
    for stacked, run in ((good, runs[0]), (short, runs[2])):
        assert_same(stacked, train_run(task, run))
    for stacked, run in ((first, infinite), (second, late)):
        with pytest.raises(RunError) as single:
            train_run(task, run)
        assert isinstance(stacked, RunError)
        assert str(stacked) == str(single.value)
    assert isinstance(train_stacked(task, [infinite])[0], RunError)


@pytest.mark.parametrize("trainable", [True, False])
def test_the_estimate_of_memory_covers_the_state_of_a_run(task, trainable):
    runs = [make_run(task, seed, trainable) for seed in range(3)]
    corpus = Corpus.of(task, CPU)
    embedding = StackTrainer(corpus, runs, C, CPU).model.embedding
    tensors = [value for value in vars(embedding).values() if isinstance(value, torch.Tensor) and value.ndim == 3]
    state_bytes = sum(tensor.nbytes for tensor in tensors or embedding.splits_MND.values()) / len(runs)
    assert state_bytes <= run_bytes(corpus, runs[0]) <= 20 * state_bytes
    assert stack_size(corpus, runs[0], CPU) * len(corpus.words_W) < 2**31


@pytest.mark.parametrize("steps_per_pack", [1, 2, 5, 99])
@pytest.mark.parametrize("rows", [16, 37, 80])
def test_dropout_of_a_stack_is_that_of_the_run_alone_however_many_steps_are_packed(
    task, monkeypatch, steps_per_pack, rows
):
    monkeypatch.setattr(dropout, "TWEETS_PER_DRAW", 40)
    run = make_run(task, dropout=0.4, rows=np.arange(rows), min_epoch_steps=12)
    rng, stack_rng = seeded_generator(run.seed, "dropout"), seeded_generator(run.seed, "dropout")
    sizes = [min(16, rows - start) for start in range(0, rows, 16)] * run.passes
    assert run.passes > 1
    masks = dropout.DropoutMasks(run, D, stack_rng)
    blocks = []
    for start in range(0, len(sizes), steps_per_pack):
        blocks.append(torch.full((len(sizes[start : start + steps_per_pack]), 16, D), True))
        masks.fill(blocks[-1])
    mask_KBD = torch.cat(blocks)
    for step, size in enumerate(sizes):
        assert torch.equal(mask_KBD[step, :size], torch.rand((size, D), generator=rng) >= 0.4)


def test_a_run_draws_dropout_in_the_same_portions_alone_and_in_a_stack(task, monkeypatch):
    """On a GPU the numbers depend on the size of a draw."""
    monkeypatch.setattr(dropout, "TWEETS_PER_DRAW", 40)
    sizes = []
    rand = torch.rand
    monkeypatch.setattr(torch, "rand", lambda size, **kwargs: sizes.append(size) or rand(size, **kwargs))
    run = make_run(task, rows=np.arange(50), min_epoch_steps=8, max_epochs=2)
    train_run(task, run)
    single = sizes.copy()
    assert single == [(32, D), (18, D)] * 4
    sizes.clear()
    train_stacked(task, [run])
    assert sizes == single


def on_gpu(runs):
    return [dataclasses.replace(run, train=dataclasses.replace(run.train, device="cuda")) for run in runs]


@pytest.mark.parametrize("trainable", [True, False])
def test_captured_steps_give_each_run_its_numbers_alone_on_a_simulated_gpu(task, trainable):
    runs = different_runs(task, trainable)
    with simulated_gpu() as gpu:
        results = train_stacked(task, on_gpu(runs))
    assert gpu.replayed > 20
    assert gpu.tensors > 100
    for stacked, run in zip(results, runs, strict=True):
        assert stacked.device == NAME
        assert_same(dataclasses.replace(stacked, device="cpu"), train_run(task, run))


@pytest.mark.parametrize("trainable", [True, False])
def test_tables_of_one_kind_are_one_matrix_in_a_stack_on_a_simulated_gpu(task, trainable):
    runs = [make_run(task, seed, trainable, init=init) for seed, init in enumerate(["random", ["cbow", "ppmi"]])]
    assert stacks(runs) == [[0, 1]]
    with simulated_gpu():
        results = train_stacked(task, on_gpu(runs))
    for stacked, run in zip(results, runs, strict=True):
        assert_same(dataclasses.replace(stacked, device="cpu"), train_run(task, run))


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")


@needs_gpu
@pytest.mark.parametrize("trainable", [True, False])
def test_captured_steps_give_each_run_its_numbers_alone_on_the_gpu(task, trainable):
    runs = on_gpu(different_runs(task, trainable))
    for stacked, run in zip(train_stacked(task, runs), runs, strict=True):
        assert_same(stacked, train_run(task, run), 1e-4)


@needs_gpu
@pytest.mark.parametrize("trainable", [True, False])
def test_without_dropout_gpu_and_cpu_agree(task, trainable):
    runs = [make_run(task, seed, trainable, dropout=0.0) for seed in range(4)]
    for stacked, single in zip(train_stacked(task, on_gpu(runs)), train_stacked(task, runs), strict=True):
        assert_same(dataclasses.replace(stacked, device="cpu"), single, 1e-4)
