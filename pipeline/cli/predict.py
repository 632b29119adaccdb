"""What a trained run says about texts: `python -m pipeline.predict "text" …`, or lines on stdin or of --file.

Prints one line of JSON for each text, in order: the label, its probabilities, and the words that carried the decision.
`python -m pipeline.predict export --to FOLDER` writes the model as a small table of word scores or as ONNX.
Exit codes: 0 done, 1 an export failed its check, 2 the command or an input is wrong.
"""

import argparse
import json
import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipeline.runtime.errors import RunError, UserError, nearest
from pipeline.runtime.paths import project_root

if TYPE_CHECKING:
    from io import BufferedReader

    from pipeline.prediction.predictor import Prediction, Predictor
    from pipeline.prediction.trained_model import TrainedModel

DONE, FAILED, WRONG = 0, 1, 2
RUN_HELP = (
    "a record or export folder, a name in results/, an MLflow run id, or models:/NAME@champion (default: the newest "
    "finished run that kept its embedding)"
)


def find_folder(reference: str | None, root: Path, uri: str | None) -> Path:
    """The folder of the model that `--run` names; raises UserError where there is none.

    Parameters
    ----------
    reference : a folder, a name below results/, an MLflow run id or `models:/…`; None is the newest record that kept
        its embedding.
    root : holds results/ and mlflow.db. uri : of the MLflow store; None is that mlflow.db.
    """
    results = root / "results"
    if reference is None:
        return _newest(results)
    if reference.startswith("models:/") or re.fullmatch("[0-9a-f]{32}", reference):
        from pipeline.tracking.mlflow.models import find_model

        store = root / "mlflow.db"
        if uri is None and not store.is_file():
            raise UserError(f"--run {reference}: there is no {store}; give the store as --uri, or its folder as --root")
        return find_model(reference, uri or f"sqlite:///{store.resolve()}")
    if Path(reference).is_dir():
        return Path(reference)
    if (results / reference).is_dir() and reference not in ("", ".", ".."):
        return results / reference
    names = [path.parent.name for path in results.glob("[!.]*/run.json")]
    close = nearest(reference, names) if len(names) < 10 or "did you" in nearest(reference, names) else ""
    raise UserError(f"--run {reference}: no such folder, and no run of {results}{close}")


def _newest(results: Path) -> Path:
    from pipeline.prediction.trained_model import EMBEDDING, VOCABULARY
    from pipeline.runtime.cached_folder import read_manifest

    kept = [path.parent for path in results.glob(f"[!.]*/{EMBEDDING}") if (path.parent / VOCABULARY).is_file()]
    finished = [(manifest["finished"], folder.name, folder) for folder in kept if (manifest := read_manifest(folder))]
    if not finished:
        raise UserError(
            f"{results}: no finished run that kept its embedding; try ./scripts/run +experiment=cbow_frozen"
        )
    return max(finished)[2]


def load(folder: Path, *, compact: bool = False) -> "Predictor":
    """The predictor of a record or export; `compact` collapses a record's mean encoder and needs no torch."""
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

    torch.set_num_threads(1)  # the passes are small: on 4 busy cores, 4 threads took 4 times as long as one
    return torch_predictor(trained)


def as_json(text: str, prediction: "Prediction", labels: Sequence[str]) -> str:
    """One line of JSON; numbers have six digits that count."""
    line: dict[str, Any] = {
        "text": text,
        "label": prediction.label,
        "probabilities": dict(zip(labels, map(_short, prediction.probabilities.tolist()), strict=True)),
    }
    if (words := prediction.explanation) is not None:
        line["words"] = [{"word": word, "contribution": _short(part)} for word, part in words.contributions]
        line["unknown"] = words.unknown
        line["decision"] = {"against": words.against, "margin": _short(words.margin), "method": words.method}
        if words.bias is not None:
            line["decision"]["bias"] = _short(words.bias)
    return json.dumps(line, ensure_ascii=False)


def _short(number: float) -> float:
    return float(f"{number:.6g}")


def _batches(texts: Sequence[str], file: Path | None) -> Iterable[list[str]]:
    """The texts of the command: its arguments, its file or its stdin."""
    from pipeline.prediction.text_stream import BATCH, TextLines, file_batches

    if texts:
        # Bytes of an argument that are not UTF-8 come as surrogates, which JSON in UTF-8 cannot hold.
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
    """Have NLTK start without scikit-learn and scipy, which it looks for and no tokenizer uses: 0.5 s instead of 1.6 s.

    What is loaded already stays; afterwards both can be imported as ever.
    """
    hidden = [name for name in ("sklearn", "scipy", "pandas") if name not in sys.modules and "nltk" not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def predict(arguments: Sequence[str]) -> int:
    """Answer texts, one line of JSON each."""
    parser = _parser("python -m pipeline.predict", __doc__ or "")
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="texts; without any, lines of stdin")
    parser.add_argument("--file", type=Path, help="texts, one per line; .gz or not")
    parser.add_argument("--compact", action="store_true", help="by the table of word scores: mean encoder, no torch")
    parser.add_argument("--no-words", action="store_true", help="label and probabilities alone, which is faster")
    parsed = parser.parse_intermixed_args(arguments)
    if parsed.texts and parsed.file is not None:
        raise UserError("give texts or --file, not both")
    with _light_nltk():
        import pipeline.text.presets  # noqa: F401
    predictor = load(find_folder(parsed.run, parsed.root, parsed.uri), compact=parsed.compact)
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    batches = _batches(parsed.texts, parsed.file)
    for batch in batches:
        for text, prediction in zip(batch, predictor.predict(batch, explain=not parsed.no_words), strict=True):
            print(as_json(text, prediction, predictor.labels))
        sys.stdout.flush()
    if unreadable := getattr(batches, "undecodable", 0):
        print(f"note: lines not in UTF-8: {unreadable:,}; what could not be read became U+FFFD", file=sys.stderr)
    return DONE


def export(arguments: Sequence[str]) -> int:
    """Write a model as a table of word scores or as ONNX, and say how it compares to the full one."""
    from pipeline.prediction.export import FORMATS, export_report, is_export
    from pipeline.prediction.export import export as write
    from pipeline.prediction.trained_model import read_model

    description = "Write a model as a small table of word scores (mean encoder) or as ONNX (any encoder)."
    parser = _parser("python -m pipeline.predict export", description)
    parser.add_argument("--to", type=Path, required=True, help="the folder to make")
    parser.add_argument("--format", choices=FORMATS, help="default: compact for the mean encoder, else onnx")
    parsed = parser.parse_args(arguments)
    folder = find_folder(parsed.run, parsed.root, parsed.uri)
    if is_export(folder):
        raise UserError(f"--run {folder}: is an export already; give a run")
    trained = read_model(folder)
    format = parsed.format or ("compact" if trained.model.encoder == "mean" else "onnx")
    card, texts, labels = _card_and_tweets(folder, trained)
    exported = write(trained, parsed.to, format, card, texts, labels)
    print(export_report(exported, parsed.to, trained, format))
    return DONE


def _card_and_tweets(folder: Path, trained: "TrainedModel", limit: int = 2000) -> tuple[str, list[str], list[int]]:
    """The model card, and test tweets with their labels; a model from MLflow comes with its card and without tweets."""
    from pipeline.prediction.trained_model import CARD
    from pipeline.tracking.model_card import model_card
    from pipeline.tracking.read_record import load_predictions

    if (folder / CARD).is_file():
        return (folder / CARD).read_text("utf-8"), [], []
    try:
        test = load_predictions(folder)["test"]
        return model_card(folder), [str(text) for text in test.texts[:limit]], test.labels[:limit].tolist()
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: not a whole record ({type(error).__name__}: {error})") from error


def _parser(prog: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", help=RUN_HELP)
    root = project_root()
    parser.add_argument("--root", type=Path, default=root, help="folder of results/ and mlflow.db (default: project)")
    parser.add_argument("--uri", help="MLflow store (default: mlflow.db in the root)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (by default that of the process) and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return export(given[1:]) if given[:1] == ["export"] else predict(given)
    except (UserError, RunError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return FAILED if isinstance(error, RunError) else WRONG
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `… | head` is no error
    sys.exit(main())
