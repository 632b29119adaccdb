"""Score table back end: one score per word and class replaces embedding and head of a mean encoder; numpy only.

mean(rows) @ Wᵀ + b = mean(rows @ Wᵀ) + b, so a (V, C) table replaces the (V, E) embedding matrix and the head.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.prediction.predictor import FlatIds, FloatArray, Ids, Offsets, Predictor, Scorer
from pipeline.prediction.trained_model import TrainedModel
from pipeline.runtime.errors import UserError


class ScoreTable(Scorer):
    """Logits as the mean of the scores (V, C) of a text's words, plus a bias (C,)."""

    def __init__(self, scores_VC: FloatArray, bias_C: FloatArray) -> None:
        self.scores_VC = scores_VC
        self.bias_C = bias_C

    def logits(self, ids: Ids) -> FloatArray:
        """Logits (B, C); an empty text gets the bias."""
        flat = np.array([id for text in ids for id in text], np.int32)
        return self.flat_logits(flat, np.cumsum([0, *map(len, ids)]))

    def flat_logits(self, ids: FlatIds, offsets: Offsets) -> FloatArray:
        """Logits (B, C) of concatenated texts."""
        lengths = np.diff(offsets)
        sums_BC = np.zeros((len(lengths), len(self.bias_C)), np.float64)
        if len(ids):
            nonempty = lengths > 0
            sums_BC[nonempty] = np.add.reduceat(self.scores_VC[ids], offsets[:-1][nonempty], axis=0, dtype=np.float64)
        logits_BC: FloatArray = (sums_BC / np.maximum(lengths, 1)[:, None] + self.bias_C).astype(np.float32)
        return logits_BC

    def token_scores(self, ids: Sequence[int]) -> tuple[FloatArray, FloatArray]:
        """The tokens' rows (T, C) of the table, and the bias."""
        return self.scores_VC[np.array(ids, np.int64)], self.bias_C


def score_table(trained: TrainedModel) -> ScoreTable:
    """The table of a trained model with the mean encoder; any other encoder is a UserError."""
    if trained.model.encoder != "mean":
        raise UserError(
            f"{trained.name}: only the mean encoder collapses to a score per word, and this run's encoder is "
            f"{trained.model.encoder}; use --format onnx"
        )
    scores_VC = trained.embedding_VE.astype(np.float64) @ trained.layers["head.weight"].astype(np.float64).T
    return ScoreTable(scores_VC.astype(np.float32), trained.layers["head.bias"].astype(np.float32))


def compact_predictor(trained: TrainedModel) -> Predictor:
    """The predictor of a trained model by its score table; only for the mean encoder."""
    return Predictor(trained.labels, trained.text, trained.words, score_table(trained))
