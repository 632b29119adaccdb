import json
import os
import pickletools
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.prediction.torch_model import torch_predictor
from pipeline.prediction.trained_model import read_model
from pipeline.runtime.errors import UserError
from pipeline.runtime.paths import project_root
from pipeline.tracking.mlflow.log import log_run
from pipeline.tracking.mlflow.model_folder import CODE
from pipeline.tracking.mlflow.models import find_model, promote
from pipeline.tracking.mlflow.store import mlflow_client
from pipeline.tracking.read_record import load_predictions

NAME = "tweet-sentiment-sample"
CHAMPION = f"models:/{NAME}@champion"
AWKWARD = ["love this 😀", "", "x" * 10_000, "so " * 3_333, "@you http://t.co/x", "zzz unheard of"]
LOAD = """
import json, sys
import mlflow
import pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
texts = json.loads(sys.stdin.read())
for name in sys.argv[2:]:
    model = mlflow.pyfunc.load_model(name)
    signature = model.metadata.signature.inputs.to_dict(), model.metadata.signature.outputs.to_dict()
    given = [texts, pd.Series(texts), pd.DataFrame({"text": texts}), texts[0]]
    answers = [model.predict(one).to_dict("records") for one in given]
    try:
        model.predict(["fine", None])
        refused = ""
    except Exception as error:
        refused = str(error)
    code = sys.modules["pipeline"].__file__
    print(json.dumps({"code": code, "signature": signature, "answers": answers, "refused": refused}))
"""


@pytest.fixture(scope="module")
def logged(make_run, tmp_path_factory):
    """A store with the models of three runs: MLflow's ids by folder, its URI, its root."""
    root = tmp_path_factory.mktemp("models in mlflow")
    folders = [
        make_run("embedding=random_trainable", "model=mean", name="one", into=root),
        make_run("embedding=cbow_projected", "model=gru", name="two", into=root),
        make_run("embedding=random_trainable", "model=mean", "seed=1", keep=False, name="bare", into=root),
    ]
    uri = f"sqlite:///{root / 'mlflow.db'}"
    ids = {folder: log_run(folder, uri, "tweets", root / "artifacts" / "mlflow") for folder in folders}
    assert None not in ids.values()
    return ids, uri, root


def fresh_process(arguments, stdin, cwd):
    """Another process that does not have the project on its path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment |= {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-P", *arguments], input=stdin, cwd=cwd, env=environment,
        capture_output=True, text=True, encoding="utf-8", check=False, timeout=300,
    )  # fmt: skip


def test_every_run_has_a_model_and_the_first_is_champion(logged):
    ids, uri, _ = logged
    one, two, bare = ids
    with mlflow_client(uri) as client:
        versions = {found.run_id: found for found in client.search_model_versions(f"name = '{NAME}'")}
        assert set(versions) == {ids[one], ids[two]}
        assert client.get_model_version_by_alias(NAME, "champion").run_id == ids[one]
        version = versions[ids[two]]
        assert version.tags["pipeline.run"] == "two"
        assert version.description.startswith("# Model card: cbow\\_projected")
        (output,) = client.get_run(ids[two]).outputs.model_outputs
        model = client.get_logged_model(output.model_id)
        assert (model.status, model.source_run_id, model.model_type) == ("READY", ids[two], "classifier")
        scores = {metric.key: metric.value for metric in model.metrics}
        assert scores["test/accuracy"] == client.get_run(ids[two]).data.metrics["test/accuracy"]
        assert not client.get_run(ids[bare]).outputs.model_outputs


def test_logging_again_adds_no_version(logged):
    ids, uri, root = logged
    for folder, run_id in ids.items():
        assert log_run(folder, uri, "tweets", root / "artifacts" / "mlflow") == run_id
    with mlflow_client(uri) as client:
        assert len(client.search_model_versions(f"name = '{NAME}'")) == 2


def test_a_broken_attempt_is_replaced(make_run, tmp_path, monkeypatch, caplog):
    from mlflow.tracking import MlflowClient

    folder = make_run("embedding=random_trainable", "model=mean", name="broken", into=tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"

    def full_disk(*_, **__):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_model_artifacts", full_disk)
        assert log_run(folder, uri, "tweets", tmp_path / "artifacts") is None
    assert "no space left" in caplog.text
    run_id = log_run(folder, uri, "tweets", tmp_path / "artifacts")
    with mlflow_client(uri) as client:
        run = client.get_run(run_id)
        assert run.data.tags["pipeline.model"] == "1"
        models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    assert [str(model.status) for model in models] == ["READY"]


def test_nothing_logged_is_a_pickle(logged):
    _, _, root = logged
    folders = sorted((root / "artifacts" / "mlflow" / "models").iterdir())
    assert len(folders) == 2
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        assert path.suffix in {".py", ".yaml", ".json", ".md", ".txt", ".safetensors", ""}, path
        assert path.suffix or path.name == "MLmodel"
        content = path.read_bytes()
        assert not content.startswith((b"\x80", b"PK", b"cos\n")), path
        with pytest.raises(ValueError, match=r".*"):
            list(pickletools.genops(content))
        assert str(project_root()).encode() not in content, path
        assert b"/home/" not in content, path


def test_only_the_modules_for_prediction_are_packed(logged):
    _, _, root = logged
    packed = {path.relative_to(path.parents[-1]) for path in (root / "artifacts").rglob("code/pipeline/**/*.py")}
    modules = {str(path).rpartition("/code/pipeline/")[2] for path in packed}
    assert modules == set(CODE)


def test_a_fresh_process_loads_them_without_the_project(logged, tmp_path):
    ids, uri, _ = logged
    done = fresh_process(["-c", LOAD, uri, f"models:/{NAME}/1", f"models:/{NAME}/2"], json.dumps(AWKWARD), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "pickle" not in done.stderr
    for folder, line in zip(list(ids)[:2], done.stdout.splitlines(), strict=True):
        found = json.loads(line)
        assert "/artifacts/code/pipeline/" in found["code"]
        predictor = torch_predictor(read_model(folder))
        expected = predictor.probabilities(AWKWARD)
        for answers in found["answers"][:3]:
            got = [[answer["probabilities"][label] for label in predictor.labels] for answer in answers]
            np.testing.assert_allclose(got, expected, atol=1e-6)
            assert [answer["label"] for answer in answers] == [predictor.labels[row.argmax()] for row in expected]
        assert len(found["answers"][3]) == 1
        assert "row 1: expected a text" in found["refused"]
        (given,), outputs = found["signature"]
        assert given == {"type": "string", "required": True}
        assert [column["name"] for column in outputs] == ["label", "probabilities"]


def test_the_model_folder_says_what_it_needs_and_shows_an_example(logged):
    _, uri, _ = logged
    folder = find_model(CHAMPION, uri).parents[1]
    requirements = (folder / "requirements.txt").read_text().split()
    assert {line.partition("==")[0] for line in requirements} == {
        *("mlflow", "nltk", "numpy", "pandas", "pyyaml", "regex", "safetensors", "torch"),
    }
    assert not any("+" in line for line in requirements)
    assert len(json.loads((folder / "serving_input_example.json").read_text())["inputs"]) == 2
    assert "How to load it" in (folder / "model_card.md").read_text("utf-8")
    assert yaml.safe_load((folder / "MLmodel").read_text())["flavors"]["python_function"]["code"] == "code"


@pytest.mark.parametrize("how", ["id", "champion", "version", "model"])
def test_a_model_is_found_by_each_of_its_names(logged, how):
    ids, uri, _ = logged
    one = next(iter(ids))
    with mlflow_client(uri) as client:
        model = client.get_run(ids[one]).outputs.model_outputs[0].model_id
    name = {"id": ids[one], "champion": CHAMPION, "version": f"models:/{NAME}/1", "model": f"models:/{model}"}[how]
    found = read_model(find_model(name, uri))
    assert found.name == "one"
    texts = load_predictions(one)["test"]
    np.testing.assert_allclose(torch_predictor(found).probabilities(texts.texts), texts.probabilities, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("0" * 32, "not found"),
        ("models:/nothing@champion", "not found"),
        (f"models:/{NAME}@nobody", "not found"),
        (f"models:/{NAME}/99", "not found"),
        ("models:/m-" + "0" * 32, "not found"),
        (f"models:/{NAME}", "expected models:/NAME@ALIAS"),
        ("models:/a/b/c", "expected models:/NAME@ALIAS"),
    ],
)
def test_an_unknown_model_is_an_error_of_one_line(logged, name, message):
    _, uri, _ = logged
    with pytest.raises(UserError, match=message) as caught:
        find_model(name, uri)
    assert "\n" not in str(caught.value)


def test_a_run_without_embedding_says_how_to_get_a_model(logged):
    ids, uri, _ = logged
    with pytest.raises(UserError, match=r"has no model.*tracking\.keep_embedding=true"):
        find_model(list(ids.values())[2], uri)


def set_scores(folder, **scores):
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics |= {f"{split}/nll": 1 - score for split, score in scores.items()}
    (folder / "metrics.json").write_text(json.dumps(metrics))


def test_the_champion_is_the_best_by_validation_over_seeds(make_run, tmp_path, caplog):
    """`lucky` has the best single validation score and the best test score, but its variant's mean is worse."""
    good = [
        make_run("embedding=random_trainable", f"seed={seed}", name=f"good{seed}", into=tmp_path) for seed in (0, 1)
    ]
    lucky = make_run("embedding=random_frozen", name="lucky", into=tmp_path)
    unlucky = make_run("embedding=random_frozen", "seed=1", keep=False, name="unlucky", into=tmp_path)
    for folder, validation, test in (
        (good[0], 0.80, 0.5),
        (good[1], 0.82, 0.4),
        (lucky, 0.9, 0.9),
        (unlucky, 0.6, 0.9),
    ):
        set_scores(folder, validation=validation, test=test)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    folders = [lucky, *good, unlucky]
    assert all(log_run(folder, uri, "tweets", tmp_path / "artifacts") for folder in folders)
    assert read_model(find_model(CHAMPION, uri)).name == "lucky"
    assert promote(folders, uri, "tweets") == CHAMPION
    assert read_model(find_model(CHAMPION, uri)).name == "good1"
    with mlflow_client(uri) as client:
        version = client.get_model_version_by_alias(NAME, "champion")
    assert version.tags["champion.validation"] == "0.19 (random_trainable · all · keep)"
    assert promote([unlucky], uri, "tweets") is None
    assert caplog.records == []
    assert promote(folders, uri, "another experiment") is None
    assert "did not make good1 the champion" in caplog.text


def test_a_run_with_a_label_leak_is_no_champion(make_run, tmp_path, caplog):
    clean = make_run("embedding=random_trainable", name="run0", into=tmp_path)
    leaking = make_run("embedding=random_trainable", "seed=1", name="run1", into=tmp_path)
    header = json.loads((leaking / "run.json").read_text())
    header["warnings"] = [{"code": "label_leak", "text": "Label leak: one token.", "remedy": ""}]
    (leaking / "run.json").write_text(json.dumps(header))
    set_scores(clean, validation=0.5, test=0.5)
    set_scores(leaking, validation=1.0, test=1.0)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert log_run(leaking, uri, "tweets", tmp_path / "artifacts")
    assert "run1 is not made the champion of tweet-sentiment-sample: its data has a label leak" in caplog.text
    assert promote([leaking], uri, "tweets") is None
    with pytest.raises(UserError, match="not found"):
        find_model(CHAMPION, uri)
    assert log_run(clean, uri, "tweets", tmp_path / "artifacts")
    assert read_model(find_model(CHAMPION, uri)).name == "run0"
    caplog.clear()
    assert promote([leaking, clean], uri, "tweets") == CHAMPION
    assert read_model(find_model(CHAMPION, uri)).name == "run0"
    assert caplog.messages == ["1 of the runs cannot become champion: their data has a label leak"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.slow
def test_mlflow_serves_it(logged, tmp_path):
    ids, uri, _ = logged
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [sys.executable, "-P", "-m", "mlflow", "models", "serve", "-m", CHAMPION, "--env-manager", "local"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{address}/ping", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < end, (tmp_path / "log").read_text()
                time.sleep(0.5)
        predictor = torch_predictor(read_model(next(iter(ids))))
        many = [f"love this {number}" for number in range(1000)]
        for texts in (AWKWARD, ["😀"], [""], ["x" * 10_000], many):
            for body in ({"inputs": texts}, {"dataframe_split": {"columns": ["text"], "data": [[t] for t in texts]}}):
                answers = ask(address, body)["predictions"]
                got = [[answer["probabilities"][label] for label in predictor.labels] for answer in answers]
                np.testing.assert_allclose(got, predictor.probabilities(texts), atol=1e-6)
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(address, {"nonsense": 1})
        assert refused.value.code == 400
        refused.value.close()
        assert len(ask(address, {"inputs": ["still there"]})["predictions"]) == 1
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def ask(address, body):
    request = urllib.request.Request(
        f"{address}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read())
