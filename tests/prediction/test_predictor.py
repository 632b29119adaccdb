import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from pipeline.prediction import predictor as module
from pipeline.prediction.score_table import compact_predictor
from pipeline.prediction.torch_model import torch_predictor
from pipeline.prediction.trained_model import read_model, write_model
from pipeline.runtime.errors import UserError
from pipeline.tracking.read_record import load_predictions

VARIANTS = [
    ["embedding=random_trainable", "model=mean"],
    ["embedding=random_frozen", "model=mean"],
    ["embedding=cbow_projected", "model=mean"],
    ["embedding=cbow_multichannel", "model=mean"],
    ["embedding=cbow_anchored", "model=mean"],
    ["embedding=random_trainable", "model=meanmax"],
    ["embedding.init=[cbow,ppmi]", "embedding.trainable=[true,false]", "model=meanmax"],
    ["embedding=cbow_projected", "model=meanmax"],
    ["embedding=random_trainable", "model=cnn"],
    ["embedding=cbow_multichannel", "model=cnn"],
    ["embedding=random_trainable", "model=gru"],
    ["embedding=cbow_projected", "model=gru"],
    ["embedding=cbow_multichannel", "model=gru"],
    ["embedding=random_trainable", "model=mean", "text=whitespace", "text.emoticons=strip", "text.max_tokens=3"],
]
TEXTS = ["love this awful day :)", "zzz unheard of", "😀", "", "sad sad sad " * 200]


@pytest.mark.parametrize("overrides", VARIANTS, ids="-".join)
def test_a_loaded_run_predicts_as_at_the_end_of_training(make_run, overrides):
    folder = make_run(*overrides)
    predictor = torch_predictor(read_model(folder))
    for found in load_predictions(folder).values():
        np.testing.assert_allclose(predictor.probabilities(found.texts), found.probabilities, rtol=0, atol=1e-6)
        labels = [prediction.label for prediction in predictor.predict(found.texts, explain=False)]
        assert labels == [predictor.labels[column] for column in found.probabilities.argmax(axis=1)]


def test_the_runs_have_different_predictions(make_run):
    """Guards the test above: predictions that hardly depend on the model would pass it."""
    probabilities = [
        torch_predictor(read_model(make_run(*overrides))).probabilities(TEXTS[:1]) for overrides in VARIANTS
    ]
    assert len({tuple(np.round(row[0], 4)) for row in probabilities}) == len(VARIANTS)


@pytest.mark.parametrize("overrides", VARIANTS[:5], ids="-".join)
@pytest.mark.parametrize("make", [torch_predictor, compact_predictor])
def test_contributions_and_bias_sum_to_the_margin(make_run, overrides, make):
    predictor = make(read_model(make_run(*overrides)))
    for text, prediction in zip(TEXTS, predictor.predict(TEXTS), strict=True):
        explanation = prediction.explanation
        assert explanation.method == "exact"
        first, second = np.sort(prediction.probabilities)[::-1][:2]
        assert explanation.margin == pytest.approx(np.log(first / second), abs=1e-4)
        total = explanation.bias + sum(part for _, part in explanation.contributions)
        assert total == pytest.approx(explanation.margin, abs=1e-4)
        assert [word for word, _ in explanation.contributions] == predictor.tokenizer(text)
        assert predictor.labels[np.argsort(-prediction.probabilities)[1]] == explanation.against


def test_unknown_words_are_read_as_their_parts(make_run, monkeypatch):
    trained = read_model(make_run("embedding=random_trainable", "model=mean"))
    assert {"love", "hate", "#lovehate"} & set(trained.words) == {"love", "hate"}
    predictor = torch_predictor(replace(trained, text=replace(trained.text, unknown="parts")))
    texts, parts = ["love-hate zzz", "", "#lovehate LOVE"], ["love hate zzz", "", "love hate love"]
    monkeypatch.setattr(module, "MAX_UNKNOWN_WORDS", 1)
    for _ in range(3):  # the second call starts with a full table
        for actual, expected in zip(predictor.ids(texts), torch_predictor(trained).ids(parts), strict=True):
            np.testing.assert_array_equal(actual, expected)
    actual, expected = predictor.predict(texts), torch_predictor(trained).predict(parts)
    assert [prediction.explanation for prediction in actual] == [prediction.explanation for prediction in expected]
    assert actual[0].explanation.unknown == ["zzz"]


@pytest.mark.parametrize("encoder", ["meanmax", "cnn", "gru", "bigru"])
def test_leave_one_out_contributions_are_losses_of_margin(make_run, encoder):
    predictor = torch_predictor(read_model(make_run("embedding=random_trainable", f"model={encoder}")))
    (whole,) = predictor.predict(["hate mondays again"])
    label, against = predictor.labels.index(whole.label), predictor.labels.index(whole.explanation.against)
    odds = [
        np.log(p[label] / p[against]) for p in predictor.probabilities(["mondays again", "hate again", "hate mondays"])
    ]
    found = [part for _, part in whole.explanation.contributions]
    assert found == pytest.approx([whole.explanation.margin - rest for rest in odds], abs=1e-4)
    assert max(map(abs, found)) > 0.01
    assert (whole.explanation.method, whole.explanation.bias) == ("leave one token out", None)


def test_a_long_text_is_left_out_in_spans(make_run):
    predictor = torch_predictor(read_model(make_run("embedding=random_trainable", "model=gru")))
    (found,) = predictor.predict(["sad " * 256])
    assert found.explanation.method == "leave 2 neighbouring tokens out"
    assert [piece for piece, _ in found.explanation.contributions] == ["sad sad"] * 128


def test_attention_weights_are_those_of_the_encoder_and_a_span_has_their_sum(make_run):
    trained = read_model(make_run("embedding=random_trainable", "model=bigru"))
    predictor = torch_predictor(trained)
    whole, empty, long = predictor.predict(["hate mondays again", "", "sad " * 255 + "love"])
    weights = whole.explanation.attention
    assert sum(weights) == pytest.approx(1, abs=1e-6)
    assert max(weights) - min(weights) > 0.01
    ids = predictor.ids(["hate mondays again"])[0].tolist()
    rows = torch.from_numpy(trained.embedding_VE[ids])
    gru = torch.nn.GRU(6, 7, bidirectional=True)
    gru.load_state_dict(
        {
            name.removeprefix("encoder.gru."): torch.from_numpy(w)
            for name, w in trained.layers.items()
            if ".gru." in name
        }
    )
    weight, bias, query = (
        trained.layers[f"encoder.{name}"] for name in ("attention.weight", "attention.bias", "query.weight")
    )
    scores = np.tanh(gru(rows)[0].detach().numpy() @ weight.T + bias) @ query[0]
    np.testing.assert_allclose(weights, np.exp(scores) / np.exp(scores).sum(), atol=1e-6)
    assert empty.explanation.attention == []
    assert len(long.explanation.attention) == len(long.explanation.contributions) == 128
    assert sum(long.explanation.attention) == pytest.approx(1, abs=1e-5)
    plain = torch_predictor(read_model(make_run("embedding=random_trainable", "model=gru")))
    assert plain.predict(["hate"])[0].explanation.attention is None


def test_unknown_words_are_listed_once_and_share_a_row(make_run):
    predictor = torch_predictor(read_model(make_run("embedding=random_trainable", "model=mean")))
    (one, other) = predictor.predict(["love qqq www qqq <unk>", "love eee eee eee eee"])
    assert one.explanation.unknown == ["qqq", "www", "<unk>"]
    shares = [part for word, part in one.explanation.contributions if word != "love"]
    assert len(set(shares)) == 1
    np.testing.assert_array_equal(one.probabilities, other.probabilities)


@pytest.mark.parametrize("encoder", ["mean", "meanmax", "cnn", "gru", "bigru"])
def test_an_empty_text_gets_the_bias_alone(make_run, encoder):
    trained = read_model(make_run("embedding=random_trainable", f"model={encoder}"))
    (found,) = torch_predictor(trained).predict([""])
    bias = trained.layers["head.bias"].astype(float)
    np.testing.assert_allclose(found.probabilities, np.exp(bias) / np.exp(bias).sum(), atol=1e-6)
    assert (found.explanation.contributions, found.explanation.unknown) == ([], [])


@pytest.mark.parametrize("encoder", ["mean", "meanmax", "cnn", "gru", "bigru"])
def test_a_prediction_does_not_depend_on_the_other_texts(make_run, encoder, monkeypatch):
    predictor = torch_predictor(read_model(make_run("embedding=random_trainable", f"model={encoder}")))
    alone = np.concatenate([predictor.probabilities([text]) for text in TEXTS])
    np.testing.assert_allclose(predictor.probabilities(TEXTS), alone, atol=1e-6)
    monkeypatch.setattr(module, "BATCH_TOKENS", 8)
    monkeypatch.setattr(module, "CHUNK_TEXTS", 2)
    np.testing.assert_allclose(predictor.probabilities(TEXTS), alone, atol=1e-6)


def test_batches_are_bounded_and_every_text_is_in_one():
    ids = [[2] * length for length in (0, 40_000, 3, 20_000, 20_000, 0, 5)]
    groups = list(module.length_batches(ids))
    assert sorted(row for group in groups for row in group) == list(range(7))
    assert all(len(g) == 1 or len(g) * max(len(ids[row]) for row in g) <= module.BATCH_TOKENS for g in groups)
    assert len(groups) == 4


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_any_text_gets_a_label_and_probabilities(make_run, texts):
    for encoder in ("mean", "cnn"):
        predictor = torch_predictor(read_model(make_run("embedding=random_trainable", f"model={encoder}")))
        for prediction in predictor.predict(texts):
            assert prediction.probabilities.sum() == pytest.approx(1)
            assert prediction.label == predictor.labels[prediction.probabilities.argmax()]
            assert np.isfinite([part for _, part in prediction.explanation.contributions]).all()


def test_no_texts_give_no_predictions(make_run):
    predictor = torch_predictor(read_model(make_run("embedding=random_trainable", "model=mean")))
    assert predictor.predict([]) == []
    assert predictor.probabilities([]).shape == (0, 3)


def test_a_copy_predicts_the_same_and_holds_no_paths(make_run, tmp_path):
    folder = make_run("embedding=cbow_projected", "model=gru")
    write_model(folder, tmp_path)
    expected = torch_predictor(read_model(folder)).probabilities(TEXTS)
    np.testing.assert_array_equal(torch_predictor(read_model(tmp_path)).probabilities(TEXTS), expected)
    assert list(load_file(tmp_path / "embedding.safetensors")) == ["final"]
    assert not any(b"/home/" in path.read_bytes() or b"paths" in path.read_bytes() for path in tmp_path.iterdir())


def test_a_record_without_embedding_says_how_to_get_it(make_run):
    folder = make_run("embedding=random_trainable", "model=mean", keep=False)
    with pytest.raises(UserError, match=r"kept no embedding.*tracking\.keep_embedding=true"):
        read_model(folder)


def _other_words(folder):
    (folder / "vocabulary.json").write_text(json.dumps({"words": ["<pad>", "<unk>", "only"]}))


def _other_head(folder):
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {"head.weight": weights["head.weight"][:, :-1].copy()}, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "run.json").unlink(), "not the record of a run"),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(b"\x80\x04junk"),
            "cannot be read as a run's record",
        ),
        (lambda folder: (folder / "config.yaml").write_text("text: {tokenizer: tweet}"), "cannot be read"),
        (lambda folder: (folder / "run.json").write_text("[]"), "cannot be read"),
        (_other_words, "3 words and 3 labels do not fit"),
        (_other_head, "weights do not fit the configuration"),
    ],
)
def test_a_damaged_record_is_an_error_that_names_it(make_run, tmp_path, damage, message):
    folder = tmp_path / "run"
    shutil.copytree(make_run("embedding=random_trainable", "model=mean"), folder)
    damage(folder)
    with pytest.raises(UserError, match=message):
        torch_predictor(read_model(folder))
