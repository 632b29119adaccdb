"""The script that MLflow runs to load a model: raw texts in, labels and probabilities out.

MLflow runs this file on its own, with a copy of the modules that it imports. Weights, vocabulary and configuration are
its artifact `model`, in safetensors, JSON and YAML; nothing is a pickle.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from pipeline.prediction.torch_model import torch_predictor
from pipeline.prediction.trained_model import read_model


class TweetClassifier(PythonModel):
    """Predict the label of each text and the probability of every label."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read weights, vocabulary and configuration."""
        self.predictor = torch_predictor(read_model(Path(context.artifacts["model"])))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Predict texts in order: columns `label` and `probabilities`, a dictionary by label.

        MLflow makes the one-column data frame from a text, a list, an array, a series or a frame. Raises ValueError,
        naming the row, where a value is no text.
        """
        texts = model_input.iloc[:, 0].tolist()
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise ValueError(f"row {row}: expected a text, found {text!r}")
        labels, probabilities_NC = self.predictor.labels, self.predictor.probabilities(texts)
        return pd.DataFrame(
            {
                "label": [labels[label] for label in probabilities_NC.argmax(axis=1)],
                "probabilities": [dict(zip(labels, row, strict=True)) for row in probabilities_NC.tolist()],
            }
        )


set_model(TweetClassifier())
