"""Everything measured, in one file: sections measured again replace their own rows, so the page has a single source."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from measure import Figure

from pipeline.tracking.provenance import environment

PEERS = ("nltk", "gensim", "floret", "scikit-learn", "pytorch-lightning")
BESIDE = ("torch", "numpy", "pyarrow", "regex", "mlflow", "ray")


@dataclass
class Section:
    """What one section said, where and when. `problem`: why it, or its rest, is missing."""

    where: dict[str, Any]
    measured: str
    figures: list[Figure] = field(default_factory=list)
    about: str = ""
    notes: str = ""
    images: dict[str, str] = field(default_factory=dict)
    problem: str = "interrupted: what follows is missing"
    failed: bool = False


def where(root: Path) -> dict[str, Any]:
    """The machine, the versions of Python, the peers and what both stand on, and the state of the code at `root`."""
    found = environment(root)
    return {
        "machine": {
            "cpu": found["cpu"],
            "cores": found["cores"],
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "gpu": _gpu(),
            "system": found["platform"],
        },
        "versions": {"python": found["python"]} | {name: _version(name) for name in (*PEERS, *BESIDE)},
        "code": {"commit": found["git_sha"][:12], "dirty": found["git_dirty"]},
    }


def now() -> str:
    """The time to the minute, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def read(path: Path) -> dict[str, Section]:
    """Sections by name; none where there is no file yet."""
    if not path.is_file():
        return {}
    stored = json.loads(path.read_text("utf-8"))
    return {name: Section(**row | {"figures": [_figure(f) for f in row["figures"]]}) for name, row in stored.items()}


def write(path: Path, sections: dict[str, Section], order: Sequence[str]) -> None:
    """Write all sections, in `order`; the file is whole at every moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    whole = {name: asdict(sections[name]) for name in order if name in sections}
    temporary.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")
    temporary.replace(path)


def _figure(row: dict[str, Any]) -> Figure:
    return Figure(**row | {"ours": tuple(row["ours"]), "theirs": tuple(row["theirs"])})


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
