"""CBOW vectors (or skip-gram, or with character n-grams) trained with gensim on a file of tokens."""

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

WORD2VEC_KNOBS = (
    "vector_size", "seed", "sg", "hs", "window", "shrink_windows", "min_count", "max_vocab_size", "max_final_vocab",
    "sample", "negative", "ns_exponent", "cbow_mean", "alpha", "min_alpha", "epochs", "batch_words", "workers",
)  # fmt: skip
FASTTEXT_KNOBS = (*WORD2VEC_KNOBS, "min_n", "max_n", "bucket")
# gensim adds the loss up in float32, one term at a time. Over one epoch of tweets the sum was 0.4 % too low at 1.8
# million and 14 % too low at 6.3 million, so a larger one than this is not reported.
LARGEST_LOSS_SUM = 2.0**21
WORDS_IN_ALL = 20_000_000
LOSS_EVERY = 10  # epochs


def train_cbow(
    corpus: Path, config: CbowConfig, *, extra_words: Sequence[str] = (), corpus_fingerprint: str
) -> Vectors:
    """Train word vectors on a file of one text per line, tokens separated by spaces.

    gensim's own calls do all the work, with every knob under gensim's name. The words come by falling count, then in
    alphabetical order. `info` records the knobs, the corpus, what was trained on, versions, seconds, and the mean loss
    per word of every tenth epoch and the last (as adding it up takes 5 % of the time, or more), where gensim's figure
    means something: word2vec, one worker, not too large a corpus; otherwise None.

    Parameters
    ----------
    corpus : UTF-8 file, uncompressed, without empty lines.
    config : the knobs. One worker makes the vectors bit-reproducible on one machine with the same libraries; more do
        not, as they write to the same rows without locks.
    extra_words : with `algorithm=fasttext`, words to compose from character n-grams where training did not see them
        often enough; they get count 0. word2vec cannot compose and ignores them.
    corpus_fingerprint : recorded in `info`.

    Raises UserError where the knobs contradict each other or the corpus leaves fewer than two words, and RunError where
    training ends with numbers that are not finite.
    """
    _check_knobs(config)
    fasttext = config.algorithm == "fasttext"
    knobs: dict[str, Any] = {name: getattr(config, name) for name in (FASTTEXT_KNOBS if fasttext else WORD2VEC_KNOBS)}
    started = time.perf_counter()
    with _quiet_gensim():
        given = knobs | {"epochs": config.epochs or 1}  # chosen below, when the size of the corpus is known
        model = FastText(**given) if fasttext else Word2Vec(**given)
        model.build_vocab(corpus_file=str(corpus), keep_raw_vocab=True)
        _check_vocabulary(model, config, corpus)
        model.epochs = knobs["epochs"] = config.epochs or epochs_for(model.corpus_total_words)
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
        words, counts, matrix = _rows(model, extra_words if fasttext else ())
    if not np.isfinite(matrix).all():
        raise RunError(f"CBOW ended with vectors that are not finite: lower cbow.alpha={config.alpha}")
    info = {
        "algorithm": config.algorithm,
        "knobs": knobs,
        "reproducible": config.workers == 1,
        "context_step": _context_step(config),
        "corpus": {
            "fingerprint": corpus_fingerprint,
            "lines": model.corpus_count,
            "tokens": model.corpus_total_words,
        },
        "words": len(model.wv),
        "composed_words": len(words) - len(model.wv),
        "trained_words": trained_words,
        "loss_per_word": progress.losses,
        "versions": {name: metadata.version(name) for name in ("gensim", "numpy", "scipy")},
        "seconds": round(time.perf_counter() - started, 3),
    }
    return Vectors(words, counts, matrix, info)


def epochs_for(tokens: int) -> int:
    """Passes over a corpus of so many tokens when `cbow.epochs` is null: 20 million words in all, 20 to 100 passes.

    Measured on tweets (docs/cbow-defaults.md): 0.1 M tokens want 100 passes, 1 M want 20; fewer leave the vectors of
    all words alike.
    """
    return min(max(WORDS_IN_ALL // max(tokens, 1), 20), 100)


class _Progress:
    """One log line per epoch; gensim calls these methods by name."""

    def __init__(self, *, with_loss: bool) -> None:
        self.with_loss = with_loss
        self.losses: list[float | None] = []
        self.epoch = 0

    def on_train_begin(self, model: Any) -> None:
        kept = model.wv.expandos["sample_int"] / 2.0**32  # what is left of each word's occurrences after `sample`
        self.words_per_epoch = float(model.wv.expandos["count"] @ kept)
        self.started = time.perf_counter()
        repeatable = "one worker: bit-reproducible"
        if model.workers > 1:
            repeatable = f"{model.workers} workers: faster, not bit-reproducible (cbow.workers=1 is)"
        log.info(
            "cbow: %d epochs of %s tokens, %s words seen %d times or more, %d dimensions; %s",
            model.epochs,
            f"{model.corpus_total_words:,}",
            f"{len(model.wv):,}",
            model.effective_min_count,
            model.vector_size,
            repeatable,
        )

    def on_epoch_begin(self, model: Any) -> None:
        last = self.epoch == model.epochs - 1
        model.compute_loss = self.with_loss and (last or self.epoch % LOSS_EVERY == 0)
        model.running_training_loss = 0.0

    def on_epoch_end(self, model: Any) -> None:
        self.epoch += 1
        per_epoch = (time.perf_counter() - self.started) / self.epoch
        loss = ""
        if self.with_loss:
            total = float(model.running_training_loss)
            told = model.compute_loss and total <= LARGEST_LOSS_SUM
            self.losses.append(total / self.words_per_epoch if told else None)
            loss = f", loss {self.losses[-1]:.3f} per word" if self.losses[-1] is not None else ""
        log.info(
            "cbow: epoch %d/%d, %s words/s, %.0f s left%s",
            self.epoch,
            model.epochs,
            f"{model.corpus_total_words / per_epoch:,.0f}",
            (model.epochs - self.epoch) * per_epoch,
            loss,
        )

    def on_train_end(self, model: Any) -> None:
        pass


def _check_knobs(config: CbowConfig) -> None:
    """Refuse what gensim would refuse less clearly, ignore, or crash on."""
    if not config.hs and not config.negative:
        raise UserError("cbow.hs=0 with cbow.negative=0 trains nothing: set one of them")
    if config.min_alpha > config.alpha:
        raise UserError(f"cbow.min_alpha={config.min_alpha} is above cbow.alpha={config.alpha}: the rate only falls")
    if config.alpha > 1:
        # gensim skips a pair whose score leaves [-6, 6]: large rates end in huge or untrained rows, not in NaN.
        raise UserError(f"cbow.alpha={config.alpha}: expected at most 1; 0.01 to 0.1 is usual")
    if config.seed >= 2**32:
        raise UserError(f"cbow.seed={config.seed}: numpy takes seeds below {2**32}")


def _check_vocabulary(model: Any, config: CbowConfig, corpus: Path) -> None:
    """Refuse a corpus of fewer than two words that are frequent enough; forget the counts of the others."""
    if not model.corpus_total_words:
        raise UserError(f"{corpus}: no tokens for CBOW to read; is the training text empty?")
    if len(model.wv) < 2:
        reaching = model.effective_min_count
        largest = max(model.raw_vocab.values(), default=0)
        reason = f"cbow.min_count={config.min_count}"
        if reaching > config.min_count:
            reason += f", raised to {reaching} by cbow.max_final_vocab={config.max_final_vocab}"
        raise UserError(
            f"CBOW needs two words, but {len(model.wv)} of the {len(model.raw_vocab)} words in"
            f" {model.corpus_total_words} tokens reach {reason}; the most frequent one has {largest}:"
            " lower cbow.min_count or give more text"
        )
    model.raw_vocab = {}


def _rows(model: Any, extra_words: Sequence[str]) -> tuple[list[str], NDArray[np.int64], NDArray[np.float32]]:
    """Words, counts and vectors by falling count, then alphabetically; `extra_words` follow, composed, with count 0."""
    trained: list[str] = model.wv.index_to_key
    seen = model.wv.expandos["count"]
    order = sorted(range(len(trained)), key=lambda row: (-seen[row], trained[row]))
    words = [trained[row] for row in order]
    composed: dict[str, NDArray[np.float32]] = {}
    if getattr(model.wv, "bucket", 0):
        for word in sorted(set(extra_words) - set(trained)):
            vector = model.wv.get_vector(word)
            if vector.any():  # gensim gives zeros for a word that is too short to have n-grams
                composed[word] = vector
    counts = np.concatenate([seen[order], np.zeros(len(composed))]).astype(np.int64)
    matrix = np.concatenate([model.wv.vectors[order], *(vector[None] for vector in composed.values())])
    return [*words, *composed], counts, matrix.astype(np.float32, copy=False)


def _context_step(config: CbowConfig) -> str:
    """How gensim's step on one context vector relates to the loss's gradient (İrsoy et al. 2021, arXiv 2012.15332)."""
    if config.sg:
        return "the gradient"
    if config.cbow_mean:
        return "the gradient times the number of context vectors"
    return "the gradient divided by the number of context vectors"


@contextmanager
def _quiet_gensim() -> Iterator[None]:
    """Let only gensim's errors through: its progress is told by ours."""
    logger = logging.getLogger("gensim")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
