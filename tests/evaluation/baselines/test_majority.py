import numpy as np

from pipeline.evaluation.baselines.data import Split, TrainingSet
from pipeline.evaluation.baselines.run import majority


def test_class_shares_for_every_tweet() -> None:
    model = majority(TrainingSet(["a"] * 4, np.array([2, 0, 2, 1]), 4, seed=0))
    probabilities = model.probabilities(Split(["x", "y"], ["x", ""], np.array([0, 0])))
    assert probabilities.dtype == np.float32
    assert probabilities.tolist() == [[0.25, 0.25, 0.5, 0.0]] * 2
    assert model.parameters == 3


def test_first_of_equally_frequent_labels() -> None:
    model = majority(TrainingSet(["a"] * 5, np.array([2, 1, 2, 1, 0]), 3, seed=0))
    probabilities = model.probabilities(Split(["x"], ["x"], np.array([0])))
    assert probabilities.argmax(axis=1).tolist() == [1]
