from itertools import combinations

import pytest
import yaml

from pipeline.config.comments import conf_folder
from pipeline.config.schema import EmbeddingConfig
from pipeline.config.variants import (
    VARIANT_STYLES,
    prose_name,
    repetitions,
    variant_name,
    variant_style,
    without_amount,
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cbow_frozen", "CBOW, frozen"),
        ("random_trainable@strip", "vectors learned from scratch (emoticons stripped)"),
        ("cbow_finetuned@default", "CBOW, fine-tuned (default settings)"),
        ("cbow_distilled_frozen", "CBOW and distilled vectors, frozen"),
        ("cbow_frozen_distilled_finetuned", "CBOW, frozen, beside distilled vectors, fine-tuned"),
        ("random_trainable@embedding.dim=2", "vectors learned from scratch (2 dimensions)"),
        ("cbow_frozen@cbow.sources=train", "CBOW, frozen (training text alone)"),
        ("cbow_frozen@cbow.sources=[train,tweets]", "CBOW, frozen (text: train and tweets)"),
        ("cbow_frozen@strip,cbow.unlabelled_texts=50000", "CBOW, frozen (emoticons stripped, 50,000 unlabelled texts)"),
        ("cbow_frozen@cbow.without_transfer=true", "CBOW, frozen (without texts of the transfer tasks)"),
        ("cbow_frozen@model.dropout=0.5", "CBOW, frozen (model.dropout=0.5)"),
        ("ppmi_projected", "ppmi_projected"),
        ("tfidf_logistic", "tfidf_logistic"),
    ],
)
def test_prose_names_hold_the_condition_in_brackets_and_leave_other_names_as_they_are(name, text):
    assert prose_name(name) == text


@pytest.mark.parametrize(
    ("init", "trainable", "name"),
    [
        ("random", True, "random_trainable"),
        ("random", False, "random_frozen"),
        ("cbow", True, "cbow_finetuned"),
        (["cbow", "ppmi"], False, "cbow_ppmi_frozen"),
        (["cbow", "distilled"], False, "cbow_distilled_frozen"),
        (["cbow", "distilled"], True, "cbow_distilled_finetuned"),
        (["cbow", "distilled"], [False, True], "cbow_frozen_distilled_finetuned"),
        (["distilled", "cbow"], [True, False], "cbow_frozen_distilled_finetuned"),
        (["cbow", "cbow"], [False, True], "cbow_multichannel"),
        (["cbow", "random"], [False, True], "cbow_frozen_random_trainable"),
        (["random", "cbow", "ppmi"], [True, False, True], "cbow_frozen_random_ppmi_finetuned"),
    ],
)
def test_the_name_says_the_tables_frozen_ones_first(init, trainable, name):
    assert variant_name(EmbeddingConfig(init, trainable, False, 0.0, 8, None, None, "auto", False)) == name


@pytest.mark.parametrize(
    ("init", "trainable", "name"),
    [
        ("cbow", False, "cbow_shuffled"),
        ("cbow", True, "cbow_finetuned_shuffled"),
        (["cbow", "distilled"], False, "cbow_distilled_shuffled"),
    ],
)
def test_the_name_of_shuffled_vectors(init, trainable, name):
    assert variant_name(EmbeddingConfig(init, trainable, False, 0.0, 8, None, None, "auto", True)) == name


def test_no_two_variants_look_alike():
    for first, second in combinations(map(variant_style, VARIANT_STYLES), 2):
        assert first["color"] != second["color"]


@pytest.mark.parametrize("study", ["sources", "parameters", "emoticons"])
def test_the_variants_of_a_shipped_study_look_different(study):
    names = yaml.safe_load((conf_folder() / "study" / f"{study}.yaml").read_text("utf-8"))["variants"]
    assert len({(style["color"], style["marker"]) for style in map(variant_style, names)}) == len(names)


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("cbow_frozen@cbow.unlabelled_texts=5", "cbow_frozen"),
        ("cbow_frozen@cbow.sources=[train,a],cbow.unlabelled_texts=5", "cbow_frozen@cbow.sources=[train,a]"),
        ("cbow_frozen@strip", "cbow_frozen@strip"),
    ],
)
def test_a_name_without_its_amount(name, base):
    assert without_amount(name) == base
    assert repetitions([name, base]) == ({name: base} if name != base else {})
