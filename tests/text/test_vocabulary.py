from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.schema import PAD, UNK
from pipeline.runtime.errors import UserError
from pipeline.text.vocabulary import Vocabulary

COUNTS = {"b": 2, "a": 2, "rare": 1, "the": 5, "<pad>": 4, "<unk>": 3, "é": 2}


def test_order_specials_and_coverage() -> None:
    vocabulary = Vocabulary.from_counts(COUNTS, min_count=2)
    assert vocabulary.words == ["<pad>", "<unk>", "the", "a", "b", "é"]
    assert vocabulary.counts.tolist() == [0, 8, 5, 2, 2, 2]
    assert vocabulary.id_of == {"the": 2, "a": 3, "b": 4, "é": 5}
    assert len(vocabulary) == 6
    assert vocabulary.summary() == {"types_kept": 4, "types_dropped": 3, "tokens": 19, "token_coverage": 1 - 8 / 19}


def test_encode_takes_words_spelled_like_specials_for_unknown() -> None:
    vocabulary = Vocabulary.from_counts(COUNTS, min_count=1)
    assert vocabulary.encode(["the", "<pad>", "never", "<unk>", "rare"]) == [2, UNK, UNK, UNK, 6]
    assert PAD not in vocabulary.encode(COUNTS)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.integers(1, 50)), st.integers(1, 10))
def test_ids_are_positions_and_counts_fall(counts: dict[str, int], min_count: int) -> None:
    vocabulary = Vocabulary.from_counts(counts, min_count)
    assert all(vocabulary.words[id] == word for word, id in vocabulary.id_of.items())
    assert np.all(np.diff(vocabulary.counts[2:]) <= 0)
    assert vocabulary.counts.sum() == sum(counts.values())
    encoded = Counter(vocabulary.encode([word for word, count in counts.items() for _ in range(count)]))
    assert [encoded[id] for id in range(len(vocabulary))] == vocabulary.counts.tolist()


def test_save_and_load(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_counts(COUNTS | {"❤": 9, "\u2028": 1}, min_count=2)
    vocabulary.save(tmp_path / "v.json")
    again = Vocabulary.load(tmp_path / "v.json")
    assert (again.words, again.id_of, again.summary()) == (vocabulary.words, vocabulary.id_of, vocabulary.summary())
    assert again.counts.dtype == np.int64
    again.save(tmp_path / "w.json")
    assert (tmp_path / "v.json").read_bytes() == (tmp_path / "w.json").read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"words": ["<pad>", "<unk>", "a"]}',
        '{"words": ["a", "b"], "counts": [1, 2], "types_dropped": 0}',
        '{"words": ["<pad>", "<unk>", "a"], "counts": [0, 1], "types_dropped": 0}',
        '{"words": ["<pad>", "<unk>", "a", "a"], "counts": [0, 1, 1, 1], "types_dropped": 0}',
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "v.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"v\.json"):
        Vocabulary.load(path)
