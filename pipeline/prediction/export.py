"""Export a model as a score table or as ONNX: write it, check it against the full model, measure size and speed."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pipeline.config.schema import TextConfig
from pipeline.prediction.ensemble import Ensemble
from pipeline.prediction.predictor import Predictor
from pipeline.prediction.score_table import ScoreTable, score_table
from pipeline.prediction.trained_model import CARD, VOCABULARY, TrainedModel
from pipeline.runtime.errors import RunError, UserError
from pipeline.runtime.files import read_json, write_json

ENSEMBLE = "ensemble"  # the format of a folder of exports whose probabilities are averaged
EXPORTED, TABLE, GRAPH = "exported.json", "table.safetensors", "model.onnx"
FORMATS = {"compact": "table of word scores", "onnx": "ONNX"}
SECONDS = 0.3  # duration of each measurement
# Largest difference of a probability between an export and the full model that float32 rounding explains.
TOLERANCE = 1e-5
EDGE_CASES = ("", " ", "good", "😀😀😀", "@u http://t.co/x", "no such w0rdzzz at all", "so " * 3000, "\ufffd\x07\u202e")


@dataclass(frozen=True)
class Measurement:
    """Bytes on disk, texts per second from raw text and, where the model takes them, texts per second from token ids.

    Every text was seen before, so that the tokenizer's cache holds most of its pieces, as it does in a long file.
    """

    model: str
    size: int
    from_text: float
    from_ids: float | None


@dataclass(frozen=True)
class ExportResult:
    """Number of texts that the check compared, largest difference of a probability, sizes and speeds."""

    texts: int
    largest_difference: float
    measurements: list[Measurement]


def is_export(folder: Path) -> bool:
    """Tell whether a folder is an export."""
    return (folder / EXPORTED).is_file()


def read_export(folder: Path) -> Predictor:
    """The predictor of an export; needs no torch. A damaged folder is a UserError."""
    try:
        facts = read_json(folder / EXPORTED)
        if facts["format"] == ENSEMBLE:
            return Ensemble([(name, read_export(folder / name)) for name in facts["members"]])
        words = read_json(folder / VOCABULARY)["words"]
        labels, text = list(facts["labels"]), TextConfig(**facts["text"])
        if facts["format"] == "compact":
            table = load_file(folder / TABLE)
            scores_VC, bias_C = table["scores"], table["bias"]
            if scores_VC.shape != (len(words), len(labels)) or bias_C.shape != (len(labels),):
                raise ValueError(f"a table of shape {scores_VC.shape} for {len(words)} words and {len(labels)} labels")
            return Predictor(labels, text, words, ScoreTable(scores_VC, bias_C))
        graph = (folder / GRAPH).read_bytes()
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(f"{folder}: cannot be read as an export ({type(error).__name__}: {error})") from error
    from pipeline.prediction.onnx_model import OnnxModel

    return Predictor(labels, text, words, OnnxModel(graph, len(labels)))


def export(
    trained: TrainedModel, folder: Path, format: str, card: str, tweets: Sequence[str], labels: Sequence[int]
) -> ExportResult:
    """Write a model into its own folder, check it against the full model, and measure both.

    folder : created; an earlier export is replaced, any other content is a UserError.
    format : `compact` (score table, mean encoder only) or `onnx`.
    card : the model card, written to the same folder.
    tweets, labels : compared and measured, together with EDGE_CASES; fastText is trained on them.

    Raises RunError, and leaves no files, if a probability differs by more than TOLERANCE.
    """
    from pipeline.prediction.torch_model import torch_predictor

    full = torch_predictor(trained)
    with _replaced(folder) as temporary:
        facts = {
            "format": format, "labels": trained.labels, "text": asdict(trained.text), "data": dict(trained.data),
        }  # fmt: skip
        write_json(temporary / EXPORTED, facts)
        write_json(temporary / VOCABULARY, {"words": trained.words})
        if format == "compact":
            table = score_table(trained)
            save_file({"scores": table.scores_VC, "bias": table.bias_C}, temporary / TABLE)
        else:
            from pipeline.prediction.onnx_model import build_graph

            (temporary / GRAPH).write_bytes(build_graph(trained).SerializeToString())
        exported, texts = read_export(temporary), [*tweets, *EDGE_CASES]
        checked = _check(exported, full, texts, format)
        write_json(temporary / EXPORTED, facts | {"run": trained.name, "title": trained.title, "checked": checked})
        (temporary / CARD).write_text(card, "utf-8")
        size = sum(path.stat().st_size for path in temporary.iterdir() if path.name != CARD)
    small = FORMATS[format], exported, size
    measurements = _compare(trained, full, small, list(tweets) or list(EDGE_CASES), labels)
    return ExportResult(len(texts), checked["largest_difference"], measurements)


def export_ensemble(
    members: Sequence[TrainedModel], folder: Path, formats: Sequence[str], cards: Sequence[str], tweets: Sequence[str]
) -> float:
    """Write several models as one export, which predicts the mean of their probabilities.

    Each member is an export in a folder of its own (see `export`). Returns the largest difference of a probability
    from the mean of the full models. Raises UserError where their labels differ.
    """
    from pipeline.prediction.torch_model import torch_predictor

    full = Ensemble([(trained.name, torch_predictor(trained)) for trained in members])
    with _replaced(folder) as temporary:
        names = [f"{number}-{trained.name}" for number, trained in enumerate(members, 1)]
        for name, trained, format, card in zip(names, members, formats, cards, strict=True):
            export(trained, temporary / name, format, card, tweets, [])
        facts = {"format": ENSEMBLE, "labels": full.labels, "data": dict(members[0].data), "members": names}
        write_json(temporary / EXPORTED, facts)
        checked = _check(read_export(temporary), full, [*tweets, *EDGE_CASES], ENSEMBLE)
        write_json(temporary / EXPORTED, facts | {"checked": checked})
        lines = [f"- `{name}`: {trained.title}" for name, trained in zip(names, members, strict=True)]
        text = "# Average of models\n\nA probability is the mean of those of the models in these folders:\n\n"
        (temporary / CARD).write_text(text + "\n".join(lines) + "\n", "utf-8")
    return float(checked["largest_difference"])


@contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes `folder`: an earlier export is replaced, other content is a UserError."""
    if folder.exists() and not is_export(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--to {folder}: exists already and is no export; give a new or empty folder")
    temporary = folder.with_name(f".{folder.name}.tmp-{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _check(exported: Predictor, full: Predictor, texts: Sequence[str], format: str) -> dict[str, Any]:
    """Facts of the comparison with the full model; raises RunError if a probability differs by more than TOLERANCE."""
    difference = float(np.abs(exported.probabilities(texts) - full.probabilities(texts)).max())
    if not difference <= TOLERANCE:
        raise RunError(f"the {format} export differs from the full model by {difference:.2g} in a probability")
    return {"texts": len(texts), "largest_difference": difference, "tolerance": TOLERANCE}


def export_report(result: ExportResult, folder: Path, trained: TrainedModel, format: str) -> str:
    """Lines on what was written, the check against the full model, and sizes and speeds."""
    description = {
        "compact": f"one score for each of {len(trained.words):,} words and {len(trained.labels)} labels",
        "onnx": "token ids in, probabilities out, any batch and length, opset 17",
    }
    lines = [
        f"{folder}: {format}, {description[format]}",
        f"checked on {result.texts:,} texts: probabilities differ from the full model's by "
        f"{result.largest_difference:.1e} at most ({TOLERANCE:.0e} allowed)",
        f"{'on one thread, warm':22}{'size':>12}{'texts/s':>12}{'from ids':>12}",
    ]
    for row in result.measurements:
        from_ids = "-" if row.from_ids is None else f"{row.from_ids:,.0f}"
        lines.append(f"{row.model:22}{row.size / 2**20:>8.2f} MiB{row.from_text:>12,.0f}{from_ids:>12}")
    return "\n".join(lines)


def _compare(
    trained: TrainedModel, full: Predictor, export: tuple[str, Predictor, int], texts: list[str], labels: Sequence[int]
) -> list[Measurement]:
    """Measure the full model, an export (its name, predictor and bytes) and fastText, on one thread.

    fastText is included if floret is installed and every text has a label to train it on.
    """
    from threadpoolctl import threadpool_limits

    from pipeline.classifier.device import torch_threads

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
