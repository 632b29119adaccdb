"""The mean encoder collapsed: its logits are the mean of one score per word and class, plus a bias. numpy alone.

mean(rows) @ Wᵀ + b = mean(rows @ Wᵀ) + b, so V × C scores stand for V × E rows and the head, whatever E was.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.prediction.predictor import FlatIds, FloatArray, Ids, Offsets, Predictor, Scorer
from pipeline.prediction.trained_model import TrainedModel
from pipeline.runtime.errors import UserError


class ScoreTable(Scorer):
    """Scores of words: `scores_VC` and `bias_C`."""

    def __init__(self, scores_VC: FloatArray, bias_C: FloatArray) -> None:
        self.scores_VC = scores_VC
        self.bias_C = bias_C

    def logits(self, ids: Ids) -> FloatArray:
        """Logits (B, C); those of an empty text are the bias."""
        flat = np.array([id for text in ids for id in text], np.int32)
        return self.flat_logits(flat, np.cumsum([0, *map(len, ids)]))

    def flat_logits(self, ids: FlatIds, offsets: Offsets) -> FloatArray:
        """Logits (B, C) of texts end to end."""
        lengths = np.diff(offsets)
        sums_BC = np.zeros((len(lengths), len(self.bias_C)), np.float64)
        if len(ids):
            filled = lengths > 0
            sums_BC[filled] = np.add.reduceat(self.scores_VC[ids], offsets[:-1][filled], axis=0, dtype=np.float64)
        logits_BC: FloatArray = (sums_BC / np.maximum(lengths, 1)[:, None] + self.bias_C).astype(np.float32)
        return logits_BC

    def token_scores(self, ids: Sequence[int]) -> tuple[FloatArray, FloatArray]:
        """The rows of the table."""
        return self.scores_VC[np.array(ids, np.int64)], self.bias_C


def score_table(trained: TrainedModel) -> ScoreTable:
    """Collapse a trained model with the mean encoder; any other is a UserError."""
    if trained.model.encoder != "mean":
        raise UserError(
            f"{trained.name}: only the mean encoder collapses to a score per word, and this run's encoder is "
            f"{trained.model.encoder}; use --format onnx"
        )
    scores_VC = trained.rows_VE.astype(np.float64) @ trained.layers["head.weight"].astype(np.float64).T
    return ScoreTable(scores_VC.astype(np.float32), trained.layers["head.bias"].astype(np.float32))


def compact_predictor(trained: TrainedModel) -> Predictor:
    """The predictor of a trained model by its table of scores; only for the mean encoder."""
    return Predictor(trained.labels, trained.text, trained.words, score_table(trained))
