"""The embedding layer of each variant, and encoders whose output for a tweet does not depend on the batch."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pipeline.classifier.batch import Texts, take
from pipeline.classifier.model import (
    BiGruEncoder,
    Classifier,
    CnnEncoder,
    Embedding,
    GruEncoder,
    MeanEncoder,
    MeanMaxEncoder,
    dropout,
)
from pipeline.config.schema import ModelConfig

V, D, C = 12, 6, 3
FROZEN = 4  # dimensions of the frozen tables beside the trainable ones
ENCODERS = ("mean", "meanmax", "cnn", "gru", "bigru")


def settings(encoder, rate=0.0):
    return ModelConfig(encoder=encoder, dropout=rate, filters=5, widths=[2, 3, 4], hidden=7)


def matrix(seed=0):
    rows = torch.randn(V, D, generator=torch.Generator().manual_seed(seed))
    rows[0] = 0
    return rows


def texts(*tweets):
    offsets = np.cumsum([0, *map(len, tweets)])
    return Texts.from_arrays(np.array([i for tweet in tweets for i in tweet]), offsets, np.zeros(len(tweets)))


KINDS = {
    "frozen": {},
    "trained": {"trainable": True},
    "mixed": {"trainable": True, "frozen_dim": FROZEN},
    "projected": {"projected": True},
    "anchored": {"trainable": True, "anchored": True},
}


def trained_layer(kind):
    """A layer after training: trainable rows and the projection differ from their initial values."""
    embedding = Embedding(matrix(), **KINDS[kind])
    with torch.no_grad():
        if embedding.rows_VD.requires_grad:
            embedding.rows_VD += matrix(seed=5)[:, -embedding.rows_VD.shape[1] :]
        if embedding.projection_DD is not None:
            embedding.projection_DD += torch.randn(D, D, generator=torch.Generator().manual_seed(6))
    return embedding


def classifier(encoder, kind="trained", rate=0.0):
    return Classifier(trained_layer(kind), settings(encoder, rate), C, torch.Generator().manual_seed(1))


def test_lookup_equals_one_hot_times_matrix_and_take():
    ids = torch.tensor([[3, 4, 0], [11, 3, 1]])
    rows = Embedding(matrix()).look_up(ids)
    assert torch.equal(rows, F.one_hot(ids, V).float() @ matrix())
    assert np.array_equal(rows.numpy(), np.take(matrix().numpy(), ids.numpy(), axis=0))
    assert torch.equal(rows, torch.take_along_dim(matrix(), ids.reshape(-1, 1).expand(-1, D), dim=0).reshape(2, 3, D))


def test_mean_encoder_equals_the_mean_of_looked_up_rows():
    features = MeanEncoder(D)(Embedding(matrix()), take(texts([3, 3, 5], [7], []), torch.tensor([2, 0, 1])))
    expected = torch.stack([torch.zeros(D), (2 * matrix()[3] + matrix()[5]) / 3, matrix()[7]])
    assert torch.allclose(features, expected, atol=1e-6)


def test_meanmax_encoder_by_hand():
    rows = -matrix().abs()  # a maximum that padding with zeros would win
    features = MeanMaxEncoder(D)(Embedding(rows), take(texts([3, 5], [2, 4, 6]), torch.tensor([0, 1])))
    assert torch.allclose(features[0, :D], (rows[3] + rows[5]) / 2)
    assert torch.equal(features[0, D:], torch.maximum(rows[3], rows[5]))


def test_cnn_encoder_by_hand():
    encoder = CnnEncoder(D, 5, [2])
    features = encoder(Embedding(matrix()), take(texts([3, 5], [2, 4, 6]), torch.tensor([0, 1])))
    weight, bias = encoder.convolutions[0].weight, encoder.convolutions[0].bias
    windows = [(3, 5), (5, 0)]
    expected = torch.stack([(weight * matrix()[list(w)].T).sum((1, 2)) + bias for w in windows]).relu().amax(0)
    assert torch.allclose(features[0], expected, atol=1e-6)


def test_gru_encoder_takes_the_state_after_the_last_token():
    encoder = GruEncoder(D, 7)
    features = encoder(Embedding(matrix()), take(texts([3, 5], [2, 4, 6, 8]), torch.tensor([0, 1])))
    _, last = encoder.gru(matrix()[[3, 5]][None])
    assert torch.allclose(features[0], last[0, 0], atol=1e-6)


def test_bigru_encoder_is_the_attention_over_the_states_of_both_directions():
    encoder, split = BiGruEncoder(D, 7), texts([3, 5], [], [2, 4, 6, 8])
    features, weights = encoder.attend(Embedding(matrix()), take(split, torch.arange(3)))
    for row, ids in ((0, [3, 5]), (2, [2, 4, 6, 8])):
        states = encoder.gru(matrix()[ids][None])[0][0]
        scores = (
            encoder.attention.weight @ states.T + encoder.attention.bias[:, None]
        ).tanh().T @ encoder.query.weight[0]
        expected = scores.exp() / scores.exp().sum()
        assert torch.allclose(weights[row], F.pad(expected, (0, 4 - len(ids))), atol=1e-6)
        assert torch.allclose(features[row], expected @ states, atol=1e-6)
    assert not features[1].any()
    assert not weights[1].any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_output_does_not_depend_on_the_rest_of_the_batch(encoder, kind):
    model = classifier(encoder, kind)
    split = texts([3, 5], [2, 4, 6, 8, 9, 10], [], [1])
    logits = model(take(split, torch.arange(4)))
    for row in range(4):
        single = model(take(split, torch.tensor([row])))
        assert torch.allclose(single[0], logits[row], atol=1e-6)


@pytest.mark.parametrize("kind", ["trained", "mixed", "anchored"])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_only_rows_of_the_batch_get_gradients_and_padding_never_does(encoder, kind):
    model = classifier(encoder, kind)
    bags = take(texts([3, 5, 5], [2]), torch.arange(2))
    loss = model(bags).pow(2).sum()
    (loss + model.embedding.anchor_penalty(bags) if kind == "anchored" else loss).backward()
    assert model.embedding.rows_VD.grad.is_sparse
    gradient = model.embedding.rows_VD.grad.to_dense()
    assert set(gradient.abs().sum(1).nonzero().flatten().tolist()) == {2, 3, 5}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_sgd_changes_touched_rows_only(encoder):
    model = classifier(encoder)
    before = model.embedding.rows_VD.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for rows in (torch.tensor([0]), torch.tensor([1])):
        optimizer.zero_grad()
        model(take(texts([3, 5, 5], [2, 3]), rows)).pow(2).sum().backward()
        optimizer.step()
    changed = (model.embedding.rows_VD.detach() != before).any(1)
    assert set(changed.nonzero().flatten().tolist()) == {2, 3, 5}


def test_initial_layers_do_not_depend_on_the_variant():
    frozen = classifier("cnn", "frozen").layers()
    for kind in ("trained", "projected", "anchored"):
        layers = classifier("cnn", kind).layers()
        assert layers.keys() == frozen.keys()
        assert all(torch.equal(layers[name], frozen[name]) for name in frozen)


def test_padding_row_must_be_zero():
    with pytest.raises(ValueError, match="row 0"):
        Embedding(torch.ones(V, D))


def test_dropout_keeps_the_expectation_and_is_off_without_a_generator():
    ones = torch.ones(200, 500)
    dropped = dropout(ones, 0.3, torch.Generator().manual_seed(0))
    assert sorted(dropped.unique().tolist()) == pytest.approx([0, 1 / 0.7])
    assert float(dropped.mean()) == pytest.approx(1, abs=0.01)
    assert torch.equal(dropout(ones, 0.3, None), ones)


def test_mean_model_has_the_assignments_parameter_count():
    model = Classifier(Embedding(torch.zeros(9088, 256), trainable=True), settings("mean"), 2, torch.Generator())
    assert model.parameter_counts() == {
        "params/total": 2_327_042,
        "params/trainable": 2_327_042,
        "params/embedding": 2_326_528,
    }


@pytest.mark.parametrize(
    ("kind", "total", "trainable", "embedding"),
    [
        ("frozen", V * D + C * D + C, C * D + C, V * D),
        ("anchored", V * D + C * D + C, V * D + C * D + C, V * D),
        ("mixed", V * D + C * D + C, V * (D - FROZEN) + C * D + C, V * D),
        ("projected", V * D + D * D + C * D + C, D * D + C * D + C, V * D),
    ],
)
def test_parameters_of_each_variant(kind, total, trainable, embedding):
    counts = classifier("mean", kind).parameter_counts()
    assert counts == {"params/total": total, "params/trainable": trainable, "params/embedding": embedding}


def test_of_mixed_tables_the_frozen_dimensions_come_first_and_a_projection_is_multiplied_in():
    mixed = trained_layer("mixed")
    assert torch.equal(mixed.matrix()[:, :FROZEN], matrix()[:, :FROZEN])
    assert torch.equal(mixed.matrix()[:, FROZEN:], (matrix() + matrix(seed=5))[:, FROZEN:])
    assert mixed.dim == D
    projected = trained_layer("projected")
    assert torch.allclose(projected.matrix(), matrix() @ projected.projection_DD, atol=1e-6)
    assert torch.equal(Embedding(matrix(), projected=True).matrix(), matrix())


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_layer_of_the_effective_rows_gives_the_same_means_and_rows(kind):
    embedding = trained_layer(kind)
    plain = Embedding(embedding.matrix())
    assert plain.dim == embedding.dim
    bags = take(texts([3, 5, 5], [], [2, 4, 11]), torch.arange(3))
    assert torch.allclose(embedding.mean(bags), plain.mean(bags), atol=1e-6)
    ids_BT, _ = bags.padded()
    assert torch.allclose(embedding.look_up(ids_BT), plain.look_up(ids_BT), atol=1e-6)
    assert not embedding.look_up(ids_BT)[1].any()
    assert not embedding.matrix()[0].any()


def test_the_anchors_gradient_is_that_of_the_dense_formula():
    embedding = trained_layer("anchored")
    bags = take(texts([3, 5, 5, 3], [2, 3]), torch.arange(2))
    penalty = embedding.anchor_penalty(bags)
    penalty.backward()
    rows = embedding.rows_VD.detach().clone().requires_grad_()
    ids = torch.tensor([2, 3, 5])
    dense = (rows - matrix())[ids].pow(2).sum() / 2
    dense.backward()
    assert penalty.item() == pytest.approx(dense.item())
    assert dense.item() == pytest.approx(matrix(seed=5)[ids].pow(2).sum().item() / 2, rel=1e-5)
    assert torch.allclose(embedding.rows_VD.grad.to_dense(), rows.grad)
    assert Embedding(matrix(), **KINDS["anchored"]).anchor_penalty(bags).item() == 0
