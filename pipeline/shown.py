"""A study or a search in MLflow, with its runs under it."""

from collections.abc import Iterable
from pathlib import Path

from pipeline import stages
from pipeline.progress import progress
from pipeline.schema import Config


def show(config: Config, folder: Path, runs: Iterable[Path], *, promoting: bool = False) -> str:
    """Log what is in `folder` and, under it, its runs; with `promoting`, the best run is the champion's candidate.

    Returns what to say of it: nothing where tracking is off or MLflow cannot be reached.
    """
    if not config.tracking.enabled:
        return ""
    from pipeline.tracking.mlflow_log import log_run, log_study
    from pipeline.tracking.mlflow_model import promote

    assert config.tracking.uri is not None
    where = (config.tracking.uri, config.tracking.experiment, stages.root(config) / "artifacts" / "mlflow")
    if (parent := log_study(folder, *where)) is None:
        return ""
    folders = sorted(runs)
    for run in progress(folders, total=len(folders), label="MLflow", unit="runs"):
        if log_run(run, *where, parent=parent) is None:
            return ""
    if promoting:
        promote(folders, config.tracking.uri, config.tracking.experiment)
    return f", or browse its runs: {stages.dashboard(config)}" if config.tracking.uri.startswith("sqlite:") else ""
