import gzip
import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from gensim.models.word2vec import LineSentence

from pipeline.runtime.errors import UserError
from pipeline.text.corpus import CorpusInfo, CorpusWriter, read_lines
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


CONTENT = "\ufefffirst ❤\r\n\n \nsecond\u2028still second\nlast".encode()
LINES = ["first ❤", "second\u2028still second", "last"]


def test_read_lines(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(CONTENT)
    (tmp_path / "t.txt.gz").write_bytes(gzip.compress(CONTENT))
    assert list(read_lines(tmp_path / "t.txt")) == LINES
    assert list(read_lines(tmp_path / "t.txt.gz")) == LINES
    (tmp_path / "empty").write_bytes(b"")
    assert list(read_lines(tmp_path / "empty")) == []


def test_missing_files_are_found_before_the_first_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.txt: found no file"):
        read_lines(tmp_path / "none.txt")
    with pytest.raises(UserError, match="found a folder"):
        read_lines(tmp_path)


def test_undecodable_bytes_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"fine\n\ncaf\xe9\n")
    with pytest.raises(UserError, match=r"latin\.txt, line 3: byte 0xe9 is not UTF-8"):
        list(read_lines(path))


@pytest.mark.parametrize("damage", ["cut", "flipped", "plain"])
def test_broken_gzip_files(tmp_path: Path, damage: str) -> None:
    content = bytearray(gzip.compress("\n".join(str(i * i) for i in range(100_000)).encode()))
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[-6] ^= 0xFF
    else:
        content = bytearray(b"not compressed\n")
    path = tmp_path / "t.gz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"t\.gz, after line \d+: broken gzip file"):
        list(read_lines(path))
