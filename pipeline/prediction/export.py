"""Export a model as a score table or as ONNX: write it, check it against the full model, measure size and speed."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pipeline.config.schema import TextConfig
from pipeline.prediction.measure import Measurement, compare
from pipeline.prediction.predictor import Predictor
from pipeline.prediction.score_table import ScoreTable, score_table
from pipeline.prediction.trained_model import CARD, VOCABULARY, TrainedModel
from pipeline.runtime.errors import RunError, UserError
from pipeline.runtime.files import read_json, write_json

EXPORTED, TABLE, GRAPH = "exported.json", "table.safetensors", "model.onnx"
FORMATS = ("compact", "onnx")
# Largest difference of a probability between an export and the full model that float32 rounding explains.
TOLERANCE = 1e-5
EDGE_CASES = ("", " ", "good", "😀😀😀", "@u http://t.co/x", "no such w0rdzzz at all", "so " * 3000, "\ufffd\x07\u202e")


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

    Parameters
    ----------
    folder : created; an earlier export is replaced, any other content is a UserError.
    format : `compact` (score table, mean encoder only) or `onnx`.
    card : the model card, written to the same folder.
    tweets, labels : compared and measured, together with EDGE_CASES; fastText is trained on them.

    Raises RunError, and leaves no files, if a probability differs by more than TOLERANCE.
    """
    from pipeline.prediction.torch_model import torch_predictor

    if folder.exists() and not is_export(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--to {folder}: exists already and is no export; give a new or empty folder")
    full = torch_predictor(trained)
    temporary = folder.with_name(f".{folder.name}.tmp-{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        facts = {"format": format, "labels": trained.labels, "text": asdict(trained.text)}
        write_json(temporary / EXPORTED, facts)
        write_json(temporary / VOCABULARY, {"words": trained.words})
        if format == "compact":
            table = score_table(trained)
            save_file({"scores": table.scores_VC, "bias": table.bias_C}, temporary / TABLE)
        else:
            from pipeline.prediction.onnx_model import build_graph

            (temporary / GRAPH).write_bytes(build_graph(trained).SerializeToString())
        exported = read_export(temporary)
        texts = [*tweets, *EDGE_CASES]
        difference = float(np.abs(exported.probabilities(texts) - full.probabilities(texts)).max())
        if not difference <= TOLERANCE:
            raise RunError(f"the {format} export differs from the full model by {difference:.2g} in a probability")
        checked = {"texts": len(texts), "largest_difference": difference, "tolerance": TOLERANCE}
        write_json(temporary / EXPORTED, facts | {"run": trained.name, "title": trained.title, "checked": checked})
        (temporary / CARD).write_text(card, "utf-8")
        size = sum(path.stat().st_size for path in temporary.iterdir() if path.name != CARD)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    names = {"compact": "table of word scores", "onnx": "ONNX"}
    measurements = compare(trained, full, (names[format], exported, size), list(tweets) or list(EDGE_CASES), labels)
    return ExportResult(len(texts), difference, measurements)


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
