"""The numbers of a trace, followed by hand on a tiny classifier and against the model for every encoder and variant."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from pipeline.classifier.batch import Texts, take
from pipeline.classifier.device import torch_threads
from pipeline.prediction.explain.attribution import MAX_LEFT_OUT, attribute_decision
from pipeline.prediction.explain.model import single_tweet_trainer
from pipeline.prediction.explain.trace import one_hot_product, trace_text

TEXT = "Good movie zzz"
VARIANTS = {
    "frozen": {"trainable": False},
    "trained": {},
    "mixed": {"init": ["cbow", "ppmi"], "trainable": [True, False]},
    "projected": {"trainable": False, "projected": True},
    "anchored": {"anchor": 0.5},
}


def bags(ids):
    return take(Texts.from_arrays(np.array(ids), np.array([0, len(ids)]), np.zeros(1, int)), torch.tensor([0]))


def test_tokens_and_word_vectors_by_hand(tiny):
    good, movie, unknown = trace_text(tiny, TEXT).tokens
    assert (good["token"], good["id"], good["word"], good["known"], good["count"]) == ("good", 2, "good", True, 5)
    assert (good["norm"], good["relative_change"], good["values"]) == (2.0, 1.0, [2.0, 0.0])
    assert (movie["id"], movie["norm"], movie["relative_change"]) == (4, 1.0, 0.0)
    assert (unknown["token"], unknown["id"], unknown["word"], unknown["known"]) == ("zzz", 1, "<unk>", False)


def test_shapes_by_hand(tiny):
    shapes = {shape["name"]: shape["shape"] for shape in trace_text(tiny, TEXT).shapes}
    assert shapes == {
        "token ids": [1, 3],
        "word vectors": [1, 3, 2],
        "features": [1, 2],
        "logits": [1, 2],
        "probabilities": [1, 2],
    }


def test_decision_by_hand(tiny):
    trace = trace_text(tiny, TEXT)
    # Rows (2, 0), (0, -1), (0, 1): their mean is (2/3, 0).
    assert trace.encoder["features"] == pytest.approx([2 / 3, 0])
    decision = trace.decision
    assert decision.logits == pytest.approx([-2 / 3 + 0.25, 2 / 3 - 0.25])
    assert decision.probabilities[1] == pytest.approx(1 / (1 + math.exp(-5 / 6)))
    assert (decision.predicted, decision.runner_up) == (1, 0)
    # The weights differ by (2, 0.5): each contribution is that times the row, over 3.
    assert decision.contributions == pytest.approx([4 / 3, -0.5 / 3, 0.5 / 3])
    assert (decision.bias, decision.margin) == pytest.approx((-0.5, 5 / 6))


def test_step_by_hand(tiny):
    step, frozen = trace_text(tiny, TEXT).steps
    p = 1 / (1 + math.exp(-5 / 6))
    assert (step["variant"], step["as_trained"], step["label"]) == ("random_trainable", True, 0)
    assert step["loss_before"] == pytest.approx(-math.log(1 - p), rel=1e-5)
    # Of the mean the gradient is p (2, 0.5), of each row a third of it; of the head's weights p (2/3, 0), twice.
    each, mean = p / 3 * math.hypot(2, 0.5), p * math.hypot(2, 0.5)
    assert [row["gradient_norm"] for row in step["rows"]] == pytest.approx([each] * 3, rel=1e-4)
    assert step["gradient_norm"] == pytest.approx(math.sqrt(mean**2 / 3 + 2 * p**2 * (4 / 9 + 1)), rel=1e-4)
    # The first step of Adam is the learning rate in each dimension, whatever the gradient.
    assert [row["change"] for row in step["rows"]] == pytest.approx([0.01 * math.sqrt(2)] * 3, rel=1e-4)
    assert [row["relative_change"] for row in step["rows"]] == pytest.approx(
        [0.01 / math.sqrt(2), *[0.01 * math.sqrt(2)] * 2], rel=1e-3
    )
    assert (
        step["rows_changed"],
        step["rows_unchanged"],
        step["read_rows_unchanged"],
        step["encoder_rows_changed"],
    ) == (3, 3, 0, 3)
    assert step["loss_after"] < step["loss_before"]
    assert step["probability_after"] > step["probability_before"] == pytest.approx(1 - p)

    assert (frozen["variant"], frozen["as_trained"], frozen["trainable"]) == ("random_frozen", False, False)
    assert frozen["loss_before"] == step["loss_before"]
    assert (
        frozen["rows_changed"],
        frozen["rows_unchanged"],
        frozen["encoder_rows_changed"],
        frozen["read_rows_unchanged"],
    ) == (
        0,
        6,
        0,
        3,
    )
    assert {row["change"] for row in frozen["rows"]} == {0.0}
    assert {row["gradient_norm"] for row in frozen["rows"]} == {None}
    # head.weight: one column has no gradient, as the second feature is zero; each other number moves by the rate.
    assert {layer["name"]: layer["change"] for layer in frozen["layers"]} == pytest.approx(
        {"head.weight": 0.003 * math.sqrt(2), "head.bias": 0.003 * math.sqrt(2)}, rel=1e-3
    )
    assert frozen["loss_after"] > step["loss_after"]


def test_the_label_can_be_chosen(tiny):
    predicted = trace_text(tiny, TEXT, label=1).steps[0]
    assert predicted["label"] == 1
    assert predicted["loss_before"] == pytest.approx(math.log1p(math.exp(-5 / 6)), rel=1e-5)


def test_a_word_that_occurs_twice_gets_the_gradient_twice(tiny):
    good, movie = trace_text(tiny, "good good movie").steps[0]["rows"]
    assert (good["count"], movie["count"]) == (2, 1)
    assert good["gradient_norm"] == pytest.approx(2 * movie["gradient_norm"])


def test_unknown_words_share_a_row(tiny):
    trace = trace_text(tiny, "zig zag zig")
    (row,) = trace.steps[0]["rows"]
    assert (row["id"], row["word"], row["tokens"], row["count"]) == (1, "<unk>", ["zig", "zag"], 3)
    assert not any(token["known"] for token in trace.tokens)


def test_gradients_above_the_limit_are_clipped(tiny):
    clipped = dataclasses.replace(tiny, train=dataclasses.replace(tiny.train, clip_norm=0.01))
    free, held = trace_text(tiny, TEXT).steps[0], trace_text(clipped, TEXT).steps[0]
    assert held["gradient_norm"] == free["gradient_norm"] > 0.01
    assert held["rows"][0]["gradient_norm"] == pytest.approx(
        free["rows"][0]["gradient_norm"] * 0.01 / free["gradient_norm"], rel=1e-3
    )


def test_the_penalty_of_an_anchor_is_part_of_the_gradient(tiny):
    anchored = dataclasses.replace(tiny, embedding=dataclasses.replace(tiny.embedding, anchor=0.5))
    step, frozen = trace_text(anchored, TEXT).steps
    # `good` went from (1, 0) to (2, 0): half the gradient of the squared distance is (1, 0), and is added.
    p = 1 / (1 + math.exp(-5 / 6))
    good, movie = (math.hypot(2 * p / 3 + 1, p / 6), math.hypot(2 * p / 3, p / 6))
    assert [row["gradient_norm"] for row in step["rows"]] == pytest.approx([good, movie, movie], rel=1e-4)
    assert step["gradient_norm"] == pytest.approx(
        math.sqrt(good**2 + 2 * movie**2 + frozen["gradient_norm"] ** 2), rel=1e-4
    )
    assert step["loss_before"] == frozen["loss_before"]


def test_one_hot_product_equals_the_lookup():
    matrix_VD = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    product = one_hot_product(matrix_VD, torch.tensor([6, 0, 2] * 50))
    assert (product["one_hot_TV"], product["matrix_VD"], product["product_TD"]) == ([150, 7], [7, 3], [150, 3])
    assert (product["multiplications"], product["numbers_copied"]) == (150 * 7 * 3, 450)
    assert product["largest_difference"] == 0


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("encoder", ["mean", "meanmax", "cnn", "gru", "bigru"])
def test_rebuilt_model_and_step_of_every_encoder_and_variant(trained_with, encoder, variant):
    trained, model = trained_with(encoder, **VARIANTS[variant])
    trace = trace_text(trained, "good movie zzz good bad")
    ids = [2, 4, 1, 2, 3]
    assert trace.decision.logits == pytest.approx(model(bags(ids))[0].tolist(), abs=2e-5)

    step, contrast = trace.steps
    trainable = trained.embedding.trainable is not False
    assert step["frozen_dim"] == (5 if variant == "mixed" else 0)
    assert (step["trainable"], contrast["trainable"]) == (trainable, not trainable)
    assert contrast["loss_before"] == pytest.approx(step["loss_before"], abs=1e-5)
    for each in trace.steps:
        changed = [row["id"] for row in each["rows"] if row["change"]]
        assert set(changed) <= {1, 2, 3, 4}
        assert (each["rows_changed"], each["rows_changed"] + each["rows_unchanged"]) == (len(changed), 6)
        assert len(changed) == 0 if not each["trainable"] else len(changed) > 0
        assert each["pad_is_zero"]
    if trainable and encoder != "cnn":
        assert step["rows_changed"] == 4
    # A projection moves every word but padding, although no row moves.
    assert step["encoder_rows_changed"] == (5 if variant == "projected" else step["rows_changed"])


def test_exact_contributions_and_bias_sum_to_the_margin(trained_with):
    for encoder in ("mean", "meanmax"):
        decision = trace_text(trained_with(encoder)[0], "good movie zzz bad 😀").decision
        assert decision.exact
        assert sum(decision.contributions) + decision.bias == pytest.approx(decision.margin, abs=1e-5)


def test_maxima_are_credited_to_the_token_that_supplies_them(tiny):
    head = {"head.weight": np.array([[0, 0, 0, 0], [0, 0, 1, 10]], np.float32), "head.bias": np.zeros(2, np.float32)}
    trained = dataclasses.replace(tiny, model=dataclasses.replace(tiny.model, encoder="meanmax"), layers=head)
    trace = trace_text(trained, "good movie 😀")  # rows (2, 0), (0, -1), (1, 1)
    assert trace.encoder["maxima"] == [1, 0, 1]
    assert trace.decision.contributions == pytest.approx([2, 0, 10])


def test_left_out_contributions_are_differences_of_margins(trained_with):
    trained, _ = trained_with("gru")
    ids = [2, 4, 1, 3]
    model = single_tweet_trainer(trained, ids, 0).model.requires_grad_(False)
    decision = attribute_decision(model, ids)
    assert not decision.exact
    logits = model(bags([2, 4, 3]))[0]
    margin = float(logits[decision.predicted] - logits[decision.runner_up])
    assert decision.contributions[2] == pytest.approx(decision.margin - margin, abs=1e-6)
    with torch_threads(trained.train.threads):
        many = attribute_decision(model, ids * 100).contributions
    assert [value is None for value in many] == [position >= MAX_LEFT_OUT for position in range(400)]


def test_gru_states_end_in_the_features_and_the_decision(trained_with):
    trace = trace_text(trained_with("gru")[0], "good movie bad")
    states = trace.encoder["states"]
    assert [state["token"] for state in states] == ["good", "movie", "bad"]
    assert states[-1]["values"] == pytest.approx(trace.encoder["features"])
    assert states[-1]["probabilities"] == pytest.approx(trace.decision.probabilities)
    first = trace_text(trained_with("gru")[0], "good").decision.probabilities
    assert states[0]["probabilities"] == pytest.approx(first, abs=1e-6)
    assert [shape["shape"] for shape in trace.shapes if shape["name"] == "states"] == [[1, 3, 6]]


def test_attention_weights_of_the_states_give_the_features(trained_with):
    trained, _ = trained_with("bigru")
    trace = trace_text(trained, "good movie bad")
    weights = trace.encoder["attention"]
    assert sum(weights) == pytest.approx(1)
    encoder = single_tweet_trainer(trained, [2, 4, 3], 0).model
    states = encoder.encoder.states(encoder.embedding, bags([2, 4, 3]))[0]
    assert (torch.tensor(weights) @ states).tolist() == pytest.approx(trace.encoder["features"], abs=1e-6)
    assert [shape["shape"] for shape in trace.shapes if shape["name"] in ("states", "features")] == [
        [1, 3, 12],
        [1, 12],
    ]


def test_cnn_windows_hold_all_maxima_and_the_margin(trained_with):
    trace = trace_text(trained_with("cnn")[0], "good movie zzz bad")
    windows, encoder = trace.encoder["windows"], trace.encoder
    assert sum(window["maxima"] for window in windows) + encoder["inactive_filters"] == 8
    assert sum(window["contribution"] for window in windows) + trace.decision.bias == pytest.approx(
        trace.decision.margin, abs=1e-5
    )
    assert all(0 <= window["start"] < 4 for window in windows)
    assert [shape["shape"] for shape in trace.shapes if shape["name"] == "windows"] == [[1, 4, 4], [1, 4, 4]]


@pytest.mark.parametrize("encoder", ["mean", "meanmax", "cnn", "gru", "bigru"])
def test_a_text_without_tokens_leaves_the_bias(trained_with, encoder):
    trained, _ = trained_with(encoder)
    trace = trace_text(trained, " \n ")
    assert trace.tokens == trace.decision.contributions == []
    assert trace.decision.logits == pytest.approx(trained.layers["head.bias"].tolist())
    assert [shape["shape"] for shape in trace.shapes[:2]] == [[1, 0], [1, 0, 5]]
    for step in trace.steps:
        assert (step["rows"], step["rows_changed"], step["rows_unchanged"]) == ([], 0, 6)
        assert step["loss_after"] < step["loss_before"]


def test_tokens_beyond_the_limit_are_counted(tiny):
    trace = trace_text(tiny, "good " * 2000)
    assert (len(trace.tokens), trace.truncated) == (256, 2000 - 256)
    assert trace.one_hot["product_TD"] == [256, 2]


def test_wrong_weights_are_refused(tiny):
    short = dataclasses.replace(tiny, layers={"head.weight": np.zeros((1, 2), np.float32), "head.bias": np.zeros(2)})
    with pytest.raises(ValueError, match="shapes"):
        single_tweet_trainer(short, [2], 0)
