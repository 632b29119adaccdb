"""A model made small or portable: written, read back, checked equal to the full one, and measured beside it."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pipeline.config.schema import TextConfig
from pipeline.prediction.measure import Measured, compare
from pipeline.prediction.predictor import Predictor
from pipeline.prediction.score_table import ScoreTable, score_table
from pipeline.prediction.trained_model import CARD, VOCABULARY, TrainedModel
from pipeline.runtime.errors import RunError, UserError

EXPORTED, TABLE, GRAPH = "exported.json", "table.safetensors", "model.onnx"
FORMATS = ("compact", "onnx")
# The largest difference of a probability between an export and the full model that float32 explains.
TOLERANCE = 1e-5
AWKWARD = ("", " ", "good", "😀😀😀", "@user http://t.co/x", "no such w0rdzzz at all", "so " * 3000, "\ufffd\x07\u202e")


@dataclass(frozen=True)
class Exported:
    """What an export came to: on how many texts it was compared, the largest difference, sizes and speeds."""

    texts: int
    largest_difference: float
    measured: list[Measured]


def is_exported(folder: Path) -> bool:
    """Tell whether a folder is an export."""
    return (folder / EXPORTED).is_file()


def read_exported(folder: Path) -> Predictor:
    """The predictor of an export; needs no torch. A folder that is damaged is a UserError."""
    try:
        facts = json.loads((folder / EXPORTED).read_text("utf-8"))
        words = json.loads((folder / VOCABULARY).read_text("utf-8"))["words"]
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
) -> Exported:
    """Write a model into a folder of its own, check it against the full model, and measure both.

    Parameters
    ----------
    folder : made here; an earlier export in it is replaced, anything else is a UserError.
    format : `compact` (mean encoder alone) or `onnx`.
    card : the model card, written beside it.
    tweets, labels : what is compared and measured, beside awkward texts; fastText is fitted to them.

    Raises RunError, and leaves nothing behind, where a probability differs by more than TOLERANCE.
    """
    from pipeline.prediction.torch_model import full_predictor

    if folder.exists() and not is_exported(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--to {folder}: is there already and no export; give a new or empty folder")
    full = full_predictor(trained)
    temporary = folder.with_name(f".{folder.name}.tmp-{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        _write(trained, temporary, format)
        small = read_exported(temporary)
        texts = [*tweets, *AWKWARD]
        difference = float(np.abs(small.probabilities(texts) - full.probabilities(texts)).max())
        if not difference <= TOLERANCE:
            raise RunError(f"the {format} export differs from the full model by {difference:.2g} in a probability")
        facts = {
            "format": format,
            "run": trained.name,
            "title": trained.title,
            "labels": trained.labels,
            "text": asdict(trained.text),
            "checked": {"texts": len(texts), "largest_difference": difference, "tolerance": TOLERANCE},
        }
        _write_json(temporary / EXPORTED, facts)
        (temporary / CARD).write_text(card, "utf-8")
        sizes = sum(path.stat().st_size for path in temporary.iterdir() if path.name != CARD)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    forms = {"compact": "table of word scores", "onnx": "ONNX"}
    measured = compare(trained, full, (forms[format], small, sizes), list(tweets) or list(AWKWARD), labels)
    return Exported(len(texts), difference, measured)


def _write(trained: TrainedModel, folder: Path, format: str) -> None:
    facts = {"format": format, "labels": trained.labels, "text": asdict(trained.text)}
    if format == "compact":
        table = score_table(trained)
        save_file({"scores": table.scores_VC, "bias": table.bias_C}, folder / TABLE)
    else:
        from pipeline.prediction.onnx_model import build_graph

        (folder / GRAPH).write_bytes(build_graph(trained).SerializeToString())
    _write_json(folder / EXPORTED, facts)
    _write_json(folder / VOCABULARY, {"words": trained.words})


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")


def report(exported: Exported, folder: Path, trained: TrainedModel, format: str) -> str:
    """Say what was written, how it was checked, and how it compares."""
    what = {
        "compact": f"one score for each of {len(trained.words):,} words and {len(trained.labels)} labels",
        "onnx": "token ids in, probabilities out, any batch and length, opset 17",
    }
    lines = [
        f"{folder}: {format}, {what[format]}",
        f"checked on {exported.texts:,} texts: probabilities differ from the full model's by "
        f"{exported.largest_difference:.1e} at most ({TOLERANCE:.0e} allowed)",
        f"{'on one thread, warm':22}{'size':>12}{'texts/s':>12}{'from ids':>12}",
    ]
    for form in exported.measured:
        ids = "-" if form.from_ids is None else f"{form.from_ids:,.0f}"
        lines.append(f"{form.form:22}{form.size / 2**20:>8.2f} MiB{form.from_text:>12,.0f}{ids:>12}")
    return "\n".join(lines)
