"""What an embedding layer is, and that no encoder lets one tweet change another's output."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pipeline.classifier.model import Classifier, CnnEncoder, GruEncoder, MeanEncoder, MeanMaxEncoder, dropout, look_up
from pipeline.classifier.texts import Texts, take
from pipeline.schema import ModelConfig

V, D, C = 12, 6, 3
ENCODERS = ("mean", "meanmax", "cnn", "gru")


def settings(encoder, share=0.0):
    return ModelConfig(encoder=encoder, dropout=share, filters=5, widths=[2, 3, 4], hidden=7)


def matrix(seed=0):
    rows = torch.randn(V, D, generator=torch.Generator().manual_seed(seed))
    rows[0] = 0
    return rows


def texts(*tweets):
    offsets = np.cumsum([0, *map(len, tweets)])
    return Texts.from_arrays(np.array([i for tweet in tweets for i in tweet]), offsets, np.zeros(len(tweets)))


def classifier(encoder, trainable=True, share=0.0):
    return Classifier(matrix(), trainable, settings(encoder, share), C, torch.Generator().manual_seed(1))


def test_lookup_equals_one_hot_times_matrix_and_take():
    ids = torch.tensor([[3, 4, 0], [11, 3, 1]])
    rows = look_up(matrix(), ids)
    assert torch.equal(rows, F.one_hot(ids, V).float() @ matrix())
    assert np.array_equal(rows.numpy(), np.take(matrix().numpy(), ids.numpy(), axis=0))
    assert torch.equal(rows, torch.take_along_dim(matrix(), ids.reshape(-1, 1).expand(-1, D), dim=0).reshape(2, 3, D))


def test_mean_encoder_equals_the_mean_of_looked_up_rows():
    features = MeanEncoder(D)(matrix(), take(texts([3, 3, 5], [7], []), torch.tensor([2, 0, 1])))
    expected = torch.stack([torch.zeros(D), (2 * matrix()[3] + matrix()[5]) / 3, matrix()[7]])
    assert torch.allclose(features, expected, atol=1e-6)


def test_meanmax_encoder_by_hand():
    rows = -matrix().abs()  # a maximum that padding with zeros would win
    features = MeanMaxEncoder(D)(rows, take(texts([3, 5], [2, 4, 6]), torch.tensor([0, 1])))
    assert torch.allclose(features[0, :D], (rows[3] + rows[5]) / 2)
    assert torch.equal(features[0, D:], torch.maximum(rows[3], rows[5]))


def test_cnn_encoder_by_hand():
    encoder = CnnEncoder(D, 5, [2])
    features = encoder(matrix(), take(texts([3, 5], [2, 4, 6]), torch.tensor([0, 1])))
    weight, bias = encoder.convolutions[0].weight, encoder.convolutions[0].bias
    windows = [(3, 5), (5, 0)]
    expected = torch.stack([(weight * matrix()[list(w)].T).sum((1, 2)) + bias for w in windows]).relu().amax(0)
    assert torch.allclose(features[0], expected, atol=1e-6)


def test_gru_encoder_takes_the_state_after_the_last_token():
    encoder = GruEncoder(D, 7)
    features = encoder(matrix(), take(texts([3, 5], [2, 4, 6, 8]), torch.tensor([0, 1])))
    _, last = encoder.gru(matrix()[[3, 5]][None])
    assert torch.allclose(features[0], last[0, 0], atol=1e-6)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_output_does_not_depend_on_the_rest_of_the_batch(encoder):
    model = classifier(encoder)
    split = texts([3, 5], [2, 4, 6, 8, 9, 10], [], [1])
    together = model(take(split, torch.arange(4)))
    for row in range(4):
        alone = model(take(split, torch.tensor([row])))
        assert torch.allclose(alone[0], together[row], atol=1e-6)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_only_rows_of_the_batch_get_gradients_and_padding_never_does(encoder):
    model = classifier(encoder)
    model(take(texts([3, 5, 5], [2]), torch.arange(2))).pow(2).sum().backward()
    gradient = model.embedding.grad.to_dense()
    assert set(gradient.abs().sum(1).nonzero().flatten().tolist()) == {2, 3, 5}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_under_sgd_only_touched_rows_move(encoder):
    model = classifier(encoder)
    before = model.embedding.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for rows in (torch.tensor([0]), torch.tensor([1])):
        optimizer.zero_grad()
        model(take(texts([3, 5, 5], [2, 3]), rows)).pow(2).sum().backward()
        optimizer.step()
    moved = (model.embedding.detach() != before).any(1)
    assert set(moved.nonzero().flatten().tolist()) == {2, 3, 5}


def test_initial_layers_do_not_depend_on_the_variant():
    trained, frozen = classifier("cnn", trainable=True), classifier("cnn", trainable=False)
    assert trained.layers().keys() == frozen.layers().keys()
    assert all(torch.equal(trained.layers()[name], frozen.layers()[name]) for name in frozen.layers())


def test_padding_row_must_be_zero():
    with pytest.raises(ValueError, match="row 0"):
        Classifier(torch.ones(V, D), True, settings("mean"), C, torch.Generator())


def test_dropout_keeps_the_expectation_and_is_off_without_a_generator():
    ones = torch.ones(200, 500)
    dropped = dropout(ones, 0.3, torch.Generator().manual_seed(0))
    assert sorted(dropped.unique().tolist()) == pytest.approx([0, 1 / 0.7])
    assert float(dropped.mean()) == pytest.approx(1, abs=0.01)
    assert torch.equal(dropout(ones, 0.3, None), ones)


def test_mean_model_has_the_assignments_parameter_count():
    model = Classifier(torch.zeros(9088, 256), True, settings("mean"), 2, torch.Generator())
    assert model.embedding.numel() == 2_326_528
    assert sum(p.numel() for p in model.parameters()) == 2_327_042
