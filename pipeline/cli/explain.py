"""`python -m pipeline explain`: one text through a trained classifier, then one training step on it.

Shows tokens, ids, their word vectors, every shape on the way, the decision and each word's contribution; then which
word vectors the training step moved.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeline.cli.arguments import Parser, add_run, find_run, newest_run
from pipeline.cli.exit_codes import DONE, command
from pipeline.config.compose import compose
from pipeline.config.overrides import override_text
from pipeline.config.schema import Config
from pipeline.prediction.explain.lesson import lesson_page
from pipeline.prediction.explain.model import TrainedRun, read_trained_run
from pipeline.prediction.explain.terminal import lesson_text, print_text
from pipeline.prediction.explain.trace import trace_text
from pipeline.runtime.errors import UserError, nearest
from pipeline.stages.learn import run_inputs, train_one
from pipeline.stages.prepare import prepare
from pipeline.stages.train import run_title
from pipeline.stages.vectors import vectors

EXAMPLE = "White refrigerator is evil."
# Small enough to train in seconds and to read as a whole.
FRESH = (
    *("data.sample.labelled=1500", "data.sample.unlabelled=0", "cbow.epochs=20", "embedding.dim=16", "workers=1"),
    *("train.max_epochs=10", "train.lr_embedding=0.01", "train.device=cpu", "tracking.enabled=false"),
)


@command
def main(arguments: list[str]) -> int:
    """Explain one text as terminal text, as an HTML page or as JSON."""
    parser = Parser("explain", "Walk one text through a trained run, then train one step on it.", texts=arguments)
    parser.add_argument("text", nargs="?", default=EXAMPLE, help=f"the text (default: {EXAMPLE!r})")
    parser.add_argument("--label", help="label to train the step on (default: the likeliest that was not predicted)")
    parser.add_argument(
        "--fresh", action="store_true", help="train a small model on generated tweets (default where there is no run)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="configure that model, such as model=gru"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write an HTML page instead of terminal text")
    parser.add_argument("--json", action="store_true", help="print JSON instead of terminal text")
    add_run(parser)
    options = parser.parse_args(arguments)
    trained = _trained(options)
    names = trained.label_names
    if options.label is not None and options.label not in names:
        raise UserError(f"--label={options.label}: this run has no such label{nearest(options.label, names)}")
    trace = trace_text(trained, options.text, None if options.label is None else names.index(options.label))
    if options.html is not None:
        try:
            options.html.write_text(lesson_page(trace), "utf-8", errors="replace", newline="\n")
        except OSError as error:
            raise UserError(f"--html={options.html}: cannot be written ({error.strerror})") from None
        print(f"wrote {options.html}", file=sys.stderr)
    if options.json:
        print(json.dumps(dataclasses.asdict(trace), indent=2))
    elif options.html is None:
        print_text(lesson_text(trace))
    return DONE


def _trained(options: argparse.Namespace) -> TrainedRun:
    """The run of `--run`, else the newest; a fresh model with `--fresh` or `--set`, or where there is no run."""
    fresh = options.fresh or bool(options.set)
    if options.run is not None and fresh:
        raise UserError("--run and --fresh (or --set) exclude each other: which model is meant?")
    results = options.root / "results"
    if options.run is not None or (not fresh and newest_run(results)):
        return read_trained_run(find_run(options.run, options.root, options.uri))
    if not fresh:
        print(f"no finished run in {results}: training a small model on generated tweets", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="explain-") as folder:
        return train_fresh(compose([*FRESH, *options.set, override_text("paths.root", folder)]))


def train_fresh(config: Config) -> TrainedRun:
    """Train a classifier as the stages do, and write no record."""
    prepared = prepare(config)
    inputs = run_inputs(config, prepared, vectors(config, prepared))
    label_names, generated = list(prepared.outcome["label_names"]), bool(prepared.outcome["generated"])
    result = train_one(config, inputs, len(label_names), test=False, log_epochs=False)
    sections: dict[str, Any] = {name: getattr(config, name) for name in ("text", "embedding", "model", "train", "seed")}
    return TrainedRun(
        name="a fresh model, trained just now and not kept",
        title=run_title(config, generated),
        generated=generated,
        label_names=label_names,
        **sections,
        vocabulary=inputs.vocabulary,
        initial_VE=result.initial_VE,
        final_VE=result.embedding_VE,
        layers=result.layers,
    )
