"""MLflow models: log and register each run's classifier, promote a study's best to `champion`, find one by name."""

import re
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pipeline.prediction.trained_model import EMBEDDING, VOCABULARY
from pipeline.runtime.errors import UserError, one_line
from pipeline.runtime.log import log
from pipeline.tracking.mlflow.model_folder import write_model_folder
from pipeline.tracking.mlflow.store import mlflow_client
from pipeline.tracking.model_card import model_card, registered_name
from pipeline.tracking.read_record import read_record
from pipeline.tracking.run_record import StoredRun

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

CHAMPION = "champion"
PARENT_TAG = "mlflow.parentRunId"
VERSION_TAG = "pipeline.model"  # of a run: the version of its registered model
MAX_DESCRIPTION = 4900


def keeps_model(folder: Path, stored: StoredRun) -> bool:
    """Tell whether a record holds what prediction needs: embedding, vocabulary, text and model configuration."""
    return (
        all((folder / name).is_file() for name in (EMBEDDING, VOCABULARY)) and {"text", "model"} <= stored.config.keys()
    )


def log_model(client: "MlflowClient", folder: Path, stored: StoredRun, run: "Run") -> None:
    """Log the model of a record to its MLflow run and register it, once.

    The first version of a name without a label leak becomes the champion; later, `promote` decides. Models that an
    interrupted attempt left are deleted. A record without embedding has no model.
    """
    from mlflow.entities import LoggedModelOutput, Metric
    from mlflow.exceptions import MlflowException

    if VERSION_TAG in run.data.tags or not keeps_model(folder, stored):
        return
    run_id, experiment_id = run.info.run_id, run.info.experiment_id
    if run.info.status != "RUNNING":  # a new run has no models yet
        for unfinished in client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'"):
            client.delete_logged_model(unfinished.model_id)
    header = stored.header["tags"]
    name, data = registered_name(header), header["data"]
    tags = {"variant": header["variant"], "pipeline.run": folder.name}
    model = client.create_logged_model(experiment_id, "model", run_id, tags, model_type="classifier")
    card = model_card(folder, stored, model.model_id)
    with TemporaryDirectory() as temporary:
        write_model_folder(folder, Path(temporary), card, run_id, model.model_id)
        client.log_model_artifacts(model.model_id, temporary)
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
    now = int(time.time() * 1000)
    scores = [
        Metric(key, value, now, 0, model_id=model.model_id, run_id=run_id)
        for key, value in stored.metrics.items()
        if key.startswith(("test/", "validation/")) and value is not None
    ]
    client.log_batch(run_id, scores)
    generated = " (generated tweets)" if header["generated"] == "true" else ""
    with suppress(MlflowException):  # it exists already
        client.create_registered_model(name, {"data": data}, f"Tweet classifiers trained on {data}{generated}.")
    description = card if len(card) <= MAX_DESCRIPTION else card[:MAX_DESCRIPTION].rpartition("\n")[0]
    tags["title"] = stored.header["title"]
    version = client.create_model_version(
        name, model.artifact_location, run_id, tags, description=description, model_id=model.model_id
    ).version
    try:
        client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException:
        if not stored.has_leak:
            client.set_registered_model_alias(name, CHAMPION, str(version))
        elif PARENT_TAG not in run.data.tags:  # of a study, `promote` says it once
            log.warning("%s is not made the champion of %s: its data has a label leak", folder.name, name)
    client.set_tag(run_id, VERSION_TAG, str(version))


def promote(folders: Iterable[Path], uri: str, experiment: str) -> str | None:
    """Make the best of a study's models the champion of its data set.

    The best variant and label budget has the highest mean validation score over its seeds, by the score that early
    stopping monitored. Of its models, the one with the best validation score is chosen. Test scores are not read.
    Runs with a label leak are left out.
    `folders` holds the records of the study's runs, logged before.

    Returns `models:/NAME@champion`; None if no record kept its embedding or, after a warning, MLflow cannot be reached.
    """
    cells: dict[tuple[str, str, str, str], list[tuple[float, str, Path, bool]]] = defaultdict(list)
    leaking = 0
    for folder in folders:
        stored = read_record(folder)
        if stored.has_leak:
            leaking += 1
            continue
        tags, monitor = stored.header["tags"], stored.config.get("train", {}).get("monitor", "accuracy")
        if (score := stored.metrics.get(f"validation/{monitor}")) is not None:
            key = registered_name(tags), tags["variant"], tags["label_budget"], stored.config["text"]["emoticons"]
            higher_is_better = -score if monitor == "nll" else score
            cells[key].append((higher_is_better, folder.name, folder, keeps_model(folder, stored)))
    if leaking:
        log.warning("%d of the runs cannot become champion: their data has a label leak", leaking)
    means = {key: fmean(score for score, *_ in runs) for key, runs in cells.items()}
    for key in sorted(cells, key=lambda key: (-means[key], key)):
        if candidates := [run for run in cells[key] if run[-1]]:
            return _promote(max(candidates)[2], uri, experiment, key[0], " · ".join(key[1:]), means[key])
    return None


def _promote(folder: Path, uri: str, experiment: str, name: str, cell: str, score: float) -> str | None:
    try:
        with mlflow_client(uri) as client:
            parent = client.get_experiment_by_name(experiment)
            logged = [] if parent is None else client.search_runs(
                [parent.experiment_id], f"tags.`pipeline.run` = '{folder.name}' and attributes.status = 'FINISHED'"
            )  # fmt: skip
            versions = [run.data.tags[VERSION_TAG] for run in logged if VERSION_TAG in run.data.tags]
            if not versions:
                raise ValueError(f"{folder.name} has no model in this experiment")
            client.set_registered_model_alias(name, CHAMPION, max(versions, key=int))
            client.set_model_version_tag(
                name, max(versions, key=int), "champion.validation", f"{abs(score):.6g} ({cell})"
            )
    except Exception as error:
        log.warning("MLflow at %s did not make %s the champion of %s (%s)", uri, folder.name, name, one_line(error))
        return None
    return f"models:/{name}@{CHAMPION}"


def find_model(reference: str, uri: str) -> Path:
    """The folder of weights, vocabulary and configuration of a registered or logged model, downloaded if remote.

    `reference` is an MLflow run id, or `models:/NAME@ALIAS`, `models:/NAME/VERSION`, `models:/MODEL_ID`.

    Raises UserError if there is no such model or the store cannot be reached.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        with mlflow_client(uri) as client:
            location = _location(client, reference)
            folder = Path(download_artifacts(location, tracking_uri=uri)) / "artifacts" / "model"
    except (MlflowException, OSError, TimeoutError) as error:
        raise UserError(f"--run {reference}: not found in {uri} ({one_line(error)})") from error
    if not folder.is_dir():
        raise UserError(f"--run {reference}: this model was not logged by this project")
    return folder


def _location(client: "MlflowClient", reference: str) -> str:
    if not reference.startswith("models:/"):
        run = client.get_run(reference)
        models = run.outputs.model_outputs if run.outputs else []
        if not models:
            title = run.info.run_name
            raise UserError(
                f"--run {reference}: '{title}' has no model, because its record kept no embedding; repeat the run with "
                "tracking.keep_embedding=true"
            )
        return str(client.get_logged_model(models[-1].model_id).artifact_location)
    name = reference.removeprefix("models:/").strip("/")
    if alias := re.fullmatch(r"([^/@]+)@([^/@]+)", name):
        version = client.get_model_version_by_alias(alias[1], alias[2])
    elif numbered := re.fullmatch(r"([^/@]+)/(\d+)", name):
        version = client.get_model_version(numbered[1], numbered[2])
    elif re.fullmatch("m-[0-9a-f]{32}", name):
        return str(client.get_logged_model(name).artifact_location)
    else:
        raise UserError(f"--run {reference}: expected models:/NAME@ALIAS, models:/NAME/VERSION or models:/m-ID")
    return str(client.get_model_version_download_uri(version.name, version.version))
