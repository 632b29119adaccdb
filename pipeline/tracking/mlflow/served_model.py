"""The model that MLflow loads and serves, as code: raw texts in, label and probabilities out.

MLflow runs this file by itself, beside a copy of the modules it needs. Weights, words and settings are its artifact
`model`, in safetensors, JSON and YAML; nothing is a pickle.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from pipeline.prediction.torch_model import full_predictor
from pipeline.prediction.trained_model import read_trained


class TweetClassifier(PythonModel):
    """Give each text its label and the probability of every label."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read weights, words and settings."""
        self.predictor = full_predictor(read_trained(Path(context.artifacts["model"])))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Answer texts in order: `label`, and `probabilities` as a dictionary.

        MLflow makes the data frame, of one column, from a text, a list, an array, a series or a frame. Raises
        ValueError, naming the row, where something in it is no text.
        """
        texts = model_input.iloc[:, 0].tolist()
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise ValueError(f"row {row}: expected a text, found {text!r}")
        found = self.predictor.predict(texts, words=False)
        labels = self.predictor.labels
        return pd.DataFrame(
            {
                "label": [prediction.label for prediction in found],
                "probabilities": [dict(zip(labels, row.probabilities.tolist(), strict=True)) for row in found],
            }
        )


set_model(TweetClassifier())
