import subprocess
import sys
import warnings
from importlib import metadata

import pytest
import yaml

from pipeline.prediction.trained_model import write_model
from pipeline.tracking.mlflow.model_folder import CODE, PACKAGE, PACKAGES, SERVED, _environment, write_model_folder
from pipeline.tracking.model_card import EXAMPLES, model_card

WRITE = """
import sys
from pathlib import Path
import pipeline.tracking.mlflow.log
from pipeline.tracking.mlflow.model_folder import write_model_folder
write_model_folder(Path(sys.argv[1]), Path(sys.argv[2]), "card", "a", "b")
print(*sorted({"torch", "nltk", "mlflow", "sklearn"} & set(sys.modules)))
"""
RUN, MODEL = "a" * 32, "m-" + "b" * 32


@pytest.fixture(scope="module")
def record(make_run):
    return make_run("embedding=cbow_projected", "model=gru", name="folder")


def by_mlflow(record, folder):
    """The model as MLflow's own function writes it, from the same parts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType")
        import mlflow.pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Map

    weights = folder / "model"
    weights.mkdir()
    write_model(record, weights)
    (weights / "model_card.md").write_text(model_card(record), "utf-8")
    for module in CODE:
        copy = folder / "code" / PACKAGE.name / module
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((PACKAGE / module).read_bytes())
    signature = ModelSignature(
        Schema([ColSpec(DataType.string)]),
        Schema([ColSpec(DataType.string, "label"), ColSpec(Map(DataType.double), "probabilities")]),
    )
    mlflow.pyfunc.save_model(
        folder / "saved",
        python_model=str(SERVED),
        artifacts={"model": str(weights)},
        code_paths=[str(folder / "code" / PACKAGE.name)],
        signature=signature,
        input_example=list(EXAMPLES),
        pip_requirements=[f"{name}=={metadata.version(name).partition('+')[0]}" for name in PACKAGES],
        mlflow_model=Model(run_id=RUN, model_uuid=MODEL, model_id=MODEL),
    )
    return folder / "saved"


def contents(folder):
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if "__pycache__" not in name}


def test_it_is_what_mlflow_itself_writes(record, tmp_path):
    card = model_card(record)
    ours = tmp_path / "ours"
    ours.mkdir()
    write_model_folder(record, ours, card, RUN, MODEL)
    theirs = contents(by_mlflow(record, tmp_path))
    found = contents(ours)
    assert found.pop("model_card.md").decode() == card
    described, expected = (yaml.safe_load(files.pop("MLmodel")) for files in (found, theirs))
    assert found == theirs
    # Where code and artifacts came from, which MLflow never reads: a folder of this machine, and one that is gone.
    flavor = expected["flavors"]["python_function"]
    assert flavor["model_code_path"] == str(SERVED)
    flavor["model_code_path"] = SERVED.name
    flavor["artifacts"]["model"]["uri"] = flavor["artifacts"]["model"]["path"]
    for model in (described, expected):
        assert model.pop("utc_time_created")
    assert described == expected


def test_it_is_written_without_loading_torch_or_nltk(record, tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", WRITE, str(record), str(tmp_path)]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    assert done.stdout == "mlflow\n"


def test_pip_has_no_version_where_pip_is_not_installed(monkeypatch):
    version = metadata.version

    def without_pip(name):
        if name == "pip":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_pip)
    files = _environment.__wrapped__()
    assert "pip" in yaml.safe_load(files["conda.yaml"])["dependencies"]
    assert "pip" in yaml.safe_load(files["python_env.yaml"])["build_dependencies"]
