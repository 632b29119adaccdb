"""Runs a stage unless artifacts/ holds its output under the same cache key, and logs which it did."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.config.schema import Config
from pipeline.runtime.cached_folder import Stage, ensure_folder
from pipeline.runtime.log import log
from pipeline.stages.dvc import copy_or_work
from pipeline.stages.paths import artifact_folder, short


def cached_stage(config: Config, name: str, key: Mapping[str, Any], work: Callable[[Path], Mapping[str, Any]]) -> Stage:
    """Have `work` fill the folder of the stage `name`, unless it holds the outcome of the same `key`."""
    identity = {"stage": name, **key}
    folder = artifact_folder(config, name, key)
    manifest, reused = ensure_folder(folder, identity, copy_or_work(work, config, identity), force=config.force)
    stage = Stage(folder, folder.name, manifest)
    log.info("%s: %s %s", name, "reused" if reused else f"done in {stage.seconds:.1f} s,", short(folder))
    return stage
