"""An ensemble predicts the mean of its members' probabilities, from runs and from its export."""

import json

import numpy as np
import pytest

from pipeline.__main__ import main
from pipeline.prediction import export as export_module
from pipeline.prediction.ensemble import Ensemble
from pipeline.prediction.export import EDGE_CASES, export_ensemble, read_export
from pipeline.prediction.predictor import Predictor
from pipeline.prediction.torch_model import torch_predictor
from pipeline.prediction.trained_model import read_model
from pipeline.runtime.errors import UserError

RUNS = [
    ("embedding=random_trainable", "model=mean"),
    ("embedding=cbow_multichannel", "model=bigru", "seed=1"),
    ("embedding=random_trainable", "model=gru", "text=whitespace"),
]
TEXTS = ["love this 😀", "Hate, hate, mondays", "@you is 3 www"]


@pytest.fixture
def folders(make_run, monkeypatch):
    monkeypatch.setattr(export_module, "SECONDS", 0.0)
    return [make_run(*overrides) for overrides in RUNS]


@pytest.fixture
def models(folders):
    return [read_model(folder) for folder in folders]


def ensemble_of(models):
    return Ensemble([(trained.name, torch_predictor(trained)) for trained in models])


def test_probabilities_are_the_mean_of_the_members(models):
    texts = [*TEXTS, *EDGE_CASES]
    single = [torch_predictor(trained).probabilities(texts) for trained in models]
    mean = np.mean(single, axis=0)
    np.testing.assert_allclose(ensemble_of(models).probabilities(texts), mean, rtol=0, atol=1e-12)
    assert np.abs(single[0] - single[1]).max() > 0.01
    predictions = ensemble_of(models).predict_each(texts)
    np.testing.assert_array_equal([one.probabilities for one in predictions], ensemble_of(models).probabilities(texts))
    assert [one.label for one in predictions] == [models[0].labels[row.argmax()] for row in mean]


def test_members_with_labels_in_another_order_are_averaged_by_name(models):
    labels, words = models[0].labels, models[0].words
    straight = torch_predictor(models[0])

    class Reversed(type(straight.scorer)):
        def logits(self, ids):
            return super().logits(ids)[:, ::-1]

    turned = Predictor(labels[::-1], models[0].text, words, Reversed(models[0]))
    expected = straight.probabilities(TEXTS)
    np.testing.assert_allclose(Ensemble([("a", straight), ("b", turned)]).probabilities(TEXTS), expected, atol=1e-12)


def test_contributions_are_losses_of_margin_of_the_mean(models):
    ensemble = ensemble_of(models)
    (whole,) = ensemble.predict(["Hate, xyz mondays"])
    label, against = ensemble.labels.index(whole.label), ensemble.labels.index(whole.explanation.against)
    odds = [
        np.log(p[label] / p[against]) for p in ensemble.probabilities(["xyz mondays", "Hate, mondays", "Hate, xyz"])
    ]
    words, parts = zip(*whole.explanation.contributions, strict=True)
    assert words == ("Hate,", "xyz", "mondays")
    assert parts == pytest.approx([whole.explanation.margin - rest for rest in odds])
    assert (whole.explanation.method, whole.explanation.unknown) == ("leave one word out", ["xyz"])


@pytest.mark.parametrize("formats", [["compact", "onnx", "onnx"], ["onnx"] * 3])
def test_an_export_predicts_the_mean_of_the_full_models(models, tmp_path, formats):
    pytest.importorskip("onnxruntime")
    difference = export_ensemble(models, tmp_path / "all", formats, ["card"] * 3, TEXTS)
    assert difference <= 1e-6
    exported, texts = read_export(tmp_path / "all"), [*TEXTS, *EDGE_CASES]
    members = [read_export(tmp_path / "all" / f"{number}-{each.name}") for number, each in enumerate(models, 1)]
    singles = np.mean([member.probabilities(texts) for member in members], axis=0)
    np.testing.assert_allclose(exported.probabilities(texts), singles, rtol=0, atol=1e-12)
    full = np.mean([torch_predictor(trained).probabilities(texts) for trained in models], axis=0)
    np.testing.assert_allclose(exported.probabilities(texts), full, rtol=0, atol=1e-6)
    card = (tmp_path / "all" / "model_card.md").read_text()
    assert all(f"`{number}-{each.name}`" in card for number, each in enumerate(models, 1))


def test_the_commands_average_and_name_the_runs(folders, models, tmp_path, capsys):
    runs = [argument for folder in folders for argument in ("--run", str(folder))]
    assert main(["predict", *runs, "--", *TEXTS]) == 0
    out, err = capsys.readouterr()
    names = ", ".join(folder.name for folder in folders)
    assert f"note: the average of 3 runs: {names}" in err
    lines = [json.loads(line) for line in out.splitlines()]
    expected = ensemble_of(models).probabilities(TEXTS)
    np.testing.assert_allclose([list(line["probabilities"].values()) for line in lines], expected, atol=1e-5)
    assert main(["export", *runs, "--to", str(tmp_path / "all")]) == 0
    assert "the average of 3 runs" in capsys.readouterr().out
    assert main(["predict", "--run", str(tmp_path / "all"), "--", *TEXTS]) == 0
    again = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [list(line) for line in again] == [list(line) for line in lines]
    np.testing.assert_allclose([list(line["probabilities"].values()) for line in again], expected, atol=1e-5)


def test_runs_that_cannot_be_averaged_are_one_line(folders, models, capsys):
    for command in (["predict", "x"], ["export", "--to", "never"]):
        assert main([*command, "--run", str(folders[0]), "--run", str(folders[0])]) == 2
        assert "named twice" in capsys.readouterr().err
    other = Predictor(["bad", "good"], models[0].text, models[0].words, torch_predictor(models[0]).scorer)
    with pytest.raises(UserError, match=r"^b: its labels are bad, good, and those of a are bad, good, meh"):
        Ensemble([("a", torch_predictor(models[0])), ("b", other)])
