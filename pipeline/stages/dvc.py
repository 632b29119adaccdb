"""Copies each stage's output from its cache folder to a fixed path, which dvc.yaml (Data Version Control) names.

`artifacts/` and `results/` name a folder by its cache key and hold many; DVC wants one fixed path for each outcome and
deletes it before the stage runs. So a stage writes a copy there, without times and machine. A later stage reads word
vectors and encoded tweets from there when DVC has checked them out.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.config.schema import Config
from pipeline.config.variants import variant_name
from pipeline.runtime.cached_folder import MANIFEST, Stage, file_sizes, read_manifest
from pipeline.runtime.files import fingerprint, read_json, write_json
from pipeline.runtime.log import log

TIMES = ("seconds", "finished")  # in a manifest, and in vectors.json
# Parts of a record that name the machine, the commit, the time and the folders of a run.
RUN_ONLY = ("environment", "overrides")
CONFIG_ONLY = ("paths", "tracking", "stage", "force", "workers")
LEFT_OUT = (MANIFEST, "note.md", "timings.json", "report.html", "report.md")
SCORE = "score/"
Work = Callable[[Path], Mapping[str, Any]]


def copy_folder(config: Config, stage: str) -> Path | None:
    """The folder of the copy of a stage's outcome; None where `paths.dvc` is null or the stage has no copy."""
    cell = f"{variant_name(config.embedding)}-s{config.seed}"
    names = {"prepare": "prepare", "cbow": f"cbow/s{config.cbow.seed}", "train": f"train/{cell}"}
    return Path(config.paths.dvc) / names[stage] if config.paths.dvc and stage in names else None


def copy_or_work(work: Work, config: Config, identity: Mapping[str, Any]) -> Work:
    """`work`, or reading the copy of its outcome where a whole one has the same `identity`."""
    copy = copy_folder(config, identity["stage"])
    manifest = read_manifest(copy) if copy and not config.force else None
    if copy is None or manifest is None or fingerprint(manifest["identity"]) != fingerprint(identity):
        return work
    if manifest["files"] != file_sizes(copy):
        log.info("%s: files are missing in %s or cut short, it is not used", identity["stage"], copy)
        return work

    def copy_from_dvc(folder: Path) -> Mapping[str, Any]:
        shutil.copytree(copy, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
        log.info("%s: copied from %s", identity["stage"], copy)
        return dict(manifest["outcome"])

    return copy_from_dvc


def copy_stage(config: Config, stage: Stage) -> None:
    """Copy the outcome of `prepare` or `cbow`, without times."""
    if copy := copy_folder(config, stage.manifest["identity"]["stage"]):
        _copy(stage.folder, copy)
        if (words := copy / "vectors.json").exists():
            content = read_json(words)
            write_json(words, content | {"info": {k: v for k, v in content["info"].items() if k not in TIMES}})
        _write_manifest(stage.folder, copy)


def copy_record(config: Config, record: Path) -> None:
    """Copy a run's record to train/VARIANT-sSEED/ and its metrics to metrics/VARIANT-sSEED.json."""
    if copy := copy_folder(config, "train"):
        _copy(record, copy)
        header = read_json(record / "run.json")
        write_json(copy / "run.json", {key: value for key, value in header.items() if key not in RUN_ONLY})
        settings = yaml.safe_load((record / "config.yaml").read_text("utf-8"))
        settings = {key: value for key, value in settings.items() if key not in CONFIG_ONLY}
        (copy / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), "utf-8")
        _write_manifest(record, copy)
        metrics = copy.parents[1] / "metrics" / f"{copy.name}.json"
        metrics.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(record / "metrics.json", metrics)


def copy_study(config: Config, study: Path) -> None:
    """Copy a study's answers, tables and figures to compare/ and each method's mean score to scores.json."""
    if config.paths.dvc:
        copy = Path(config.paths.dvc) / "compare"
        _copy(study, copy)
        scores = read_json(study / "study.json")["metrics"]
        write_json(copy.parent / "scores.json", {name.removeprefix(SCORE): score for name, score in scores.items()})


def _copy(source: Path, copy: Path) -> None:
    shutil.rmtree(copy, ignore_errors=True)
    # Contents only: a checkout does not preserve the mode of the files.
    shutil.copytree(source, copy, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns(*LEFT_OUT))


def _write_manifest(source: Path, copy: Path) -> None:
    """Write the manifest last, as a folder without one does not count."""
    manifest = {key: value for key, value in read_json(source / MANIFEST).items() if key not in TIMES}
    write_json(copy / MANIFEST, manifest | {"files": file_sizes(copy)})
