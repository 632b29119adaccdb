from collections.abc import Callable

import numpy as np
import pytest

from pipeline.evaluation.baselines import fasttext as module
from pipeline.evaluation.baselines.data import BaselineData, FittedBaseline, Split, TrainingSet
from pipeline.evaluation.baselines.fasttext import fasttext

floret = pytest.importorskip("floret")
Generated = Callable[[int], BaselineData]


@pytest.fixture(autouse=True)
def few_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.SETTINGS, "bucket", 5_000)


def fit(data: BaselineData, seed: int = 0, rate: float = 0.5) -> FittedBaseline:
    return fasttext(TrainingSet(list(data.train.tokens), data.train.labels, len(data.label_names), seed))(rate)


def one(tokens: str) -> Split:
    return Split([tokens], [tokens], np.array([0]))


def test_learns_and_gives_probabilities(generated: Generated) -> None:
    data = generated(3)
    probabilities = fit(data).probabilities(data.test)
    assert (probabilities.shape, probabilities.dtype) == ((120, 3), np.float32)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert (probabilities > 0).all()
    assert (probabilities.argmax(axis=1) == data.test.labels).mean() > 0.85


def test_probabilities_are_the_softmax_of_the_matrices(generated: Generated, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean of the rows of words, line end and pairs, times the output matrix: here without pairs."""
    monkeypatch.setitem(module.SETTINGS, "wordNgrams", 1)
    trained = []
    original = floret.train_supervised

    def train(**settings: object) -> object:
        trained.append(original(**settings))
        return trained[-1]

    monkeypatch.setattr(floret, "train_supervised", train)
    data = generated(3)
    model = fit(data)
    (inner,) = trained
    words = inner.get_words()
    vectors = dict(zip(words, inner.get_input_matrix(), strict=False))
    output = inner.get_output_matrix()
    order = [int(label.removeprefix(module.LABEL)) for label in inner.get_labels()]
    for tokens in (*data.test.tokens[:10], ""):
        hidden = np.mean([vectors[word] for word in [*tokens.split(), "</s>"]], axis=0)
        powers = np.exp(output @ hidden)
        expected = np.empty(3)
        expected[order] = powers / powers.sum()
        np.testing.assert_allclose(model.probabilities(one(tokens))[0], expected, atol=3e-5)


def test_parameters_are_the_entries_of_both_matrices(generated: Generated, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []
    original = floret.train_supervised
    monkeypatch.setattr(floret, "train_supervised", lambda **kw: trained.append(original(**kw)) or trained[-1])
    model = fit(generated(2))
    assert model.parameters == trained[0].get_input_matrix().size + trained[0].get_output_matrix().size


def test_same_seed_same_numbers(generated: Generated) -> None:
    data = generated(3)
    first, second, other = (fit(data, seed).probabilities(data.test) for seed in (0, 0, 1))
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != other.tobytes()


def test_largest_seed_is_a_seed(generated: Generated) -> None:
    data = generated(2)
    assert fit(data, seed=2**32 - 1).probabilities(data.test).shape == (120, 2)


def test_sorted_rows_are_shuffled(generated: Generated) -> None:
    """fastText reads its file in order: one class after the other would leave it with the last."""
    data = generated(2)
    order = np.argsort(data.train.labels, kind="stable")
    train = TrainingSet([data.train.tokens[row] for row in order], data.train.labels[order], 2, seed=0)
    probabilities = fasttext(train)(0.5).probabilities(data.test)
    assert (probabilities.argmax(axis=1) == data.test.labels).mean() > 0.85


def test_tokens_that_look_like_labels_or_line_ends_are_words() -> None:
    tokens = ["__label__0 bad", "bad </s> good", "good day", "nice __label__7"] * 20
    labels = np.array([0, 0, 1, 1] * 20)
    model = fasttext(TrainingSet(tokens, labels, 2, seed=0))(0.5)
    # "</s>" became a word: the words after it still count.
    with_end, without = model.probabilities(one("day </s> nice"))[0], model.probabilities(one("day"))[0]
    assert with_end.tolist() != without.tolist()
    assert model.probabilities(one("__label__7 nice"))[0].argmax() == 1
    np.testing.assert_allclose(with_end.sum(), 1, atol=1e-6)


def test_pairs_of_words_count(generated: Generated) -> None:
    tokens = ["not good", "good not"] * 50
    model = fasttext(TrainingSet(tokens, np.array([0, 1] * 50), 2, seed=0))(1.0)
    assert model.probabilities(one("not good"))[0].argmax() == 0
    assert model.probabilities(one("good not"))[0].argmax() == 1


def test_class_without_training_rows_gets_nothing(generated: Generated) -> None:
    data = generated(2)
    model = fasttext(TrainingSet(list(data.train.tokens), data.train.labels * 2, 3, seed=0))(0.5)
    probabilities = model.probabilities(data.test)
    assert (probabilities[:, 1] == 0).all()
    assert (probabilities.argmax(axis=1) == data.test.labels * 2).mean() > 0.85


def test_prints_nothing(generated: Generated, capfd: pytest.CaptureFixture[str]) -> None:
    data = generated(3)
    fit(data).probabilities(data.test)
    assert capfd.readouterr() == ("", "")
