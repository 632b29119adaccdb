import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import nltk
import pyarrow.parquet as pq
import pytest


@pytest.fixture(scope="session")
def real_data(shared: Callable[[str], Path]) -> Path:
    """The folder of real data beside the project."""
    return shared("")


@pytest.fixture(scope="session")
def nltk_tweets(real_data: Path) -> dict[str, list[str]]:
    """NLTK's 5,000 positive and 5,000 negative tweets."""
    folder = real_data / "nltk_data" / "corpora" / "twitter_samples"
    return {
        label: [json.loads(line)["text"] for line in (folder / f"{label}_tweets.json").read_bytes().splitlines()]
        for label in ("positive", "negative")
    }


@pytest.fixture(scope="session")
def hub_texts(real_data: Path) -> list[str]:
    """All texts of all parquet files."""
    files = sorted(real_data.glob("hub/**/*.parquet"))
    assert len(files) == 14
    return [text for file in files for text in pq.read_table(file, columns=["text"])["text"].to_pylist()]


@pytest.fixture
def unlabelled(real_data: Path) -> Iterator[str]:
    """The unlabelled tweets, read as they are asked for."""
    with gzip.open(real_data / "unlabelled" / "tweets.txt.gz", "rt", encoding="utf-8", newline="\n") as stream:
        yield (line.rstrip("\n") for line in stream)


@pytest.fixture
def nltk_data(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nltk find its corpora."""
    monkeypatch.setattr(nltk.data, "path", [str(real_data / "nltk_data")])
