"""`python -m pipeline predict`: texts in (arguments, stdin or a file), one line of JSON or CSV per text out."""

import argparse
import csv
import dataclasses
import io
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from pipeline.cli.arguments import Parser, add_run, before_dashes, check_output, find_runs
from pipeline.cli.exit_codes import DONE, FAILED, command, print_error
from pipeline.config.schema import DataConfig
from pipeline.runtime.errors import UserError, nearest
from pipeline.runtime.files import read_json, whole_file

if TYPE_CHECKING:
    from io import BufferedReader

    from pipeline.prediction.predictor import Predictor
    from pipeline.prediction.text_stream import Input

FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv"}
CHOICES = {field.name: field.metadata.get("choices") for field in dataclasses.fields(DataConfig)}
LAYOUT = {
    "delimiter": "comma, tab, semicolon, pipe, space, or one character",
    "quoting": 'double ("" inside "…"), backslash (\\" inside "…") or none',
    "header": "whether line 1 names the columns: true, or false (they are 0, 1, 2 …)",
}
MAX_LISTED = 20  # texts without a prediction that are named one by one


@command
def main(arguments: list[str]) -> int:
    """Label texts: per text the label, its probabilities, and the words that carried the decision."""
    options = _options(arguments)
    with _light_nltk():
        import pipeline.text.presets  # noqa: F401
    folders = find_runs(options.run, options.root, options.uri)
    models = [load(folder, compact=options.compact) for folder in folders]
    predictor, data = models[0]
    notes: list[str] = []
    if len(folders) > 1:
        from pipeline.prediction.ensemble import Ensemble

        names = [folder.name for folder in folders]
        predictor = Ensemble([(name, model) for name, (model, _) in zip(names, models, strict=True)])
        notes.append(f"the average of {len(names)} runs: {', '.join(names)}")
    predictor.labels = _labels(predictor.labels, data.get("labels"), options)
    options.label_column = options.label_column or str(data.get("label_column", "label"))
    if options.format == "csv" and options.label_column in options.columns:
        problem = f"--columns holds {options.label_column!r}, the column of the predictions"
        raise UserError(f"{problem}; leave it out, or name theirs by --label-column")
    batches = _batches(options, str(data.get("text_column", "text")), notes)
    if options.to is None:
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
        texts, problems = _write(predictor, batches, sys.stdout, options)
    else:
        with whole_file(options.to.resolve()) as file, io.TextIOWrapper(file, "utf-8", newline="") as stream:
            texts, problems = _write(predictor, batches, stream, options)
        reader = "read_csv({!r})" if options.format == "csv" else "read_json({!r}, lines=True)"
        script = f"import pandas; print(pandas.{reader.format(str(options.to))})"
        print(f"wrote {options.to}: {texts:,} rows; labels {', '.join(predictor.labels)}")
        print(f"next: {shlex.join([sys.executable, '-c', script])}")
    for note in dict.fromkeys(notes):
        print(f"note: {note}", file=sys.stderr)
    if problems:
        return print_error(f"texts without a prediction: {problems:,} of {texts:,}; their label is empty", FAILED)
    return DONE


def _options(arguments: list[str]) -> argparse.Namespace:
    """The parsed command line; raises UserError where its options do not fit together."""
    parser = Parser("predict", "Label texts with a trained model: one line per text, in order.", texts=arguments)
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="texts (default: the lines of stdin)")
    parser.add_argument("--file", type=Path, help="text file, one text per line, or table; may be compressed")
    parser.add_argument("--encoding", default="auto", help="of --file and stdin: utf-8, utf-16, latin-1, cp1252 …")
    table = parser.add_argument_group("tables (CSV, TSV, JSON, JSONL, Parquet)")
    table.add_argument("--text-column", metavar="NAME", help="column of the texts (default: as in the run's data)")
    table.add_argument("--columns", metavar="NAME,…", help="columns to repeat in the output, such as id")
    for name, meaning in LAYOUT.items():
        table.add_argument(f"--{name}", default="auto", choices=CHOICES.get(name), help=meaning)
    output = parser.add_argument_group("output")
    output.add_argument("--to", type=Path, metavar="FILE", help="file to write (default: stdout)")
    output.add_argument("--format", choices=("jsonl", "csv"), help="default: by the ending of --to, else jsonl")
    output.add_argument(
        "--label-column", metavar="NAME", help="CSV column of the labels (default: as in the run's data)"
    )
    output.add_argument(
        "--labels", choices=("names", "values", "indices"),
        help="labels by name, by their value in the run's data (default for CSV, if data.labels maps values to names), "
        "or as 0, 1, 2 …",
    )  # fmt: skip
    output.add_argument("--no-words", action="store_true", help="leave out the words' contributions, which is faster")
    parser.add_argument("--compact", action="store_true", help="use word scores only: mean encoder, loads no torch")
    add_run(parser, several=True)
    options, texts = before_dashes(arguments)
    parsed = parser.parse_intermixed_args(options)
    parsed.texts += texts
    if parsed.texts and parsed.file is not None:
        raise UserError("give texts or --file, not both")
    if parsed.file is not None and not parsed.file.exists():
        siblings = [path.name for path in parsed.file.parent.iterdir()] if parsed.file.parent.is_dir() else []
        close = nearest(parsed.file.name, siblings)
        raise UserError(f"--file {parsed.file}: no such file{close if 'did you mean' in close else ''}")
    for name in ("text_column", "columns", *LAYOUT) if parsed.file is None else ():
        if getattr(parsed, name) != parser.get_default(name):
            raise UserError(f"--{name.replace('_', '-')} is about the columns of a table: give the table as --file")
    if (parsed.encoding, parsed.delimiter) != ("auto", "auto"):
        from pipeline.config.validate import check_layout

        check_layout(parsed.encoding, parsed.delimiter, "--")
    if parsed.to is not None:
        check_output(parsed.to)
        parsed.format = parsed.format or FORMATS.get(parsed.to.suffix.lower())
        if parsed.format is None:
            raise UserError(f"--to {parsed.to}: expected a name that ends in {', '.join(FORMATS)} (or add --format)")
        if parsed.file is not None and parsed.to.resolve() == parsed.file.resolve():
            raise UserError(f"--to {parsed.to}: --file reads this file; choose another name")
    parsed.columns = next(csv.reader([parsed.columns])) if parsed.columns else []
    if len(set(parsed.columns)) < len(parsed.columns):
        raise UserError(f"--columns {','.join(parsed.columns)}: a column is named twice")
    parsed.no_words |= parsed.format == "csv"
    return parsed


def load(folder: Path, *, compact: bool = False) -> tuple["Predictor", Mapping[str, Any]]:
    """The predictor of a run or export, and the columns of its data (see `TrainedModel.data`).

    `compact` reduces a run's mean encoder to word scores and needs no torch.
    """
    from pipeline.prediction.export import EXPORTED, is_export, read_export
    from pipeline.prediction.trained_model import read_model

    if is_export(folder):
        return read_export(folder), read_json(folder / EXPORTED).get("data", {})
    trained = read_model(folder)
    if compact:
        from pipeline.prediction.score_table import compact_predictor

        return compact_predictor(trained), trained.data
    import torch

    from pipeline.prediction.torch_model import torch_predictor

    torch.set_num_threads(1)  # the forward passes are small: on 4 busy cores, 4 threads took 4 times as long as one
    return torch_predictor(trained), trained.data


def _labels(names: list[str], configured: Any, options: argparse.Namespace) -> list[str]:
    """The labels in the form that `--labels` demands; `configured` is the `data.labels` of the run."""
    if options.labels == "indices":
        return [str(index) for index in range(len(names))]
    if options.labels == "names" or (options.labels is None and options.format != "csv"):
        return names
    value_of = {str(name): str(value) for value, name in configured.items()} if isinstance(configured, Mapping) else {}
    if options.labels == "values" and (not value_of or len(value_of) < len(configured)):
        raise UserError(
            "--labels values: the run's data.labels does not map one value to each name; try --labels indices"
        )
    return [value_of.get(name, name) for name in names] if len(value_of) == len(names) else names


def _batches(options: argparse.Namespace, text_column: str, notes: list[str]) -> Iterator[list["Input"]]:
    """The texts of the command line, of `--file` or of stdin, in batches; `text_column` is that of the run's data."""
    from pipeline.data.records import Layout
    from pipeline.data.text_lines import is_table
    from pipeline.prediction.text_stream import TextLines, checked, file_lines, table_rows

    column = options.text_column or text_column
    if options.texts:
        # Bytes of an argument that are not UTF-8 arrive as surrogates.
        return iter([[checked(f"text {number}", text)] for number, text in enumerate(options.texts, 1)])
    if options.file is None:
        if sys.stdin is None:
            raise UserError("no text, and no stdin to read texts from")
        if sys.stdin.isatty():
            print("reading texts from the terminal, one per line; Ctrl+D ends", file=sys.stderr)
        return iter(TextLines(cast("BufferedReader", sys.stdin.buffer), "stdin", options.encoding, column))
    if options.text_column is None and not options.columns and not is_table(options.file):
        return file_lines(options.file, options.encoding, column, notes)
    layout = Layout(options.encoding, options.delimiter, options.quoting, options.header, "--")
    return table_rows(options.file, options.text_column, options.columns, layout, text_column, notes)


def _write(
    predictor: "Predictor", batches: Iterator[list["Input"]], stream: TextIO, options: argparse.Namespace
) -> tuple[int, int]:
    """Write a line for each text; returns how many there are, and how many of them have no prediction."""
    from pipeline.prediction.output import csv_writer, json_writer

    first = next(batches, [])  # an error here leaves no output
    if options.format == "csv":
        write = csv_writer(stream, options.columns, options.label_column)
    else:
        write = json_writer(stream, predictor.labels, options.columns)
    name = options.file.name if options.file else "arguments" if options.texts else "stdin"
    texts = problems = 0
    for batch in chain([first], batches):
        usable = [item.text for item in batch if item.text is not None]
        predictions = iter(predictor.predict_each(usable, explain=not options.no_words))
        for item in batch:
            prediction = next(predictions) if item.problem is None else item.problem
            write(item, prediction)
            if isinstance(prediction, str):
                problems += 1
                if problems <= MAX_LISTED:
                    print(f"{name}, {item.where}: {prediction}", file=sys.stderr)
        texts += len(batch)
        stream.flush()
    return texts, problems


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
