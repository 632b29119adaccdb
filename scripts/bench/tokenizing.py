"""Text to token ids by the project and by NLTK's `TweetTokenizer` with a dictionary, on the same texts.

Both sides start without a memory of any text. Ids are held to be the same ones, token by token, after the first round.
Escapes and entities are undone before NLTK gets its texts, outside the time; the project does that within its own. The
workers' time includes their start.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from measure import Figure, Scale, versus
from nltk.tokenize import TweetTokenizer
from tweets import unlabelled

from pipeline.config.compose import compose
from pipeline.config.schema import TextConfig
from pipeline.data.arrow import in_batches
from pipeline.data.text_lines import text_lines
from pipeline.text.batch_encoder import BatchEncoder
from pipeline.text.clean import clean
from pipeline.text.corpus import CorpusWriter
from pipeline.text.parallel_tokenize import MIN_POOL_TEXTS, WordCounter, WordIds, tokenize_batches
from pipeline.text.presets import build_tokenizer

SECTION = "Tokenizing"
NOTES = """
The hottest path of `prepare`, before (commit c2b609a) and after, by `python -m cProfile -s tottime -m pipeline
stage=prepare data=tweet_eval cbow.extra_text=unlabelled.txt.gz workers=1` (45,615 + 419,159 tweets); seconds within the
function, which cProfile makes about twice as long. Outcomes are byte-equal.

| before: 69.8 s in all | s | after: 16.6 s in all | s |
| --- | --- | --- | --- |
| regex `findall` | 8.4 | look-ups of chunks in the table | 2.7 |
| `tokenize` | 8.0 | `str.split`, of whole slices | 0.8 |
| `_words`, per token | 5.1 | `str.join`, of whole slices | 0.45 |
| `re.sub` | 4.3 | `findall`, of chunks that are not easy | 0.36 |
| `_tokenize_chunk` | 3.0 | lines of the file | 0.35 |
| `Counter.update` | 2.4 | keys of held-out texts | 0.35 |
| `re.search` | 2.0 | `re.sub` | 0.3 |
"""
BATCH = 10_000
LESS = 10  # how much shorter the file is that memory is compared with


def figures(scale: Scale) -> Iterator[Figure]:
    """Texts per CPU second beside NLTK, seconds on one core and on all, and memory for two lengths of a file."""
    text = compose([]).text
    source, note = unlabelled(scale, 3_000 if scale.quick else 10**6)
    texts = list(source)
    cleaned = [clean(line) for line in texts]
    rounds = 1 if scale.quick else 3
    like_nltk = replace(text, handles="keep", links="keep", emoticons="keep", max_tokens=None)
    check_equal(cleaned, like_nltk)
    for name, config in (("NLTK's tokens", like_nltk), ("the default preset: handles and links masked", text)):
        yield versus(
            SECTION, f"text to ids, {len(texts):,} tweets, one core, {name}", "tweets/CPU-second",
            rate(partial(encoded, texts, config), len(texts)), "NLTK TweetTokenizer + dict",
            rate(lambda: encoded_by_nltk(cleaned[::4]), len(cleaned[::4])), rounds=rounds, target="≥ 5 ×",
            note=f"{note}; equal tokens on all of them; NLTK's rate is that of every fourth",
        )  # fmt: skip
    if scale.cores > 1:
        rows = MIN_POOL_TEXTS + BATCH if scale.quick else 2 * 10**6
        long = scale.folder / "long.txt"
        with long.open("w", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in generated(texts, rows))
        yield versus(
            SECTION, f"a file of {rows:,} tweets to ids, {scale.cores} cores", "seconds",
            lambda: seconds(long, text, scale.cores), "one core, divided by their number",
            lambda: seconds(long, text, 1) / scale.cores, rounds=1 if scale.quick else 2, target="≤ 1.25 ×",
            note="wall time; words of real tweets, shuffled" if scale.data else "wall time; words shuffled",
        )  # fmt: skip
        part = rows // scale.cores
        yield versus(
            SECTION, f"{part:,} of these tweets by each of {scale.cores} processes that share nothing", "seconds",
            lambda: seconds_apart(long, text, scale.cores, part), "one process alone",
            lambda: seconds(long, text, 1, part), rounds=1 if scale.quick else 2, target="",
            note="wall time without the processes' start; what memory and caches leave possible",
        )  # fmt: skip
    rows = 100_000 if scale.quick else 10**7
    words = texts[:20_000]
    yield versus(
        SECTION, f"peak memory, {rows:,} tweets to a corpus and its counts", "MiB", lambda: peak_mib(words, rows, text),
        f"the same with {rows // LESS:,}", lambda: peak_mib(words, rows // LESS, text), rounds=1, target="≤ 1.1 ×",
        note="a process of its own for each; one core; tweets made of the same words as they are read",
    )  # fmt: skip


def encoded(texts: list[str], config: TextConfig) -> tuple[np.ndarray, list[str]]:
    """Ids of all tokens, and the words by id."""
    words = WordIds()
    encoder = BatchEncoder(build_tokenizer(config), words.__getitem__)
    return np.concatenate([encoder.encode(batch)[0] for batch in in_batches(texts, BATCH)]), words.words


def encoded_by_nltk(texts: list[str]) -> tuple[np.ndarray, list[str]]:
    """The same by NLTK, as most people would write it."""
    tokenizer = TweetTokenizer(preserve_case=False, reduce_len=True)
    id_of: dict[str, int] = {}
    ids = [id_of.setdefault(token, len(id_of)) for text in texts for token in tokenizer.tokenize(text)]
    return np.array(ids, np.int32), list(id_of)


def check_equal(texts: list[str], config: TextConfig) -> None:
    """Raise ValueError unless both sides find the same tokens; ours write `_` for white space within a token."""
    ids, words = encoded(texts, config)
    peer_ids, peer_words = encoded_by_nltk(texts)
    place = {word: id for id, word in enumerate(words)}
    known = np.array([place.get("_".join(word.split()), -1) for word in peer_words])
    stored = np.array([bool(word.split()) for word in peer_words])
    if not np.array_equal(known[peer_ids[stored[peer_ids]]], ids):
        raise ValueError("the project's tokens are not NLTK's")


def rate(encode: Callable[[], object], texts: int) -> Callable[[], float]:
    """Texts per second of this process's CPU time."""

    def texts_per_second() -> float:
        began = time.process_time()
        encode()
        return texts / (time.process_time() - began)

    return texts_per_second


def generated(texts: list[str], rows: int) -> Iterator[str]:
    """`rows` lines of 14 words drawn from those of `texts`, as frequent as there."""
    words = np.array([word for text in texts for word in text.split()], object)
    draw = np.random.default_rng(0)
    for start in range(0, rows, BATCH):
        for line in words[draw.integers(len(words), size=(min(BATCH, rows - start), 14))].tolist():
            yield " ".join(line)


def seconds(path: Path, config: TextConfig, workers: int, rows: int | None = None) -> float:
    """Wall time from the lines of a file, or the first `rows` of them, to the ids of their tokens."""
    counter = WordCounter()
    began = time.perf_counter()
    lines = islice(text_lines(path), rows)
    for tokens in tokenize_batches(in_batches(lines, BATCH), build_tokenizer(config), workers):
        counter.add(tokens)
    return time.perf_counter() - began


def seconds_apart(path: Path, config: TextConfig, processes: int, rows: int) -> float:
    """The longest `seconds` of processes that each do the same by themselves at the same time."""
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        return max(pool.map(seconds, *zip(*[(path, config, 1, rows)] * processes, strict=True)))


def peak_mib(texts: list[str], rows: int, config: TextConfig) -> float:
    """Peak memory of a process that writes a corpus of generated tweets and counts its words."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_report_peak, args=(texts, rows, config, theirs))
    child.start()
    theirs.close()
    try:
        return float(ours.recv())
    finally:
        child.join()


def _report_peak(texts: list[str], rows: int, config: TextConfig, line: multiprocessing.connection.Connection) -> None:
    counter = WordCounter()
    with CorpusWriter(Path("/dev/null")) as corpus:
        batches = in_batches(generated(texts, rows), BATCH)
        for tokens in tokenize_batches(batches, build_tokenizer(config), 1, with_lines=True):
            corpus.write(tokens)
            counter.add(tokens)
    # Not getrusage, which would also count the memory of the process that this one was started from.
    status = Path("/proc/self/status").read_text("utf-8")
    (kib,) = (row.split()[1] for row in status.splitlines() if row.startswith("VmHWM:"))
    line.send(int(kib) / 1024)
