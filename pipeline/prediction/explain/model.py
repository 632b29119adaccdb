"""The classifier to walk through: read back from a run's record, or trained on the spot."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from safetensors import SafetensorError

from pipeline.classifier.batch import Texts
from pipeline.classifier.engine import Run, Task, Trainer
from pipeline.config.schema import PAD, EmbeddingConfig, ModelConfig, TextConfig, TrainConfig
from pipeline.config.variants import variant_name
from pipeline.prediction.trained_model import load_embedding
from pipeline.prediction.trained_model import read_trained as read_model
from pipeline.runtime.cached_folder import MANIFEST, read_manifest
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import read_json
from pipeline.text.vocabulary import SPECIAL_WORDS, Vocabulary

Section = TypeVar("Section", EmbeddingConfig, TrainConfig)


@dataclass(frozen=True)
class Trained:
    """A trained classifier and how it was made: V words, C labels.

    name : the record's folder name, or what stands for it. title : the same for reading. generated : its tweets are.
    vocabulary : words and their counts in the training text.
    initial_VE, final_VE : rows as the encoder reads them, before and after training (E = 2 D with two channels).
    layers : encoder and head parameters by name.
    """

    name: str
    title: str
    generated: bool
    label_names: list[str]
    text: TextConfig
    embedding: EmbeddingConfig
    model: ModelConfig
    train: TrainConfig
    seed: int
    vocabulary: Vocabulary
    initial_VE: NDArray[np.float32]
    final_VE: NDArray[np.float32]
    layers: dict[str, NDArray[np.float32]]

    @property
    def variant(self) -> str:
        """The variant's name, such as `cbow_finetuned`."""
        return variant_name(self.embedding)

    @cached_property
    def projection(self) -> NDArray[np.float32]:
        """The learned (D, D) projection: a record holds the rows before and after it; least squares finds it again."""
        before, after = self.initial_VE.astype(np.float64), self.final_VE.astype(np.float64)
        return np.linalg.lstsq(before, after, rcond=None)[0].astype(np.float32)


def read_trained(folder: Path) -> Trained:
    """Read a record as a classifier.

    Raises UserError where the folder is no whole record, was recorded without its embedding, or does not fit together.
    """
    if read_manifest(folder) is None:
        raise UserError(f"{folder}: not the record of a finished run ({MANIFEST} is missing or cannot be read)")
    model = read_model(folder)
    try:
        header = read_json(folder / "run.json")
        config = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
        counts = read_json(folder / "vocabulary.json")["counts"]
        initial_VE, final_VE = load_embedding(folder)
        trained = Trained(
            name=folder.resolve().name,
            title=model.title,
            generated=header["tags"]["generated"] == "true",
            label_names=model.labels,
            text=model.text,
            embedding=_section(EmbeddingConfig, config["embedding"]),
            model=model.model,
            train=_section(TrainConfig, config["train"]),
            seed=int(config["seed"]),
            vocabulary=Vocabulary(model.words, np.array(counts, np.int64), 0),
            initial_VE=initial_VE,
            final_VE=final_VE,
            layers=model.layers,
        )
        _check(trained)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, yaml.YAMLError) as error:
        line = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{folder}: cannot be read as the record of a run ({line})") from error
    return trained


def trainer_of(trained: Trained, ids: list[int], label: int, embedding: EmbeddingConfig | None = None) -> Trainer:
    """The project's trainer with the trained weights in it, and one tweet to learn from, for a single step.

    Optimizers are fresh (a record keeps no moments) and dropout is off, so that nothing in the step is drawn.

    Parameters
    ----------
    embedding : how the rows behave from here on. By default as in the run; another plain variant (neither channels nor
        a projection) starts from the rows as the run's encoder reads them.

    Raises ValueError where the weights have other shapes than the configuration says.
    """
    own = trained.embedding if embedding is None else embedding
    initial_VD, rows_VD = trained.initial_VE, trained.final_VE
    if embedding is not None:
        initial_VD = trained.final_VE
    elif own.multichannel:
        size = initial_VD.shape[1] // 2
        initial_VD, rows_VD = initial_VD[:, :size], rows_VD[:, size:]
    elif own.projected:
        rows_VD = initial_VD
    run = Run(
        np.ascontiguousarray(initial_VD),
        own,
        np.zeros(1, np.int64),
        trained.seed,
        dataclasses.replace(trained.model, dropout=0.0),
        dataclasses.replace(trained.train, max_steps=1),
    )
    tweet = Texts.from_arrays(np.array(ids, np.int32), np.array([0, len(ids)]), np.array([label]))
    trainer = Trainer(Task(tweet, None, None, len(trained.label_names)), run, torch.device("cpu"))
    layer, layers = trainer.model.embedding, trainer.model.layers()
    found = {name: weight.shape for name, weight in sorted(trained.layers.items())}
    wanted = {name: tuple(weight.shape) for name, weight in sorted(layers.items())}
    if found != wanted:
        raise ValueError(f"the weights have shapes {found}, expected {wanted}")
    with torch.no_grad():
        layer.rows_VD.copy_(torch.from_numpy(np.ascontiguousarray(rows_VD)))
        if layer.projection_DD is not None:
            layer.projection_DD.copy_(torch.from_numpy(trained.projection))
        for name, weight in layers.items():
            weight.copy_(torch.from_numpy(trained.layers[name]))
    return trainer


def _section(kind: type[Section], values: dict[str, Any]) -> Section:
    names = {field.name for field in dataclasses.fields(kind)}
    if set(values) != names:
        raise ValueError(f"config.yaml: {kind.__name__} has other keys: {', '.join(sorted(names ^ set(values)))}")
    return kind(**values)


def _check(trained: Trained) -> None:
    """Raise ValueError where the parts of a record do not belong together."""
    words = trained.vocabulary.words
    shapes = {trained.initial_VE.shape, trained.final_VE.shape}
    dim = trained.embedding.dim * (2 if trained.embedding.multichannel else 1)
    if tuple(words[: len(SPECIAL_WORDS)]) != SPECIAL_WORDS or shapes != {(len(words), dim)}:
        raise ValueError(f"{len(words)} words and an embedding.dim of {dim} do not fit rows of shape {max(shapes)}")
    if trained.final_VE[PAD].any():
        raise ValueError("row 0 of the embedding is padding and must be zero")
    if len(trained.label_names) < 2:
        raise ValueError("there are fewer than two labels: nothing to decide between")
    trainer_of(trained, [], 0)
