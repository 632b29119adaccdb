"""CBOW training with gensim's Word2Vec or FastText (also skip-gram), on a corpus file of one text per line."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from gensim.models import FastText, Word2Vec
from numpy.typing import NDArray

from pipeline.config.schema import CbowConfig
from pipeline.embedding.word_vectors import Vectors
from pipeline.runtime.errors import RunError, UserError
from pipeline.runtime.log import log

WORD2VEC_PARAMETERS = (
    "vector_size", "seed", "sg", "hs", "window", "shrink_windows", "min_count", "max_vocab_size", "max_final_vocab",
    "sample", "negative", "ns_exponent", "cbow_mean", "alpha", "min_alpha", "epochs", "batch_words", "workers",
)  # fmt: skip
FASTTEXT_PARAMETERS = (*WORD2VEC_PARAMETERS, "min_n", "max_n", "bucket")
# gensim adds up the loss in float32, term by term. For one epoch of tweets the sum was 0.4 % too low at 1.8 million and
# 14 % too low at 6.3 million, so a larger sum than this is not reported.
MAX_LOSS_SUM = 2.0**21
TRAINING_WORDS = 20_000_000  # over all epochs
LOSS_EVERY = 10  # epochs


def train_cbow(
    corpus: Path, config: CbowConfig, *, extra_words: Sequence[str] = (), corpus_fingerprint: str
) -> Vectors:
    """Train word vectors on a file of one text per line, tokens separated by spaces.

    Training consists of gensim's own calls, with all parameters under gensim's names. The words come by falling count,
    then in alphabetical order. `info` records the parameters, the corpus, versions, seconds, and the mean loss per word
    of every tenth epoch and the last: its sum takes 5 % of the time, or more. The loss is None where gensim's figure is
    meaningless: with FastText, with several workers, or with a very large corpus.

    The corpus is UTF-8, uncompressed, without empty lines. With one worker the vectors are bit-reproducible on one
    machine with the same libraries. Several workers write to the same rows without locks, so with them they are not.
    With `algorithm=fasttext`, `extra_words` are composed from character n-grams where training did not see them often
    enough; they get count 0. word2vec cannot compose words and ignores them.

    Raises UserError where fewer than two words are frequent enough or subsampling leaves no token, and RunError where
    the vectors are not finite.
    """
    fasttext = config.algorithm == "fasttext"
    names = FASTTEXT_PARAMETERS if fasttext else WORD2VEC_PARAMETERS
    parameters: dict[str, Any] = {name: getattr(config, name) for name in names}
    parameters["epochs"] = config.epochs or 1  # replaced below, when the size of the corpus is known
    start = time.perf_counter()
    with _silent_gensim():
        model = FastText(**parameters) if fasttext else Word2Vec(**parameters)
        model.build_vocab(corpus_file=str(corpus), keep_raw_vocab=True)
        _check_vocabulary(model, config, corpus)
        model.epochs = parameters["epochs"] = config.epochs or epochs_for(model.corpus_total_words)
        progress = _Progress(with_loss=not fasttext and config.workers == 1)
        trained_words, _ = model.train(
            corpus_file=str(corpus),
            total_examples=model.corpus_count,
            total_words=model.corpus_total_words,
            epochs=model.epochs,
            start_alpha=model.alpha,
            end_alpha=model.min_alpha,
            compute_loss=progress.with_loss,
            callbacks=[progress],
        )
        if not trained_words:
            raise UserError(f"cbow.sample={config.sample} left none of {model.corpus_total_words} tokens: raise it")
        words, counts, matrix = _sorted_vectors(model, extra_words if fasttext else ())
    if not np.isfinite(matrix).all():
        raise RunError(f"CBOW training gave vectors that are not finite: lower cbow.alpha={config.alpha}")
    # Gensim's step on a context vector, relative to the gradient of the loss (İrsoy et al. 2021, arXiv 2012.15332).
    factor = f" {'times' if config.cbow_mean else 'divided by'} the number of context vectors"
    info = {
        "algorithm": config.algorithm,
        "knobs": parameters,
        "reproducible": config.workers == 1,
        "context_step": "the gradient" + ("" if config.sg else factor),
        "corpus": {"fingerprint": corpus_fingerprint, "lines": model.corpus_count, "tokens": model.corpus_total_words},
        "words": len(model.wv),
        "composed_words": len(words) - len(model.wv),
        "trained_words": trained_words,
        "loss_per_word": progress.losses,
        "versions": {name: metadata.version(name) for name in ("gensim", "numpy", "scipy")},
        "seconds": round(time.perf_counter() - start, 3),
    }
    return Vectors(words, counts, matrix, info)


def epochs_for(tokens: int) -> int:
    """The number of epochs for a corpus when `cbow.epochs` is null: 20 million words in all, within 20 to 100 epochs.

    Measured on tweets (docs/cbow-defaults.md): 0.1 M tokens need 100 epochs, 1 M need 20. After fewer epochs the
    vectors of all words are similar.
    """
    return min(max(TRAINING_WORDS // max(tokens, 1), 20), 100)


class _Progress:
    """Callback of gensim that logs one line per epoch and collects the loss."""

    def __init__(self, *, with_loss: bool) -> None:
        self.with_loss = with_loss
        self.losses: list[float | None] = []
        self.epoch = 0

    def on_train_begin(self, model: Any) -> None:
        kept_share = model.wv.expandos["sample_int"] / 2.0**32  # of each word's occurrences, after subsampling
        self.words_per_epoch = float(model.wv.expandos["count"] @ kept_share)
        self.start = time.perf_counter()
        reproducible = "one worker: bit-reproducible"
        if model.workers > 1:
            reproducible = f"{model.workers} workers: faster, not bit-reproducible (cbow.workers=1 is)"
        log.info(
            f"cbow: {model.epochs} epochs of {model.corpus_total_words:,} tokens, {len(model.wv):,} words seen "
            f"{model.effective_min_count} times or more, {model.vector_size} dimensions; {reproducible}"
        )

    def on_epoch_begin(self, model: Any) -> None:
        last = self.epoch == model.epochs - 1
        model.compute_loss = self.with_loss and (last or self.epoch % LOSS_EVERY == 0)
        model.running_training_loss = 0.0

    def on_epoch_end(self, model: Any) -> None:
        self.epoch += 1
        per_epoch = (time.perf_counter() - self.start) / self.epoch
        loss = ""
        if self.with_loss:
            total = float(model.running_training_loss)
            valid = model.compute_loss and total <= MAX_LOSS_SUM
            self.losses.append(total / self.words_per_epoch if valid else None)
            loss = f", loss {self.losses[-1]:.3f} per word" if self.losses[-1] is not None else ""
        log.info(
            f"cbow: epoch {self.epoch}/{model.epochs}, {model.corpus_total_words / per_epoch:,.0f} words/s, "
            f"{(model.epochs - self.epoch) * per_epoch:.0f} s left{loss}"
        )

    def on_train_end(self, model: Any) -> None:
        pass


def _check_vocabulary(model: Any, config: CbowConfig, corpus: Path) -> None:
    """Refuse a corpus with fewer than two words that are frequent enough; then free the counts of all words."""
    if not model.corpus_total_words:
        raise UserError(f"{corpus}: no tokens for CBOW to read; is the training text empty?")
    if len(model.wv) < 2:
        min_count = model.effective_min_count
        largest = max(model.raw_vocab.values(), default=0)
        reason = f"cbow.min_count={config.min_count}"
        if min_count > config.min_count:
            reason += f", raised to {min_count} by cbow.max_final_vocab={config.max_final_vocab}"
        raise UserError(
            f"CBOW needs two words, but {len(model.wv)} of the {len(model.raw_vocab)} words in"
            f" {model.corpus_total_words} tokens reach {reason}; the most frequent one has {largest}:"
            " lower cbow.min_count or give more text"
        )
    model.raw_vocab = {}


def _sorted_vectors(model: Any, extra_words: Sequence[str]) -> tuple[list[str], NDArray[np.int64], NDArray[np.float32]]:
    """Words, counts and vectors by falling count, then alphabetically; then the composed `extra_words` with count 0."""
    trained: list[str] = model.wv.index_to_key
    trained_counts = model.wv.expandos["count"]
    order = sorted(range(len(trained)), key=lambda row: (-trained_counts[row], trained[row]))
    words = [trained[row] for row in order]
    composed: dict[str, NDArray[np.float32]] = {}
    if getattr(model.wv, "bucket", 0):
        for word in sorted(set(extra_words) - set(trained)):
            vector = model.wv.get_vector(word)
            if vector.any():  # gensim returns zeros for a word that is too short for any n-gram
                composed[word] = vector
    counts = np.concatenate([trained_counts[order], np.zeros(len(composed))]).astype(np.int64)
    matrix = np.concatenate([model.wv.vectors[order], *(vector[None] for vector in composed.values())])
    return [*words, *composed], counts, matrix.astype(np.float32, copy=False)


@contextmanager
def _silent_gensim() -> Iterator[None]:
    """Let only gensim's errors through: `_Progress` logs the progress."""
    logger = logging.getLogger("gensim")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
