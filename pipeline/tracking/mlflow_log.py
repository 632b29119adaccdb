"""MLflow as a view of results on disk: a record's folder alone is copied into one MLflow run."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from pipeline.files import file_fingerprint, fingerprint, read_json, read_manifest
from pipeline.progress import log
from pipeline.tracking.mlflow_store import LOCK_SECONDS, mlflow_client
from pipeline.tracking.record import EMBEDDING, StoredRun, read_record

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput
    from mlflow.tracking import MlflowClient

LONGEST_PARAM, LONGEST_TAG = 6000, 8000
SERVERS = ("http://", "https://", "databricks")
STUDY = "study.json"
EXPERIMENT_NOTE = (
    "Each run is one (data, text, variant, label budget, seed). What came out is in the run's description."
)


def log_run(folder: Path, uri: str, experiment: str, artifact_root: Path, parent: str | None = None) -> str | None:
    """Copy the record in `folder` into MLflow; the same content is logged once, however often this is called.

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


def _logged(folder: Path, uri: str, artifact_root: Path, copy: Callable[..., str]) -> str | None:
    """Have `copy` log a folder, under its lock and that of the store."""
    try:
        lock = FileLock(folder.parent / f".{folder.name}.lock", timeout=LOCK_SECONDS)
        with lock, mlflow_client(uri) as client:
            return copy(client, folder, artifact_root=None if uri.startswith(SERVERS) else artifact_root)
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        log.warning(
            "MLflow at %s did not take this run (%s). The results are safe in %s; the same command fills MLflow later.",
            uri,
            reason,
            folder,
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
    if earlier := _finished(client, experiment_id, content):
        for key, value in nested.items():
            client.set_tag(earlier, key, value)
        return earlier
    tags = _tags(stored, folder) | {"pipeline.content": content} | nested
    with _new_run(client, experiment_id, str(stored.header["title"]), tags, manifest) as (run_id, finished):
        _log_values(client, run_id, stored, finished)
        client.log_inputs(run_id, _datasets(stored))
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name != EMBEDDING:
                client.log_artifact(run_id, str(path))
        _log_table(client, run_id, stored.neighbours, "tables/neighbours.json")
    return run_id


def _log_study_folder(client: "MlflowClient", folder: Path, experiment: str, artifact_root: Path | None) -> str:
    from mlflow.entities import Metric, Param

    manifest = _manifest(folder)
    study = read_json(folder / STUDY)
    content = file_fingerprint([folder / "manifest.json", folder / STUDY])
    experiment_id = _experiment_id(client, experiment, artifact_root)
    if earlier := _finished(client, experiment_id, content):
        return earlier
    tags = study["tags"] | {
        "pipeline.content": content,
        "pipeline.study": folder.name,
        "mlflow.note.content": _shortened((folder / "report.md").read_text("utf-8"), folder, "report.md"),
    }
    with _new_run(client, experiment_id, study["title"], tags, manifest) as (run_id, finished):
        params = [Param(key, value) for key, value in flat_params(study["params"]).items()]
        names = metric_names(list(study["metrics"]))
        metrics = [Metric(names[key], value, finished, 0) for key, value in study["metrics"].items()]
        for start in range(0, len(params), 100):
            client.log_batch(run_id, params=params[start : start + 100])
        for start in range(0, len(metrics), 1000):
            client.log_batch(run_id, metrics=metrics[start : start + 1000])
        client.log_artifacts(run_id, str(folder))
    return run_id


def _manifest(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    if manifest is None:
        raise ValueError("the folder is not a whole record: it has no manifest")
    return manifest


def _finished(client: "MlflowClient", experiment_id: str, content: str) -> str | None:
    """The id of the run that holds this content already; what an interrupted attempt left is deleted."""
    for earlier in client.search_runs([experiment_id], f"tags.`pipeline.content` = '{content}'"):
        if earlier.info.status == "FINISHED":
            return str(earlier.info.run_id)
        client.delete_run(earlier.info.run_id)
    return None


@contextmanager
def _new_run(
    client: "MlflowClient", experiment_id: str, title: str, tags: Mapping[str, str], manifest: Mapping[str, Any]
) -> Iterator[tuple[str, int]]:
    """Make a run with the times of the work itself, to be filled: its id, and when it finished (ms). Closed after."""
    finished = int(datetime.fromisoformat(manifest["finished"]).timestamp() * 1000)
    started = finished - int(manifest["seconds"] * 1000)
    run_id = str(client.create_run(experiment_id, started, dict(tags), run_name=title).info.run_id)
    try:
        yield run_id, finished
    except BaseException:
        with suppress(Exception):
            client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED", finished)


def _experiment_id(client: "MlflowClient", name: str, artifact_root: Path | None) -> str:
    """Find or make the experiment. It is marked as model training, which is what the UI then opens on."""
    found = client.get_experiment_by_name(name)
    if found is None:
        location = None if artifact_root is None else str(artifact_root.resolve())
        tags = {"mlflow.experimentKind": "custom_model_development", "mlflow.note.content": EXPERIMENT_NOTE}
        with suppress(Exception):
            return str(client.create_experiment(name, location, tags))
        found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise ValueError(f"the MLflow experiment '{name}' is deleted or cannot be made")
    return str(found.experiment_id)


def _tags(stored: StoredRun, folder: Path) -> dict[str, str]:
    environment = stored.header["environment"]
    sha, dirty = environment.get("git_sha", "unknown"), environment.get("git_dirty")
    tags = {key: str(value) for key, value in stored.header["tags"].items()} | {
        "git_sha": str(sha),
        "git_dirty": "unknown" if dirty is None else str(dirty).lower(),
        "pipeline.run": str(stored.header["name"]),
        "mlflow.source.name": "pipeline",
        "mlflow.source.type": "LOCAL",
        "mlflow.note.content": _shortened(stored.note, folder),
    }
    machine = {key: environment.get(key) for key in ("python", "platform", "cpu", "cores", "device")}
    known = {f"environment.{key}": value for key, value in (machine | environment.get("libraries", {})).items()}
    tags |= {key: str(value) for key, value in known.items() if value is not None}
    if re.fullmatch("[0-9a-f]{40,64}", sha):
        tags["mlflow.source.git.commit"] = sha
    return tags


def _shortened(note: str, folder: Path, name: str = "note.md") -> str:
    if len(note) <= LONGEST_TAG:
        return note
    rest = f"\n\n… the whole note is the artifact `{name}` and {folder.name}/{name}.\n"
    return note[: LONGEST_TAG - len(rest)].rpartition("\n")[0] + rest


def _log_values(client: "MlflowClient", run_id: str, stored: StoredRun, timestamp: int) -> None:
    """Log parameters, final metrics (step 0) and, under `epoch/`, the curves with the epoch as step."""
    from mlflow.entities import Metric, Param

    params = [Param(key, value) for key, value in flat_params(stored.config).items()]
    final = stored.metrics | stored.timings
    names = metric_names([*final, *(f"epoch/{key}" for row in stored.history for key in row)])
    points = [(names[key], value, 0) for key, value in final.items()]
    for row in stored.history:
        points += [(names[f"epoch/{key}"], value, int(row["epoch"])) for key, value in row.items() if key != "epoch"]
    metrics = [
        Metric(name, value, timestamp, step)
        for name, value, step in points
        if value is not None and math.isfinite(value)
    ]
    for start in range(0, len(params), 100):
        client.log_batch(run_id, params=params[start : start + 100])
    for start in range(0, len(metrics), 1000):
        client.log_batch(run_id, metrics=metrics[start : start + 1000])


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


def _log_table(client: "MlflowClient", run_id: str, rows: Sequence[Mapping[str, Any]], path: str) -> None:
    """Log rows so that the UI shows them as a table and compares them between runs.

    `MlflowClient.log_table` does the same by way of pandas, with a deprecation warning.
    """
    if rows:
        columns = list(rows[0])
        client.log_dict(run_id, {"columns": columns, "data": [[row[key] for key in columns] for row in rows]}, path)
        client.set_tag(run_id, "mlflow.loggedArtifacts", json.dumps([{"path": path, "type": "table"}]))


def _datasets(stored: StoredRun) -> list["DatasetInput"]:
    """One input per split. MLflow keeps one context per name and digest, so the split is part of the name."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = stored.header["dataset"]
    source = str(dataset.get("source", "unknown"))
    kind, where = ("http", {"url": source}) if source.startswith("http") else ("code", {"tags": {"source": source}})
    columns = [{"name": name, "type": "string", "required": True} for name in ("text", "label")]
    inputs = []
    for split, rows in dataset.get("rows", {}).items():
        tags = {"mlflow.data.context": "training" if split == "train" else split}
        if split == "train":
            tags["labelled_used"] = str(dataset.get("labelled_used", rows))
        inputs.append(
            DatasetInput(
                Dataset(
                    name=f"{dataset.get('name', 'data')}-{split}"[:500],
                    digest=str(dataset.get("fingerprint", "unknown"))[:36],
                    source_type=kind,
                    source=json.dumps(where, ensure_ascii=False),
                    schema=json.dumps({"mlflow_colspec": columns}),
                    profile=json.dumps({"num_rows": rows}),
                ),
                [InputTag(key, value) for key, value in tags.items()],
            )
        )
    return inputs
