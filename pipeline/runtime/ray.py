"""Ray: address of the cluster, environment of its workers, settings of a local instance."""

import os
import re
import socket
from typing import Any

from pipeline.runtime.errors import UserError
from pipeline.runtime.paths import project_root

LOCAL_RAY = "local"  # Ray's name for an instance that is started for one command
LOCAL_RAY_SETTINGS: dict[str, Any] = {
    "_node_ip_address": "127.0.0.1",  # by default Ray listens on every interface
    "include_dashboard": False,
    "object_store_memory": 100_000_000,  # bytes; it holds only configurations and paths
}
# Variables of this command that its workers need; all others are left to the cluster's machines.
FORWARDED = ("NLTK_DATA", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HYDRA_FULL_ERROR")
CONNECT_TIMEOUT_SECONDS = 5


def ray_address(address: str | None) -> str:
    """The address of the cluster: `address`, else RAY_ADDRESS, else `local`, which starts Ray on this machine."""
    return address or os.environ.get("RAY_ADDRESS") or LOCAL_RAY


def prepare_ray(address: str, key: str) -> None:
    """Set the environment variables that Ray reads when it starts, and check that the cluster answers.

    Raises UserError if `address`, set by the configuration key or variable `key`, is malformed or nothing answers there
    within five seconds; Ray itself would try for minutes.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address == LOCAL_RAY:
        # Other users of this machine reach 127.0.0.1 too. Ray creates the token where there is none.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    if address in (LOCAL_RAY, "auto") or "://" in address or "${" in address:
        return
    match = re.fullmatch(r"\[?([^\[\]]+)\]?:(\d{1,5})", address)
    if not match:
        raise UserError(f"{key}={address}: expected host:port of a Ray cluster, auto, or local")
    try:
        socket.create_connection((match[1], int(match[2])), timeout=CONNECT_TIMEOUT_SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{key}={address}: nothing answers there ({reason}); expected a Ray cluster") from None


def ray_setting(address: str, name: str) -> Any:
    """A setting of a Ray instance started here; None for a cluster, which has its own settings."""
    return LOCAL_RAY_SETTINGS[name] if address == LOCAL_RAY else None


def worker_environment() -> dict[str, str]:
    """Environment variables of Ray's workers: the path of this package, and the forwarded variables."""
    package = str(project_root())
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", package)]
    return {
        **{name: os.environ[name] for name in FORWARDED if name in os.environ},
        "PYTHONPATH": os.pathsep.join([package, *others]),
    }
