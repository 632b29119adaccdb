import json
import os
import subprocess
import sys

import numpy as np
import pytest

from pipeline.prediction import export as module
from pipeline.prediction.export import EDGE_CASES, export, export_report, read_export
from pipeline.prediction.score_table import score_table
from pipeline.prediction.torch_model import TorchModel, torch_predictor
from pipeline.prediction.trained_model import read_model
from pipeline.runtime.errors import RunError, UserError
from pipeline.runtime.paths import project_root
from pipeline.tracking.read_record import load_predictions

PROJECT = project_root()
VARIANTS = ["random_trainable", "cbow_projected", "cbow_multichannel"]


FASTTEXT = module._fasttext


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.0)
    monkeypatch.setattr(module, "_fasttext", lambda *_: None)


def tweets_of(folder):
    test = load_predictions(folder)["test"]
    return test.texts, test.labels.tolist()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_score_table_predicts_as_the_model(make_run, tmp_path, variant):
    folder = make_run(f"embedding={variant}", "model=mean")
    trained = read_model(folder)
    exported = export(trained, tmp_path / "small", "compact", "# card", *tweets_of(folder))
    full, small = torch_predictor(trained), read_export(tmp_path / "small")
    texts = [*tweets_of(folder)[0], *EDGE_CASES]
    np.testing.assert_allclose(small.probabilities(texts), full.probabilities(texts), rtol=0, atol=1e-6)
    assert exported.texts == len(texts)
    for mine, other in zip(small.predict(texts), full.predict(texts), strict=True):
        assert mine.explanation.method == other.explanation.method == "exact"
        parts = [np.array([part for _, part in found.explanation.contributions]) for found in (mine, other)]
        np.testing.assert_allclose(*parts, atol=1e-5)
    facts = json.loads((tmp_path / "small" / "exported.json").read_text())
    assert facts["checked"]["largest_difference"] == exported.largest_difference <= 1e-5
    assert (tmp_path / "small" / "model_card.md").read_text() == "# card"


def test_the_table_is_rows_times_head(make_run):
    trained = read_model(make_run("embedding=cbow_multichannel", "model=mean"))
    table = score_table(trained)
    word = trained.words.index("love")
    expected = trained.layers["head.weight"].astype(float) @ trained.embedding_VE[word].astype(float)
    np.testing.assert_allclose(table.scores_VC[word], expected, rtol=1e-6)
    assert table.scores_VC.shape == (len(trained.words), 3)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("encoder", ["mean", "meanmax", "cnn", "gru", "bigru"])
def test_the_onnx_graph_predicts_as_the_model(make_run, tmp_path, variant, encoder):
    onnx = pytest.importorskip("onnx")
    folder = make_run(f"embedding={variant}", f"model={encoder}")
    trained = read_model(folder)
    export(trained, tmp_path / "graph", "onnx", "# card", *tweets_of(folder))
    full, graph = TorchModel(trained), read_export(tmp_path / "graph").scorer
    words = len(trained.words)
    rng = np.random.default_rng(0)
    for lengths in ([1], [0], [0, 0, 3], [2, 9, 1, 0, 5], [300, 7]):
        ids = [rng.integers(1, words, length).tolist() for length in lengths]
        np.testing.assert_allclose(graph.logits(ids), full.logits(ids), rtol=0, atol=1e-5)
        for text in ids if encoder == "bigru" else ():
            np.testing.assert_allclose(graph.attention(text), full.attention(text), rtol=0, atol=1e-6)
    assert encoder == "bigru" or graph.attention([1]) is full.attention([1]) is None
    model = onnx.load(str(tmp_path / "graph" / "model.onnx"))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    sizes = {value.name: [dim.dim_param for dim in value.type.tensor_type.shape.dim] for value in model.graph.input}
    assert sizes == {"ids": ["batch", "tokens"], "lengths": ["batch"]}


def test_padding_does_not_change_the_output_of_the_onnx_graph(make_run, tmp_path):
    pytest.importorskip("onnxruntime")
    for encoder in ("mean", "meanmax", "cnn", "gru", "bigru"):
        folder = make_run("embedding=random_trainable", f"model={encoder}")
        export(read_model(folder), tmp_path / encoder, "onnx", "", [], [])
        session = read_export(tmp_path / encoder).scorer.session
        lengths = np.array([2], np.int64)
        alone, padded = (
            session.run(None, {"ids": np.array([ids], np.int64), "lengths": lengths})
            for ids in ([3, 4], [3, 4, 5, 6, 7, 8])
        )
        np.testing.assert_allclose(alone[0], padded[0], atol=1e-6)
        assert alone[1].sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("encoder", ["meanmax", "cnn", "gru", "bigru"])
def test_other_encoders_have_no_table(make_run, tmp_path, encoder):
    trained = read_model(make_run("embedding=random_trainable", f"model={encoder}"))
    with pytest.raises(UserError, match=f"only the mean encoder.*{encoder}.*--format onnx"):
        export(trained, tmp_path / "small", "compact", "", [], [])
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_differs_is_refused(make_run, tmp_path, monkeypatch):
    def off(trained):
        table = score_table(trained)
        table.bias_C = table.bias_C + np.array([0.001, 0, 0], np.float32)
        return table

    monkeypatch.setattr(module, "score_table", off)
    with pytest.raises(RunError, match="differs from the full model"):
        export(read_model(make_run("embedding=random_trainable", "model=mean")), tmp_path / "x", "compact", "", [], [])
    assert list(tmp_path.iterdir()) == []


def test_only_an_earlier_export_is_replaced(make_run, tmp_path):
    trained = read_model(make_run("embedding=random_trainable", "model=mean"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="no export"):
        export(trained, tmp_path / "mine", "compact", "", [], [])
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    for card in ("first", "second"):
        export(trained, tmp_path / "small", "compact", card, [], [])
    assert (tmp_path / "small" / "model_card.md").read_text() == "second"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "small"]


def test_sizes_and_speeds_are_reported(make_run, tmp_path, monkeypatch):
    pytest.importorskip("floret")
    monkeypatch.setattr(module, "_fasttext", FASTTEXT)
    folder = make_run("embedding=random_trainable", "model=mean")
    trained = read_model(folder)
    exported = export(trained, tmp_path / "small", "compact", "card", *tweets_of(folder))
    forms = {found.model: found for found in exported.measurements}
    assert list(forms) == ["full model (torch)", "table of word scores", "fastText (floret)"]
    kept = [path for path in (tmp_path / "small").iterdir() if path.name != "model_card.md"]
    assert forms["table of word scores"].size == sum(path.stat().st_size for path in kept)
    assert forms["full model (torch)"].size >= trained.embedding_VE.nbytes
    assert forms["fastText (floret)"].size > 4 * 10 * 2_000_000
    assert all(found.from_text > 0 for found in exported.measurements)
    report = export_report(exported, tmp_path / "small", trained, "compact")
    assert "1e-05 allowed" in report
    assert "76." in report


@pytest.mark.parametrize("file", ["table.safetensors", "exported.json", "vocabulary.json"])
def test_a_damaged_export_is_an_error_that_names_it(make_run, tmp_path, file):
    trained = read_model(make_run("embedding=random_trainable", "model=mean"))
    export(trained, tmp_path / "small", "compact", "", [], [])
    (tmp_path / "small" / file).write_text("{}")
    with pytest.raises(UserError, match="cannot be read as an export"):
        read_export(tmp_path / "small")


def test_a_table_predicts_without_torch(make_run, tmp_path):
    folder = make_run("embedding=random_trainable", "model=mean")
    export(read_model(folder), tmp_path / "small", "compact", "", [], [])
    code = (
        "import sys\nfrom pipeline.__main__ import main\nassert main(['predict', *sys.argv[1:]]) == 0\n"
        "heavy = {'torch', 'scipy', 'sklearn', 'pandas', 'mlflow', 'hydra', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    for arguments in (["--run", str(tmp_path / "small"), "love"], ["--compact", "--run", str(folder), "love"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], env=os.environ | {"PYTHONPATH": str(PROJECT)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["decision"]["method"] == "exact"
