"""What the stages `cbow` and `ppmi` do with the folder they are given, and where a run finds its vectors."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config.schema import SPECIALS, Config
from pipeline.runtime.files import Stage
from pipeline.text.corpus import CORPUS
from pipeline.text.vocabulary import VOCABULARY, Vocabulary

if TYPE_CHECKING:
    from pipeline.embedding.word_vectors import Vectors


def train_vectors(config: Config, prepared: Stage, folder: Path) -> dict[str, Any]:
    """Train word vectors on the corpus and write them."""
    from pipeline.embedding.cbow import train_cbow

    vocabulary = Vocabulary.load(prepared.folder / VOCABULARY)
    vectors = train_cbow(
        prepared.folder / CORPUS,
        config.cbow,
        extra_words=vocabulary.words[SPECIALS:],
        corpus_fingerprint=prepared.outcome["corpus"]["fingerprint"],
    )
    vectors.save(folder)
    return {"reproducible": vectors.info["reproducible"], "words": len(vectors.words)}


def count_vectors(config: Config, prepared: Stage, folder: Path) -> dict[str, Any]:
    """Count word vectors on the corpus and write them."""
    from pipeline.embedding.ppmi import train_ppmi

    corpus_fingerprint = prepared.outcome["corpus"]["fingerprint"]
    vectors = train_ppmi(
        prepared.folder / CORPUS, config.ppmi, config.embedding.dim, corpus_fingerprint=corpus_fingerprint
    )
    vectors.save(folder)
    return {"reproducible": vectors.info["reproducible"], "words": len(vectors.words)}


def start_vectors(config: Config, trained: Stage | None, vocabulary: Vocabulary) -> "Vectors | None":
    """The vectors that the embedding layer starts from: trained ones, those of a file, or none."""
    from pipeline.embedding.word_vectors import Vectors

    if config.embedding.init == "random":
        return None
    if trained is not None:
        return Vectors.load(trained.folder)
    from pipeline.embedding.pretrained import read_pretrained

    assert config.embedding.path is not None
    path = Path(config.embedding.path)
    return read_pretrained(path, config.embedding.format, config.embedding.dim, vocabulary.words[SPECIALS:])
