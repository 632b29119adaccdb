import dataclasses
import re

import numpy as np
import pytest

from pipeline.runtime.markdown import escape
from pipeline.tracking.note import neighbour_table, run_note

CONFUSION = np.array([[1, 0], [2, 1]])


def test_the_note_describes_data_variant_and_scores(record):
    note = run_note(record, CONFUSION)
    assert "1,000 of the 8,000 labelled training tweets" in note
    assert "starts from CBOW" in note
    assert "updates the vectors together with the classifier" in note
    assert "The variant is **CBOW, fine-tuned** (`cbow_finetuned`)" in note
    assert "n = 4 test tweets" in note
    assert "| `accuracy` | **0.5000** | 0.1500 to 0.8500 | 1.0000 |" in note
    assert re.search(r"\| `macro_recall` \| \*\*0\.6667\*\* \| 0\.\d{4} to 0\.\d{4} \| undefined \|", note)
    assert "“positive” would be right for 75.0%" in note
    assert "The weights of epoch 1 were kept" in note
    assert "Touched words: 3 of 4" in note
    assert "| `embedding/coverage_types` | 0.5000 |" in note
    assert "| wordsim353 | 120 of 353 | 0.310 (0.140 to 0.460) | 0.290 (0.120 to 0.450) |" in note
    assert "| simlex999 | 0 of 999 | undefined | undefined |" in note
    assert "2 rows had no label and were left out." in note
    assert "./scripts/run +experiment=cbow_finetuned data.label_budget=1000 seed=3\n" in note
    assert "-m +experiment=random_trainable,cbow_frozen,cbow_finetuned seed=0,1,2,3,4 data.label_budget=1000\n" in note
    assert "results/sample-cbow_finetuned-n1000-s3-1a2b3c4d/" in note
    assert "with uncommitted changes" in note


def test_warnings_stand_at_the_top_with_their_remedies(record):
    assert "## Warnings" not in run_note(record, CONFUSION)
    leak = {"code": "label_leak", "text": "Label leak: “*” (good).", "remedy": "Set text.emoticons=strip."}
    other = {"code": "label_conflicts", "text": "Two texts.", "remedy": ""}
    lines = run_note(dataclasses.replace(record, warnings=[leak, other]), CONFUSION).splitlines()
    start = lines.index("## Warnings")
    assert lines[start + 1 : start + 5] == [
        "",
        r"- `label_leak` Label leak: “\*” (good). **Remedy**: Set text.emoticons=strip.",
        "- `label_conflicts` Two texts.",
        "",
    ]
    assert start < lines.index("## Caveats")


def test_generated_tweets_are_named_first_and_real_ones_never_called_so(record):
    note = run_note(record, CONFUSION)
    assert "THESE TWEETS ARE GENERATED" in note[:200]
    real = dataclasses.replace(record, tags=record.tags | {"generated": "false"})
    real = dataclasses.replace(real, dataset=record.dataset | {"source": "a file"})
    assert "generated" not in run_note(real, CONFUSION).lower()


@pytest.mark.parametrize(
    ("init", "trainable", "start", "moves"),
    [
        ("random", True, "random numbers", "updates the vectors together"),
        ("random", False, "random numbers", "the vectors stay frozen"),
        ("cbow", False, "CBOW", "the vectors stay frozen"),
        ("distilled", False, "a sentence transformer", "the vectors stay frozen"),
        ("run", True, "the trained vectors of a finished run", "updates the vectors together"),
        ("pretrained", True, "a file of word vectors", "updates the vectors together"),
    ],
)
def test_each_variant_is_described(record, init, trainable, start, moves):
    config = record.config | {"embedding": {"init": init, "trainable": trainable}}
    note = run_note(dataclasses.replace(record, config=config), CONFUSION)
    sentence = next(line for line in note.splitlines() if line.startswith("The variant"))
    assert start in sentence
    assert moves in sentence


def test_shuffled_vectors_are_described(record):
    assert "a random draw dealt the vectors to the words" not in run_note(record, CONFUSION)
    shuffled = dataclasses.replace(record, tags=record.tags | {"variant": "cbow_shuffled"})
    assert "a random draw dealt the vectors to the words" in run_note(shuffled, CONFUSION)


def test_arguments_are_quoted_for_the_shell(record):
    odd = dataclasses.replace(record, overrides=["data.path=my file.csv", "text=tweet"])
    assert "./scripts/run 'data.path=my file.csv' text=tweet\n" in run_note(odd, CONFUSION)
    unknown = dataclasses.replace(record, overrides=None)
    assert "This command repeats the run" not in run_note(unknown, CONFUSION)


def test_every_table_row_has_as_many_cells_as_its_header(record):
    lines = run_note(record, CONFUSION).splitlines()
    cells = 0
    for line in lines:
        if not line.startswith("|"):
            cells = 0
            continue
        count = len(re.findall(r"(?<!\\)\|", line))
        assert cells in (0, count), line
        cells = count


def test_neighbours_stand_in_one_row_per_word_nearest_first(record):
    lines = neighbour_table(reversed(record.neighbours)).splitlines()
    assert lines[2:] == [r"| good | nice (0.91), :\| (0.50) | great (0.99), a\|b (0.25) |"]
    assert neighbour_table([]) == "No words were listed for this probe.\n"
    missing = [{"word": "x", "rank": 1, "before": None, "before_cosine": None, "after": "y", "after_cosine": 1.0}]
    assert neighbour_table(missing).splitlines()[2] == "| x | - | y (1.00) |"


def test_escape_keeps_text_literal_and_on_one_line():
    assert escape("a*b_c|d\ne<f> &lt;") == r"a\*b\_c\|d e\<f\> &amp;lt;"
