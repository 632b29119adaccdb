"""The compact predictor on one core, from raw text to label and probabilities, compared with fastText's predict.

fastText is trained on the same tweets with the same dimensions. It splits its text at spaces, so NLTK's TweetTokenizer
tokenizes for it. The tokens are the same except literal escapes, which the project also decodes.
Each round is a new process; rates are tweets per CPU-second of its only busy thread. Both label new texts (at first
with an empty cache of words and fresh memory pages), the same texts again, and then other new texts. The predictor
caches nothing about texts when it is created.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from measure import Figure, Scale
from tweets import LABEL, Labelled, encode, fasttext_accuracy, finished, labelled, unlabelled, write_fasttext

from pipeline.classifier.engine import Run, train_batch
from pipeline.config.compose import compose
from pipeline.config.schema import Config
from pipeline.embedding.initial_matrix import initial_matrix
from pipeline.prediction.score_table import compact_predictor
from pipeline.prediction.trained_model import TrainedModel
from pipeline.runtime.log import log
from pipeline.text.presets import build_tokenizer

SECTION, UNIT = "Prediction", "tweets/CPU-second"
KINDS = {
    "cold": "new texts, in a new process",
    "repeated": "the same texts again",
    "warm": "other new texts, in the same process",
}


def figures(scale: Scale) -> Iterator[Figure]:
    """Tweets per CPU-second of both, cold and warm; and of fastText without the tokenizer."""
    rows, text_count, rounds = (2_000, 1_000, 1) if scale.quick else (45_000, 20_000, 5)
    data = labelled(scale, rows)
    train = rows - rows // 9
    settings = "text.handles=keep", "text.links=keep", "train.max_epochs=5", "train.device=cpu"
    config = compose(["embedding=random_trainable", *settings])
    trained, accuracy = _train(data, train, config)
    fasttext, their_accuracy = _train_fasttext(data, train, config, scale.folder / "fasttext")
    texts, source = unlabelled(scale, 3 * text_count)
    lines = [" ".join(text.split()) for text in texts]
    rates: list[dict[str, float]] = []
    for number in range(rounds):
        log.info("%s: round %d of %d", SECTION, number + 1, rounds)
        rates.append(_measure_in_process(trained, fasttext, lines))
    note = (
        f"{text_count:,} texts ({source}); both trained on {train:,} of {data.note} with {config.embedding.dim} "
        f"dimensions, {len(trained.words):,} words; accuracy on {rows - train:,} others: ours {accuracy:.3f}, "
        f"fastText {their_accuracy:.3f}"
    )
    columns = {name: tuple(row[name] for row in rates) for name in rates[0]}
    for kind, description in KINDS.items():
        yield Figure(
            SECTION, f"raw text to label, {description}", UNIT, columns[f"ours {kind}"],
            "NLTK tokens, then fastText's predict", columns[f"tokenizer and fastText {kind}"], "≥ 10 ×", note,
        )  # fmt: skip
    yield Figure(
        SECTION, "raw text to label, compared with fastText without the tokenizer", UNIT, columns["ours warm"],
        "fastText's predict on lines tokenized beforehand", columns["fastText warm"], "", f"{KINDS['warm']}; {note}",
    )  # fmt: skip


def _measure_in_process(trained: TrainedModel, fasttext: Path, texts: list[str]) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_measure, args=(trained, fasttext, texts, sender))
    child.start()
    sender.close()
    try:
        rates: dict[str, float] = receiver.recv()
        return rates
    finally:
        child.join()


def _measure(trained: TrainedModel, fasttext: Path, texts: list[str], sender: Connection) -> None:
    """Send the rates of both. Before the warm texts, ours labels another third of the texts."""
    import floret
    from threadpoolctl import threadpool_limits

    model = floret.load_model(str(fasttext))
    predictor = compact_predictor(trained)
    tokenize = _nltk()
    third = len(texts) // 3
    first, last = texts[:third], texts[2 * third :]
    rates: dict[str, float] = {}

    def ours(batch: list[str]) -> Any:
        probabilities_NC = predictor.probabilities(batch)
        return [predictor.labels[label] for label in probabilities_NC.argmax(1)], probabilities_NC.max(1)

    def tokenize_and_predict(batch: list[str]) -> Any:
        return model.predict([tokenize(text) for text in batch])

    with threadpool_limits(1):
        ours(["warm up"]), tokenize_and_predict(["warm up"])  # loads modules and patterns
        for kind, batch in (("cold", first), ("repeated", first), ("warm", last)):
            if kind == "warm":
                ours(texts[third : 2 * third])
            tokenized = [tokenize(text) for text in batch] if kind == "warm" else []
            rates[f"ours {kind}"] = _rate(ours, batch)
            rates[f"tokenizer and fastText {kind}"] = _rate(tokenize_and_predict, batch)
        rates["fastText warm"] = _rate(model.predict, tokenized)
    sender.send(rates)


def _rate(work: Callable[[list[str]], Any], texts: list[str]) -> float:
    start = time.thread_time()  # not of the process: numpy's idle threads spin for a while after their start
    work(texts)
    return len(texts) / (time.thread_time() - start)


def _nltk() -> Callable[[str], str]:
    from nltk.tokenize import TweetTokenizer

    tokenize = TweetTokenizer(preserve_case=False, reduce_len=True).tokenize
    return lambda text: " ".join(" ".join(tokenize(text)).split())


def _train(data: Labelled, train: int, config: Config) -> tuple[TrainedModel, float]:
    """Train our classifier on the first `train` tweets; returns it and its accuracy on the others."""
    tokens = list(map(build_tokenizer(config.text), data.texts))
    task, vocabulary = encode(data, tokens, train, config.text.min_count)
    initial_VD, _ = initial_matrix(vocabulary.words, None, config.embedding.dim, np.random.default_rng(config.seed))
    run = Run(initial_VD, config.embedding, np.arange(train), config.seed, config.model, config.train)
    (result,) = finished(train_batch(task, [run]))
    names = [str(label) for label in range(task.classes)]
    trained = TrainedModel(
        "benchmark", "", names, config.text, config.model, vocabulary.words, result.embedding_VE, result.layers
    )
    return trained, result.metrics["test/accuracy"]


def _train_fasttext(data: Labelled, train: int, config: Config, path: Path) -> tuple[Path, float]:
    """Train fastText on the same tweets; returns the path of its model and its accuracy."""
    import floret

    tokenize = _nltk()
    lines = [tokenize(text) for text in data.texts]
    file = path.with_suffix(".txt")
    write_fasttext(file, lines[:train], data.labels[:train])
    model = floret.train_supervised(
        input=str(file), mode="fasttext", dim=config.embedding.dim, lr=0.5, epoch=5, minCount=config.text.min_count,
        minn=0, maxn=0, bucket=0, label=LABEL, thread=1, verbose=0,
    )  # fmt: skip
    model.save_model(str(path))
    return path, fasttext_accuracy(model, lines[train:], data.labels[train:])
