"""Gradients of the mean encoder in closed form equal autograd's."""

import itertools

import numpy as np
import pytest
import torch

from pipeline.classifier.batch import Texts
from pipeline.classifier.device import seeded_generator
from pipeline.classifier.fast import dropout, mean_gradients
from pipeline.classifier.fast.mean_gradients import MeanGradients
from pipeline.classifier.model import Classifier, Embedding
from pipeline.classifier.trainer import AutogradGradients
from pipeline.config.schema import ModelConfig

V, D, C = 30, 6, 3
VARIANTS = {
    "frozen": {},
    "trained": {"trainable": True},
    "mixed": {"trainable": True, "frozen_dim": 4},
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
        Embedding(initial, **VARIANTS[variant]), ModelConfig("mean", 0.4, 0, [], 0), C, seeded_generator(0, "weights")
    )
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:  # so that the anchor penalty is not zero, and a projection not the identity
                weight += torch.randn(weight.shape, generator=seeded_generator(3, "change")) / 5
                weight[0] = 0
    return model


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 2.0, 1.0])])
@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_and_gradients_are_autograds(monkeypatch, variant, weights, pooled):
    monkeypatch.setattr(dropout, "TWEETS_PER_DRAW", 16)
    monkeypatch.setattr(mean_gradients, "POOLED_BYTES", 1 << 20 if pooled else 0)
    split, rows, order = texts(), torch.arange(1, 40), torch.randperm(39, generator=seeded_generator(0, "order"))
    rows[5] = 0  # a tweet without tokens
    batches = []
    for kind in (MeanGradients, AutogradGradients):
        model = model_of(variant)
        gradients = kind(model, split, rows, weights, 0.3 if variant == "anchored" else 0.0)
        batches.append([])
        with torch.no_grad():
            for loss, size in itertools.islice(gradients.of_batches(order, 7, seeded_generator(0, "dropout")), 9):
                of_weights = [
                    weight.grad.to_dense() if weight.grad.is_sparse else weight.grad.clone()
                    for weight in model.parameters()
                    if weight.requires_grad
                ]
                batches[-1].append((loss.clone(), size, of_weights))
    assert [size for _, size, _ in batches[0]] == [7] * 5 + [4]
    for (loss, size, ours), (autograd_loss, autograd_size, theirs) in zip(*batches, strict=True):
        assert size == autograd_size
        assert torch.allclose(loss, autograd_loss, atol=1e-6)
        assert len(ours) == len(theirs)
        for gradient, autograd_gradient in zip(ours, theirs, strict=True):
            assert torch.allclose(gradient, autograd_gradient, atol=1e-6)
            assert gradient.any()


def test_means_in_frozen_matrices_are_pooled_once(monkeypatch):
    calls = []
    original = mean_gradients.take
    monkeypatch.setattr(mean_gradients, "take", lambda *args: calls.append(1) or original(*args))
    gradients = MeanGradients(model_of("frozen"), texts(), torch.arange(41), None, 0.0)
    pooled = len(calls)
    with torch.no_grad():
        assert len(list(gradients.of_batches(torch.arange(41), 10, seeded_generator(0, "dropout")))) == 5
    assert pooled == len(calls) == 1


def test_a_batch_without_tokens():
    empty = Texts.from_arrays(np.zeros(0, np.int32), np.zeros(4, np.int64), np.array([0, 1, 2]))
    model = model_of("trained")
    with torch.no_grad():
        gradients = MeanGradients(model, empty, torch.arange(3), None, 0.0)
        ((loss, size),) = gradients.of_batches(torch.arange(3), 8, seeded_generator(0, "dropout"))
    assert size == 3
    expected = torch.nn.functional.cross_entropy(model.head.bias.expand(3, C), torch.arange(3))
    assert torch.allclose(loss, expected)
    assert not model.embedding.rows_VD.grad.to_dense().any()


@pytest.mark.parametrize("kind", [MeanGradients, AutogradGradients])
def test_gradients_of_mixed_tables_are_those_of_plain_torch_layers(kind):
    """Two `EmbeddingBag`, of which one is frozen, beside each other under a linear layer."""
    model, split, rows = model_of("mixed"), texts(), torch.arange(41)
    model.dropout = 0.0
    frozen_VD, rows_VD = model.embedding.frozen_VD, model.embedding.rows_VD.detach()
    assert (frozen_VD.shape, rows_VD.shape) == ((V, 4), (V, 2))
    frozen = torch.nn.EmbeddingBag.from_pretrained(frozen_VD, mode="mean", padding_idx=0)
    trainable = torch.nn.EmbeddingBag.from_pretrained(rows_VD.clone(), freeze=False, mode="mean", padding_idx=0)
    linear = torch.nn.Linear(D, C)
    linear.load_state_dict(model.head.state_dict())
    with torch.no_grad():
        ((loss, _),) = kind(model, split, rows, None, 0.0).of_batches(rows, 41, seeded_generator(0, "dropout"))
    tables = (table(split.ids.long(), split.offsets[:-1].long()) for table in (frozen, trainable))
    expected = torch.nn.functional.cross_entropy(linear(torch.cat([*tables], dim=1)), split.labels_N.long())
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    assert frozen.weight.grad is None
    for ours, theirs in ((model.embedding.rows_VD, trainable.weight), (model.head.weight, linear.weight)):
        gradient = ours.grad.to_dense() if ours.grad.is_sparse else ours.grad
        assert torch.allclose(gradient, theirs.grad, atol=1e-6)
        assert gradient.any()
