"""Everything on disk into MLflow: `python -m pipeline.sync [ROOT] [--uri URI]`.

Fills what an unreachable server missed, and rebuilds an empty MLflow from results/ alone: every whole study, its runs
under it, and every other whole run, each once. Exit codes: 0 all of it is there, 1 a record is damaged or was not
taken, 2 the command is wrong or there is nothing to log.
"""

import argparse
import csv
import logging
import sys
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.config.validate import STORES
from pipeline.runtime.cached_folder import MANIFEST, file_sizes, read_manifest
from pipeline.runtime.errors import one_line
from pipeline.runtime.log import progress
from pipeline.runtime.paths import project_root
from pipeline.tracking.mlflow.log import log_run, log_study, logged_ids
from pipeline.tracking.mlflow.models import promote
from pipeline.tracking.read_record import read_record

DONE, FAILED, WRONG = 0, 1, 2
COMPARED = ("studies", "searches")
DEFAULT_EXPERIMENT = "tweet-embeddings"


def whole_folders(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """The whole records or studies in a folder, oldest first; and the damaged ones, each with what is wrong."""
    whole, damaged = [], []
    for path in sorted(folder.glob("[!.]*")):
        if not path.is_dir() or path.name in COMPARED:
            continue
        manifest = read_manifest(path)
        sizes = file_sizes(path)
        if manifest is None:
            damaged.append((path, f"no {MANIFEST} that can be read"))
        elif lost := [name for name, size in manifest.get("files", {}).items() if sizes.get(name) != size]:
            damaged.append((path, f"{lost[0]} is missing or cut short"))
        else:
            whole.append((str(manifest.get("finished")), path))
    return [path for _, path in sorted(whole)], damaged


def runs_of_study(study: Path) -> list[str]:
    """The names of a study's runs, from its `tables/runs.csv`."""
    with (study / "tables" / "runs.csv").open(encoding="utf-8", newline="") as stream:
        return [row["run"] for row in csv.DictReader(stream) if row["kind"] == "variant"]


def experiment_of(run: Path) -> str:
    """The MLflow experiment that a run was made for."""
    return str(read_record(run).config.get("tracking", {}).get("experiment") or DEFAULT_EXPERIMENT)


def sync(root: Path, uri: str) -> int:
    """Put all of `root`/results into MLflow and print what happened; returns the exit code.

    A run of several studies is shown under the one that finished last, as when it was made.
    """
    results = root / "results"
    runs, damaged = whole_folders(results)
    studies: list[Path] = []
    for kind in COMPARED:
        whole, wrong = whole_folders(results / kind)
        studies += whole
        damaged += wrong
    experiments = {}
    for run in runs:
        try:
            experiments[run] = experiment_of(run)
        except (OSError, ValueError, AttributeError) as error:
            damaged.append((run, " ".join(str(error).split())))
    for folder, reason in damaged:
        print(f"damaged, left out: {folder}: {reason}", file=sys.stderr)
    if not experiments and not studies:
        print(f"error: {results}: no finished run; try ./scripts/run +experiment=cbow_frozen", file=sys.stderr)
        return FAILED if damaged else WRONG
    members = {
        study: [run for name in runs_of_study(study) if (run := results / name) in experiments] for study in studies
    }
    try:
        told = _log_all(uri, root / "artifacts" / "mlflow", experiments, members)
    except Exception as error:
        reason = one_line(error)
        print(f"error: MLflow at {uri} cannot be reached ({reason}); nothing is lost, try again", file=sys.stderr)
        return FAILED
    told["damaged"] = len(damaged)
    counts = ", ".join(f"{told[kind]} {kind}" for kind in ("logged", "there already", "failed", "damaged"))
    print(f"{uri}: runs and studies in {results}: {counts}")
    return FAILED if told["failed"] or told["damaged"] else DONE


def _log_all(
    uri: str, artifacts: Path, experiments: Mapping[Path, str], members: Mapping[Path, list[Path]]
) -> Counter[str]:
    """Log studies, then runs under them; how many were logged, there already, failed. Raises where MLflow is gone."""
    before = logged_ids(uri)
    told: Counter[str] = Counter()
    new: set[Path] = set()

    def note(folder: Path, run_id: str | None) -> str | None:
        if run_id is None:
            logged_ids(uri)  # raises, unless the trouble is with this folder alone
            told["failed"] += 1
        elif run_id in before:
            told["there already"] += 1
        else:
            told["logged"] += 1
            new.add(folder)
        return run_id

    parents: dict[Path, str | None] = {}
    for study, runs in progress(members.items(), total=len(members), label="studies", unit="studies"):
        experiment = experiments[runs[0]] if runs else DEFAULT_EXPERIMENT
        parent = note(study, log_study(study, uri, experiment, artifacts))
        parents |= dict.fromkeys(runs, parent)
    for run, experiment in progress(experiments.items(), total=len(experiments), label="runs", unit="runs"):
        note(run, log_run(run, uri, experiment, artifacts, parent=parents.get(run)))
    for runs in members.values():
        if new & set(runs):
            promote(runs, uri, experiments[runs[0]])
    return told


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.sync", description="Everything in results/ into MLflow.")
    parser.add_argument("root", nargs="?", type=Path, default=project_root(), help="folder that holds results/")
    parser.add_argument("--uri", help="MLflow server, such as http://127.0.0.1:5000 (default: ROOT/mlflow.db)")
    parsed = parser.parse_args(arguments)
    root = parsed.root.resolve()
    uri = parsed.uri or f"sqlite:///{root / 'mlflow.db'}"
    if not uri.startswith(STORES):
        print(f"error: --uri {uri}: expected sqlite:////absolute/path.db or the address of a server", file=sys.stderr)
        return WRONG
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("default" if sys.warnoptions else "ignore")
        return sync(root, uri)


if __name__ == "__main__":
    sys.exit(main())
