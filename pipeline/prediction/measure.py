"""Size and speed of one model in several forms, side by side."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.prediction.predictor import Predictor
from pipeline.prediction.trained_model import TrainedModel

SECONDS = 0.3  # how long each speed is measured


@dataclass(frozen=True)
class Measured:
    """One form of a model: bytes on disk, texts per second from raw text and, where it has them, from token ids.

    The texts were seen before, so that the tokenizer knows most of their pieces, as it does in a long file.
    """

    form: str
    size: int
    from_text: float
    from_ids: float | None


def compare(
    trained: TrainedModel, full: Predictor, small: tuple[str, Predictor, int], texts: list[str], labels: Sequence[int]
) -> list[Measured]:
    """Measure the full model, an export (its name, predictor and bytes) and fastText, on one thread.

    fastText is there where floret is installed and every text has a label to fit it to.
    """
    from threadpoolctl import threadpool_limits

    words = len(json.dumps(trained.words, ensure_ascii=False).encode())
    weights = trained.rows_VE.nbytes + sum(layer.nbytes for layer in trained.layers.values())
    with threadpool_limits(1), _one_torch_thread():
        form, predictor, size = small
        found = [
            _measure("full model (torch)", full, words + weights, texts),
            _measure(form, predictor, size, texts),
        ]
    if len(labels) == len(texts) and (other := _fasttext(full, texts, labels)) is not None:
        found.append(other)
    return found


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _measure(form: str, predictor: Predictor, size: int, texts: list[str]) -> Measured:
    ids = predictor.ids(texts)
    return Measured(
        form,
        size,
        _per_second(lambda: predictor.probabilities(texts), len(texts)),
        _per_second(lambda: predictor.scorer.flat_logits(*ids), len(texts)),
    )


def _per_second(work: Callable[[], Any], texts: int) -> float:
    """Texts per second, the best of some rounds: the others were disturbed."""
    best, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < SECONDS or best == float("inf"):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return texts / best


def _fasttext(full: Predictor, texts: list[str], labels: Sequence[int]) -> Measured | None:
    """The baseline's fastText, fitted to these very tweets: its score would mean nothing, its size and speed do."""
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

        def ask() -> None:
            for text in texts:
                model.f.predict(line(text), classes, 0.0, "strict")

        return Measured("fastText (floret)", size, _per_second(ask, len(texts)), None)
