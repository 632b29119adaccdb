"""MLflow tags, params, metric names and data sets, from a run's record."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config.variants import variant_style
from pipeline.runtime.files import fingerprint, flatten
from pipeline.tracking.run_record import StoredRun

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

MAX_TAG = 8000  # characters that MLflow takes
MAX_PARAM = 6000
MAX_LINE = 100
COMMANDS = ("./scripts/", "python -m ")
NEIGHBOURS = "tables/neighbours.json"


def run_tags(stored: StoredRun, folder: Path) -> dict[str, str]:
    """Tags to group, find and repeat a run by, its note, and the colour of its variant in the report."""
    environment = stored.header["environment"]
    sha, dirty = environment.get("git_sha", "unknown"), environment.get("git_dirty")
    tags = {
        **stored.header["tags"],
        "warnings": " ".join(stored.warning_codes) or "none",
        "git_sha": sha,
        "git_dirty": "unknown" if dirty is None else str(dirty).lower(),
        "mlflow.runColor": str(variant_style(stored.header["tags"]["variant"])["color"]),
        "mlflow.source.name": "pipeline",
        "mlflow.source.type": "LOCAL",
        "mlflow.note.content": fit_note(stored.note, folder),
    }
    machine = {key: environment.get(key) for key in ("python", "platform", "cpu", "cores", "device")}
    versions = environment.get("libraries", {})
    tags |= {f"environment.{key}": str(value) for key, value in (machine | versions).items() if value is not None}
    if re.fullmatch("[0-9a-f]{40,64}", sha):
        tags["mlflow.source.git.commit"] = sha
    if stored.neighbours:
        tags["mlflow.loggedArtifacts"] = json.dumps([{"path": NEIGHBOURS, "type": "table"}])
    return tags


def fit_note(note: str, folder: Path, name: str = "note.md") -> str:
    """Fit a note into a tag: long commands are wrapped; a note that is too long ends with the path of the whole."""
    note = "".join(_wrapped(line) if len(line) > MAX_LINE else line for line in note.splitlines(keepends=True))
    if len(note) <= MAX_TAG:
        return note
    rest = f"\n\n… the whole note is the artifact `{name}` and {folder.name}/{name}.\n"
    return note[: MAX_TAG - len(rest)].rpartition("\n")[0] + rest


def _wrapped(command: str) -> str:
    """A command over several lines. On a run's page, one long line pushes the metric values out of view."""
    if not command.startswith(COMMANDS):
        return command
    try:
        arguments = shlex.split(command)
    except ValueError:  # a sentence about a command, with an apostrophe
        return command
    lines = [""]
    for argument in map(shlex.quote, arguments):
        if lines[-1].strip() and len(lines[-1]) + len(argument) > MAX_LINE:
            lines.append("   ")
        lines[-1] += f" {argument}"
    return " \\\n".join(lines).removeprefix(" ") + "\n"


def mlflow_params(config: Mapping[str, Any]) -> dict[str, str]:
    """Nested configuration as dotted keys and text values; a value too long for MLflow is cut, with a fingerprint."""
    params = {}
    for key, value in flatten(config).items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if len(text) > MAX_PARAM:
            text = f"{text[:200]}… ({len(text)} characters, fingerprint {fingerprint(value)})"
        params[key] = text
    return params


def metric_names(keys: Sequence[str]) -> dict[str, str]:
    """A valid and distinct MLflow metric name for each key: characters such as brackets become `_`."""
    names: dict[str, str] = {}
    for key in dict.fromkeys(keys):
        parts = [re.sub(r"[^\w\-. :]+", "_", part).strip() for part in key.split("/")]
        name = "/".join(part for part in parts if part.strip(".")) or "metric"
        if name in names.values():
            name = f"{name}_{fingerprint(key)[:8]}"
        names[key] = name[:250]
    return names


def datasets(stored: StoredRun) -> list["DatasetInput"]:
    """One MLflow input per split. MLflow keeps one context per name and digest, so the name holds the split."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = stored.header["dataset"]
    source, digest = dataset["source"], dataset["fingerprint"][:36]
    kind, location = ("http", {"url": source}) if source.startswith("http") else ("code", {"tags": {"source": source}})
    columns = [{"name": name, "type": "string", "required": True} for name in ("text", "label")]
    schema, origin = json.dumps({"mlflow_colspec": columns}), json.dumps(location, ensure_ascii=False)
    inputs = []
    for split, rows in dataset["rows"].items():
        name, profile = f"{dataset['name']}-{split}"[:500], json.dumps({"num_rows": rows})
        tags = {"mlflow.data.context": split}
        if split == "train":
            tags = {"mlflow.data.context": "training", "labelled_used": str(dataset["labelled_used"])}
        data = Dataset(name, digest, kind, origin, schema, profile)
        inputs.append(DatasetInput(data, [InputTag(key, value) for key, value in tags.items()]))
    return inputs
