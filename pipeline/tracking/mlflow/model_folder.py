"""Write a model folder that MLflow loads and serves: the files of `mlflow.pyfunc.save_model`, but faster.

MLflow's function runs the model's code, which loads torch, and inspects every installed package. Both take long
compared with a short run. A test holds that the two write the same files.
"""

import json
import shutil
import warnings
from functools import cache
from importlib import metadata
from pathlib import Path

import yaml

from pipeline.prediction.trained_model import CARD, write_model
from pipeline.runtime.paths import project_root
from pipeline.tracking.model_card import EXAMPLES

# The modules below pipeline/ that the served code imports, and the packages that these modules import.
CODE = (
    "__init__.py",
    *(f"runtime/{name}.py" for name in ("__init__", "errors", "files", "nltk_data", "paths")),
    *(f"config/{name}.py" for name in ("__init__", "fields", "schema", "study_schema")),
    *(f"classifier/{name}.py" for name in ("__init__", "model", "batch", "fast/__init__", "fast/gru")),
    *(f"text/{name}.py" for name in ("__init__", "clean", "batch_encoder", "presets", "tweet_tokenizer", "word_parts")),
    *(f"prediction/{name}.py" for name in ("__init__", "trained_model", "predictor", "torch_model")),
)
PACKAGES = ("mlflow", "nltk", "numpy", "pandas", "pyyaml", "regex", "safetensors", "torch")
PACKAGE = project_root() / "pipeline"
SERVED = PACKAGE / "tracking" / "mlflow" / "served_model.py"
WEIGHTS = "artifacts/model"


def write_model_folder(record: Path, folder: Path, card: str, run_id: str, model_id: str) -> None:
    """Write code, weights, vocabulary, configuration, signature, example, requirements and card into a folder.

    `record` is the folder of a run that kept its embedding; `folder` exists already.
    """
    preload()
    import mlflow.pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Map

    (folder / WEIGHTS).mkdir(parents=True)
    write_model(record, folder / WEIGHTS)
    (folder / WEIGHTS / CARD).write_text(card, "utf-8")
    shutil.copyfile(SERVED, folder / SERVED.name)
    (folder / "input_example.json").write_text(json.dumps(EXAMPLES), "utf-8")
    (folder / "serving_input_example.json").write_text(json.dumps({"inputs": EXAMPLES}, indent=2), "utf-8")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    for module in CODE:
        copy = folder / "code" / PACKAGE.name / module
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PACKAGE / module, copy)
    for name, content in _environment().items():
        (folder / name).write_text(content, "utf-8")
    (folder / CARD).write_text(card, "utf-8")

    # The input has no name, so that a list, a series and a data frame with any one column are all accepted.
    signature = ModelSignature(
        Schema([ColSpec(DataType.string)]),
        Schema([ColSpec(DataType.string, "label"), ColSpec(Map(DataType.double), "probabilities")]),
    )
    examples = {"artifact_path": "input_example.json", "serving_input_path": "serving_input_example.json"}
    model = Model(
        run_id=run_id,
        model_uuid=model_id,
        model_id=model_id,
        signature=signature,
        saved_input_example_info=examples | {"type": "json_object"},
        model_size_bytes=size,
    )
    mlflow.pyfunc.add_to_model(
        model,
        loader_module="mlflow.pyfunc.loaders.code_model",
        code="code",
        conda_env="conda.yaml",
        python_env="python_env.yaml",
        model_code_path=SERVED.name,
        streamable=False,
        cloudpickle_version=metadata.version("cloudpickle"),
        artifacts={"model": {"path": WEIGHTS, "uri": WEIGHTS}},
    )
    model.save(str(folder / "MLmodel"))


def preload() -> None:
    """Import the modules and look up the versions that `write_model_folder` needs, to make its first call fast."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType")  # of MLflow's own types
        import mlflow.pyfunc  # noqa: F401
    _environment()


@cache
def _environment() -> dict[str, str]:
    """The files that list what must be installed where the model is served, by name."""
    from mlflow.utils.environment import _mlflow_conda_env, _PythonEnv

    # Versions without a local part such as +cpu, which no index has.
    requirements = [f"{name}=={metadata.version(name).partition('+')[0]}" for name in PACKAGES]
    return {
        "requirements.txt": "\n".join(requirements),
        "conda.yaml": yaml.safe_dump(_mlflow_conda_env(additional_pip_deps=requirements, install_mlflow=False)),
        "python_env.yaml": yaml.safe_dump(_PythonEnv.current().to_dict(), sort_keys=False),
    }
