"""The engine: which weights change, choice on validation, determinism, independence from the other runs of a batch."""

import dataclasses
import os

import numpy as np
import pytest
import torch
from simulated_gpu import NAME, simulated_gpu
from sklearn.utils.class_weight import compute_class_weight

from pipeline.classifier.batch import Texts, take
from pipeline.classifier.device import resolve_device
from pipeline.classifier.engine import Run, Task, class_weights, train_batch, train_run
from pipeline.classifier.model import Classifier, Embedding
from pipeline.classifier.optimizer import Adam
from pipeline.classifier.training_state import TrainingState
from pipeline.config.schema import EmbeddingConfig, ModelConfig, TrainConfig
from pipeline.runtime.errors import RunError, UserError

V, D = 40, 8


def model_settings(**changes):
    base = {"encoder": "mean", "dropout": 0.2, "filters": 4, "widths": [2, 3], "hidden": 6}
    return ModelConfig(**(base | changes))


def train_settings(**changes):
    base = {
        "device": "cpu",
        "threads": 1,
        "max_epochs": 6,
        "max_steps": None,
        "min_epoch_steps": 1,
        "batch_size": 16,
        "lr_embedding": 0.01,
        "lr_head": 0.01,
        "lr_schedule": "constant",
        "weight_decay": 0.0,
        "clip_norm": 5.0,
        "class_weights": "none",
        "monitor": "accuracy",
        "patience": 3,
    }
    return TrainConfig(**(base | changes))


def split(size, seed, used=V - 5):
    """Tweets whose label is whether more of their tokens are even than odd; the last ids never occur."""
    rng = np.random.default_rng(seed)
    tweets = [rng.integers(2, used, rng.integers(1, 9)) for _ in range(size)]
    labels = np.array([int((tweet % 2 == 0).mean() > 0.5) for tweet in tweets])
    return Texts.from_arrays(np.concatenate(tweets), np.cumsum([0, *map(len, tweets)]), labels)


@pytest.fixture(scope="module")
def task():
    return Task(split(300, 1), split(80, 2), split(120, 3), classes=2)


def variant(trainable=True, projected=False, anchor=0.0, init="random"):
    return EmbeddingConfig(init, trainable, projected, anchor, D, None, None, "auto")


VARIANTS = {
    "frozen": variant(trainable=False),
    "trained": variant(),
    "mixed": variant([True, False], init=["cbow", "ppmi"]),
    "projected": variant(trainable=False, projected=True),
    "anchored": variant(anchor=0.1),
}


def make_run(task, seed=0, embedding=VARIANTS["trained"], model=None, rows=None, **train):
    initial = np.random.default_rng(seed).standard_normal((V, D)).astype(np.float32)
    initial[0] = 0
    rows = np.arange(len(task.train)) if rows is None else rows
    return Run(initial, embedding, rows, seed, model or model_settings(), train_settings(**train))


def test_it_learns_a_rule_it_can_represent(task):
    result = train_run(task, make_run(task, max_epochs=30, patience=None))
    assert result.metrics["test/accuracy"] > 0.9
    assert result.history[-1]["train/loss"] < 0.5 * result.history[0]["train/loss"]


@pytest.mark.parametrize("encoder", ["mean", "meanmax", "cnn", "gru", "bigru"])
def test_frozen_rows_are_bit_equal_and_padding_stays_zero(task, encoder):
    frozen = make_run(task, embedding=VARIANTS["frozen"], model=model_settings(encoder=encoder), max_epochs=2)
    assert np.array_equal(train_run(task, frozen).embedding_VE, frozen.embedding_VD)
    trained = dataclasses.replace(frozen, embedding=VARIANTS["trained"])
    result = train_run(task, trained)
    assert not result.embedding_VE[0].any()
    changed = (result.embedding_VE != frozen.embedding_VD).any(axis=1)
    assert np.array_equal(changed, result.touched_V)
    assert changed[2 : V - 5].all()
    assert not changed[[0, 1, *range(V - 5, V)]].any()


# Cross-entropy of the third epoch and test NLL, from an engine that had plain embedding layers only.
GOLDEN = {
    ("mean", "trained"): (0.6236423238, 0.6870412297),
    ("mean", "frozen"): (0.6649111938, 0.7055861999),
    ("meanmax", "trained"): (0.6338192240, 0.6548278070),
    ("meanmax", "frozen"): (0.6656530253, 0.6801278805),
    ("cnn", "trained"): (0.6375740051, 0.6525895173),
    ("cnn", "frozen"): (0.6545609029, 0.6638553838),
    ("gru", "trained"): (0.6398192342, 0.6553999392),
    ("gru", "frozen"): (0.6587513733, 0.6691993143),
}


@pytest.mark.parametrize(("encoder", "name"), GOLDEN)
def test_scores_equal_the_recorded_ones(task, encoder, name):
    settings = {"max_epochs": 3, "lr_schedule": "linear", "weight_decay": 0.1, "class_weights": "balanced"}
    run = make_run(task, embedding=VARIANTS[name], model=model_settings(encoder=encoder), **settings)
    result = train_run(task, run)
    numbers = (result.history[-1]["train/loss"], result.metrics["test/nll"])
    assert numbers == pytest.approx(GOLDEN[encoder, name], rel=1e-5)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("encoder", ["mean", "meanmax", "cnn", "gru", "bigru"])
def test_embedding_matrix_and_layers_are_the_whole_classifier(task, encoder, name):
    run = make_run(task, embedding=VARIANTS[name], model=model_settings(encoder=encoder), max_epochs=2)
    result = train_run(task, run)
    assert not result.embedding_VE[0].any()
    assert result.initial_VE.shape == result.embedding_VE.shape
    embedding = Embedding(torch.from_numpy(result.embedding_VE))
    predictor = Classifier(embedding, run.model, task.classes, torch.Generator())
    rest = predictor.load_state_dict({key: torch.from_numpy(value) for key, value in result.layers.items()}, False)
    assert rest.missing_keys == ["embedding.rows_VD"]
    assert rest.unexpected_keys == []
    probabilities = predictor(take(task.test, torch.arange(len(task.test)))).softmax(1).detach().numpy()
    assert np.allclose(probabilities, result.probabilities["test"], atol=1e-5)


@pytest.mark.parametrize("encoder", ["mean", "meanmax", "cnn", "gru", "bigru"])
def test_of_mixed_tables_the_frozen_ones_stay_bit_equal_and_the_others_change(task, encoder):
    run = make_run(task, embedding=VARIANTS["mixed"], model=model_settings(encoder=encoder), max_epochs=2)
    result = train_run(task, run)
    half = D // 2  # the frozen table is the second of the configuration, and the first of the matrix
    assert result.embedding_VE[:, :half].tobytes() == run.embedding_VD[:, :half].tobytes()
    changed = result.embedding_VE[:, half:] != run.embedding_VD[:, half:]
    assert np.array_equal(changed.any(axis=1), result.touched_V)


def test_parameters_of_mixed_tables_and_of_a_projection(task):
    counts = {}
    for name in ("mixed", "projected"):
        metrics = train_run(task, make_run(task, embedding=VARIANTS[name], max_epochs=1)).metrics
        counts[name] = tuple(metrics[f"params/{key}"] for key in ("total", "trainable", "embedding", "touched_rows"))
    touched = V - 5 - 2
    assert counts["mixed"] == (V * D + 2 * D + 2, V * D // 2 + 2 * D + 2, V * D, touched)
    assert counts["projected"] == (V * D + D * D + 2 * D + 2, D * D + 2 * D + 2, V * D, touched)


@pytest.mark.parametrize("encoder", ["mean", "meanmax", "cnn", "gru", "bigru"])
def test_an_untrained_projection_gives_the_frozen_rows_and_a_trained_one_changes_every_word(task, encoder):
    settings = {"model": model_settings(encoder=encoder), "max_epochs": 2, "patience": None}
    frozen = train_run(task, make_run(task, embedding=VARIANTS["frozen"], lr_head=1e-12, **settings))
    untrained = train_run(task, make_run(task, embedding=VARIANTS["projected"], lr_head=1e-12, **settings))
    assert np.allclose(untrained.probabilities["test"], frozen.probabilities["test"], atol=1e-6)
    assert np.allclose(untrained.embedding_VE, untrained.initial_VE, atol=1e-6)
    projected = train_run(task, make_run(task, embedding=VARIANTS["projected"], **settings))
    assert (np.abs(projected.embedding_VE - projected.initial_VE).max(axis=1)[1:] > 1e-3).all()
    solution, _, rank, _ = np.linalg.lstsq(projected.initial_VE, projected.embedding_VE)
    assert rank == D
    assert np.allclose(projected.initial_VE @ solution, projected.embedding_VE, atol=1e-4)


def test_a_projection_has_the_heads_learning_rate_over_d_and_no_weight_decay(task):
    first_step = {"max_steps": 1, "lr_head": 0.05, "lr_schedule": "linear", "batch_size": 64, "clip_norm": None}
    plain, decayed = (
        train_run(task, make_run(task, embedding=VARIANTS["projected"], weight_decay=decay, **first_step))
        for decay in (0.0, 0.5)
    )
    assert decayed.embedding_VE.tobytes() == plain.embedding_VE.tobytes()
    assert not np.array_equal(decayed.layers["head.weight"], plain.layers["head.weight"])
    matrix = np.linalg.lstsq(plain.initial_VE, plain.embedding_VE)[0]
    # Adam's first step equals the learning rate, whatever the gradient; the schedule starts at 1.
    assert np.allclose(np.abs(matrix - np.eye(D)), 0.05 / D, rtol=0.01)


def test_an_anchor_reduces_drift_and_leaves_unread_rows_unchanged(task):
    settings = {"max_epochs": 20, "patience": None, "monitor": "nll"}
    drifts = []
    for anchor in (0.0, 0.1, 10.0):
        result = train_run(task, make_run(task, embedding=variant(anchor=anchor), **settings))
        drift_V = np.linalg.norm(result.embedding_VE - result.initial_VE, axis=1)
        assert not drift_V[~result.touched_V].any()
        drifts.append(drift_V[result.touched_V].mean())
    assert drifts[1] < 0.9 * drifts[0]
    assert drifts[2] < 0.1 * drifts[0]


def test_weight_decay_never_touches_embedding_rows(task):
    result = train_run(task, make_run(task, weight_decay=0.5, max_epochs=1))
    untouched = ~result.touched_V
    assert np.array_equal(result.embedding_VE[untouched], make_run(task).embedding_VD[untouched])


def test_parameter_counts(task):
    rows = np.arange(3)
    frozen = train_run(task, make_run(task, embedding=VARIANTS["frozen"], rows=rows, max_epochs=1)).metrics
    trained = train_run(task, make_run(task, rows=rows, max_epochs=1)).metrics
    head = 2 * D + 2
    assert (frozen["params/total"], frozen["params/trainable"], frozen["params/embedding"]) == (
        V * D + head,
        head,
        V * D,
    )
    assert trained["params/trainable"] == trained["params/total"] == V * D + head
    touched = len(set(take(task.train, torch.from_numpy(rows)).ids.tolist()))
    assert frozen["params/touched_rows"] == trained["params/touched_rows"] == touched


def test_the_chosen_epoch_is_the_best_on_validation_and_its_weights_are_kept(task):
    result = train_run(task, make_run(task, max_epochs=12, patience=4, lr_embedding=0.05))
    curve = [row["validation/accuracy"] for row in result.history]
    assert result.chosen_epoch == 1 + int(np.argmax(curve))
    assert result.metrics["validation/accuracy"] == max(curve)
    stopped_at = len(result.history)
    assert stopped_at == 12 or stopped_at == result.chosen_epoch + 4


def test_nll_is_monitored_downwards(task):
    result = train_run(task, make_run(task, monitor="nll", max_epochs=8, patience=None))
    assert result.metrics["validation/nll"] == min(row["validation/nll"] for row in result.history)


def test_the_test_split_changes_nothing_but_its_own_scores(task):
    other = dataclasses.replace(task, test=split(50, 9))
    one, two = train_run(task, make_run(task)), train_run(other, make_run(task))
    assert np.array_equal(one.embedding_VE, two.embedding_VE)
    assert one.history == two.history


def test_without_a_test_split_none_is_read(task):
    with_test = train_run(task, make_run(task))
    trial = train_run(dataclasses.replace(task, test=None), make_run(task))
    assert set(trial.probabilities) == {"validation"}
    assert trial.metrics == {name: value for name, value in with_test.metrics.items() if not name.startswith("test/")}
    assert trial.embedding_VE.tobytes() == with_test.embedding_VE.tobytes()


def test_without_validation_the_last_epoch_counts(task):
    result = train_run(dataclasses.replace(task, validation=None), make_run(task, patience=None, max_epochs=3))
    assert (result.chosen_epoch, len(result.history)) == (3, 3)
    assert not any(name.startswith("validation/") for name in result.metrics)
    assert set(result.probabilities) == {"test"}


def test_an_epoch_has_several_passes_over_few_tweets(task):
    rows = np.arange(40)
    result = train_run(task, make_run(task, rows=rows, min_epoch_steps=10, max_epochs=2, patience=None))
    assert [row["step"] for row in result.history] == [12, 24]  # 3 batches a pass, 4 passes to reach 10


def test_linear_schedule_falls_to_zero_and_constant_stays(task, monkeypatch):
    rates = []
    original = Adam.step

    def spy(optimizer, lr_factor):
        rates.append([*(group.lr * lr_factor for group in optimizer.groups), optimizer.lr * lr_factor])
        original(optimizer, lr_factor)

    monkeypatch.setattr(Adam, "step", spy)
    train_run(task, make_run(task, rows=np.arange(32), lr_schedule="linear", max_epochs=2, lr_head=0.4, patience=None))
    assert np.allclose(rates, [[0.4, 0.01], [0.3, 0.0075], [0.2, 0.005], [0.1, 0.0025]])
    rates.clear()
    projected = {"embedding": VARIANTS["projected"], "lr_schedule": "linear", "max_epochs": 2, "patience": None}
    train_run(task, make_run(task, rows=np.arange(32), lr_head=0.4, **projected))
    assert np.allclose([row[:2] for row in rates], [[lr, lr / D] for lr in (0.4, 0.3, 0.2, 0.1)])
    rates.clear()
    train_run(task, make_run(task, rows=np.arange(32), max_epochs=2, patience=None))
    assert np.allclose(rates, [[0.01, 0.01]] * 4)


def test_max_steps_stops_within_an_epoch_and_limits_touched_rows(task):
    result = train_run(task, make_run(task, max_steps=1, batch_size=2, rows=np.arange(10)))
    assert result.history[-1]["step"] == 1
    assert result.metrics["params/touched_rows"] <= 16


@pytest.mark.parametrize("encoder", ["mean", "meanmax", "cnn", "gru", "bigru"])
def test_same_seed_gives_the_same_bits_and_another_seed_does_not(task, encoder):
    run = make_run(task, model=model_settings(encoder=encoder), max_epochs=2)
    torch.manual_seed(123)
    one = train_run(task, run)
    torch.manual_seed(456)
    two = train_run(task, run)
    assert one.history == two.history
    assert one.embedding_VE.tobytes() == two.embedding_VE.tobytes()
    assert one.probabilities["test"].tobytes() == two.probabilities["test"].tobytes()
    assert one.history != train_run(task, dataclasses.replace(run, seed=5)).history


def test_batch_order_is_shared_by_variants(task, monkeypatch):
    orders = []
    original = TrainingState.permutations

    def spy(state):
        for order in original(state):
            orders[-1].append(order.tolist())
            yield order

    monkeypatch.setattr(TrainingState, "permutations", spy)
    for embedding in VARIANTS.values():
        orders.append([])
        train_run(task, make_run(task, embedding=embedding, max_epochs=2, patience=None))
    assert all(order == orders[0] for order in orders)
    first_epoch, second_epoch = orders[0]
    assert sorted(first_epoch) == list(range(300))
    assert first_epoch != sorted(first_epoch)
    assert second_epoch != first_epoch


@pytest.mark.parametrize("encoder", ["mean", "gru"])
def test_row_indices_may_be_int32(task, encoder):
    run = make_run(task, model=model_settings(encoder=encoder), max_epochs=2)
    int32 = dataclasses.replace(run, rows_N=run.rows_N.astype(np.int32))
    assert train_run(task, int32).history == train_run(task, run).history


def test_other_runs_of_the_batch_change_nothing(task):
    runs = [make_run(task, seed, embedding, max_epochs=2) for seed, embedding in enumerate(VARIANTS.values())]
    runs[3] = dataclasses.replace(runs[3], train=dataclasses.replace(runs[3].train, threads=2))
    results = train_batch(task, runs, workers=2)
    for run, result in zip(runs, results, strict=True):
        single = train_run(task, run)
        assert single.history == result.history
        assert single.initial_VE.tobytes() == result.initial_VE.tobytes()
        assert single.embedding_VE.tobytes() == result.embedding_VE.tobytes()
        assert single.probabilities["test"].tobytes() == result.probabilities["test"].tobytes()
        assert single.metrics == result.metrics


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failed_run_has_its_error_and_stops_no_other(task, workers):
    runs = [
        make_run(task, lr_head=rate, lr_embedding=rate, clip_norm=None, max_epochs=2) for rate in (0.01, 1e30, 0.02)
    ]
    first, second, third = train_batch(task, runs, workers=workers)
    assert isinstance(second, RunError)
    assert "lower train.lr_head" in str(second)
    assert first.history == train_run(task, runs[0]).history
    assert third.history == train_run(task, runs[2]).history


def test_a_training_process_that_dies_is_one_clear_error(task, monkeypatch):
    monkeypatch.setattr("pipeline.classifier.engine._train_or_error", lambda task, run: os._exit(9))
    with pytest.raises(RunError, match="a training process ended unexpectedly"):
        train_batch(task, [make_run(task), make_run(task)], workers=2)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_initial_matrix_is_only_read_and_returned_where_training_does_not_change_it(task, name):
    run = make_run(task, embedding=VARIANTS[name], max_epochs=2)
    run.embedding_VD.setflags(write=False)
    before = run.embedding_VD.copy()
    result = train_run(task, run)
    assert np.array_equal(run.embedding_VD, before)
    assert np.shares_memory(result.initial_VE, run.embedding_VD)
    assert np.shares_memory(result.embedding_VE, run.embedding_VD) == (name == "frozen")


def test_all_weights_are_those_of_the_chosen_epoch(task):
    """Training on after the best epoch, and stopping at it, end with the same weights."""
    settings = {"lr_embedding": 0.1, "lr_head": 0.1, "patience": None, "rows": np.arange(150)}
    for name in ("trained", "projected"):
        longer = train_run(task, make_run(task, embedding=VARIANTS[name], max_epochs=12, **settings))
        assert 1 < longer.chosen_epoch < 12
        stopped = train_run(task, make_run(task, embedding=VARIANTS[name], max_epochs=longer.chosen_epoch, **settings))
        assert longer.embedding_VE.tobytes() == stopped.embedding_VE.tobytes()
        assert longer.layers["head.weight"].tobytes() == stopped.layers["head.weight"].tobytes()
        assert longer.metrics == stopped.metrics


def test_only_the_given_rows_are_read(task):
    flipped = Texts(task.train.ids, task.train.offsets, task.train.labels_N.clone())
    flipped.labels_N[100:] = 1 - flipped.labels_N[100:]
    rows = np.arange(100)
    one = train_run(task, make_run(task, rows=rows, class_weights="balanced", max_epochs=2))
    two = train_run(
        dataclasses.replace(task, train=flipped), make_run(task, rows=rows, class_weights="balanced", max_epochs=2)
    )
    assert one.embedding_VE.tobytes() == two.embedding_VE.tobytes()


def test_class_weights_equal_scikit_learn():
    labels = torch.tensor([0, 0, 0, 1, 2, 2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    assert class_weights(labels, 3, "balanced").tolist() == pytest.approx(expected.tolist())
    assert class_weights(labels, 4, "balanced")[3] == 0
    assert class_weights(labels, 3, "none") is None


def test_a_diverging_loss_is_one_clear_error(task):
    with pytest.raises(RunError, match=r"training loss is .* lower train\.lr_head"):
        train_run(task, make_run(task, lr_head=1e30, lr_embedding=1e30, clip_norm=None))


def test_nothing_to_train_on(task):
    with pytest.raises(UserError, match="empty"):
        train_run(task, make_run(task, rows=np.array([], dtype=np.int64)))


def test_cuda_that_is_not_there_is_named():
    if torch.cuda.is_available():
        assert resolve_device("cuda").type == "cuda"
    else:
        with pytest.raises(UserError, match=r"train\.device=cuda"):
            resolve_device("cuda")
    assert resolve_device("cpu").type == "cpu"


def on_gpu(run):
    return dataclasses.replace(run, train=dataclasses.replace(run.train, device="cuda"))


def assert_as_on_cpu(result, on_cpu):
    assert (result.device, on_cpu.device) == (NAME, "cpu")
    assert result.history == [pytest.approx(row, abs=1e-5) for row in on_cpu.history]
    assert result.metrics == pytest.approx(on_cpu.metrics, abs=1e-5)
    assert np.allclose(result.embedding_VE, on_cpu.embedding_VE, atol=1e-5)
    assert np.array_equal(result.touched_V, on_cpu.touched_V)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("encoder", ["mean", "meanmax", "cnn", "gru", "bigru"])
def test_a_run_on_a_simulated_gpu_is_the_run_on_the_cpu(task, encoder, name):
    run = make_run(task, embedding=VARIANTS[name], model=model_settings(encoder=encoder), max_epochs=2)
    with simulated_gpu() as gpu:
        (result,) = train_batch(task, [on_gpu(run)])
    assert gpu.tensors > 100
    assert_as_on_cpu(result, train_run(task, run))


def test_on_a_gpu_stackable_runs_are_stacked_and_a_failed_run_stops_no_other(task):
    runs = [
        make_run(task, 0, max_epochs=2),
        make_run(task, 1, VARIANTS["projected"], max_epochs=2),
        make_run(task, 2, lr_head=1e40, clip_norm=None, max_epochs=2),
        make_run(task, 3, VARIANTS["frozen"], max_epochs=2),
    ]
    with simulated_gpu() as gpu:
        results = train_batch(task, list(map(on_gpu, runs)))
    assert gpu.replayed > 20
    assert isinstance(results[2], RunError)
    for number in (0, 1, 3):
        assert_as_on_cpu(results[number], train_run(task, runs[number]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU is visible to torch")
@pytest.mark.parametrize("encoder", ["mean", "meanmax", "cnn", "gru", "bigru"])
def test_a_gpu_gives_the_scores_of_the_cpu(task, encoder):
    run = make_run(task, model=model_settings(encoder=encoder, dropout=0.0), max_epochs=3)
    on_cpu = train_run(task, run)
    result = train_run(task, on_gpu(run))
    assert result.history[-1]["train/loss"] == pytest.approx(on_cpu.history[-1]["train/loss"], abs=1e-3)
    assert result.metrics["test/accuracy"] == pytest.approx(on_cpu.metrics["test/accuracy"], abs=0.02)
