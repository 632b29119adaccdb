import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.schema import UNK
from pipeline.text.vocabulary import Vocabulary
from pipeline.text.word_parts import WordParts

COUNTS = {
    "the": 900, "you": 800, "s": 700, "of": 650, "president": 90, "elect": 80, "thank": 70, "obama": 60, "so": 50,
    "soo": 40, "happy": 30, "hap": 2, "py": 2, "day": 20, "2016": 10, "12": 9, "50": 8, "#obama": 7, "melania": 5,
}  # fmt: skip
VOCABULARY = Vocabulary.from_counts(COUNTS, 1)
PARTS = WordParts(VOCABULARY.words, VOCABULARY.id_of, "parts")


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("happy", ["happy"]),
        ("#thankyouobama", ["thank", "you", "obama"]),
        ("#happyday2016", ["happy", "day", "2016"]),
        ("#happy", ["happy"]),
        ("#obama", ["#obama"]),
        ("#zzthank", ["#zzthank"]),
        ("#dayofthankszz", ["#dayofthankszz"]),
        ("soooo", ["soo"]),
        ("president-elect", ["president", "elect"]),
        ("melania's", ["melania"]),
        ("12-50", ["12", "50"]),
        ("the.president", ["the", "president"]),
        ("thankyou", ["thankyou"]),  # names are no sequences of words
        ("zzz", ["zzz"]),
        ("#", ["#"]),
        ("", [""]),
        ("#" + "thank" * 20, ["#" + "thank" * 20]),
    ],
)
def test_the_known_parts_of_a_word(word: str, parts: list[str]) -> None:
    assert PARTS(word) == parts


def test_a_segmentation_prefers_few_frequent_words() -> None:
    assert PARTS("#happyday") == ["happy", "day"]  # not hap py day


def test_without_parts_every_unknown_word_is_unk() -> None:
    plain = WordParts(VOCABULARY.words, VOCABULARY.id_of, "unk")
    assert plain("#thankyou") == ["#thankyou"]
    assert [plain.id_of(word) for word in ("#thankyou", "the")] == [UNK, VOCABULARY.id_of["the"]]
    ids, offsets = np.array([2, UNK], np.int32), np.array([0, 2])
    assert plain.expand(ids, offsets)[0] is ids


words = st.sampled_from(["#thankyouobama", "president-elect", "soooo", "zzz", "the", "<unk>", "<pad>"])


@given(st.lists(st.lists(words, max_size=5), max_size=5))
def test_expanded_ids_are_those_of_the_parts_text_by_text(texts: list[list[str]]) -> None:
    parts = WordParts(VOCABULARY.words, VOCABULARY.id_of, "parts")
    ids = np.array([parts.id_of(word) for text in texts for word in text], np.int32)
    expanded, offsets = parts.expand(ids, np.cumsum([0, *map(len, texts)]))
    assert expanded.dtype == np.int32
    assert len(offsets) == len(texts) + 1
    for number, text in enumerate(texts):
        expected = VOCABULARY.encode([part for word in text for part in parts(word)])
        assert expanded[offsets[number] : offsets[number + 1]].tolist() == expected


def test_a_word_with_several_parts_has_a_temporary_id_beyond_the_vocabulary() -> None:
    parts = WordParts(VOCABULARY.words, VOCABULARY.id_of, "parts")
    assert parts.id_of("soooo") == VOCABULARY.id_of["soo"]
    assert len(parts) == 0
    assert parts.id_of("#thankyou") == len(VOCABULARY)
    assert len(parts) == 1
