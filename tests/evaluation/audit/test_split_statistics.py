import numpy as np
import pytest
from scipy.stats import chi2

from pipeline.evaluation.audit.concatenated import concatenate
from pipeline.evaluation.audit.report import compare_class_shares, describe_splits
from pipeline.runtime.errors import RunError


def test_every_count_of_a_split(encode):
    splits = {
        "train": [("a b a once", 0), ("b", 1), ("", 0), (" \n", 1), ("once2", 1), ("a b a b a b", 0)],
        "test": [("a new", 1), ("new newer", 1), ("", 2), ("b", 1)],
    }
    texts, encoded, _ = encode(splits, min_count=2)
    train, test = describe_splits(concatenate(texts, encoded, ["x", "y", "z"]), encoded)
    assert train == {
        "split": "train",
        "texts": 6,
        "empty": 2,
        "without_tokens": 2,
        "only_unknown": 1,
        "classes": {"x": 3, "y": 3, "z": 0},
        "tokens_per_text": {"0": 0.0, "0.05": 0.0, "0.25": 0.25, "0.5": 1.0, "0.75": 3.25, "0.95": 5.5, "1": 6.0},
        "unknown_tokens": 2 / 12,
        "unseen_tokens": None,
    }
    assert (test["texts"], test["empty"], test["without_tokens"], test["only_unknown"]) == (4, 1, 1, 1)
    assert test["classes"] == {"x": 0, "y": 3, "z": 1}
    assert test["unknown_tokens"] == test["unseen_tokens"] == 3 / 5


def test_a_word_of_unlabelled_text_is_known_and_unseen(tmp_path):
    from pipeline.text.encoded_split import EncodedSplit, encode_splits

    batches = {"train": [(["a a", "b"], [0, 1])], "test": [(["a u", "u v"], [0, 1])]}
    encode_splits(batches, str.split, 1, tmp_path, 1, required_words=["u"])
    encoded = {name: EncodedSplit.open(tmp_path, name) for name in batches}
    texts = {"train": ["a a", "b"], "test": ["a u", "u v"]}
    _, test = describe_splits(concatenate(texts, encoded, ["x", "y"]), encoded)
    assert (test["unknown_tokens"], test["unseen_tokens"]) == (1 / 4, 3 / 4)


def test_chi_square_of_a_known_table():
    result = compare_class_shares(np.array([[90, 10], [60, 40]]))
    # Expected 75 and 25 in both rows: 15² · (1/75 + 1/25) · 2 = 24.
    assert result == {
        "chi2": pytest.approx(24),
        "degrees": 1,
        "p": pytest.approx(chi2.sf(24, 1)),
        "v": pytest.approx(0.12**0.5),
    }


def test_classes_and_splits_without_texts_do_not_count():
    assert compare_class_shares(np.array([[90, 0, 10], [0, 0, 0], [60, 0, 40]]))["chi2"] == pytest.approx(24)
    nothing = {"chi2": None, "degrees": None, "p": None, "v": None}
    assert compare_class_shares(np.array([[5, 0], [7, 0]])) == nothing
    assert compare_class_shares(np.array([[5, 5]])) == nothing


def test_texts_and_labels_must_have_equal_numbers(encode):
    texts, encoded, _ = encode({"train": [("a", 0), ("b", 1)], "test": [("a", 0)]})
    with pytest.raises(RunError, match=r"split 'test' has 2 texts, but 1 labels$"):
        concatenate(texts | {"test": ["a", "b"]}, encoded, ["x", "y"])
