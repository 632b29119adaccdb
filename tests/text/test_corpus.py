import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from gensim.models.word2vec import LineSentence

from pipeline.text.corpus import CorpusInfo, CorpusWriter
from pipeline.text.parallel_tokenize import BatchTokenizer


def write_corpus(path: Path, batches: Iterable[list[list[str]]]) -> CorpusInfo:
    tokenize = BatchTokenizer(json.loads, with_lines=True)
    with CorpusWriter(path) as corpus:
        for batch in batches:
            corpus.write(tokenize([json.dumps(tweet) for tweet in batch]))
    return corpus.info


def test_corpus_is_read_by_gensim(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    batches = [[[], ["a", "❤"], [], [], ["❤"], []], [], [["c"]], [[], []]]
    info = write_corpus(path, iter(batches))
    assert path.read_bytes() == "a ❤\n❤\nc\n".encode()
    assert (info.lines, info.tokens, len(info.fingerprint)) == (3, 4, 16)
    assert list(LineSentence(str(path))) == [["a", "❤"], ["❤"], ["c"]]


def test_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    prints = [
        write_corpus(tmp_path / "c", batches).fingerprint
        for batches in ([[["a"], ["b"]]], [[["a"]], [[], ["b"]]], [[["b"], ["a"]]], [[["a", "b"]]])
    ]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


@pytest.mark.parametrize("tweet", [["a b"], ["a", ""], ["x\u2028"], ["\x1c"]])
def test_tokens_that_would_fall_apart_are_refused(tmp_path: Path, tweet: list[str]) -> None:
    with pytest.raises(ValueError, match="white space"):
        write_corpus(tmp_path / "c", [[["fine"]], [["fine"], tweet]])


def test_a_batch_without_lines_is_refused(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c") as corpus, pytest.raises(ValueError, match="without its lines"):
        corpus.write(BatchTokenizer(str.split)(["a b"]))
