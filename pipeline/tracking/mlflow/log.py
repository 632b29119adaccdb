"""MLflow as a view of results on disk: a record's folder alone is copied into one MLflow run."""

import json
import math
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from pipeline.prediction.trained_model import EMBEDDING
from pipeline.runtime.cached_folder import read_manifest
from pipeline.runtime.errors import one_line
from pipeline.runtime.files import file_fingerprint, fingerprint, read_json
from pipeline.runtime.log import log
from pipeline.tracking.mlflow.models import log_model
from pipeline.tracking.mlflow.saved_views import NOTE, experiment_views
from pipeline.tracking.mlflow.store import LOCK_SECONDS, mlflow_client
from pipeline.tracking.mlflow.values import NEIGHBOURS, datasets, points, run_tags, shortened, table_of
from pipeline.tracking.read_record import read_record

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

LONGEST_PARAM = 6000
SERVERS = ("http://", "https://", "databricks")
STUDY = "study.json"
RUN_TAG, STUDY_TAG, CONTENT_TAG = "pipeline.run", "pipeline.study", "pipeline.content"
# Where and how a run was made, but nothing of what it is.
NO_PARAMS = ("paths.", "tracking.", "workers", "force", "stage", "train.threads")


def log_run(folder: Path, uri: str, experiment: str, artifact_root: Path, parent: str | None = None) -> str | None:
    """Copy the record in `folder` into MLflow; the same content is logged once, however often this is called.

    Of two records of one name, as `force=true` gives, the one that finished later stands; MLflow keeps the other among
    its deleted runs.

    Parameters
    ----------
    folder : a whole record, with its manifest; not while `ensure_folder` is still at work on it.
    uri : an absolute `sqlite:///` path, made where it is missing, or the address of a tracking server.
    experiment : name of the MLflow experiment, made where it is missing.
    artifact_root : where MLflow keeps files; a server decides that for itself.
    parent : the id of the study's MLflow run under which this one is shown; a run shows under its latest study.

    Returns
    -------
    The id of the MLflow run, or None after a warning: trouble with tracking never ends a run, whose truth is `folder`.
    """
    return _logged(folder, uri, artifact_root, partial(_log_folder, experiment=experiment, parent=parent))


def log_study(folder: Path, uri: str, experiment: str, artifact_root: Path) -> str | None:
    """Copy the folder of a study into MLflow, as the run under which its runs are shown.

    Parameters and result are those of `log_run`; `study.json` in `folder` holds title, tags, params and metrics.
    """
    return _logged(folder, uri, artifact_root, partial(_log_study_folder, experiment=experiment))


def logged_ids(uri: str) -> set[str]:
    """The ids of all runs that MLflow holds; raises what MLflow raises where it cannot be reached."""
    found: set[str] = set()
    with mlflow_client(uri) as client:
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        token, first = None, True
        while token or first:
            page = client.search_runs(experiments, max_results=1000, page_token=token)
            found |= {run.info.run_id for run in page}
            token, first = page.token, False
    return found


def _logged(folder: Path, uri: str, artifact_root: Path, copy: Callable[..., str]) -> str | None:
    """Have `copy` log a folder, under its lock and that of the store."""
    try:
        lock = FileLock(folder.parent / f".{folder.name}.lock", timeout=LOCK_SECONDS)
        with lock, mlflow_client(uri) as client:
            return copy(client, folder, artifact_root=None if uri.startswith(SERVERS) else artifact_root)
    except Exception as error:
        reason = one_line(error) or type(error).__name__
        root = next((path.parent for path in folder.parents if path.name == "results"), Path("ROOT"))
        log.warning(
            "MLflow at %s did not take this run (%s). The results are safe in %s; later, "
            "`python -m pipeline sync --root %s --uri %s` puts them there.",
            uri,
            reason,
            folder,
            shlex.quote(str(root)),
            shlex.quote(uri),
        )
        return None


def _log_folder(
    client: "MlflowClient", folder: Path, experiment: str, artifact_root: Path | None, parent: str | None
) -> str:
    manifest = _manifest(folder)
    stored = read_record(folder)
    content = file_fingerprint([folder / "manifest.json", folder / "metrics.json"])
    experiment_id = _experiment_id(client, experiment, artifact_root)
    nested = {} if parent is None else {"mlflow.parentRunId": parent}
    if standing := _standing(client, experiment_id, RUN_TAG, folder.name, content, _finished(manifest)):
        if nested.items() - standing.data.tags.items():
            client.set_tag(standing.info.run_id, *next(iter(nested.items())))
        if standing.data.tags[CONTENT_TAG] == content:
            log_model(client, folder, stored, standing)
        return str(standing.info.run_id)
    params = {key: value for key, value in flat_params(stored.config).items() if not key.startswith(NO_PARAMS)}
    tags = run_tags(stored, folder) | {RUN_TAG: folder.name, CONTENT_TAG: content} | nested
    with _new_run(client, experiment_id, str(stored.header["title"]), tags, manifest) as run:
        run_id = str(run.info.run_id)
        _log_values(client, run_id, params, points(stored), _finished(manifest))
        client.log_inputs(run_id, datasets(stored))
        _log_files(client, run_id, folder, table_of(stored.neighbours) if stored.neighbours else None)
        log_model(client, folder, stored, run)
    return run_id


def _log_study_folder(client: "MlflowClient", folder: Path, experiment: str, artifact_root: Path | None) -> str:
    manifest = _manifest(folder)
    study = read_json(folder / STUDY)
    content = file_fingerprint([folder / "manifest.json", folder / STUDY])
    experiment_id = _experiment_id(client, experiment, artifact_root)
    if standing := _standing(client, experiment_id, STUDY_TAG, folder.name, content, _finished(manifest)):
        return str(standing.info.run_id)
    tags = study["tags"] | {
        CONTENT_TAG: content,
        STUDY_TAG: folder.name,
        "mlflow.note.content": shortened((folder / "report.md").read_text("utf-8"), folder, "report.md"),
    }
    with _new_run(client, experiment_id, study["title"], tags, manifest) as run:
        run_id = str(run.info.run_id)
        scores = [(key, value, 0) for key, value in study["metrics"].items()]
        _log_values(client, run_id, flat_params(study["params"]), scores, _finished(manifest))
        client.log_artifacts(run_id, str(folder))
    return run_id


def _manifest(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    if manifest is None:
        raise ValueError("the folder is not a whole record: it has no manifest")
    return manifest


def _finished(manifest: Mapping[str, Any]) -> int:
    """When the work was done, in ms."""
    return int(datetime.fromisoformat(manifest["finished"]).timestamp() * 1000)


def _standing(
    client: "MlflowClient", experiment_id: str, tag: str, name: str, content: str, finished: int
) -> "Run | None":
    """The run that shows this record, or a later one of its name; what it replaces or left unfinished is deleted."""
    standing = None
    for run in client.search_runs([experiment_id], f"tags.`{tag}` = '{name}'"):
        same, whole = run.data.tags.get(CONTENT_TAG) == content, run.info.status == "FINISHED"
        later = not same and (run.info.end_time or run.info.start_time) > finished
        if whole and (same or later):
            standing = run
        elif not later:
            client.delete_run(run.info.run_id)
    return standing


@contextmanager
def _new_run(
    client: "MlflowClient", experiment_id: str, title: str, tags: Mapping[str, str], manifest: Mapping[str, Any]
) -> Iterator["Run"]:
    """Make a run with the times of the work itself, to be filled. Closed after."""
    finished = _finished(manifest)
    started = finished - int(manifest["seconds"] * 1000)
    run = client.create_run(experiment_id, started, dict(tags), run_name=title)
    try:
        yield run
    except BaseException:
        with suppress(Exception):
            client.set_terminated(run.info.run_id, "FAILED")
        raise
    client.set_terminated(run.info.run_id, "FINISHED", finished)


def _experiment_id(client: "MlflowClient", name: str, artifact_root: Path | None) -> str:
    """Find or make the experiment, with our views. It is marked as model training: the UI opens on its runs."""
    found = client.get_experiment_by_name(name)
    views = experiment_views()
    if found is None:
        location = None if artifact_root is None else str(artifact_root.resolve())
        tags = {"mlflow.experimentKind": "custom_model_development", "mlflow.note.content": NOTE} | views
        with suppress(Exception):
            return str(client.create_experiment(name, location, tags))
        found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise ValueError(f"the MLflow experiment '{name}' is deleted or cannot be made")
    for key, view in views.items() - found.tags.items():
        client.set_experiment_tag(found.experiment_id, key, view)
    return str(found.experiment_id)


def _log_values(
    client: "MlflowClient",
    run_id: str,
    params: Mapping[str, str],
    values: Sequence[tuple[str, float | None, int]],
    timestamp: int,
) -> None:
    """Log params and those of the metrics (key, value, step) that are numbers, in as few calls as MLflow takes."""
    from mlflow.entities import Metric, Param

    names = metric_names([key for key, _, _ in values])
    numbers = [(names[key], value, step) for key, value, step in values if value is not None and math.isfinite(value)]
    metrics = [Metric(name, value, timestamp, step) for name, value, step in numbers]
    settings = [Param(key, value) for key, value in params.items()]
    while metrics or settings:
        some, settings = settings[:100], settings[100:]
        room = 1000 - len(some)
        client.log_batch(run_id, metrics[:room], some)
        metrics = metrics[room:]


def _log_files(client: "MlflowClient", run_id: str, folder: Path, neighbours: Mapping[str, Any] | None) -> None:
    """Log the files of a record but for its embedding, and the table that the UI shows, in one call."""
    with TemporaryDirectory() as temporary:
        for path in folder.resolve().iterdir():
            if path.is_file() and path.name != EMBEDDING:
                (Path(temporary) / path.name).symlink_to(path)
        if neighbours is not None:
            table = Path(temporary) / NEIGHBOURS
            table.parent.mkdir()
            table.write_text(json.dumps(neighbours, indent=2), "utf-8")
        client.log_artifacts(run_id, temporary)


def flat_params(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten to dotted keys and text values; what is too long for MLflow becomes its beginning and a fingerprint."""
    params: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            params |= flat_params(value, f"{prefix}{key}.")
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if len(text) > LONGEST_PARAM:
            text = f"{text[:200]}… ({len(text)} characters, fingerprint {fingerprint(value)})"
        params[f"{prefix}{key}"] = text
    return params


def metric_names(keys: Sequence[str]) -> dict[str, str]:
    """Give each key a name valid in MLflow: signs such as brackets become `_`, and no two keys share a name."""
    names: dict[str, str] = {}
    for key in dict.fromkeys(keys):
        parts = [re.sub(r"[^\w\-. :]+", "_", part).strip() for part in key.split("/")]
        name = "/".join(part for part in parts if part.strip(".")) or "metric"
        if name in names.values():
            name = f"{name}_{fingerprint(key)[:8]}"
        names[key] = name[:250]
    return names
