"""CBOW by the project and by a bare call of gensim, with the same knobs on the same corpus file.

Both sides are the whole call: the vocabulary counted, then trained; words per second are the tokens of the file times
the passes, over wall seconds. The project adds the log, the loss of each epoch (one worker), the order of rows, checks.
"""

import logging
import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from gensim.models import Word2Vec
from measure import Figure, Scale, versus
from tweets import unlabelled, write_corpus

from pipeline.config.compose import compose
from pipeline.config.schema import CbowConfig
from pipeline.embedding.cbow import WORD2VEC_PARAMETERS, train_cbow
from pipeline.text.presets import build_tokenizer

PASSES = 20  # the fewest that the project makes by itself
SHARE = 5  # one of so many tweets is trained on, so many times over, where words per second are measured
TIMES = 8  # how much longer the long corpus is whose peak memory is compared


def figures(scale: Scale) -> Iterator[Figure]:
    """Words per second on one worker and on all cores, beside gensim and fastText; memory for two corpus sizes."""
    config = compose([])
    texts, note = unlabelled(scale, 4_000 if scale.quick else 100_000)
    tweets = list(map(build_tokenizer(config.text), texts))
    corpus, whole = scale.folder / "corpus.txt", scale.folder / "whole.txt"
    lines, tokens = write_corpus(corpus, tweets[: len(tweets) // SHARE])
    write_corpus(whole, tweets)
    settings = replace(config.cbow, epochs=2 if scale.quick else PASSES)
    logging.getLogger("gensim").setLevel(logging.ERROR)
    rounds = 1 if scale.quick else 9
    about = (
        f"{note}; {lines:,} lines, {tokens:,} tokens, {settings.epochs} passes, {settings.vector_size} "
        f"dimensions, window {settings.window}, {settings.negative} noise words"
    )
    for workers in sorted({1, scale.cores}):
        knobs = replace(settings, workers=workers)
        what = f"words trained per second, {workers} worker{'s' if workers > 1 else ''}"
        ours = _rate(partial(_ours, corpus, knobs), tokens, knobs)
        gensim = _rate(partial(_gensim, corpus, knobs), tokens, knobs)
        yield versus(
            "CBOW", what, "words/second", ours, "gensim Word2Vec(corpus_file=…)", gensim,
            rounds=rounds, target="≥ 0.97 ×", note=about,
        )  # fmt: skip
        fasttext = _rate(partial(_fasttext, corpus, knobs), tokens, knobs)
        yield versus(
            "CBOW", what, "words/second", ours, "fastText cbow (floret)", fasttext,
            rounds=min(rounds, 3), target="", note=f"{about}; fastText without subwords",
        )  # fmt: skip
    longer = scale.folder / "longer.txt"
    with longer.open("wb") as out:
        for _ in range(TIMES):
            with whole.open("rb") as part:
                shutil.copyfileobj(part, out)
    # Every word counts, so both sides have equal words, and a difference in memory is text that was held.
    knobs = replace(settings, epochs=1, workers=scale.cores, vector_size=20, min_count=1)
    yield versus(
        "CBOW", f"peak memory on a corpus {TIMES} times as long", "MiB", lambda: _peak_mib(longer, knobs),
        "ours on the corpus itself", lambda: _peak_mib(whole, knobs), rounds=1, target="≤ 1.05 ×",
        note=f"a process of its own for each; corpus files of {whole.stat().st_size / 2**20:.1f} and "
        f"{longer.stat().st_size / 2**20:.1f} MiB with the same words; one pass",
    )  # fmt: skip


def _rate(train: Callable[[], None], tokens: int, config: CbowConfig) -> Callable[[], float]:
    def words_per_second() -> float:
        began = time.perf_counter()
        train()
        return tokens * (config.epochs or 1) / (time.perf_counter() - began)

    return words_per_second


def _ours(corpus: Path, config: CbowConfig) -> None:
    train_cbow(corpus, config, corpus_fingerprint="")


def _gensim(corpus: Path, config: CbowConfig) -> None:
    Word2Vec(corpus_file=str(corpus), **{name: getattr(config, name) for name in WORD2VEC_PARAMETERS})


def _fasttext(corpus: Path, config: CbowConfig) -> None:
    import floret

    floret.train_unsupervised(
        input=str(corpus), model="cbow", mode="fasttext", lr=config.alpha, dim=config.vector_size, ws=config.window,
        epoch=config.epochs, minCount=config.min_count, minn=0, maxn=0, neg=config.negative, t=config.sample,
        thread=config.workers, verbose=0,
    )  # fmt: skip


def _peak_mib(corpus: Path, config: CbowConfig) -> float:
    """Peak memory of a process that trains on a corpus."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_report_peak, args=(corpus, config, theirs))
    child.start()
    theirs.close()
    try:
        return float(ours.recv())
    finally:
        child.join()


def _report_peak(corpus: Path, config: CbowConfig, line: multiprocessing.connection.Connection) -> None:
    train_cbow(corpus, config, corpus_fingerprint="")
    # Not getrusage, which would also count the memory of the process that this one was started from.
    status = Path("/proc/self/status").read_text("utf-8")
    (kib,) = (row.split()[1] for row in status.splitlines() if row.startswith("VmHWM:"))
    line.send(int(kib) / 1024)
