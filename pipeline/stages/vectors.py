"""The stages `cbow` and `ppmi`: word vectors trained or counted on the corpus."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config.schema import SPECIALS, Config
from pipeline.runtime.cached_folder import Stage
from pipeline.stages.cache_keys import LIBRARIES, code_key
from pipeline.stages.cached import cached_stage

CODE = ("stages/vectors.py", "embedding/word_vectors.py")


def vectors(config: Config, prepared: Stage) -> Stage | None:
    """The word vectors that the variant starts from, where the project makes them."""
    makers = {"cbow": cbow, "ppmi": ppmi}
    return makers[config.embedding.init](config, prepared) if config.embedding.init in makers else None


def cbow(config: Config, prepared: Stage) -> Stage:
    """Train word vectors on the corpus; runs of one seed share them."""
    settings = dataclasses.asdict(config.cbow)
    for name in ("use_unlabelled", "extra_text"):
        del settings[name]
    key = {
        "corpus": prepared.outcome["corpus"]["fingerprint"],
        # fastText composes vectors for the vocabulary's words, so there the vocabulary counts as well.
        "vocabulary": prepared.key if config.cbow.algorithm == "fasttext" else None,
        "cbow": settings,
        "code": code_key((*CODE, "embedding/cbow.py"), LIBRARIES["cbow"]),
    }
    return cached_stage(config, "cbow", key, partial(train_vectors, config, prepared))


def ppmi(config: Config, prepared: Stage) -> Stage:
    """Count word vectors on the same corpus; no seed plays a part."""
    key = {
        "corpus": prepared.outcome["corpus"]["fingerprint"],
        "ppmi": dataclasses.asdict(config.ppmi),
        "dim": config.embedding.dim,
        "code": code_key((*CODE, "embedding/ppmi.py"), LIBRARIES["ppmi"]),
    }
    return cached_stage(config, "ppmi", key, partial(count_vectors, config, prepared))


def train_vectors(config: Config, prepared: Stage, folder: Path) -> dict[str, Any]:
    """Train word vectors on the corpus and write them."""
    from pipeline.embedding.cbow import train_cbow
    from pipeline.text.corpus import CORPUS
    from pipeline.text.vocabulary import VOCABULARY, Vocabulary

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
    from pipeline.text.corpus import CORPUS

    corpus_fingerprint = prepared.outcome["corpus"]["fingerprint"]
    vectors = train_ppmi(
        prepared.folder / CORPUS, config.ppmi, config.embedding.dim, corpus_fingerprint=corpus_fingerprint
    )
    vectors.save(folder)
    return {"reproducible": vectors.info["reproducible"], "words": len(vectors.words)}
