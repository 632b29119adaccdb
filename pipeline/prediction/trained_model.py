"""What of a run's record predicts, as plain files: settings, labels, words, rows and weights. Nothing is a pickle."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from pipeline.config.schema import SPECIALS, UNK, ModelConfig, TextConfig
from pipeline.runtime.errors import UserError

CONFIG, RUN, VOCABULARY = "config.yaml", "run.json", "vocabulary.json"
EMBEDDING, LAYERS = "embedding.safetensors", "model.safetensors"
CARD = "model_card.md"
FACTS = ("name", "title", "label_names")


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained classifier and the way from a text to its token ids.

    name, title : of the run. labels : the C label names. text, model : the run's sections of these names.
    words : the vocabulary, V words by id. rows_VE : rows as the encoder reads them (`RunResult.embedding_VE`).
    layers : weights of encoder and head by name.
    """

    name: str
    title: str
    labels: list[str]
    text: TextConfig
    model: ModelConfig
    words: list[str]
    rows_VE: NDArray[np.float32]
    layers: dict[str, NDArray[np.float32]]


def word_ids(words: Sequence[str]) -> dict[str, int]:
    """From each real word to its id; a token spelled like `<pad>` or `<unk>` is an unknown word."""
    return {word: id for id, word in enumerate(words[SPECIALS:], SPECIALS)}


def encode(tokens: Sequence[str], id_of: Mapping[str, int]) -> list[int]:
    """The id of each token, UNK where it is no word of the vocabulary."""
    return [id_of.get(token, UNK) for token in tokens]


def read_trained(folder: Path) -> TrainedModel:
    """Read the model of a run from its record, or from a copy that `write_trained` made.

    Raises UserError where the record kept no embedding, is no record, or holds something else.
    """
    if not (folder / RUN).is_file():
        raise UserError(f"{folder}: no run's record; expected a folder of results/ that holds {RUN}")
    if not ((folder / EMBEDDING).is_file() and (folder / VOCABULARY).is_file()):
        raise UserError(
            f"{folder.name} kept no embedding, without which it cannot predict: repeat the run (its command is in "
            "note.md) with tracking.keep_embedding=true"
        )
    try:
        config = yaml.safe_load((folder / CONFIG).read_text("utf-8"))
        facts = json.loads((folder / RUN).read_text("utf-8"))
        words = json.loads((folder / VOCABULARY).read_text("utf-8"))["words"]
        with safe_open(folder / EMBEDDING, framework="numpy") as matrices:
            rows_VE = matrices.get_tensor("final" if "final" in matrices.keys() else "initial")  # noqa: SIM118
        layers = load_file(folder / LAYERS)
        text, model = TextConfig(**config["text"]), ModelConfig(**config["model"])
        trained = TrainedModel(
            facts["name"], facts["title"], list(facts["label_names"]), text, model, list(words), rows_VE, layers
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(f"{folder}: cannot be read as a run's record ({type(error).__name__}: {error})") from error
    if len(trained.words) != len(rows_VE) or len(layers.get("head.bias", ())) != len(trained.labels):
        raise UserError(
            f"{folder}: {len(trained.words)} words and {len(trained.labels)} labels do not fit {len(rows_VE)} rows and "
            f"a head for {len(layers.get('head.bias', ()))} labels"
        )
    return trained


def write_trained(source: Path, folder: Path) -> None:
    """Write the part of a record that predicts into an existing folder: no path or machine name, one embedding."""
    trained = read_trained(source)
    config = yaml.safe_load((source / CONFIG).read_text("utf-8"))
    sections = {section: config[section] for section in ("text", "model")}
    (folder / CONFIG).write_text(yaml.safe_dump(sections, sort_keys=False, allow_unicode=True), "utf-8")
    facts = json.loads((source / RUN).read_text("utf-8"))
    _write_json(folder / RUN, {fact: facts[fact] for fact in FACTS})
    _write_json(folder / VOCABULARY, {"words": trained.words})
    save_file({"final": trained.rows_VE}, folder / EMBEDDING)
    save_file(trained.layers, folder / LAYERS)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")


def load_embedding(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Read the embedding matrix (V, D) before and after training: the same array twice where no bit changed.

    Raises
    ------
    FileNotFoundError : the record was written without it (`tracking.keep_embedding=false`).
    """
    tables = load_file(folder / EMBEDDING)
    return tables["initial"], tables.get("final", tables["initial"])
