import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import save_file

from pipeline.classifier.model import Classifier, Embedding
from pipeline.config.compose import compose
from pipeline.prediction.explain.model import TrainedRun
from pipeline.text.vocabulary import Vocabulary

WORDS = ["<pad>", "<unk>", "good", "bad", "movie", "😀"]
INITIAL = np.array([[0, 0], [0, 1], [1, 0], [-2, 1], [0, -1], [1, 1]], np.float32)
FINAL = np.array([[0, 0], [0, 1], [2, 0], [-2, 1], [0, -1], [1, 1]], np.float32)
HEAD = {
    "head.weight": np.array([[-1, 0], [1, 0.5]], np.float32),
    "head.bias": np.array([0.25, -0.25], np.float32),
}


@pytest.fixture(scope="session")
def tiny() -> TrainedRun:
    """Six words in two dimensions, a mean encoder and a head whose numbers can be followed by hand."""
    config = compose(["embedding.dim=2", "train.lr_embedding=0.01"])
    return TrainedRun(
        name="tiny",
        title="random_trainable · n=all · seed 0",
        generated=True,
        label_names=["negative", "positive"],
        text=config.text,
        embedding=config.embedding,
        model=config.model,
        train=config.train,
        seed=0,
        vocabulary=Vocabulary(WORDS, np.array([0, 7, 5, 4, 3, 0]), 0),
        initial_VE=INITIAL,
        final_VE=FINAL,
        layers=HEAD,
    )


@pytest.fixture(scope="session")
def trained_with(tiny: TrainedRun) -> Callable[..., tuple[TrainedRun, Classifier]]:
    """A trained classifier with any encoder and variant, as a record holds it, and the model that it came from."""

    def make(encoder: str = "mean", classes: int = 3, dim: int = 5, **variant: object) -> tuple[TrainedRun, Classifier]:
        generator = torch.Generator().manual_seed(3)
        embedding = dataclasses.replace(tiny.embedding, dim=dim, **variant)
        rows_VE = torch.randn(len(WORDS), embedding.encoder_dim, generator=generator)
        rows_VE[0] = 0
        mixed = isinstance(embedding.trainable, list)
        layer = Embedding(
            rows_VE,
            trainable=mixed or embedding.trainable,
            frozen_dim=dim if mixed else 0,
            projected=embedding.projected,
            anchored=embedding.anchor > 0,
        )
        initial_VE = layer.matrix().numpy()
        with torch.no_grad():
            if layer.projection_DD is not None:
                layer.projection_DD += 0.3 * torch.randn(dim, dim, generator=generator)
            if layer.rows_VD.requires_grad:
                layer.rows_VD[1:] += 0.5 * torch.randn(len(WORDS) - 1, dim, generator=generator)
        settings = dataclasses.replace(tiny.model, encoder=encoder, filters=4, widths=[2, 3], hidden=6)
        model = Classifier(layer, settings, classes, generator)
        trained = dataclasses.replace(
            tiny,
            embedding=embedding,
            model=settings,
            label_names=["negative", "neutral", "positive"][:classes],
            initial_VE=initial_VE,
            final_VE=layer.matrix().numpy(),
            layers={name: weight.detach().numpy() for name, weight in model.layers().items()},
        )
        return trained, model

    return make


@pytest.fixture(scope="session")
def write_run() -> Callable[..., Path]:
    """Writes the files of a record that a lesson reads, by hand."""

    def write(root: Path, name: str, trained: TrainedRun, finished: str = "2024-01-01", embedding: bool = True) -> Path:
        folder = root / "results" / name
        folder.mkdir(parents=True)
        sections = ("text", "embedding", "model", "train")
        config = {section: dataclasses.asdict(getattr(trained, section)) for section in sections} | {"seed": 0}
        (folder / "config.yaml").write_text(yaml.safe_dump(config), "utf-8")
        header = {"name": name, "title": trained.title, "label_names": trained.label_names}
        (folder / "run.json").write_text(json.dumps(header | {"tags": {"generated": "true"}}), "utf-8")
        (folder / "manifest.json").write_text(json.dumps({"identity": {}, "finished": finished}), "utf-8")
        save_file(trained.layers, folder / "model.safetensors")
        if embedding:
            counts = trained.vocabulary.counts.tolist()
            (folder / "vocabulary.json").write_text(json.dumps({"words": WORDS, "counts": counts}), "utf-8")
            rows = {"initial": trained.initial_VE, "final": trained.final_VE}
            save_file(rows, folder / "embedding.safetensors")
        return folder

    return write
