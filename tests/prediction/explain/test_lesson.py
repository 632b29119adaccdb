"""The lesson as text and as a page: complete, escaped, within 80 columns."""

import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.prediction.explain.lesson import lesson_page
from pipeline.prediction.explain.printable import printable, truncated, width
from pipeline.prediction.explain.terminal import COLUMNS, lesson_text
from pipeline.prediction.explain.trace import trace_text
from pipeline.text.vocabulary import Vocabulary

HOSTILE = "good <script>alert(1)</script> \x1b[31m \u202e &lt;b&gt; 👩\u200d💻 漢字漢字 é \udc80 movie"


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


def test_the_lesson_by_hand(tiny):
    text = lesson_text(trace_text(tiny, "Good movie zzz"))
    assert "Prediction: positive, with probability 0.6971." in text
    assert "GENERATED" in text
    words = " ".join(text.split())
    assert "Out of vocabulary: 1 of 3 tokens, zzz." in words
    assert "word vectors (1, T, D) (1, 3, 2) look-up of each id" in words
    assert "product (3, 6) × (6, 2) 36 0" in words
    assert "exactly the same numbers (largest difference 0)" in words
    assert "2 good 2.000 100.0% +2.000 +0.000" in words
    assert "good +1.333" in words
    assert "= margin +0.833" in words
    assert (
        "3 word vectors changed. The other 3 are bit-equal before and after. The padding vector is still zero." in words
    )
    assert "No word vector changed: all 6 are bit-equal" in words
    assert "the true label is negative, which the classifier did not predict" in words


def test_signed_bars_share_the_axis_of_their_header(tiny):
    lines = lesson_text(trace_text(tiny, "good good bad movie")).splitlines()
    start = next(number for number, line in enumerate(lines) if "← negative │ positive →" in line)
    axis = lines[start].index("│")
    bars = lines[start + 2 : start + 7]
    assert [line.index("│") for line in bars] == [axis] * 5
    good, bad = bars[1], bars[2]
    assert good[axis + 1] == bad[axis - 1] == "█"
    assert bad.endswith("│")


def test_contributions_of_a_long_text_are_summed_by_token(tiny):
    text = " ".join(lesson_text(trace_text(tiny, "good " * 15 + "movie " * 15)).split())
    # Weights differ by (2, 0.5), rows are (2, 0) and (0, -1), T is 30.
    assert "good ×15 +2.000" in text
    assert "movie ×15 -0.250" in text
    assert "(other tokens)" not in text


def test_of_many_words_the_strongest_are_shown_and_the_rest_summed(tiny):
    words = [*tiny.vocabulary.words[:2], *(f"w{number}" for number in range(40))]
    rows = np.zeros((42, 2), np.float32)
    rows[2:, 0] = np.arange(40)
    counts = np.ones(42, np.int64)
    many = dataclasses.replace(tiny, vocabulary=Vocabulary(words, counts, 0), initial_VE=rows, final_VE=rows)
    text = " ".join(lesson_text(trace_text(many, " ".join(words[2:]))).split())
    assert "The 12 strongest of 40, in text order: token contribution" in text
    assert "w28 +1.400" in text
    assert "w27 +" not in text.partition("strongest of")[2].partition("7 One")[0]
    assert f"(other tokens) {2 * sum(range(28)) / 40:+.3f}" in text


@pytest.mark.parametrize("encoder", ["mean", "meanmax", "cnn", "gru", "bigru"])
@pytest.mark.parametrize("text", ["", HOSTILE, "zig zag", "good bad " * 1111, "x" * 10_000, "😀"])
def test_any_text_fits_the_terminal_and_the_page(trained_with, encoder, text):
    trace = trace_text(trained_with(encoder)[0], text)
    lines = lesson_text(trace).splitlines()
    assert max(map(width, lines)) <= COLUMNS
    assert len(lines) < 400
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e\ud800-\udfff]", "\n".join(lines))
    page = lesson_page(trace)
    page.encode("utf-8")
    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(Tags(page).tags)
    assert not [name for name, _ in Tags(page).attributes if name.startswith("on") or name in ("src", "style")]
    assert len(page) < 1_000_000


def test_names_of_labels_and_run_reach_the_terminal_without_control_characters(tiny):
    trained = dataclasses.replace(tiny, label_names=["\x1b[31mred", "a|b\n# <c>&amp;"], name="\x1b]0;\u202e")
    text = lesson_text(trace_text(trained, "good # movie"))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
    assert "\\x1b[31mred, a|b # <c>&amp;" in text
    assert "run     \\x1b]0;\\u202e\n" in text


def test_the_page_escapes_what_it_shows(tiny):
    trained = dataclasses.replace(tiny, label_names=["<img src=x>", 'a"b'], name="<u>")
    page = lesson_page(trace_text(trained, HOSTILE))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;img src=x&gt;" in page
    assert {"script", "img", "u", "b"}.isdisjoint(Tags(page).tags)
    assert "http" not in page.replace("http-equiv", "")


def test_the_page_has_every_section_and_link(tiny):
    page = lesson_page(trace_text(tiny, "good"))
    targets = re.findall(r'href="#([\w-]+)"', page)
    assert targets == re.findall(r'<section id="([\w-]+)"', page)
    assert targets == ["shapes", "ids", "embedding", "one-hot", "encoder", "decision", "step", "contrast"]


def test_a_frozen_run_says_that_only_the_head_is_updated(trained_with):
    text = " ".join(lesson_text(trace_text(trained_with(trainable=False)[0], "good movie")).split())
    as_trained, _, contrast = text.partition("The same step with trainable word vectors")
    assert "The word vectors are frozen" in as_trained
    assert "Only the layers above them are updated." in as_trained
    assert "No word vector changed: all 6 are bit-equal" in as_trained
    assert "2 word vectors changed. The other 4 are bit-equal" in contrast


def test_a_projected_run_says_that_every_word_vector_changes(trained_with):
    text = lesson_text(trace_text(trained_with(trainable=False, projected=True)[0], "good movie"))
    assert "5 of 6 changed" in " ".join(text.split())


@given(st.text())
def test_printable_text_has_a_width_and_no_controls(text):
    escaped = printable(text)
    assert width(escaped) > 0 or escaped == ""
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\ud800-\udfff]", escaped)
    assert width(truncated(text, 10)) <= 10


def test_width_of_wide_and_combining_characters():
    assert [width(text) for text in ("ab", "漢", "😀", "e\u0301")] == [2, 2, 2, 1]
    assert truncated("漢字漢字", 5) == "漢字…"
    assert printable("\ufe0f") == "\\ufe0f"
