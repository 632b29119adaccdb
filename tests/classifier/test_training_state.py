"""Batch order, learning-rate schedule and early stopping of a run."""

import math

import numpy as np
import pytest
import torch

from pipeline.classifier.device import seeded_generator
from pipeline.classifier.fast.stack_epoch import epoch_tweets
from pipeline.classifier.run_spec import Run
from pipeline.classifier.training_state import TrainingState
from pipeline.config.compose import compose
from pipeline.runtime.errors import RunError

ROWS = np.array([4, 2, 9, 7, 5])


def make_state(*settings):
    config = compose([f"train.{setting}" for setting in ("batch_size=2", "min_epoch_steps=7", *settings)])
    run = Run(np.zeros((3, 2), np.float32), config.embedding, ROWS, 5, config.model, config.train)
    return TrainingState(run, torch.device("cpu"))


def test_an_epoch_has_several_passes_over_few_tweets():
    state, again = make_state(), make_state()
    assert (state.run.steps_per_pass, state.run.passes) == (3, 3)
    orders = [order.tolist() for order in state.permutations()]
    assert [sorted(order) for order in orders] == [[0, 1, 2, 3, 4]] * 3
    assert len({tuple(order) for order in [*orders, *(order.tolist() for order in state.permutations())]}) > 3
    tweets = epoch_tweets(again)
    assert tweets.shape == (9, 2)
    for of_pass, order in zip(tweets.reshape(3, 6).tolist(), orders, strict=True):
        assert of_pass == [*ROWS[order], -1]


def test_batch_orders_are_torchs_permutations_in_half_the_memory():
    state = make_state()
    expected = seeded_generator(5, "batch order")
    for order in state.permutations():
        assert order.dtype == torch.int32
        assert order.tolist() == torch.randperm(5, generator=expected).tolist()


def test_max_steps_cuts_the_last_epoch():
    state = make_state("max_steps=11")
    epoch_tweets(state)
    state.step = 9
    assert epoch_tweets(state).shape == (2, 2)


@pytest.mark.parametrize(("steps", "tweets"), [(1, 2), (2, 4), (3, 5), (9, 5)])
def test_indices_read_are_those_of_the_first_steps(steps, tweets):
    state = make_state()
    first = next(iter(state.permutations())).tolist()
    state.step = steps
    assert state.indices_read().tolist() == first[:tweets]


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        (("lr_schedule=linear", "max_epochs=4"), 36),
        (("lr_schedule=linear", "max_epochs=4", "max_steps=20"), 20),
        (("lr_schedule=linear", "max_epochs=4", "max_steps=50"), 36),
        (("lr_schedule=constant", "max_epochs=4"), math.inf),
    ],
)
def test_the_linear_schedule_ends_at_the_last_step(settings, steps):
    assert make_state(*settings).schedule_steps == steps


@pytest.mark.parametrize(("monitor", "chosen"), [("accuracy", 2), ("nll", 1)])
def test_the_best_epoch_is_the_first_with_the_best_monitored_score(monitor, chosen):
    state = make_state(f"monitor={monitor}", "patience=2", "max_epochs=9")
    scores = [(0.5, 0.2), (0.7, 0.3), (0.7, 0.2), (0.6, 0.9)]
    improved = []
    while not state.finished:
        accuracy, nll = scores[len(state.history)]
        improved.append(state.end_epoch(0.1, {"accuracy": accuracy, "nll": nll}))
    assert state.chosen_epoch == chosen
    assert len(improved) == chosen + 2
    assert [epoch for epoch, best in enumerate(improved, 1) if best] == list(range(1, chosen + 1))
    assert state.history[0] == {
        "epoch": 1.0, "train/loss": 0.1, "step": 0.0, "validation/accuracy": 0.5, "validation/nll": 0.2,
    }  # fmt: skip


def test_without_validation_all_epochs_are_done_and_the_last_is_chosen():
    state = make_state("patience=1", "max_epochs=3")
    while not state.finished:
        assert not state.end_epoch(0.1, None)
    assert (len(state.history), state.best_epoch, state.chosen_epoch) == (3, 0, 3)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_the_error_of_a_loss_that_is_not_finite_names_the_epoch_and_what_to_change(loss):
    state = make_state("lr_head=7")
    assert state.divergence(0.3) is None
    state.end_epoch(0.3, None)
    error = state.divergence(loss)
    assert isinstance(error, RunError)
    assert f"training loss is {loss} in epoch 2: lower train.lr_head (7.0)" in str(error)
