"""The report of a study or a search: written once, its answers said, and shown in MLflow with its runs under it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.config.schema import Config
from pipeline.runtime.cached_folder import ensure_folder
from pipeline.runtime.errors import RunError
from pipeline.runtime.log import log, progress
from pipeline.stages.paths import dashboard_command, root, short

REPORTS = {"compare": ("study", "studies", "compared"), "search": ("search", "searches", "done")}


def report(
    config: Config,
    name: str,
    identity: Mapping[str, Any],
    work: Callable[[Path], dict[str, Any]],
    runs: Collection[Path],
    failures: Sequence[Mapping[str, Any]],
    *,
    promoting: bool = False,
) -> Path:
    """Have `work` fill the folder of the report below results/studies/ or results/searches/, and show it.

    Parameters
    ----------
    name : of the folder.
    identity : what determines the report, the stage aside.
    work : fills the folder; what it returns holds the `answers` to say.
    runs : the folders of the records that are compared.
    failures : a row for each piece that failed.
    promoting : whether the best run becomes the champion's candidate.

    Returns
    -------
    The folder. Raises RunError where there is nothing to report and, after the report is written, where pieces failed.
    """
    kind, kinds, done = REPORTS[config.stage]
    if not runs:
        raise RunError(f"no run of the {kind} worked: {failures[0]['reason'] if failures else 'nothing was asked for'}")
    folder = root(config) / "results" / kinds / name
    manifest, reused = ensure_folder(folder, {"stage": config.stage, **identity}, work, force=config.force)
    was = f"this {kind} was finished before" if reused else f"{done} in {manifest['seconds']:.0f} s"
    log.info("%s: %s", config.stage, was)
    for line in manifest["outcome"]["answers"]:
        log.info("  %s", line)
    browse = _show(config, folder, runs, promoting=promoting)
    log.info("open %s (or read report.md beside it)%s", short(folder / "report.html"), browse)
    if failures:
        first = failures[0]
        where = f"{first['variant']} at {first['label_budget']} labels"
        raise RunError(f"{len(failures)} pieces of the {kind} failed, the first: {where}: {first['reason']}")
    return folder


def _show(config: Config, folder: Path, runs: Collection[Path], *, promoting: bool) -> str:
    """Log what is in `folder` and its runs; returns what to say of it, nothing where MLflow is off or not reached."""
    if not config.tracking.enabled:
        return ""
    from pipeline.tracking.mlflow.log import log_run, log_study
    from pipeline.tracking.mlflow.models import promote

    assert config.tracking.uri is not None
    where = (config.tracking.uri, config.tracking.experiment, root(config) / "artifacts" / "mlflow")
    if (parent := log_study(folder, *where)) is None:
        return ""
    folders = sorted(runs)
    for run in progress(folders, total=len(folders), label="MLflow", unit="runs"):
        if log_run(run, *where, parent=parent) is None:
            return ""
    if promoting:
        promote(folders, config.tracking.uri, config.tracking.experiment)
    return f", or browse its runs: {dashboard_command(config)}" if config.tracking.uri.startswith("sqlite:") else ""
