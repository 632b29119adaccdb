from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.compose import compose
from pipeline.evaluation.baselines.data import read_data
from pipeline.stages.prepare import prepare_texts
from pipeline.text.encoded_split import EncodedSplit
from pipeline.text.vocabulary import Vocabulary

TWEETS = (
    "GREAT day :) &amp; coffee,positive\n"
    "so sad :( @someone,negative\n"
    "what a day \U0001f600,positive\n"
    "no... http://t.co/abc :(,negative\n"
    "fine,positive\n"
    "bad,negative\n"
) * 3


def prepared(folder: Path, emoticons: str, validation_size: float = 0.3) -> tuple[Path, list[str], object]:
    (folder / "tweets.csv").write_text(f"text,label\n{TWEETS}", "utf-8")
    config = compose([
        "data=files", f"data.path={folder}/tweets.csv", "data.deduplicate=none", "data.test_size=0.3",
        f"data.validation_size={validation_size}", f"text.emoticons={emoticons}", "cbow.extra_text=null",
        *(["train.patience=null"] if not validation_size else []),
    ])  # fmt: skip
    names = prepare_texts(config, folder)["label_names"]
    return folder, names, config.text


def test_tokens_are_those_the_variants_read(tmp_path: Path) -> None:
    folder, names, text = prepared(tmp_path, "strip")
    data = read_data(folder, names, text)
    vocabulary = Vocabulary.load(folder / "vocabulary.json")
    assert data.validation is not None
    for name, split in (("train", data.train), ("validation", data.validation), ("test", data.test)):
        encoded = EncodedSplit.open(folder, name)
        assert len(split.tokens) == len(split.texts) == len(split.labels) > 0
        assert split.labels.dtype == np.int64
        assert split.labels.tolist() == encoded.labels.tolist()
        expected = [encoded.ids[a:b].tolist() for a, b in pairwise(encoded.offsets)]
        assert [vocabulary.encode(tokens.split()) for tokens in split.tokens] == expected
    assert data.label_names == names


@pytest.mark.parametrize("emoticons", ["strip", "strip_fragments"])
def test_no_text_holds_an_emoticon_that_was_stripped(tmp_path: Path, emoticons: str) -> None:
    data = read_data(*prepared(tmp_path, emoticons))
    assert data.validation is not None
    texts = {text for split in (data.train, data.validation, data.test) for text in split.texts}
    assert texts == {"great day & coffee", "so sad @user", "what a day", "no ... http", "fine", "bad"}


def test_kept_emoticons_leave_the_cleaned_text(tmp_path: Path) -> None:
    data = read_data(*prepared(tmp_path, "keep", validation_size=0))
    assert data.validation is None
    texts = {text for split in (data.train, data.test) for text in split.texts}
    assert {"GREAT day :) & coffee", "so sad :( @someone", "what a day \U0001f600"} < texts
