"""What of a record goes into MLflow: tags, points of its metrics, data sets, a table."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config.variants import variant_style
from pipeline.tracking.run_record import StoredRun

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

LONGEST_TAG = 8000
WIDEST = 100
COMMANDS = ("./scripts/", "python -m ")
NEIGHBOURS = "tables/neighbours.json"


def run_tags(stored: StoredRun, folder: Path) -> dict[str, str]:
    """Tags to group, find and repeat a run by, its note, and the colour its variant has in the report."""
    environment = stored.header["environment"]
    sha, dirty = environment.get("git_sha", "unknown"), environment.get("git_dirty")
    tags = {key: str(value) for key, value in stored.header["tags"].items()} | {
        "git_sha": str(sha),
        "git_dirty": "unknown" if dirty is None else str(dirty).lower(),
        "mlflow.runColor": str(variant_style(stored.header["tags"]["variant"])["color"]),
        "mlflow.source.name": "pipeline",
        "mlflow.source.type": "LOCAL",
        "mlflow.note.content": shortened(stored.note, folder),
    }
    machine = {key: environment.get(key) for key in ("python", "platform", "cpu", "cores", "device")}
    known = {f"environment.{key}": value for key, value in (machine | environment.get("libraries", {})).items()}
    tags |= {key: str(value) for key, value in known.items() if value is not None}
    if re.fullmatch("[0-9a-f]{40,64}", sha):
        tags["mlflow.source.git.commit"] = sha
    if stored.neighbours:
        tags["mlflow.loggedArtifacts"] = json.dumps([{"path": NEIGHBOURS, "type": "table"}])
    return tags


def shortened(note: str, folder: Path, name: str = "note.md") -> str:
    """A note within the length of a tag, ending with where the rest is; long commands are broken into lines."""
    note = "".join(_broken(line) if len(line) > WIDEST else line for line in note.splitlines(keepends=True))
    if len(note) <= LONGEST_TAG:
        return note
    rest = f"\n\n… the whole note is the artifact `{name}` and {folder.name}/{name}.\n"
    return note[: LONGEST_TAG - len(rest)].rpartition("\n")[0] + rest


def _broken(command: str) -> str:
    """A command over several lines. On the page of a run, one long line pushes the values of metrics out of sight."""
    if not command.startswith(COMMANDS):
        return command
    try:
        parts = shlex.split(command)
    except ValueError:  # a sentence about a command, with an apostrophe
        return command
    lines = [""]
    for part in map(shlex.quote, parts):
        if lines[-1].strip() and len(lines[-1]) + len(part) > WIDEST:
            lines.append("   ")
        lines[-1] += f" {part}"
    return " \\\n".join(lines).removeprefix(" ") + "\n"


def points(stored: StoredRun) -> list[tuple[str, float | None, int]]:
    """Final metrics (step 0) and, under `epoch/`, the curves with the epoch as step."""
    found = [(key, value, 0) for key, value in (stored.metrics | stored.timings).items()]
    for row in stored.history:
        found += [(f"epoch/{key}", value, int(row["epoch"])) for key, value in row.items() if key != "epoch"]
    return found


def table_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows as the UI shows them and compares them between runs.

    `MlflowClient.log_table` does the same by way of pandas, with a deprecation warning.
    """
    columns = list(rows[0])
    return {"columns": columns, "data": [[row[key] for key in columns] for row in rows]}


def datasets(stored: StoredRun) -> list["DatasetInput"]:
    """One input per split. MLflow keeps one context per name and digest, so the split is part of the name."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = stored.header["dataset"]
    source = str(dataset.get("source", "unknown"))
    kind, where = ("http", {"url": source}) if source.startswith("http") else ("code", {"tags": {"source": source}})
    columns = [{"name": name, "type": "string", "required": True} for name in ("text", "label")]
    inputs = []
    for split, rows in dataset.get("rows", {}).items():
        tags = {"mlflow.data.context": "training" if split == "train" else split}
        if split == "train":
            tags["labelled_used"] = str(dataset.get("labelled_used", rows))
        inputs.append(
            DatasetInput(
                Dataset(
                    name=f"{dataset.get('name', 'data')}-{split}"[:500],
                    digest=str(dataset.get("fingerprint", "unknown"))[:36],
                    source_type=kind,
                    source=json.dumps(where, ensure_ascii=False),
                    schema=json.dumps({"mlflow_colspec": columns}),
                    profile=json.dumps({"num_rows": rows}),
                ),
                [InputTag(key, value) for key, value in tags.items()],
            )
        )
    return inputs
