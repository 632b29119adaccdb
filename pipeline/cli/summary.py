"""All finished runs as one table: `python -m pipeline.summary [ROOT]` prints markdown, seeds taken together.

With `--studies`, the answers and main tables of all finished studies.

A row is a set of runs whose configuration differs in the seed alone (of runs that differ in nothing, the newest
counts); a column is shown for each key that differs between rows. Scores are the mean over seeds ± half the 95 %
t-interval of that mean: it holds what seeds change, not what other test tweets would.
"""

import argparse
import signal
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import t

from pipeline.runtime.cached_folder import MANIFEST, read_manifest
from pipeline.runtime.paths import project_root
from pipeline.tracking.mlflow.values import mlflow_params
from pipeline.tracking.read_record import read_record
from pipeline.tracking.run_record import StoredRun

IGNORED = (
    "seed",
    "cbow.seed",
    "cbow.vector_size",
    "data.label_budget",
    "workers",
    "force",
    "stage",
    "paths.root",
    "paths.dvc",
    "data.path",
    "train.threads",
)
IGNORED_GROUPS = ("tracking.", "embedding.", "probe.")
SHOWN = ("accuracy", "macro_recall")
Key = tuple[tuple[str, str], ...]


def mean_and_interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean over seeds and half the width of its 95 % t-interval; None for a single seed."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    return mean, float(t.ppf(0.975, len(values) - 1)) * error


def shown(scores: Sequence[float]) -> str:
    """Mean and interval for a reader; `-` where there is no score."""
    if not scores:
        return "-"
    mean, half = mean_and_interval(scores)
    return f"{mean:.4f}" if half is None else f"{mean:.4f} ± {half:.4f}"


def read_runs(results: Path) -> list[StoredRun]:
    """The whole records in a folder of results, oldest first; a folder that is none is named on stderr and left out."""
    folders = [manifest.parent for manifest in results.glob(f"[!.]*/{MANIFEST}")]
    finished = {folder: str((read_manifest(folder) or {}).get("finished", "")) for folder in folders}
    runs = []
    for folder in sorted(folders, key=lambda folder: (finished[folder], folder.name)):
        try:
            run = read_record(folder)
            settings(run)
            runs.append(run)
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"left out: {folder} is no whole record ({type(error).__name__}: {error})", file=sys.stderr)
    return runs


def settings(run: StoredRun) -> Key:
    """What must be equal for two runs to be repetitions of each other: everything but the seed and where files lie."""
    params = mlflow_params(run.config)
    kept = {key: value for key, value in params.items() if key not in IGNORED and not key.startswith(IGNORED_GROUPS)}
    if params["embedding.init"] != "cbow":
        # The vocabulary depends on which unlabelled text was read, whatever the variant; the knobs play no part.
        shared = ("cbow.use_unlabelled", "cbow.extra_text")
        kept = {key: value for key, value in kept.items() if not key.startswith("cbow.") or key in shared}
    kept |= {key: params.get(key, "null") for key in ("embedding.dim", "embedding.scale")}
    kept |= {key: Path(params[key]).name for key in ("cbow.extra_text", "embedding.path")}
    kept["content"] = str(run.header["dataset"]["fingerprint"])
    kept |= {key: run.header["tags"][key] for key in ("data", "variant", "label_budget")}
    return tuple(sorted(kept.items()))


def summary_table(runs: Sequence[StoredRun], split: str = "test") -> str:
    """A markdown table of runs with the scores of a split, a row for each set that differs in the seed alone."""
    groups: dict[Key, dict[str, StoredRun]] = defaultdict(dict)
    for run in runs:
        groups[settings(run)][run.header["tags"]["seed"]] = run
    named = [(dict(key), list(members.values())) for key, members in groups.items()]
    fixed = ("data", "variant", "label_budget")
    by_data: dict[tuple[str, str], set[str]] = defaultdict(set)
    for values, _ in named:
        for key, value in values.items():
            by_data[key, values["data"]].add(value)
    # A key that goes with the data set (its source, its test size) needs no column of its own.
    varying = sorted({key for (key, _), values in by_data.items() if len(values) > 1 and key not in fixed})
    told = [
        tuple(values[key] for key in (*fixed, *varying) if key != "content" and key in values) for values, _ in named
    ]
    if len(set(told)) == len(told):
        varying = [key for key in varying if key != "content"]
    header = [
        "data",
        *varying,
        "labels",
        "variant",
        "seeds",
        *(f"{split}/{name}" for name in SHOWN),
        "trainable parameters",
    ]
    rows = []
    for values, members in named:
        scores = []
        for name in SHOWN:
            found = [score for run in members if (score := run.metrics.get(f"{split}/{name}")) is not None]
            scores.append(shown(found))
        data = values["data"] + (" (generated)" if members[0].header["tags"]["generated"] == "true" else "")
        used = members[0].header["dataset"]["labelled_used"]
        trainable = int(members[0].metrics["params/trainable"] or 0)
        keys = [values.get(key, "") for key in varying]
        rows.append([data, *keys, f"{used:,}", values["variant"], str(len(members)), *scores, f"{trainable:,}"])
    rows.sort(key=lambda row: (*row[: 1 + len(varying)], int(row[1 + len(varying)].replace(",", "")), row))
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows])


def print_studies(studies: Path) -> int:
    """Print the digest of every whole study below a folder, by name; 2 where there are none."""
    digests = [path.parent / "digest.md" for path in sorted(studies.glob(f"[!.]*/{MANIFEST}"))]
    if not digests:
        print(f"error: {studies}: no finished study; try ./scripts/run +experiment=compare", file=sys.stderr)
        return 2
    print("\n".join(path.read_text("utf-8") for path in digests))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table of a root's results; 2 where there are none."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.summary", description="All finished runs as one table.")
    parser.add_argument("root", nargs="?", type=Path, default=project_root(), help="folder that holds results/")
    parser.add_argument(
        "--split", choices=("test", "validation"), default="test", help="whose scores (choose on validation)"
    )
    parser.add_argument("--studies", action="store_true", help="the digests of all finished studies instead")
    parsed = parser.parse_args(arguments)
    root = parsed.root
    if parsed.studies:
        return print_studies(root / "results" / "studies")
    runs = read_runs(root / "results")
    if not runs:
        print(f"error: {root / 'results'}: no finished run; try ./scripts/run +experiment=cbow_frozen", file=sys.stderr)
        return 2
    print(summary_table(runs, parsed.split))
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `… | head` is no error
    sys.exit(main())
