"""Where jobs and tasks run, beside this process: the extra that each engine needs, and what its workers must know."""

import os
import re
import socket
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import Any

from pipeline.config.schema import Config
from pipeline.runtime.errors import RunError, UserError, nearest
from pipeline.runtime.paths import project_root

GROUP = "hydra/launcher"
LAUNCHER_KEYS = "hydra.launcher."
LAUNCHERS = ("basic", "joblib", "ray", "submitit_local", "submitit_slurm")
PLUGINS = {"joblib": "hydra-joblib-launcher", "submitit": "hydra-submitit-launcher", "ray": "hydra-ray-launcher"}
LOCAL_RAY = "local"  # Ray's word for an instance that is started for one command
LOCAL_RAY_SETTINGS: dict[str, Any] = {
    "_node_ip_address": "127.0.0.1",  # by default Ray listens on every interface
    "include_dashboard": False,
    "object_store_memory": 100_000_000,  # bytes; configurations and paths are all that it holds
}
# Which data a command sees is decided by its environment; other variables are the affair of the cluster's machines.
PASSED_ON = ("NLTK_DATA", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HYDRA_FULL_ERROR")
LONGEST_REASON = 400
SECONDS_TO_ANSWER = 5


def require_extra(key: str, value: str) -> None:
    """Raise UserError where `key=value` needs an extra that is not installed."""
    extra = value.partition("_")[0]
    if extra not in PLUGINS:
        return
    try:
        metadata.distribution(PLUGINS[extra])
    except metadata.PackageNotFoundError:
        raise UserError(f"{key}={value} needs the extra '{extra}': ./scripts/setup {extra}") from None


def check_launcher(name: str, installed: Sequence[str]) -> None:
    """Raise UserError where `hydra/launcher=name` is none of Hydra's, or needs an extra that is not installed."""
    if name not in {*LAUNCHERS, *installed}:
        raise UserError(f"unknown option {GROUP}={name}{nearest(name, sorted({*LAUNCHERS, *installed}))}")
    require_extra(GROUP, name)


def launcher_of(overrides: Sequence[str]) -> str | None:
    """The override that chooses a launcher, None where none does."""
    return next((text for text in overrides if text.startswith(f"{GROUP}=")), None)


def check_sweep(overrides: Sequence[str]) -> None:
    """Raise UserError where a command that is no sweep asks for a launcher, which would have nothing to launch."""
    launcher = launcher_of(overrides)
    if launcher not in (None, f"{GROUP}=basic"):
        raise UserError(f"'{launcher}' is for sweeps, and without -m this process does the job: add -m")


def unknown_setting(key: str, launcher: str, settings: dict[str, Any]) -> UserError:
    """The error of a key that is none of the nested `settings` of a launcher."""
    keys = [known for known in _keys(settings, LAUNCHER_KEYS) if "._" not in known]
    return UserError(f"unknown key '{key}' with {launcher}{nearest(key, keys)}")


def _keys(values: dict[str, Any], prefix: str) -> Iterator[str]:
    """The dotted keys of nested `values`."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


@contextmanager
def launched(overrides: Sequence[str], configs: Sequence[Config]) -> Iterator[None]:
    """Say what a launcher is given; raises RunError where the launcher itself fails, as where a process died."""
    launcher = launcher_of(overrides)
    if launcher is None:
        yield
        return
    if launcher == f"{GROUP}=ray":
        key = f"{LAUNCHER_KEYS}ray.init.address"
        given = [text.partition("=")[2].strip("'\"") for text in overrides if text.lstrip("+").startswith(f"{key}=")]
        before_ray(ray_address(given[-1] if given else None), key if given else "RAY_ADDRESS")
    folders = sorted({str(config.paths.root) for config in configs})
    told = f"; what they say is in {folders[0]}/artifacts/hydra/.submitit/" if "submitit" in launcher else ""
    print(f"{launcher}: {len(configs)} jobs, records in {', '.join(folders)}{told}", file=sys.stderr)
    try:
        yield
    except Exception as error:
        # Errors of Hydra are those of the command: it raises its own kind where a launcher's settings are wrong.
        if type(error).__module__.partition(".")[0] in ("hydra", "omegaconf"):
            raise
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", LONGEST_REASON, placeholder=" …")
        again = "finished jobs are kept: the same command goes on where this one stopped"
        raise RunError(f"{launcher} stopped: {reason} ({again})") from None


def ray_address(address: str | None) -> str:
    """The address of the cluster: `address`, else RAY_ADDRESS, else `local`, a Ray that is started here."""
    return address or os.environ.get("RAY_ADDRESS") or LOCAL_RAY


def before_ray(address: str, key: str) -> None:
    """Set what Ray reads when it starts; raises UserError where nothing answers at `address`, which `key` says.

    Ray itself would try for minutes.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address == LOCAL_RAY:
        # It listens on 127.0.0.1, where others of this machine are too. Ray makes the token where there is none.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    if address in (LOCAL_RAY, "auto") or "://" in address or "${" in address:
        return
    found = re.fullmatch(r"\[?([^\[\]]+)\]?:(\d{1,5})", address)
    if not found:
        raise UserError(f"{key}={address}: expected host:port of a Ray cluster, auto, or local")
    try:
        socket.create_connection((found[1], int(found[2])), timeout=SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{key}={address}: nothing answers there ({reason}); expected a Ray cluster") from None


def ray_setting(address: str, name: str) -> Any:
    """A setting of Ray that is started here; None for a cluster, which has its own."""
    return LOCAL_RAY_SETTINGS[name] if address == LOCAL_RAY else None


def environment() -> dict[str, str]:
    """The variables of Ray's workers: where this package lies, and which data this command sees."""
    package = str(project_root())
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", package)]
    return {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        "PYTHONPATH": os.pathsep.join([package, *others]),
    }
