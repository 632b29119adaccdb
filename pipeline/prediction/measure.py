"""Size on disk and texts per second of a model, its export and fastText."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.prediction.predictor import Predictor
from pipeline.prediction.trained_model import TrainedModel

SECONDS = 0.3  # duration of each measurement


@dataclass(frozen=True)
class Measurement:
    """Bytes on disk, texts per second from raw text and, where the model takes them, texts per second from token ids.

    Every text was seen before, so that the tokenizer's cache holds most of its pieces, as it does in a long file.
    """

    model: str
    size: int
    from_text: float
    from_ids: float | None


def compare(
    trained: TrainedModel, full: Predictor, export: tuple[str, Predictor, int], texts: list[str], labels: Sequence[int]
) -> list[Measurement]:
    """Measure the full model, an export (its name, predictor and bytes) and fastText, on one thread.

    fastText is included if floret is installed and every text has a label to train it on.
    """
    from threadpoolctl import threadpool_limits

    from pipeline.prediction.torch_model import torch_threads

    vocabulary = len(json.dumps(trained.words, ensure_ascii=False).encode())
    weights = trained.embedding_VE.nbytes + sum(layer.nbytes for layer in trained.layers.values())
    with threadpool_limits(1), torch_threads(1):
        measurements = []
        for name, predictor, size in (("full model (torch)", full, vocabulary + weights), export):
            ids = predictor.ids(texts)
            from_text = _per_second(partial(predictor.probabilities, texts), len(texts))
            from_ids = _per_second(partial(predictor.scorer.flat_logits, *ids), len(texts))
            measurements.append(Measurement(name, size, from_text, from_ids))
    if len(labels) == len(texts) and (fasttext := _fasttext(full, texts, labels)) is not None:
        measurements.append(fasttext)
    return measurements


def _per_second(work: Callable[[], Any], texts: int) -> float:
    """Texts per second in the fastest of several rounds; slower rounds were disturbed by other processes."""
    best, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < SECONDS or best == float("inf"):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return texts / best


def _fasttext(full: Predictor, texts: list[str], labels: Sequence[int]) -> Measurement | None:
    """Size and speed of the baseline's fastText, trained on the same tweets; its accuracy would mean nothing."""
    try:
        import floret
    except ImportError:
        return None
    from pipeline.evaluation.baselines.fasttext import LABEL, SETTINGS

    def line(text: str) -> str:
        return " ".join(full.tokenizer(text)).replace("</s>", "<s/>") + "\n"

    with TemporaryDirectory() as folder:
        file = Path(folder) / "train.txt"
        rows = (f"{LABEL}{label} {line(text)}" for text, label in zip(texts, labels, strict=True))
        file.write_text("".join(rows), "utf-8", newline="\n")
        model = floret.train_supervised(
            input=str(file), label=LABEL, thread=1, verbose=0, **(SETTINGS | {"epoch": 1, "lr": 0.1})
        )
        model.save_model(str(Path(folder) / "model"))
        size = max(path.stat().st_size for path in Path(folder).iterdir())
        classes = len(full.labels)

        def predict() -> None:
            for text in texts:
                model.f.predict(line(text), classes, 0.0, "strict")

        return Measurement("fastText (floret)", size, _per_second(predict, len(texts)), None)
