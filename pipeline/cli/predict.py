"""`python -m pipeline predict`: texts in (arguments, stdin or --file), one line of JSON per text out."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipeline.cli.arguments import Parser, add_run, find_run
from pipeline.cli.exit_codes import DONE, command
from pipeline.runtime.errors import UserError

if TYPE_CHECKING:
    from io import BufferedReader

    from pipeline.prediction.predictor import Prediction, Predictor


@command
def main(arguments: list[str]) -> int:
    """Label texts: per text the label, its probabilities, and the words that carried the decision."""
    parser = Parser(
        "predict",
        "Label texts with a trained model: one line of JSON per text, in order.",
        'A text that begins with a dash goes after two dashes: python -m pipeline predict -- "-_- meh"',
    )
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="texts (default: the lines of stdin)")
    parser.add_argument("--file", type=Path, help="file of texts, one per line; may be gzipped (.gz)")
    parser.add_argument("--compact", action="store_true", help="use word scores only: mean encoder, loads no torch")
    parser.add_argument("--no-words", action="store_true", help="leave out the words' contributions, which is faster")
    add_run(parser)
    options = parser.parse_intermixed_args(arguments)
    if options.texts and options.file is not None:
        raise UserError("give texts or --file, not both")
    with _light_nltk():
        import pipeline.text.presets  # noqa: F401
    predictor = load(find_run(options.run, options.root, options.uri), compact=options.compact)
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    batches = _batches(options.texts, options.file)
    for batch in batches:
        for text, prediction in zip(batch, predictor.predict(batch, explain=not options.no_words), strict=True):
            print(as_json(text, prediction, predictor.labels))
        sys.stdout.flush()
    if undecodable := getattr(batches, "undecodable", 0):
        print(f"note: lines not in UTF-8: {undecodable:,}; U+FFFD replaces their invalid bytes", file=sys.stderr)
    return DONE


def load(folder: Path, *, compact: bool = False) -> "Predictor":
    """The predictor of a run or export; `compact` reduces a run's mean encoder to word scores and needs no torch."""
    from pipeline.prediction.export import is_export, read_export
    from pipeline.prediction.trained_model import read_model

    if is_export(folder):
        return read_export(folder)
    trained = read_model(folder)
    if compact:
        from pipeline.prediction.score_table import compact_predictor

        return compact_predictor(trained)
    import torch

    from pipeline.prediction.torch_model import torch_predictor

    torch.set_num_threads(1)  # the forward passes are small: on 4 busy cores, 4 threads took 4 times as long as one
    return torch_predictor(trained)


def as_json(text: str, prediction: "Prediction", labels: Sequence[str]) -> str:
    """One line of JSON; numbers have six significant digits."""
    line: dict[str, Any] = {
        "text": text,
        "label": prediction.label,
        "probabilities": dict(zip(labels, map(_six_digits, prediction.probabilities.tolist()), strict=True)),
    }
    if (words := prediction.explanation) is not None:
        line["words"] = [{"word": word, "contribution": _six_digits(score)} for word, score in words.contributions]
        line["unknown"] = words.unknown
        line["decision"] = {"against": words.against, "margin": _six_digits(words.margin), "method": words.method}
        if words.bias is not None:
            line["decision"]["bias"] = _six_digits(words.bias)
    return json.dumps(line, ensure_ascii=False)


def _six_digits(number: float) -> float:
    return float(f"{number:.6g}")


def _batches(texts: Sequence[str], file: Path | None) -> Iterable[list[str]]:
    """The texts of the command line, of `file` or of stdin, in batches."""
    from pipeline.prediction.text_stream import BATCH, TextLines, file_batches

    if texts:
        # Bytes of an argument that are not UTF-8 arrive as surrogates, which JSON in UTF-8 cannot hold.
        plain = [os.fsencode(text).decode("utf-8", "replace") for text in texts]
        return [plain[start : start + BATCH] for start in range(0, len(plain), BATCH)]
    if file is not None:
        return file_batches(file)
    if sys.stdin is None:
        raise UserError("no text, and no stdin to read texts from")
    if sys.stdin.isatty():
        print("reading texts from the terminal, one per line; Ctrl+D ends", file=sys.stderr)
    return TextLines(cast("BufferedReader", sys.stdin.buffer), "stdin")


@contextmanager
def _light_nltk() -> Iterator[None]:
    """Import NLTK without scikit-learn, scipy and pandas, which no tokenizer uses: 0.5 s instead of 1.6 s.

    Modules that are loaded already stay, and the others can be imported normally afterwards.
    """
    hidden = [name for name in ("sklearn", "scipy", "pandas") if name not in sys.modules and "nltk" not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
