import pytest

from pipeline.config.variants import prose_name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cbow_frozen", "CBOW, frozen"),
        ("random_trainable@strip", "vectors learned from scratch (emoticons stripped)"),
        ("cbow_finetuned@default", "CBOW, fine-tuned (default settings)"),
        ("ppmi_projected", "ppmi_projected"),
        ("tfidf_logistic", "tfidf_logistic"),
    ],
)
def test_prose_names_hold_the_condition_in_brackets_and_leave_other_names_as_they_are(name, text):
    assert prose_name(name) == text
