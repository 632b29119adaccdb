from pipeline.config.compose import compose
from pipeline.study.report.methods import methods

FACTS = {
    "rows": {"train": 8000, "validation": 1000, "test": 1000},
    "corpus": {"texts": {"train": 8000, "unlabelled": 40_000}, "tokens": 612_345},
}


def methods_text(*overrides: str, transfer: tuple[str, ...] = ()) -> str:
    return "\n".join(methods({"transfer": list(transfer)}, FACTS, compose(["+experiment=compare", *overrides])))


def test_the_configured_values_are_in_the_text():
    text = methods_text(
        "study.lr_factors=[0.5,2]", "study.trial_seeds=1", "study.resamples=1234", "study.smallest_effect=0.02"
    )
    assert "8,000 train, 1,000 validation, 1,000 test tweets" in text
    assert "612,345 tokens (8,000 train and 40,000 unlabelled texts)" in text
    assert "the same 2 pairs of learning rates (train.lr_head=0.003 and train.lr_embedding=0.001 times 0.5, 2)" in text
    assert "were tried with 1 seed, each with dropout 0 and 0.3. Then came 3 further settings" in text
    assert "Each seed then chose among the best 3 by its own trials" in text
    assert "All seeds share the best one, so no interval" in methods_text("study.finalists=1")
    assert "1,234 resamples" in text
    assert "within ±2 points" in text


def test_each_seed_has_its_own_cbow_or_all_share_one():
    assert "CBOW was trained with 3 seeds, which the 12 seeds of the runs share." in methods_text()
    assert "CBOW was trained anew for every seed." in methods_text("study.cbow_seeds=null")
    assert "CBOW was trained anew for every seed." in methods_text("study.seeds=3")
    for override in ("cbow.seed=5", "study.cbow_seeds=1"):
        assert "All seeds start from the same CBOW training, so no interval" in methods_text(override)


def test_what_distilled_vectors_have_read_stands_there_where_a_variant_has_them():
    assert "istilled" not in methods_text()
    text = methods_text("study.variants=[cbow_frozen,distilled_frozen]", "study.pairs=[[cbow_frozen,distilled_frozen]]")
    assert "Distilled vectors hold what their sentence transformer read elsewhere (all-MiniLM-L6-v2: about a b" in text


def test_other_tasks_have_a_paragraph_where_there_are_some():
    assert "Other tasks" not in methods_text()
    text = methods_text(transfer=("emotion", "irony"))
    assert "Other tasks (emotion, irony): " in text
    assert "Intervals are for other seeds and other test tweets, paired for differences" in text
    assert "Bonferroni's for 2 tasks" in text
    assert "never their labels" in text


def test_other_choices_replace_the_paragraph_on_learning_rates():
    config = compose(["+experiment=compare"])
    data, rates, statistics = methods({"transfer": []}, FACTS, config)
    assert rates.startswith("Choices: ")
    assert methods({"transfer": []}, FACTS, config, ["A.", "B."]) == [data, "A.", "B.", statistics]
