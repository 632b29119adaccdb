"""The most frequent label, whatever the tweet says."""

import numpy as np

from pipeline.evaluation.baselines.data import FloatArray, Model, Split, Training


def majority(training: Training) -> Model:
    """Give every tweet the class shares of the training rows; of equally frequent classes, the first counts as most.

    Parameters are the C - 1 shares that are free.
    """
    counts_C = np.bincount(training.labels, minlength=training.classes)
    shares_C = (counts_C / counts_C.sum()).astype(np.float32)

    def probabilities(split: Split) -> FloatArray:
        return np.tile(shares_C, (len(split.labels), 1))

    return Model(probabilities, training.classes - 1)
