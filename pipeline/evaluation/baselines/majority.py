"""Majority baseline: the most frequent label for every tweet."""

import numpy as np

from pipeline.evaluation.baselines.data import FittedBaseline, FloatArray, Split, TrainingSet


def majority(training: TrainingSet) -> FittedBaseline:
    """Predict the class shares of the training rows for every tweet; of equally frequent classes, the first wins.

    The parameters are C - 1 free shares.
    """
    counts_C = np.bincount(training.labels, minlength=training.classes)
    shares_C = (counts_C / counts_C.sum()).astype(np.float32)

    def probabilities(split: Split) -> FloatArray:
        return np.tile(shares_C, (len(split.labels), 1))

    return FittedBaseline(probabilities, training.classes - 1)
