"""The trained run that `explain` shows, read from its record, and a trainer for one step on one tweet."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from safetensors import SafetensorError

from pipeline.classifier.batch import Texts
from pipeline.classifier.engine import Run, Task, Trainer
from pipeline.config.schema import PAD, EmbeddingConfig, ModelConfig, TextConfig, TrainConfig
from pipeline.prediction.trained_model import load_embedding, read_model
from pipeline.runtime.cached_folder import MANIFEST, read_manifest
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import read_json
from pipeline.text.vocabulary import SPECIAL_WORDS, Vocabulary


@dataclass(frozen=True)
class TrainedRun:
    """A trained classifier and the configuration of its training: V words, C labels.

    name : the record's folder name, or a description. title : name for people. generated : whether its tweets are.
    vocabulary : words and their counts in the training text.
    initial_VE, final_VE : embedding matrix as the encoder reads it, before and after training. layers : encoder
        and head parameters by name.
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

    @cached_property
    def projection(self) -> NDArray[np.float32]:
        """The learned projection (D, D), by least squares: a record holds the matrix only before and after it."""
        before, after = self.initial_VE.astype(np.float64), self.final_VE.astype(np.float64)
        return np.linalg.lstsq(before, after, rcond=None)[0].astype(np.float32)


def read_trained_run(folder: Path) -> TrainedRun:
    """Read a trained run from its record.

    Raises UserError if the record is incomplete, kept no embedding, or is inconsistent.
    """
    if read_manifest(folder) is None:
        raise UserError(f"{folder}: not the record of a finished run ({MANIFEST} is missing or cannot be read)")
    model = read_model(folder)
    try:
        header = read_json(folder / "run.json")
        config = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
        counts = read_json(folder / "vocabulary.json")["counts"]
        initial_VE, final_VE = load_embedding(folder)
        trained = TrainedRun(
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
        shapes = {initial_VE.shape, final_VE.shape}
        dim = trained.embedding.encoder_dim
        if tuple(model.words[: len(SPECIAL_WORDS)]) != SPECIAL_WORDS or shapes != {(len(model.words), dim)}:
            raise ValueError(
                f"{len(model.words)} words and {dim} dimensions do not fit a matrix of shape {max(shapes)}"
            )
        if final_VE[PAD].any():
            raise ValueError("row 0 of the embedding is padding and must be zero")
        if len(model.labels) < 2:
            raise ValueError("a classifier needs at least two labels")
        single_tweet_trainer(trained, [], 0)  # checks the shapes of the layers
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, yaml.YAMLError) as error:
        line = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{folder}: cannot be read as the record of a run ({line})") from error
    return trained


def single_tweet_trainer(
    trained: TrainedRun, ids: list[int], label: int, embedding: EmbeddingConfig | None = None
) -> Trainer:
    """The training engine's trainer with the trained weights and one tweet as its data, for a single step.

    The moments of Adam start at zero, since a record does not keep them. Dropout is off, so the step is deterministic.
    `embedding` configures the embedding layer; None: that of the run. Another plain variant (all tables frozen or all
    trainable, no projection) starts from the matrix as the run's encoder reads it. Raises ValueError if the shapes of
    the weights do not fit the configuration.
    """
    settings = trained.embedding if embedding is None else embedding
    initial_VD, rows_VD = trained.initial_VE, trained.final_VE
    if embedding is not None:
        initial_VD = trained.final_VE
    elif settings.projected:
        rows_VD = initial_VD
    model, train = dataclasses.replace(trained.model, dropout=0.0), dataclasses.replace(trained.train, max_steps=1)
    run = Run(np.ascontiguousarray(initial_VD), settings, np.zeros(1, np.int64), trained.seed, model, train)
    tweet = Texts.from_arrays(np.array(ids, np.int32), np.array([0, len(ids)]), np.array([label]))
    trainer = Trainer(Task(tweet, None, None, len(trained.label_names)), run, torch.device("cpu"))
    layer, layers = trainer.model.embedding, trainer.model.layers()
    shapes = {name: weight.shape for name, weight in sorted(trained.layers.items())}
    expected = {name: tuple(weight.shape) for name, weight in sorted(layers.items())}
    if shapes != expected:
        raise ValueError(f"the weights have shapes {shapes}, expected {expected}")
    with torch.no_grad():
        layer.rows_VD.copy_(torch.from_numpy(rows_VD[:, run.frozen_dim :]))
        if layer.projection_DD is not None:
            layer.projection_DD.copy_(torch.from_numpy(trained.projection))
        for name, weight in layers.items():
            weight.copy_(torch.from_numpy(trained.layers[name]))
    return trainer


def _section(kind: type[Any], values: dict[str, Any]) -> Any:
    names = {field.name for field in dataclasses.fields(kind)}
    if set(values) != names:
        raise ValueError(f"config.yaml: {kind.__name__} has other keys: {', '.join(sorted(names ^ set(values)))}")
    return kind(**values)
