"""The compact predictor on one core, from raw text to label and probabilities, beside fastText's predict.

fastText is trained on the same tweets with the same dimensions and splits its text at spaces, so its job begins with
NLTK's TweetTokenizer, joined by spaces: the tokens are the same but for literal escapes, which the project also undoes.
Each round is a new process, and rates are tweets per CPU-second of its one working thread. In it both sides label texts
that a cold process has not seen (its table of words is empty, and fresh memory pages count), the same texts once more,
and new texts after that. Nothing is learned about texts when the predictor is made.
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
    "cold": "texts not seen before, by a new process",
    "seen": "the same texts again",
    "warm": "other texts not seen before, by the same process",
}


def figures(scale: Scale) -> Iterator[Figure]:
    """Tweets per CPU-second of both, cold and warm; and fastText's share of its job alone."""
    rows, asked, rounds = (2_000, 1_000, 1) if scale.quick else (45_000, 20_000, 5)
    data = labelled(scale, rows)
    train = rows - rows // 9
    settings = "text.handles=keep", "text.links=keep", "train.max_epochs=5", "train.device=cpu"
    config = compose(["embedding=random_trainable", *settings])
    trained, accuracy = _train(data, train, config)
    fasttext, peers_accuracy = _train_fasttext(data, train, config, scale.folder / "fasttext")
    texts, origin = unlabelled(scale, 3 * asked)
    lines = [" ".join(text.split()) for text in texts]
    found: list[dict[str, float]] = []
    for number in range(rounds):
        log.info("%s: round %d of %d", SECTION, number + 1, rounds)
        found.append(_in_a_process(trained, fasttext, lines))
    note = (
        f"{asked:,} texts ({origin}); both trained on {train:,} of {data.note} with {config.embedding.dim} "
        f"dimensions, {len(trained.words):,} words; accuracy on {rows - train:,} others: ours {accuracy:.3f}, "
        f"fastText {peers_accuracy:.3f}"
    )
    columns = {name: tuple(row[name] for row in found) for name in found[0]}
    for kind, what in KINDS.items():
        yield Figure(
            SECTION, f"raw text to label, {what}", UNIT, columns[f"ours {kind}"],
            "NLTK tokens, then fastText's predict", columns[f"whole {kind}"], "≥ 10 ×", note,
        )  # fmt: skip
    yield Figure(
        SECTION, "raw text to label, beside fastText's share of the job alone", UNIT, columns["ours warm"],
        "fastText's predict on lines tokenized beforehand", columns["share warm"], "", f"{KINDS['warm']}; {note}",
    )  # fmt: skip


def _in_a_process(trained: TrainedModel, fasttext: Path, texts: list[str]) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_rates, args=(trained, fasttext, texts, theirs))
    child.start()
    theirs.close()
    try:
        found: dict[str, float] = ours.recv()
        return found
    finally:
        child.join()


def _rates(trained: TrainedModel, fasttext: Path, texts: list[str], line: Connection) -> None:
    """Rates of both sides; between the cold and the warm texts each side has seen twice as many."""
    import floret
    from threadpoolctl import threadpool_limits

    model = floret.load_model(str(fasttext))
    predictor = compact_predictor(trained)
    tokenize = _nltk()
    third = len(texts) // 3
    first, last = texts[:third], texts[2 * third :]
    found: dict[str, float] = {}

    def ours(part: list[str]) -> Any:
        probabilities_NC = predictor.probabilities(part)
        return [predictor.labels[label] for label in probabilities_NC.argmax(1)], probabilities_NC.max(1)

    def whole(part: list[str]) -> Any:
        return model.predict([tokenize(text) for text in part])

    with threadpool_limits(1):
        ours(["warm up"]), whole(["warm up"])  # modules and patterns loaded, no words known
        for kind, part in (("cold", first), ("seen", first), ("warm", last)):
            if kind == "warm":
                ours(texts[third : 2 * third])
            tokenized = [tokenize(text) for text in part] if kind == "warm" else []
            found[f"ours {kind}"] = _rate(ours, part)
            found[f"whole {kind}"] = _rate(whole, part)
        found["share warm"] = _rate(model.predict, tokenized)
    line.send(found)


def _rate(work: Callable[[list[str]], Any], texts: list[str]) -> float:
    began = time.thread_time()  # not the process's: numpy's idle threads spin for a while after they were started
    work(texts)
    return len(texts) / (time.thread_time() - began)


def _nltk() -> Callable[[str], str]:
    from nltk.tokenize import TweetTokenizer

    tokenize = TweetTokenizer(preserve_case=False, reduce_len=True).tokenize
    return lambda text: " ".join(" ".join(tokenize(text)).split())


def _train(data: Labelled, train: int, config: Config) -> tuple[TrainedModel, float]:
    """Our classifier on the first `train` tweets, and its accuracy on the others."""
    tokens = list(map(build_tokenizer(config.text), data.texts))
    task, vocabulary = encode(data, tokens, train, config.text.min_count)
    rows_VD, _ = initial_matrix(vocabulary.words, None, config.embedding.dim, np.random.default_rng(config.seed))
    run = Run(rows_VD, config.embedding, np.arange(train), config.seed, config.model, config.train)
    (result,) = finished(train_batch(task, [run]))
    names = [str(label) for label in range(task.classes)]
    trained = TrainedModel(
        "benchmark", "", names, config.text, config.model, vocabulary.words, result.embedding_VE, result.layers
    )
    return trained, result.metrics["test/accuracy"]


def _train_fasttext(data: Labelled, train: int, config: Config, path: Path) -> tuple[Path, float]:
    """Train fastText likewise; where its model lies, and its accuracy."""
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
