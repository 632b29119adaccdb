"""model2vec baseline: static token vectors under a head of one hidden layer, fine-tuned by the package itself.

Tulkens & van Dongen (2024), Model2Vec: fast state-of-the-art static embeddings. All settings are the package's: one
training takes up to a minute, so no learning rate is chosen; validation accuracy chooses the moment to stop.
"""

import io
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import Any

import numpy as np

from pipeline.evaluation.baselines.data import FittedBaseline, FloatArray, Split, TrainingSet
from pipeline.runtime.errors import UserError, one_line


def model2vec(texts: Sequence[str], training: TrainingSet, validation: Split | None, model: str) -> FittedBaseline:
    """Fine-tune `model`, a hub id or local folder, on the texts (N) of `training`, on one thread of the CPU.

    Raises UserError without validation tweets, and where the model cannot be loaded.
    """
    from pipeline.classifier.device import torch_threads  # loads torch, which other baselines do without

    if validation is None:
        raise UserError("the baseline model2vec needs a validation split: set data.validation_size=0.1")
    classifier = _load(model)
    known = np.isin(validation.labels, training.labels)
    held_out = [text for text, in_training in zip(validation.texts, known, strict=True) if in_training]
    with torch_threads(1), redirect_stderr(io.StringIO()):  # a progress bar for every epoch
        classifier.fit(
            list(texts),
            training.labels.tolist(),
            X_val=held_out,
            y_val=validation.labels[known].tolist(),
            device="cpu",
            random_seed=training.seed,
        )

    def probabilities(split: Split) -> FloatArray:
        probabilities_NC = np.zeros((len(split.texts), training.classes), dtype=np.float32)
        probabilities_NC[:, classifier.classes_] = classifier.predict_proba(list(split.texts))
        return probabilities_NC

    parameters = sum(parameter.numel() for parameter in classifier.parameters())
    return FittedBaseline(probabilities, parameters, (f"fine-tuned from {model} with the settings of model2vec",))


def _load(model: str) -> Any:
    from model2vec.train import StaticModelForClassification

    try:
        return StaticModelForClassification.from_pretrained(model)
    except Exception as error:  # model2vec and its hub client raise many unrelated kinds
        advice = "the network may be missing or the name wrong; study.model2vec=<local folder> works offline"
        raise UserError(
            f"study.model2vec={model}: could not load it: {one_line(error).rstrip('.')}; {advice}"
        ) from error
