"""Write predictions as lines of JSON or as a CSV table, one line for each text or row, in order."""

import csv
import json
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from pipeline.prediction.predictor import Prediction
from pipeline.prediction.text_stream import Input

Write = Callable[[Input, Prediction | str], None]


def json_writer(stream: TextIO, labels: Sequence[str], columns: Sequence[str]) -> Write:
    """Write one JSON object per input; numbers have six significant digits.

    An input with a problem instead of a prediction has null as text and label, and the problem as `error`.
    """
    encode = json.JSONEncoder(ensure_ascii=False, default=str).encode

    def write(item: Input, prediction: Prediction | str) -> None:
        line: dict[str, Any] = {"columns": dict(zip(columns, item.columns, strict=False))} if columns else {}
        if isinstance(prediction, str):
            line |= {"text": None, "label": None, "error": f"{item.where}: {prediction}"}
        else:
            line |= {"text": item.text} | described(prediction, labels)
        stream.write(encode(line) + "\n")

    return write


def described(prediction: Prediction, labels: Sequence[str]) -> dict[str, Any]:
    """A prediction as a JSON object."""
    probabilities = dict(zip(labels, map(_six_digits, prediction.probabilities.tolist()), strict=True))
    line: dict[str, Any] = {"label": prediction.label, "probabilities": probabilities}
    if (words := prediction.explanation) is not None:
        line["words"] = [{"word": word, "contribution": _six_digits(score)} for word, score in words.contributions]
        for word, weight in zip(line["words"], words.attention or (), strict=False):
            word["attention"] = _six_digits(weight)
        line["unknown"] = words.unknown
        line["decision"] = {"against": words.against, "margin": _six_digits(words.margin), "method": words.method}
        if words.bias is not None:
            line["decision"]["bias"] = _six_digits(words.bias)
    return line


def _six_digits(number: float) -> float:
    return float(f"{number:.6g}")


def csv_writer(stream: TextIO, columns: Sequence[str], label_column: str) -> Write:
    """Write a header, then per input its columns and its label; without `columns`, the text and its label.

    Cells that an input lacks are empty.
    """
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow([*(columns or ["text"]), label_column])

    def write(item: Input, prediction: Prediction | str) -> None:
        cells = item.columns or ([""] * len(columns) if columns else [item.text])
        rows.writerow([*cells, "" if isinstance(prediction, str) else prediction.label])

    return write
