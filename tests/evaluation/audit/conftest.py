from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.evaluation.audit.concatenated import LabelledRows, concatenate
from pipeline.evaluation.audit.report import audit_report
from pipeline.text.encoded_split import EncodedSplit, encode_splits

Splits = dict[str, list[tuple[str, int]]]
Encode = Callable[..., tuple[dict[str, list[str]], dict[str, EncodedSplit], list[str]]]


@pytest.fixture
def encode(tmp_path: Path) -> Encode:
    """Encodes splits of (text, label) as input of the audit: texts, ids with labels, words."""

    def make(
        splits: Splits, tokenizer: Callable[[str], list[str]] = str.split, min_count: int = 1
    ) -> tuple[dict[str, list[str]], dict[str, EncodedSplit], list[str]]:
        batches = {name: [([t for t, _ in rows], [y for _, y in rows])] for name, rows in splits.items()}
        vocabulary = encode_splits(batches, tokenizer, min_count, tmp_path, 1)
        texts = {name: [text for text, _ in rows] for name, rows in splits.items()}
        return texts, {name: EncodedSplit.open(tmp_path, name) for name in splits}, vocabulary.words

    return make


@pytest.fixture
def rows_of(encode: Encode) -> Callable[..., LabelledRows]:
    def make(splits: Splits, label_names: tuple[str, ...] = ("bad", "good")) -> LabelledRows:
        texts, encoded, _ = encode(splits)
        return concatenate(texts, encoded, label_names)

    return make


@pytest.fixture
def report_of(encode: Encode) -> Callable[..., dict[str, Any]]:
    def make(splits: Splits, label_names: tuple[str, ...] = ("bad", "good"), **settings: Any) -> dict[str, Any]:
        return audit_report(*encode(splits, **settings), label_names)

    return make
