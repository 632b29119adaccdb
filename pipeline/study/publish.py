"""The report folder of a study or a search: its name and key, its log lines, and its view in MLflow."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.config.schema import data_name
from pipeline.config.study_schema import PLACEMENT, study_design
from pipeline.runtime.cached_folder import ensure_folder
from pipeline.runtime.errors import RunError
from pipeline.runtime.files import fingerprint
from pipeline.runtime.log import log, progress
from pipeline.stages.cache_keys import LIBRARIES, code_key
from pipeline.stages.paths import dashboard_command, root, short
from pipeline.study.design import without_places
from pipeline.study.study_runs import StudyRuns

# Code that determines a report, besides that of the stages whose outcomes it reads.
REPORT_CODE = ("classifier/metrics.py", "runtime/templates.py", "study", "tracking")
# Sections of the configuration that name a study, without the keys that say where something lies or is computed.
SECTIONS = ("study", "model", "train", "cbow", "ppmi", "distill", "probe")
LOCATIONS = ("extra_text", "transfer_path", "similarity_files", "device", "threads", *PLACEMENT)
FOLDERS = {"study": "studies", "search": "searches"}
Write = Callable[[Path], dict[str, Any]]


def publish_study(runs: StudyRuns) -> Path:
    """Write the report of a study below results/studies/ and log it; RunError, after that, where runs failed."""

    def write(folder: Path) -> dict[str, Any]:
        from pipeline.study.results import write_study

        return write_study(runs, folder)

    return publish(runs, "study", report_name(runs), report_key(runs), write)


def report_name(runs: StudyRuns, labels: Sequence[str] = (), settings: Sequence[Any] = ()) -> str:
    """The name of the report's folder: data, `labels`, emoticons, and eight digits of the configuration.

    It does not depend on outcomes, so that a study that is run again replaces its old report. `settings` : further
    values that determine the study.
    """
    config, variants = runs.study.config, runs.study.variants
    sections = [dataclasses.asdict(getattr(config, name)) for name in SECTIONS]
    sections[SECTIONS.index("probe")]["transfer"] = list(config.probe.tasks)  # without their places
    values = [value for section in sections for key, value in section.items() if key not in LOCATIONS]
    prepared = sorted(stage.key for stage in runs.study.prepared.values())
    sections_of = [[name, str(variant.config.embedding)] for name, variant in variants.items()]
    digits = fingerprint([values, prepared, sections_of, *settings])[:8]
    modes = sorted({variant.config.text.emoticons for variant in variants.values()} - {"keep"})
    return "-".join([data_name(config.data), *labels, *modes, digits])


def report_key(runs: StudyRuns) -> dict[str, Any]:
    """What determines the report: the design, the outcomes that it compares, and the code."""
    return {
        "study": study_design(runs.study.config.study),
        "runs": sorted(folder.name for folder in runs.folders.values()),
        "choices": [[c.variant, c.label_budget, sorted(c.chosen.items())] for c in runs.choices],
        "resplits": sorted(folder.name for folder in runs.resplits.folders.values()) if runs.resplits else [],
        "baselines": sorted({stage.key for stage in runs.baselines.values()}),
        "audits": sorted(stage.key for stage in runs.audits.values()),
        "transfers": sorted(stage.key for stage in runs.transfers.values()),
        "failures": runs.failures,
        "commands": [without_places(runs.study.overrides), runs.example],
        "code": code_key(REPORT_CODE, LIBRARIES["compare"]),
    }


def publish(runs: StudyRuns, kind: str, name: str, key: Mapping[str, Any], write: Write) -> Path:
    """Write a report below results/, unless it is there already, log its answers, and show it in MLflow.

    kind : `study` or `search`; the best run of a study becomes the candidate for MLflow's champion.
    write : fills the report's folder, which is returned; what `write` returns holds the `answers` to log.
    Raises RunError where no run is there to report and, after the report is written, where runs failed.
    """
    config, stage = runs.study.config, runs.study.config.stage
    if not runs.folders:
        reason = runs.failures[0]["reason"] if runs.failures else "it has no runs"
        raise RunError(f"no run of the {kind} worked: {reason}")
    folder = root(config) / "results" / FOLDERS[kind] / name
    manifest, reused = ensure_folder(folder, {"stage": stage, **key}, write, force=config.force)
    if reused:
        log.info("%s: this %s was finished before, its report is in %s", stage, kind, short(folder))
    else:
        seconds = manifest["seconds"]
        log.info("%s: report, tables and figures written to %s in %.0f s", stage, short(folder), seconds)
    for line in manifest["outcome"]["answers"]:
        log.info("  %s", line)
    in_mlflow = _log_to_mlflow(runs, folder, candidate=kind == "study")
    log.info("next: open %s in a browser (report.md holds the same as text)", short(folder / "report.html"))
    if in_mlflow:
        log.info("next: %s, to browse the runs in MLflow", dashboard_command(config))
    if runs.failures:
        first = runs.failures[0]
        where = f"{first['variant']} at {first['label_budget']} labels"
        raise RunError(f"failures in the {kind}: {len(runs.failures)}, the first: {where}: {first['reason']}")
    return folder


def _log_to_mlflow(runs: StudyRuns, folder: Path, *, candidate: bool) -> bool:
    """Log the report, with its runs below it; returns whether they are in a store that scripts/dashboard shows."""
    config = runs.study.config
    if not config.tracking.enabled:
        return False
    from pipeline.tracking.mlflow.log import log_run, log_study
    from pipeline.tracking.mlflow.models import promote

    assert config.tracking.uri is not None
    store = (config.tracking.uri, config.tracking.experiment, root(config) / "artifacts" / "mlflow")
    if (parent := log_study(folder, *store)) is None:
        return False
    records = sorted(set(runs.folders.values()))
    for record in progress(records, total=len(records), label="MLflow", unit="runs"):
        if log_run(record, *store, parent=parent) is None:
            return False
    if candidate:
        promote(records, config.tracking.uri, config.tracking.experiment)
    return config.tracking.uri.startswith("sqlite:")
