"""Gradients written out against autograd's."""

import itertools

import numpy as np
import pytest
import torch

from pipeline.classifier.batch import Texts
from pipeline.classifier.device import stream
from pipeline.classifier.fast import dropout
from pipeline.classifier.fast import mean_gradients as mean_step
from pipeline.classifier.fast.mean_gradients import MeanSteps
from pipeline.classifier.model import Classifier, Embedding
from pipeline.classifier.trainer import AutogradSteps
from pipeline.config.schema import ModelConfig

V, D, C = 30, 6, 3
VARIANTS = {
    "frozen": {},
    "trained": {"trainable": True},
    "multichannel": {"trainable": True, "multichannel": True},
    "projected": {"projected": True},
    "anchored": {"trainable": True, "anchored": True},
}


def texts():
    rng = np.random.default_rng(1)
    tweets = [rng.integers(1, V - 3, length) for length in [0, *rng.integers(0, 7, 40)]]
    return Texts.from_arrays(np.concatenate(tweets), np.cumsum([0, *map(len, tweets)]), rng.integers(0, C, len(tweets)))


def model_of(variant):
    initial = torch.from_numpy(np.random.default_rng(2).standard_normal((V, D)).astype(np.float32))
    initial[0] = 0
    model = Classifier(
        Embedding(initial, **VARIANTS[variant]), ModelConfig("mean", 0.4, 0, [], 0), C, stream(0, "weights")
    )
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:  # so that an anchor pulls, and a projection is none of the identity
                weight += torch.randn(weight.shape, generator=stream(3, "moved")) / 5
                weight[0] = 0
    return model


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 2.0, 1.0])])
@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_and_gradients_are_autograds(monkeypatch, variant, weights, pooled):
    monkeypatch.setattr(dropout, "CHUNK", 16)
    monkeypatch.setattr(mean_step, "POOLED_BYTES", 1 << 20 if pooled else 0)
    split, rows, order = texts(), torch.arange(1, 40), torch.randperm(39, generator=stream(0, "order"))
    rows[5] = 0  # a tweet without tokens
    found = []
    for steps in (MeanSteps, AutogradSteps):
        model = model_of(variant)
        made = steps(model, split, rows, weights, 0.3 if variant == "anchored" else 0.0)
        found.append([])
        with torch.no_grad():
            for loss, size in itertools.islice(made(order, 7, stream(0, "dropout")), 9):
                grads = [
                    weight.grad.to_dense() if weight.grad.is_sparse else weight.grad.clone()
                    for weight in model.parameters()
                    if weight.requires_grad
                ]
                found[-1].append((loss.clone(), size, grads))
    assert [size for _, size, _ in found[0]] == [7] * 5 + [4]
    for (loss, size, grads), (their_loss, their_size, their_grads) in zip(*found, strict=True):
        assert size == their_size
        assert torch.allclose(loss, their_loss, atol=1e-6)
        assert len(grads) == len(their_grads)
        for grad, their_grad in zip(grads, their_grads, strict=True):
            assert torch.allclose(grad, their_grad, atol=1e-6)
            assert grad.any()


def test_means_that_stay_are_taken_once(monkeypatch):
    calls = []
    original = mean_step.take
    monkeypatch.setattr(mean_step, "take", lambda *args: calls.append(1) or original(*args))
    steps = MeanSteps(model_of("frozen"), texts(), torch.arange(41), None, 0.0)
    made = len(calls)
    with torch.no_grad():
        assert len(list(steps(torch.arange(41), 10, stream(0, "dropout")))) == 5
    assert made == len(calls) == 1


def test_a_batch_without_a_single_token():
    empty = Texts.from_arrays(np.zeros(0, np.int32), np.zeros(4, np.int64), np.array([0, 1, 2]))
    model = model_of("trained")
    with torch.no_grad():
        ((loss, size),) = MeanSteps(model, empty, torch.arange(3), None, 0.0)(torch.arange(3), 8, stream(0, "dropout"))
    assert size == 3
    expected = torch.nn.functional.cross_entropy(model.head.bias.expand(3, C), torch.arange(3))
    assert torch.allclose(loss, expected)
    assert not model.embedding.rows_VD.grad.to_dense().any()
