"""Logs records to MLflow: each record in results/ becomes a run, and a study becomes the parent of its runs."""

import json
import math
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import yaml
from filelock import FileLock

from pipeline.prediction.trained_model import EMBEDDING
from pipeline.runtime.cached_folder import read_manifest
from pipeline.runtime.errors import one_line
from pipeline.runtime.files import file_fingerprint, read_json
from pipeline.runtime.log import log
from pipeline.runtime.paths import script
from pipeline.tracking.mlflow.models import PARENT_TAG, log_model
from pipeline.tracking.mlflow.store import LOCK_SECONDS, mlflow_client
from pipeline.tracking.mlflow.values import NEIGHBOURS, datasets, fit_note, metric_names, mlflow_params, run_tags
from pipeline.tracking.read_record import read_record

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

SERVERS = ("http://", "https://", "databricks")
STUDY = "study.json"
RUN_TAG, STUDY_TAG, CONTENT_TAG = "pipeline.run", "pipeline.study", "pipeline.content"
# Keys that say where and how a run was computed; they do not change its result.
NOT_PARAMS = ("paths.", "tracking.", "workers", "force", "stage", "train.threads")


def log_run(folder: Path, uri: str, experiment: str, artifact_root: Path, parent: str | None = None) -> str | None:
    """Copy the record in `folder` into MLflow. Repeated calls with the same content log it once.

    Of two records with one name (after `force=true`), the later one replaces the earlier, which MLflow keeps among its
    deleted runs.

    folder : a whole record with its manifest, after `ensure_folder` has returned.
    uri : an absolute `sqlite:///` path, created if missing, or the address of a tracking server.
    experiment : name of the MLflow experiment, created if missing.
    artifact_root : where MLflow keeps files; ignored by a server, which has its own.
    parent : id of the study's MLflow run, under which this run is nested; the latest study wins.

    Returns the id of the MLflow run; None after a warning, as a tracking error never ends a run: `folder` holds it all.
    """
    return _log_or_warn(folder, uri, artifact_root, partial(_log_folder, experiment=experiment, parent=parent))


def log_study(folder: Path, uri: str, experiment: str, artifact_root: Path) -> str | None:
    """Copy the folder of a study into MLflow, as the parent run of its runs.

    Parameters and result are those of `log_run`; `study.json` in `folder` holds title, tags, params and metrics.
    """
    return _log_or_warn(folder, uri, artifact_root, partial(_log_study_folder, experiment=experiment))


def logged_ids(uri: str) -> set[str]:
    """Ids of all runs that MLflow holds; MLflow's own errors where it cannot be reached."""
    from mlflow.utils import get_results_from_paginated_fn

    with mlflow_client(uri) as client:
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        runs = get_results_from_paginated_fn(
            lambda number, token: client.search_runs(experiments, max_results=number, page_token=token), 1000
        )
    return {run.info.run_id for run in runs}


def _log_or_warn(folder: Path, uri: str, artifact_root: Path, copy: Callable[..., str]) -> str | None:
    """Call `copy` under the lock of the folder and that of the store; any error becomes a warning."""
    try:
        lock = FileLock(folder.parent / f".{folder.name}.lock", timeout=LOCK_SECONDS)
        with lock, mlflow_client(uri) as client:
            return copy(client, folder, artifact_root=None if uri.startswith(SERVERS) else artifact_root)
    except Exception as error:
        root = next((path.parent for path in folder.parents if path.name == "results"), Path("ROOT"))
        log.warning(
            f"MLflow at {uri} did not take this run ({one_line(error)}). The results are safe in {folder}; "
            f"`{script('run')} sync --root {shlex.quote(str(root))} --uri {shlex.quote(uri)}` logs them later."
        )
        return None


def _log_folder(
    client: "MlflowClient", folder: Path, experiment: str, artifact_root: Path | None, parent: str | None
) -> str:
    times = _times(folder)
    stored = read_record(folder)
    content = file_fingerprint([folder / "manifest.json", folder / "metrics.json"])
    experiment_id = _experiment_id(client, experiment, artifact_root)
    nested = {} if parent is None else {PARENT_TAG: parent}
    if logged := _logged_run(client, experiment_id, RUN_TAG, folder.name, content, times[1]):
        if nested.items() - logged.data.tags.items():
            client.set_tag(logged.info.run_id, *next(iter(nested.items())))
        if logged.data.tags[CONTENT_TAG] == content:
            log_model(client, folder, stored, logged)
        return str(logged.info.run_id)
    params = {key: value for key, value in mlflow_params(stored.config).items() if not key.startswith(NOT_PARAMS)}
    tags = run_tags(stored, folder) | {RUN_TAG: folder.name, CONTENT_TAG: content} | nested
    values = [(key, value, 0) for key, value in (stored.metrics | stored.timings).items()]
    for row in stored.history:
        values += [(f"epoch/{key}", value, int(row["epoch"])) for key, value in row.items() if key != "epoch"]
    with _new_run(client, experiment_id, stored.header["title"], tags, params, values, times) as run:
        client.log_inputs(run.info.run_id, datasets(stored))
        _log_files(client, run.info.run_id, folder, stored.neighbours)
        log_model(client, folder, stored, run)
    return str(run.info.run_id)


def _log_study_folder(client: "MlflowClient", folder: Path, experiment: str, artifact_root: Path | None) -> str:
    times = _times(folder)
    study = read_json(folder / STUDY)
    content = file_fingerprint([folder / "manifest.json", folder / STUDY])
    experiment_id = _experiment_id(client, experiment, artifact_root)
    if logged := _logged_run(client, experiment_id, STUDY_TAG, folder.name, content, times[1]):
        return str(logged.info.run_id)
    tags = study["tags"] | {
        CONTENT_TAG: content,
        STUDY_TAG: folder.name,
        "mlflow.note.content": fit_note((folder / "report.md").read_text("utf-8"), folder, "report.md"),
    }
    scores = [(key, value, 0) for key, value in study["metrics"].items()]
    with _new_run(client, experiment_id, study["title"], tags, mlflow_params(study["params"]), scores, times) as run:
        client.log_artifacts(run.info.run_id, str(folder))
    return str(run.info.run_id)


def _times(folder: Path) -> tuple[int, int]:
    """When the run or study started and finished, in ms since 1970."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise ValueError("the record is incomplete: it has no manifest")
    finished = int(datetime.fromisoformat(manifest["finished"]).timestamp() * 1000)
    return finished - int(manifest["seconds"] * 1000), finished


def _logged_run(
    client: "MlflowClient", experiment_id: str, tag: str, name: str, content: str, finished: int
) -> "Run | None":
    """The MLflow run that holds this record or a later one of its name; outdated and unfinished ones are deleted."""
    logged = None
    for run in client.search_runs([experiment_id], f"tags.`{tag}` = '{name}'"):
        same, complete = run.data.tags.get(CONTENT_TAG) == content, run.info.status == "FINISHED"
        later = not same and (run.info.end_time or run.info.start_time) > finished
        if complete and (same or later):
            logged = run
        elif not later:
            client.delete_run(run.info.run_id)
    return logged


@contextmanager
def _new_run(
    client: "MlflowClient",
    experiment_id: str,
    title: str,
    tags: dict[str, str],
    params: Mapping[str, str],
    values: Sequence[tuple[str, float | None, int]],
    times: tuple[int, int],
) -> Iterator["Run"]:
    """Create a run with its params and the finite ones of its metrics (key, value, step), in as few calls as possible.

    The run has the start and end of the work itself, and is closed at the end of the block.
    """
    from mlflow.entities import Metric, Param

    started, finished = times
    names = metric_names([key for key, _, _ in values])
    finite = [(key, value, step) for key, value, step in values if value is not None and math.isfinite(value)]
    metrics = [Metric(names[key], value, finished, step) for key, value, step in finite]
    remaining = [Param(key, value) for key, value in params.items()]
    run = client.create_run(experiment_id, started, tags, run_name=title)
    try:
        while metrics or remaining:
            batch, remaining = remaining[:100], remaining[100:]
            room = 1000 - len(batch)
            client.log_batch(run.info.run_id, metrics[:room], batch)
            metrics = metrics[room:]
        yield run
    except BaseException:
        with suppress(Exception):
            client.set_terminated(run.info.run_id, "FAILED")
        raise
    client.set_terminated(run.info.run_id, "FINISHED", finished)


def _experiment_id(client: "MlflowClient", name: str, artifact_root: Path | None) -> str:
    """Find or create the experiment, with the saved views. Marked as model training, the UI opens it on its runs."""
    existing = client.get_experiment_by_name(name)
    saved = yaml.safe_load(Path(__file__).with_name("saved_views.yaml").read_text("utf-8"))
    views = {
        f"mlflow.sharedViewState.{key}": json.dumps(view | {"state": json.dumps(view["state"])})
        for key, view in saved["views"].items()
    }
    if existing is None:
        location = None if artifact_root is None else str(artifact_root.resolve())
        tags = {"mlflow.experimentKind": "custom_model_development", "mlflow.note.content": saved["note"]} | views
        with suppress(Exception):
            return str(client.create_experiment(name, location, tags))
        existing = client.get_experiment_by_name(name)
    if existing is None or existing.lifecycle_stage != "active":
        raise ValueError(f"the MLflow experiment '{name}' is deleted or cannot be created")
    for key, view in views.items() - existing.tags.items():
        client.set_experiment_tag(existing.experiment_id, key, view)
    return str(existing.experiment_id)


def _log_files(client: "MlflowClient", run_id: str, folder: Path, neighbours: Sequence[Mapping[str, str]]) -> None:
    """Log the files of a record except the embedding matrices, and the table that the UI shows, in one call."""
    with TemporaryDirectory() as temporary:
        for path in folder.resolve().iterdir():
            if path.is_file() and path.name != EMBEDDING:
                (Path(temporary) / path.name).symlink_to(path)
        if neighbours:
            path = Path(temporary) / NEIGHBOURS
            path.parent.mkdir()
            # `MlflowClient.log_table` writes the same through pandas, with a deprecation warning.
            table = {"columns": list(neighbours[0]), "data": [list(row.values()) for row in neighbours]}
            path.write_text(json.dumps(table, indent=2), "utf-8")
        client.log_artifacts(run_id, temporary)
