"""One run from beginning to end: prepare → vectors → train."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.config.schema import Config
from pipeline.runtime.files import read_json
from pipeline.runtime.log import log
from pipeline.stages.dvc import copy_record, copy_stage
from pipeline.stages.look import look
from pipeline.stages.paths import dashboard_command, root, short
from pipeline.stages.prepare import prepare
from pipeline.stages.train import train
from pipeline.stages.vectors import cbow, vectors


def run(config: Config, overrides: Sequence[str] = ()) -> Path | None:
    """Run the stages that `config.stage` asks for, reusing finished ones; `overrides` are kept in the record.

    Returns the folder of the run's record, or None where `config.stage` comes before it. Raises UserError where the
    configuration or an input file is wrong, RunError where the run itself failed.
    """
    if config.stage == "look":
        look(config, overrides)
        return None
    if logs := config.tracking.enabled and config.stage not in ("prepare", "cbow"):
        from pipeline.tracking.mlflow.background import background_logger

        mlflow = background_logger()
    prepared = prepare(config)
    if config.stage in ("prepare", "cbow"):
        copy_stage(config, prepared if config.stage == "prepare" else cbow(config, prepared))
        log.info("next: the same command without stage=%s trains a classifier on it", config.stage)
        return None
    uri, browse = config.tracking.uri, ""
    assert uri is not None
    if logs:
        mlflow.prepare(uri)
    folder = train(config, prepared, vectors(config, prepared), overrides)
    for warning in read_json(folder / "run.json")["warnings"]:
        log.info("warning: %s %s", warning["text"], warning["remedy"])
    copy_record(config, folder)
    if logs:
        logged = mlflow.log_run(folder, uri, config.tracking.experiment, root(config) / "artifacts" / "mlflow")
        if logged and uri.startswith("sqlite:"):
            browse = f", or browse all runs: {dashboard_command(config)}"
    log.info("read %s%s", short(folder / "note.md"), browse)
    return folder
