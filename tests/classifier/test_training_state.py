"""The rules of a run's epochs."""

import math

import numpy as np
import pytest
import torch

from pipeline.classifier.device import stream
from pipeline.classifier.fast.stack_epoch import draw_epoch
from pipeline.classifier.run_spec import Run
from pipeline.classifier.training_state import Course
from pipeline.config.compose import compose
from pipeline.runtime.errors import RunError

ROWS = np.array([4, 2, 9, 7, 5])


def make_course(*settings):
    config = compose([f"train.{setting}" for setting in ("batch_size=2", "min_epoch_steps=7", *settings)])
    run = Run(np.zeros((3, 2), np.float32), config.embedding, ROWS, 5, config.model, config.train)
    return Course(run, torch.device("cpu"))


def test_few_tweets_are_passed_until_an_epoch_has_its_steps():
    course, again = make_course(), make_course()
    assert (course.run.steps_per_pass, course.run.passes) == (3, 3)
    orders = [places.tolist() for places in course.orders()]
    assert [sorted(order) for order in orders] == [[0, 1, 2, 3, 4]] * 3
    assert len({tuple(order) for order in [*orders, *(places.tolist() for places in course.orders())]}) > 3
    drawn = draw_epoch(again)
    assert drawn.shape == (9, 2)
    for one_pass, order in zip(drawn.reshape(3, 6).tolist(), orders, strict=True):
        assert one_pass == [*ROWS[order], -1]


def test_orders_are_torchs_permutations_in_half_the_memory():
    course = make_course()
    expected = stream(5, "batch order")
    for places in course.orders():
        assert places.dtype == torch.int32
        assert places.tolist() == torch.randperm(5, generator=expected).tolist()


def test_the_last_epoch_of_limited_steps_is_cut():
    course = make_course("max_steps=11")
    draw_epoch(course)
    course.step = 9
    assert draw_epoch(course).shape == (2, 2)


@pytest.mark.parametrize(("steps", "tweets"), [(1, 2), (2, 4), (3, 5), (9, 5)])
def test_places_read_are_those_of_the_first_steps(steps, tweets):
    course = make_course()
    first = next(iter(course.orders())).tolist()
    course.step = steps
    assert course.places_read().tolist() == first[:tweets]


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        (("lr_schedule=linear", "max_epochs=4"), 36),
        (("lr_schedule=linear", "max_epochs=4", "max_steps=20"), 20),
        (("lr_schedule=linear", "max_epochs=4", "max_steps=50"), 36),
        (("lr_schedule=constant", "max_epochs=4"), math.inf),
    ],
)
def test_rates_fall_to_zero_at_the_last_step(settings, steps):
    assert make_course(*settings).rate_falls_over == steps


@pytest.mark.parametrize(("monitor", "chosen"), [("accuracy", 2), ("nll", 1)])
def test_the_best_epoch_is_the_first_with_the_best_score_that_is_watched(monitor, chosen):
    course = make_course(f"monitor={monitor}", "patience=2", "max_epochs=9")
    scores = [(0.5, 0.2), (0.7, 0.3), (0.7, 0.2), (0.6, 0.9)]
    better = []
    while not course.ended:
        accuracy, nll = scores[len(course.history)]
        better.append(course.end_epoch(0.1, {"accuracy": accuracy, "nll": nll}))
    assert course.chosen == chosen
    assert len(better) == chosen + 2
    assert [epoch for epoch, one in enumerate(better, 1) if one] == list(range(1, chosen + 1))
    assert course.history[0] == {
        "epoch": 1.0, "train/loss": 0.1, "step": 0.0, "validation/accuracy": 0.5, "validation/nll": 0.2,
    }  # fmt: skip


def test_without_validation_nothing_is_chosen_and_all_epochs_are_done():
    course = make_course("patience=1", "max_epochs=3")
    while not course.ended:
        assert not course.end_epoch(0.1, None)
    assert (len(course.history), course.chosen) == (3, 0)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_names_the_epoch_and_what_to_change(loss):
    course = make_course("lr_head=7")
    course.check(0.3)
    course.end_epoch(0.3, None)
    with pytest.raises(RunError, match=rf"training loss is {loss} in epoch 2: lower train\.lr_head \(7\.0\)"):
        course.check(loss)
