"""What happens inside: `python -m pipeline.explain "White refrigerator is evil."` walks one text through a classifier.

Tokens, ids, the rows that are looked up, every shape on the way, the decision and each word's share of it; then one
training step on the text, and which rows it moved. Exit codes: 0 done, 1 a run failed, 2 the command is wrong.
"""

import argparse
import dataclasses
import json
import signal
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pipeline.config.compose import compose
from pipeline.config.schema import Config
from pipeline.prediction.explain.lesson import lesson_page
from pipeline.prediction.explain.model import TrainedRun, read_trained_run
from pipeline.prediction.explain.terminal import lesson_text
from pipeline.prediction.explain.trace import trace_text
from pipeline.prediction.trained_model import EMBEDDING
from pipeline.runtime.cached_folder import MANIFEST, read_manifest
from pipeline.runtime.errors import RunError, UserError, nearest
from pipeline.runtime.paths import project_root
from pipeline.stages.learn import run_inputs, train_one
from pipeline.stages.prepare import prepare
from pipeline.stages.train import run_title
from pipeline.stages.vectors import vectors

EXAMPLE = "White refrigerator is evil."
# Small enough to be trained in seconds and to be looked at.
FRESH = (
    "data.sample.labelled=1500",
    "data.sample.unlabelled=0",
    "cbow.epochs=20",
    "embedding.dim=16",
    "train.max_epochs=10",
    "train.lr_embedding=0.01",
    "train.device=cpu",
    "tracking.enabled=false",
    "workers=1",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (by default that of the process) and return its exit code."""
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            _explain(_parsed(arguments))
    except (UserError, RunError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    except OSError as error:
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see python -m pipeline.explain --help")


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="python -m pipeline.explain",
        description="Walk one text through a trained run, then train one step on it.",
        epilog='A text that begins with a dash stands after two: python -m pipeline.explain -- "-_- meh"',
    )
    parser.add_argument("text", nargs="?", default=EXAMPLE, help=f"the text (without one: {EXAMPLE!r})")
    parser.add_argument(
        "--run", help="folder of a run, or its name below results/ (default: the newest with an embedding)"
    )
    parser.add_argument("--label", help="label to train the step on (default: the likeliest that was not predicted)")
    parser.add_argument(
        "--fresh", action="store_true", help="train a small model on generated tweets instead (also without any run)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a key of the fresh model, such as model=gru"
    )
    parser.add_argument("--root", type=Path, default=project_root(), help="folder that holds results/")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page instead of text")
    parser.add_argument("--json", action="store_true", help="print plain data instead of text")
    return parser.parse_args(arguments)


def _explain(asked: argparse.Namespace) -> None:
    trained = _trained(asked)
    names = trained.label_names
    if asked.label is not None and asked.label not in names:
        raise UserError(f"--label={asked.label}: this run has no such label{nearest(asked.label, names)}")
    trace = trace_text(trained, asked.text, None if asked.label is None else names.index(asked.label))
    if asked.html is not None:
        try:
            asked.html.write_text(lesson_page(trace), "utf-8", errors="replace", newline="\n")
        except OSError as error:
            raise UserError(f"--html={asked.html}: cannot be written ({error.strerror})") from None
        print(f"wrote {asked.html}", file=sys.stderr)
    if asked.json:
        print(json.dumps(dataclasses.asdict(trace), indent=2))
    elif asked.html is None:
        encoding = sys.stdout.encoding or "utf-8"  # a terminal that lacks a character shows a question mark
        print(lesson_text(trace).encode(encoding, "replace").decode(encoding), end="")


def _trained(asked: argparse.Namespace) -> TrainedRun:
    """The run that was asked for, else the newest; a fresh model where that was asked for or there is no run."""
    results = asked.root / "results"
    if asked.run is not None and (asked.fresh or asked.set):
        raise UserError("--run and --fresh (or --set) exclude each other: which model is meant?")
    if asked.run is not None:
        return read_trained_run(find_record(asked.run, results))
    newest = None if asked.fresh or asked.set else newest_record(results)
    if newest is not None:
        return read_trained_run(newest)
    if not (asked.fresh or asked.set):
        print(f"no finished run below {results}: training a small model on generated tweets", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="explain-") as folder:
        return train_fresh(compose([*FRESH, *asked.set, f"paths.root={folder}"]))


def newest_record(results: Path) -> Path | None:
    """The whole record below `results` that was finished last and kept its embedding; None where there is none."""
    folders = [manifest.parent for manifest in results.glob(f"[!.]*/{MANIFEST}")]
    finished = [
        (str(manifest.get("finished", "")), folder.name, folder)
        for folder in folders
        if (folder / EMBEDDING).is_file() and (manifest := read_manifest(folder)) is not None
    ]
    return max(finished)[-1] if finished else None


def find_record(run: str, results: Path) -> Path:
    """The folder of a run: a path, or a name below `results`. Raises UserError with the nearest name."""
    for folder in (Path(run), results / run):
        if run and folder.is_dir():
            return folder
    names = sorted(manifest.parent.name for manifest in results.glob(f"[!.]*/{MANIFEST}"))
    raise UserError(f"--run={run}: no such folder and no run below {results}{nearest(run, names[:12])}")


def train_fresh(config: Config) -> TrainedRun:
    """Train a classifier as the stages do, and write no record."""
    prepared = prepare(config)
    inputs = run_inputs(config, prepared, vectors(config, prepared))
    result = train_one(config, inputs, len(prepared.outcome["label_names"]), test=False, log_epochs=False)
    generated = bool(prepared.outcome["generated"])
    return TrainedRun(
        name="a fresh model, trained just now and not kept",
        title=run_title(config, generated),
        generated=generated,
        label_names=list(prepared.outcome["label_names"]),
        text=config.text,
        embedding=config.embedding,
        model=config.model,
        train=config.train,
        seed=config.seed,
        vocabulary=inputs.vocabulary,
        initial_VE=result.initial_VE,
        final_VE=result.embedding_VE,
        layers=result.layers,
    )


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `… | head` is no error
    sys.exit(main())
