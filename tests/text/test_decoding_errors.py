"""Damaged characters are found, and ordinary text of many languages is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text.decoding_errors import CONTEXT, EXAMPLES, decoding_errors

ORDINARY = (
    "café déjà été, l’été “perché” naïve… ¿Qué? «é» ALLÉ…", "Spaß“ Spaß… „Öl“ – ÜBER", "Łódź… „ŻÓŁĆ”",
    "Ångström – Århus", "привет! Он сказал: «Вот»… Її, Ці люди — В…", "Ελλάδα… «Ναι»", "한국어… 日本語",
    "שלום… עולם", "😀👍🏽 ♥ ™ 5 € ½ ©", "tab\tnewline\r\n", "",
)  # fmt: skip
WORDS = ("é", "ñ", "ü", "’", "“", "…", "—", "€", "😀", "привет", "日本", "한국", "łódź", "Ελλάδα", "שלום")


def western(text: str, encoding: str) -> str:
    """UTF-8 bytes decoded by an encoding, as browsers do it: bytes without a character become control characters."""
    return "".join(bytes([byte]).decode(encoding, "ignore") or chr(byte) for byte in text.encode())


def test_ordinary_text_of_many_languages_is_left_alone():
    assert decoding_errors(ORDINARY) == {}


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
@pytest.mark.parametrize("word", WORDS)
def test_utf_8_read_as_a_western_encoding_is_mojibake(word: str, encoding: str):
    assert decoding_errors([f"so {western(word, encoding)} then"])["mojibake"]["texts"] == 1


def test_utf_8_read_as_a_cyrillic_encoding_is_mojibake():
    assert decoding_errors(["привет".encode().decode("cp1251")])["mojibake"]["texts"] == 1


def test_each_text_counts_once_by_its_first_kind():
    texts = ["\ufffd\ufffd cafÃ©", "cafÃ©\x80", "bell\x07", "\x85", "icon \ue123", "\U000fe334", "fine"]
    errors = decoding_errors(texts)
    assert {kind: record["texts"] for kind, record in errors.items()} == {
        "replaced": 1, "mojibake": 1, "control": 2, "private_use": 2,
    }  # fmt: skip
    assert errors["private_use"]["examples"] == ["icon \ue123", "\U000fe334"]


def test_examples_are_few_and_short():
    record = decoding_errors(["a" * 100 + "\ufffd" + "b" * 100] * 10)["replaced"]
    assert record["texts"] == 10
    assert record["examples"] == ["a" * CONTEXT + "\ufffd" + "b" * CONTEXT] * EXAMPLES


@given(st.text(st.characters(max_codepoint=0x7F, exclude_categories=["Cc"])))
def test_ascii_is_never_damaged(text: str):
    assert decoding_errors([text]) == {}
