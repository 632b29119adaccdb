"""The stages `cbow` and `ppmi`: word vectors of the corpus, by CBOW training or by co-occurrence counts."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config.schema import SPECIALS, Config
from pipeline.runtime.cached_folder import Stage
from pipeline.stages.cache_keys import LIBRARIES, code_key
from pipeline.stages.cached import cached_stage

if TYPE_CHECKING:
    from pipeline.embedding.word_vectors import Vectors

CODE = ("stages/vectors.py", "embedding/word_vectors.py")


def vectors(config: Config, prepared: Stage) -> dict[str, Stage]:
    """The word vectors that the embedding layer starts from, by init, where the project makes them."""
    return {init: MAKERS[init](config, prepared) for init in config.embedding.inits if init in MAKERS}


def cbow(config: Config, prepared: Stage) -> Stage:
    """Train word vectors on the corpus; runs of one seed share them."""
    settings = dataclasses.asdict(config.cbow)
    for name in ("use_unlabelled", "extra_text", "extra_encoding"):
        del settings[name]
    # fastText composes vectors for the vocabulary's words, so there the vocabulary counts as well.
    vocabulary_key = prepared.key if config.cbow.algorithm == "fasttext" else None

    def train(corpus: Path, fingerprint: str) -> "Vectors":
        from pipeline.embedding.cbow import train_cbow
        from pipeline.text.vocabulary import VOCABULARY, Vocabulary

        words = Vocabulary.load(prepared.folder / VOCABULARY).words[SPECIALS:]
        return train_cbow(corpus, config.cbow, extra_words=words, corpus_fingerprint=fingerprint)

    return _vectors_stage(config, prepared, "cbow", {"vocabulary": vocabulary_key, "cbow": settings}, train)


def ppmi(config: Config, prepared: Stage) -> Stage:
    """Count word vectors on the same corpus; no seed plays a part."""

    def count(corpus: Path, fingerprint: str) -> "Vectors":
        from pipeline.embedding.ppmi import train_ppmi

        return train_ppmi(corpus, config.ppmi, config.embedding.dim, corpus_fingerprint=fingerprint)

    settings = {"ppmi": dataclasses.asdict(config.ppmi), "dim": config.embedding.dim}
    return _vectors_stage(config, prepared, "ppmi", settings, count)


# The stage of each init that needs one.
MAKERS: dict[str, Callable[[Config, Stage], Stage]] = {"cbow": cbow, "ppmi": ppmi}


def _vectors_stage(
    config: Config, prepared: Stage, name: str, settings: Mapping[str, Any], make: "Callable[[Path, str], Vectors]"
) -> Stage:
    """The stage `name`, in which `make` makes vectors from the corpus and its fingerprint."""
    fingerprint = prepared.outcome["corpus"]["fingerprint"]
    code = code_key((*CODE, f"embedding/{name}.py"), LIBRARIES[name])

    def work(folder: Path) -> dict[str, Any]:
        from pipeline.text.corpus import CORPUS

        vectors = make(prepared.folder / CORPUS, fingerprint)
        vectors.save(folder)
        return {"reproducible": vectors.info["reproducible"], "words": len(vectors.words)}

    return cached_stage(config, name, {"corpus": fingerprint, **settings, "code": code}, work)
