"""Hydra's launchers, which run the jobs of a sweep elsewhere: their extras, their settings and their errors."""

import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata

from pipeline.config.schema import Config
from pipeline.runtime.errors import RunError, UserError
from pipeline.runtime.paths import script
from pipeline.runtime.ray import prepare_ray, ray_address

GROUP = "hydra/launcher"
LAUNCHER_KEYS = "hydra.launcher."
LAUNCHERS = ("basic", "joblib", "ray", "submitit_local", "submitit_slurm")
EXTRAS = {"joblib": "hydra-joblib-launcher", "submitit": "hydra-submitit-launcher", "ray": "hydra-ray-launcher"}
EXTRAS["distill"] = "transformers"
LONGEST_REASON = 400


def require_extra(key: str, value: str) -> None:
    """Raise UserError where `key=value` needs an extra that is not installed."""
    extra = next((extra for extra in EXTRAS if value.startswith(extra)), None)
    if extra is None:
        return
    try:
        metadata.distribution(EXTRAS[extra])
    except metadata.PackageNotFoundError:
        raise UserError(f"{key}={value} needs the extra '{extra}': {script('setup')} {extra}") from None


def launcher_of(overrides: Sequence[str]) -> str | None:
    """The override that chooses a launcher; None where there is none."""
    return next((text for text in overrides if text.startswith(f"{GROUP}=")), None)


@contextmanager
def launcher_session(overrides: Sequence[str], configs: Sequence[Config]) -> Iterator[None]:
    """Print what the launcher will run; raise RunError where the launcher itself fails, such as when a process dies."""
    launcher = launcher_of(overrides)
    if launcher is None:
        yield
        return
    if launcher == f"{GROUP}=ray":
        key = f"{LAUNCHER_KEYS}ray.init.address"
        values = dict(text.lstrip("+").partition("=")[::2] for text in overrides)  # the last of a key counts
        address = values[key].strip("'\"") if key in values else None
        prepare_ray(ray_address(address), "RAY_ADDRESS" if address is None else key)
    folders = sorted({str(config.paths.root) for config in configs})
    logs = f"; their output is in {folders[0]}/artifacts/hydra/.submitit/" if "submitit" in launcher else ""
    print(f"{launcher}: {len(configs)} jobs, records in {', '.join(folders)}{logs}", file=sys.stderr)
    try:
        yield
    except Exception as error:
        # Hydra raises its own kind of error where the settings of a launcher are wrong: that is the user's to correct.
        if type(error).__module__.partition(".")[0] in ("hydra", "omegaconf"):
            raise
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", LONGEST_REASON, placeholder=" …")
        advice = "finished jobs are kept: the same command continues from here"
        raise RunError(f"{launcher} stopped: {reason} ({advice})") from None
