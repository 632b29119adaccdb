"""The folders of artifacts and records below `paths.root`, and paths and commands as a user reads them."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config.schema import Config, data_name
from pipeline.config.variants import variant_name
from pipeline.runtime.files import fingerprint
from pipeline.runtime.paths import project_root, script


def root(config: Config) -> Path:
    """The folder of artifacts/, results/ and mlflow.db."""
    assert config.paths.root is not None
    return Path(config.paths.root)


def artifact_folder(config: Config, name: str, identity: Mapping[str, Any]) -> Path:
    """The folder of a stage's outcome."""
    return root(config) / "artifacts" / name / fingerprint({"stage": name, **identity})


def record_folder(config: Config, identity: Mapping[str, Any]) -> Path:
    """The folder of a run's record: a readable name that ends in eight digits of the run's key."""
    budget = config.data.label_budget or "all"
    encoder = "" if config.model.encoder == "mean" else f"-{config.model.encoder}"
    kind = f"{data_name(config.data)}-{variant_name(config.embedding)}{encoder}"
    return root(config) / "results" / f"{kind}-n{budget}-s{config.seed}-{fingerprint(identity)[:8]}"


def short(path: Path) -> str:
    """`path` as a shell reads it: relative to the current directory or, outside it, absolute."""
    text = str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def dashboard_command(config: Config) -> str:
    """The command that shows the store of this configuration."""
    folder = "" if root(config) == project_root() else f" {shlex.quote(str(root(config)))}"
    return f"{script('dashboard')}{folder}"
