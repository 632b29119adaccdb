"""`python -m pipeline sync`: log everything in results/ to MLflow, each study with its runs, each run once.

Adds what an unreachable server missed, and rebuilds an empty store from results/ alone. Exit codes: 0 everything is
there, 1 a record is damaged or was not accepted, 2 the command is wrong or there is nothing to log.
"""

import logging
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from pipeline.cli.arguments import Parser, add_root, add_uri, run_command
from pipeline.cli.exit_codes import DONE, FAILED, command
from pipeline.config.validate import STORES
from pipeline.runtime.cached_folder import MANIFEST, file_sizes, read_manifest
from pipeline.runtime.errors import RunError, UserError, one_line
from pipeline.runtime.files import read_csv
from pipeline.runtime.log import progress
from pipeline.tracking.mlflow.log import log_run, log_study, logged_ids
from pipeline.tracking.mlflow.models import promote
from pipeline.tracking.read_record import read_record

STUDY_FOLDERS = ("studies", "searches")
DEFAULT_EXPERIMENT = "tweet-embeddings"


@command
def main(arguments: list[str]) -> int:
    """Log the results of a root to its own store or to `--uri`."""
    parser = Parser("sync", "Log everything in results/ to MLflow: each finished study and run, once.")
    add_root(parser, positional=True)
    add_uri(parser)
    options = parser.parse_args(arguments)
    root = Path(options.root).resolve()
    uri = options.uri or f"sqlite:///{root / 'mlflow.db'}"
    if not uri.startswith(STORES):
        raise UserError(f"--uri {uri}: expected sqlite:////absolute/path.db or the address of a server")
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    return sync(root, uri)


def sync(root: Path, uri: str) -> int:
    """Log all of `root`/results to MLflow, print the counts and return the exit code.

    A run of several studies is logged under the study that finished last, as when it was made.
    """
    results = root / "results"
    damaged: list[tuple[Path, str]] = []
    runs = whole_folders(results, damaged)
    studies = [study for kind in STUDY_FOLDERS for study in whole_folders(results / kind, damaged)]
    experiments = {}
    for run in runs:
        try:
            tracking = read_record(run).config.get("tracking", {})
            experiments[run] = str(tracking.get("experiment") or DEFAULT_EXPERIMENT)
        except (OSError, ValueError, AttributeError) as error:
            damaged.append((run, " ".join(str(error).split())))
    for folder, reason in damaged:
        print(f"damaged, left out: {folder}: {reason}", file=sys.stderr)
    if not experiments and not studies:
        raise (RunError if damaged else UserError)(
            f"{results}: no finished run; try {run_command('cbow_frozen', root)}"
        )
    members = {}
    for study in studies:
        rows = read_csv(study / "tables" / "runs.csv")
        folders = [results / row["run"] for row in rows if row["kind"] == "variant"]
        members[study] = [run for run in folders if run in experiments]
    try:
        counts = _log_all(uri, root / "artifacts" / "mlflow", experiments, members)
    except Exception as error:
        line = f"MLflow at {uri} cannot be reached ({one_line(error)}); nothing is lost, try again"
        raise RunError(line) from error
    counts["damaged"] = len(damaged)
    summary = ", ".join(f"{counts[kind]} {kind}" for kind in ("logged", "there already", "failed", "damaged"))
    print(f"{uri}: runs and studies in {results}: {summary}")
    return FAILED if counts["failed"] or counts["damaged"] else DONE


def whole_folders(folder: Path, damaged: list[tuple[Path, str]]) -> list[Path]:
    """The whole records or studies in a folder, oldest first; adds the others to `damaged`, each with the reason."""
    whole = []
    for path in sorted(folder.glob("[!.]*/")):
        if path.name in (*STUDY_FOLDERS, "looks"):
            continue
        manifest = read_manifest(path)
        sizes = file_sizes(path)
        if manifest is None:
            damaged.append((path, f"no {MANIFEST} that can be read"))
        elif incomplete := [name for name, size in manifest.get("files", {}).items() if sizes.get(name) != size]:
            damaged.append((path, f"{incomplete[0]} is missing or cut short"))
        else:
            whole.append((str(manifest.get("finished")), path))
    return [path for _, path in sorted(whole)]


def _log_all(
    uri: str, artifacts: Path, experiments: Mapping[Path, str], members: Mapping[Path, list[Path]]
) -> Counter[str]:
    """Log studies, then runs under them, and count outcomes. Raises where MLflow cannot be reached any more."""
    ids_before = logged_ids(uri)
    counts: Counter[str] = Counter()
    new: set[Path] = set()

    def count(folder: Path, run_id: str | None) -> str | None:
        if run_id is None:
            logged_ids(uri)  # raises, unless this folder alone is the cause
            counts["failed"] += 1
        elif run_id in ids_before:
            counts["there already"] += 1
        else:
            counts["logged"] += 1
            new.add(folder)
        return run_id

    parents: dict[Path, str | None] = {}
    for study, runs in progress(members.items(), total=len(members), label="studies", unit="studies"):
        experiment = experiments[runs[0]] if runs else DEFAULT_EXPERIMENT
        parent = count(study, log_study(study, uri, experiment, artifacts))
        parents |= dict.fromkeys(runs, parent)
    for run, experiment in progress(experiments.items(), total=len(experiments), label="runs", unit="runs"):
        count(run, log_run(run, uri, experiment, artifacts, parent=parents.get(run)))
    for runs in members.values():
        if new & set(runs):
            promote(runs, uri, experiments[runs[0]])
    return counts
