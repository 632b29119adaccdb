"""`python -m pipeline summary`: all finished runs as one markdown table, averaged over seeds.

A row is a set of runs whose configurations differ in the seed alone; of runs that differ in nothing, the newest counts.
A column is added for each key that differs between rows. Scores are the mean over seeds ± half the width of its 95 %
t-interval: it covers what other seeds would change, not what other test tweets would. The last column names the codes
of warnings, if any run has one. With `--studies`, the answers and main tables of all finished studies.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline.cli.arguments import Parser, add_root, run_command, run_folders
from pipeline.cli.exit_codes import DONE, command
from pipeline.config.variants import PROSE_NAMES
from pipeline.runtime.cached_folder import MANIFEST
from pipeline.runtime.errors import UserError
from pipeline.runtime.markdown import table
from pipeline.study.statistics.intervals import t_interval
from pipeline.tracking.mlflow.values import mlflow_params
from pipeline.tracking.read_record import read_record
from pipeline.tracking.run_record import StoredRun

IGNORED = (
    *("seed", "cbow.seed", "cbow.vector_size", "data.label_budget", "data.path", "train.threads"),
    *("workers", "force", "stage", "paths.root", "paths.dvc"),
)
IGNORED_GROUPS = ("tracking.", "embedding.", "probe.")
SCORES = ("accuracy", "macro_recall")
FIRST_COLUMNS = ("data", "variant", "label_budget")


@command
def main(arguments: list[str]) -> int:
    """Print the table of the runs, or the digests of the studies, in a root's results."""
    parser = Parser("summary", "All finished runs as one markdown table, averaged over seeds.")
    parser.add_argument(
        "--split", choices=("test", "validation"), default="test", help="split of the scores (choose on validation)"
    )
    parser.add_argument("--studies", action="store_true", help="the digests of all finished studies instead")
    add_root(parser, positional=True)
    options = parser.parse_args(arguments)
    options.root = Path(options.root)
    results = options.root / "results"
    if options.studies:
        digests = [path.parent / "digest.md" for path in sorted(results.glob(f"studies/[!.]*/{MANIFEST}"))]
        if not digests:
            raise UserError(f"{results / 'studies'}: no finished study; try {run_command('compare', options.root)}")
        print("\n".join(path.read_text("utf-8") for path in digests))
    elif runs := read_runs(results):
        print(summary_table(runs, options.split))
    else:
        raise UserError(f"{results}: no finished run; try {run_command('cbow_frozen', options.root)}")
    return DONE


def read_runs(results: Path) -> list[StoredRun]:
    """The whole records in a folder of results, oldest first; any other folder is named on stderr and left out."""
    runs = []
    for folder in run_folders(results):
        try:
            run = read_record(folder)
            settings(run)
            runs.append(run)
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"left out: {folder} is no whole record ({type(error).__name__}: {error})", file=sys.stderr)
    return runs


def settings(run: StoredRun) -> dict[str, str]:
    """What is equal in runs that repeat each other: everything but the seed and the locations of files."""
    params = mlflow_params(run.config)
    # Without CBOW vectors only the unlabelled text matters, which the vocabulary is built from as well.
    ignored = IGNORED_GROUPS if "cbow" in params["embedding.init"] else (*IGNORED_GROUPS, "cbow.")
    values = {key: value for key, value in params.items() if key not in IGNORED and not key.startswith(ignored)}
    vector_keys = ("embedding.dim", "embedding.scale", "cbow.use_unlabelled")
    values |= {key: params.get(key, "null") for key in vector_keys}
    values |= {key: re.sub(r'[^"]*/', "", params[key]) for key in ("cbow.extra_text", "embedding.path")}
    values["content"] = str(run.header["dataset"]["fingerprint"])
    values |= {key: run.header["tags"][key] for key in FIRST_COLUMNS}
    return values


def summary_table(runs: Sequence[StoredRun], split: str = "test") -> str:
    """A markdown table of the scores on a split, with a row for each set of runs that differ in the seed alone."""
    frame = pd.DataFrame([settings(run) for run in runs])
    keys, varying = list(frame), _varying_keys(frame)
    score_columns = [f"{split}/{name}" for name in SCORES]
    warned = any(run.warning_codes for run in runs)
    frame = frame.fillna("").assign(seed=[run.header["tags"]["seed"] for run in runs])
    rows = []
    for _, repetitions in frame.drop_duplicates([*keys, "seed"], keep="last").groupby(keys, sort=False):
        values, members = repetitions.iloc[0], [runs[row] for row in repetitions.index]
        scores = [
            score_text([score for run in members if (score := run.metrics.get(column)) is not None])
            for column in score_columns
        ]
        data = values["data"] + (" (generated)" if members[0].header["tags"]["generated"] == "true" else "")
        labels = members[0].header["dataset"]["labelled_used"]
        trainable = int(members[0].metrics["params/trainable"] or 0)
        variant = PROSE_NAMES.get(values["variant"], values["variant"])
        codes = ", ".join(dict.fromkeys(code for run in members for code in run.warning_codes))
        row = [data, *values[varying], f"{labels:,}", variant, str(len(members)), *scores, f"{trainable:,}"]
        rows.append([*row, *([codes] if warned else [])])
    rows.sort(key=lambda row: (*row[: 1 + len(varying)], int(row[1 + len(varying)].replace(",", "")), row))
    columns = ["data", *varying, "labels", "variant", "seeds", *score_columns, "trainable parameters"]
    return table([*columns, *(["warnings"] if warned else [])], rows)


def _varying_keys(frame: pd.DataFrame) -> list[str]:
    """The keys that differ between runs on the same data set, beside the columns that every table has.

    A key that follows from the data set (its source, its test size) needs no column. The fingerprint of the content
    has one only where rows could not be told apart without it.
    """
    distinct = frame.drop_duplicates()
    differs = (distinct.groupby("data").nunique() > 1).any()
    varying = sorted(set(differs[differs].index) - set(FIRST_COLUMNS))
    without_content = [key for key in varying if key != "content"]
    return varying if distinct.duplicated([*FIRST_COLUMNS, *without_content]).any() else without_content


def score_text(scores: Sequence[float]) -> str:
    """Mean over seeds and half the width of its t-interval, such as `0.7000 ± 0.0120`; `-` where there is no score."""
    if not scores:
        return "-"
    interval = t_interval(scores)
    half = "" if interval.high is None else f" ± {interval.high - interval.mean:.4f}"
    return f"{interval.mean:.4f}{half}"
