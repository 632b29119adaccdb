"""The stages `cbow`, `ppmi` and `distilled`: word vectors of the corpus, or from another model."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config.schema import SELECTION, SPECIALS, Config
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.files import fingerprint
from pipeline.stages.cache_keys import LIBRARIES, code_key, files_fingerprint
from pipeline.stages.cached import cached_stage
from pipeline.stages.corpus_selection import selected_corpus, selection_key

if TYPE_CHECKING:
    from pipeline.embedding.word_vectors import Vectors

CODE = ("stages/vectors.py", "embedding/word_vectors.py")


def vectors(config: Config, prepared: Stage) -> dict[str, Stage]:
    """The word vectors that the embedding layer starts from, by init, where the project makes them."""
    return {init: MAKERS[init](config, prepared) for init in config.embedding.inits if init in MAKERS}


def cbow(config: Config, prepared: Stage) -> Stage:
    """Train word vectors on the corpus; runs of one seed share them."""
    settings = dataclasses.asdict(config.cbow)
    for name in ("use_unlabelled", "extra_text", "extra_encoding", *SELECTION):
        del settings[name]
    # fastText composes vectors for the vocabulary's words, so there the vocabulary counts as well.
    vocabulary_key = prepared.key if config.cbow.algorithm == "fasttext" else None

    def train(corpus: Path, fingerprint: str) -> "Vectors":
        from pipeline.embedding.cbow import train_cbow
        from pipeline.text.vocabulary import VOCABULARY, Vocabulary

        words = Vocabulary.load(prepared.folder / VOCABULARY).words[SPECIALS:]
        return train_cbow(corpus, config.cbow, extra_words=words, corpus_fingerprint=fingerprint)

    return _corpus_stage(config, prepared, "cbow", {"vocabulary": vocabulary_key, "cbow": settings}, train)


def ppmi(config: Config, prepared: Stage) -> Stage:
    """Count word vectors on the same corpus; no seed plays a part."""

    def count(corpus: Path, fingerprint: str) -> "Vectors":
        from pipeline.embedding.ppmi import train_ppmi

        return train_ppmi(corpus, config.ppmi, config.embedding.dim, corpus_fingerprint=fingerprint)

    settings = {"ppmi": dataclasses.asdict(config.ppmi), "dim": config.embedding.dim}
    return _corpus_stage(config, prepared, "ppmi", settings, count)


def distilled(config: Config, prepared: Stage) -> Stage:
    """Distill vectors of the vocabulary's words from a sentence transformer; no seed plays a part."""
    from pipeline.text.vocabulary import VOCABULARY, Vocabulary

    settings, file = dataclasses.asdict(config.distill), prepared.folder / VOCABULARY
    if Path(config.distill.model).is_dir():  # its contents count, neither their location nor a revision
        settings |= {"model": files_fingerprint(config, [Path(config.distill.model)]), "revision": None}

    def make(_: Path) -> "Vectors":
        from pipeline.embedding.distilled import distill

        vocabulary = Vocabulary.load(file)
        words, counts = vocabulary.words[SPECIALS:], vocabulary.counts[SPECIALS:]
        return distill(words, counts, config.distill, config.embedding.dim, threads=config.workers)

    key = {"vocabulary": files_fingerprint(config, [file]), "distill": settings, "dim": config.embedding.dim}
    return _vectors_stage(config, "distilled", key, make)


# The stage of each init that needs one.
MAKERS: dict[str, Callable[[Config, Stage], Stage]] = {"cbow": cbow, "ppmi": ppmi, "distilled": distilled}


def _corpus_stage(
    config: Config, prepared: Stage, name: str, settings: Mapping[str, Any], make: "Callable[[Path, str], Vectors]"
) -> Stage:
    """The stage `name`, in which `make` makes vectors from the part of the corpus to read and its fingerprint."""
    corpus, selection = prepared.outcome["corpus"]["fingerprint"], selection_key(config, prepared)

    def make_from_part(folder: Path) -> "Vectors":
        with selected_corpus(config, prepared, folder) as (file, facts):
            vectors = make(file, fingerprint([corpus, selection]) if selection else corpus)
        vectors.info["corpus"] |= facts
        return vectors

    return _vectors_stage(config, name, {"corpus": corpus, **selection, **settings}, make_from_part)


def _vectors_stage(config: Config, name: str, key: Mapping[str, Any], make: "Callable[[Path], Vectors]") -> Stage:
    """The stage `name`, in which `make` makes vectors, given its folder; `key` determines them, their code aside."""

    def work(folder: Path) -> dict[str, Any]:
        vectors = make(folder)
        vectors.save(folder)
        commit = {"commit": vectors.info["commit"]} if "commit" in vectors.info else {}
        return {"reproducible": vectors.info["reproducible"], "words": len(vectors.words), **commit}

    code = code_key((*CODE, f"embedding/{name}.py"), LIBRARIES[name])
    return cached_stage(config, name, {**key, "code": code}, work)
