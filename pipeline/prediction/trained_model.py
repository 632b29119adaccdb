"""Read and write a trained model as plain files: configuration, labels, vocabulary, embedding and weights."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from pipeline.config.schema import ModelConfig, TextConfig
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import read_json, write_json

CONFIG, RUN, VOCABULARY = "config.yaml", "run.json", "vocabulary.json"
EMBEDDING, LAYERS = "embedding.safetensors", "model.safetensors"
CARD = "model_card.md"
COLUMNS = ("text_column", "label_column", "labels")  # keys of the section `data` that prediction reads


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained classifier with its tokenizer settings and vocabulary.

    name, title : of the run. labels : the C label names. text, model : sections of the run's configuration.
    words : the vocabulary, V words by id. embedding_VE : embedding matrix as the encoder reads it.
    layers : weights of encoder and head by name. data : the COLUMNS of the run's configuration.
    """

    name: str
    title: str
    labels: list[str]
    text: TextConfig
    model: ModelConfig
    words: list[str]
    embedding_VE: NDArray[np.float32]
    layers: dict[str, NDArray[np.float32]]
    data: Mapping[str, Any] = field(default_factory=dict)


def read_model(folder: Path) -> TrainedModel:
    """Read the model of a run from its record, or from a copy that `write_model` made.

    Raises UserError if the folder is no record, kept no embedding, or is damaged.
    """
    if not (folder / RUN).is_file():
        raise UserError(f"{folder}: not the record of a run; expected a folder of results/ that holds {RUN}")
    if not ((folder / EMBEDDING).is_file() and (folder / VOCABULARY).is_file()):
        raise UserError(
            f"{folder.name} kept no embedding: repeat the run (its command is in note.md) with "
            "tracking.keep_embedding=true"
        )
    try:
        config = yaml.safe_load((folder / CONFIG).read_text("utf-8"))
        facts = read_json(folder / RUN)
        words = read_json(folder / VOCABULARY)["words"]
        with safe_open(folder / EMBEDDING, framework="numpy") as matrices:
            embedding_VE = matrices.get_tensor("final" if "final" in matrices.keys() else "initial")  # noqa: SIM118
        layers = load_file(folder / LAYERS)
        text, model = TextConfig(**config["text"]), ModelConfig(**config["model"])
        data = {key: value for key, value in config.get("data", {}).items() if key in COLUMNS}
        names = list(facts["label_names"])
        trained = TrainedModel(
            facts["name"], facts["title"], names, text, model, list(words), embedding_VE, layers, data
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(f"{folder}: cannot be read as a run's record ({type(error).__name__}: {error})") from error
    if len(trained.words) != len(embedding_VE) or len(layers.get("head.bias", ())) != len(trained.labels):
        raise UserError(
            f"{folder}: {len(trained.words)} words and {len(trained.labels)} labels do not fit "
            f"{len(embedding_VE)} word vectors and a head for {len(layers.get('head.bias', ()))} labels"
        )
    return trained


def write_model(source: Path, folder: Path) -> None:
    """Write what prediction needs of a record into an existing folder: no paths or machine names, one matrix."""
    trained = read_model(source)
    sections = {"data": dict(trained.data), "text": asdict(trained.text), "model": asdict(trained.model)}
    (folder / CONFIG).write_text(yaml.safe_dump(sections, sort_keys=False, allow_unicode=True), "utf-8")
    write_json(folder / RUN, {"name": trained.name, "title": trained.title, "label_names": trained.labels})
    write_json(folder / VOCABULARY, {"words": trained.words})
    save_file({"final": trained.embedding_VE}, folder / EMBEDDING)
    save_file(trained.layers, folder / LAYERS)


def load_embedding(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Read the embedding matrix (V, D) before and after training: the same array twice if no bit changed.

    Raises FileNotFoundError if the record was written without it (`tracking.keep_embedding=false`).
    """
    matrices = load_file(folder / EMBEDDING)
    return matrices["initial"], matrices.get("final", matrices["initial"])
