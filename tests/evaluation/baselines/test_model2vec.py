import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.evaluation.baselines.data import BaselineData, FittedBaseline, Split, TrainingSet
from pipeline.evaluation.baselines.model2vec import model2vec
from pipeline.runtime.errors import UserError

library = pytest.importorskip("model2vec.train")
Generated = Callable[[int], BaselineData]


def fit(data: BaselineData, model: str, seed: int = 0) -> FittedBaseline:
    training = TrainingSet(list(data.train.tokens), data.train.labels, len(data.label_names), seed)
    return model2vec(data.train.texts, training, data.validation, model)


def test_is_the_classifier_of_the_package(generated: Generated, static_model: str) -> None:
    data = generated(3)
    assert data.validation is not None
    threads = torch.get_num_threads()
    fitted = fit(data, static_model, seed=4)
    assert torch.get_num_threads() == threads
    torch.set_num_threads(1)
    expected = library.StaticModelForClassification.from_pretrained(static_model).fit(
        list(data.train.texts), data.train.labels.tolist(), X_val=list(data.validation.texts),
        y_val=data.validation.labels.tolist(), device="cpu", random_seed=4,
    )  # fmt: skip
    torch.set_num_threads(threads)
    np.testing.assert_array_equal(fitted.probabilities(data.test), expected.predict_proba(list(data.test.texts)))
    assert fitted.parameters == 18 * 16 + 18 + 16 * 512 + 512 + 512 * 3 + 3
    assert fitted.notes == (f"fine-tuned from {static_model} with the settings of model2vec",)


def test_the_seed_counts(generated: Generated, static_model: str) -> None:
    data = generated(3)
    first, second = (fit(data, static_model, seed).probabilities(data.test) for seed in (0, 1))
    assert (first != second).any()


def test_a_class_without_labelled_tweets_has_probability_zero(generated: Generated, static_model: str) -> None:
    data = generated(2)
    wide = dataclasses.replace(
        data,
        train=Split(data.train.texts, data.train.tokens, data.train.labels * 2),
        label_names=["negative", "neutral", "positive"],
    )
    probabilities = fit(wide, static_model).probabilities(wide.test)
    assert (probabilities[:, 1] == 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_texts_without_known_words(generated: Generated, static_model: str) -> None:
    fitted = fit(generated(2), static_model)
    split = Split(["", "zzz", "good"], ["", "zzz", "good"], np.array([0, 0, 1]))
    assert np.isfinite(fitted.probabilities(split)).all()


def test_a_model_that_cannot_be_loaded(generated: Generated, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"study\.model2vec=.*: could not load it: .*<local folder> works offline$"):
        fit(generated(2), str(tmp_path))
