"""Ray: the address of a cluster, the environment of its workers, and the settings of a local instance."""

import os
import re
import socket
from typing import Any

from pipeline.runtime.errors import UserError
from pipeline.runtime.paths import project_root

LOCAL_RAY = "local"  # Ray's word for an instance that is started for one command
LOCAL_RAY_SETTINGS: dict[str, Any] = {
    "_node_ip_address": "127.0.0.1",  # by default Ray listens on every interface
    "include_dashboard": False,
    "object_store_memory": 100_000_000,  # bytes; configurations and paths are all that it holds
}
# Which data a command sees is decided by its environment; other variables are the affair of the cluster's machines.
PASSED_ON = ("NLTK_DATA", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HYDRA_FULL_ERROR")
SECONDS_TO_ANSWER = 5


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


def worker_environment() -> dict[str, str]:
    """The variables of Ray's workers: where this package lies, and which data this command sees."""
    package = str(project_root())
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", package)]
    return {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        "PYTHONPATH": os.pathsep.join([package, *others]),
    }
