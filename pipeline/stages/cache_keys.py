"""The cache key of a stage: the configuration it reads, its inputs, its code and the libraries it uses.

A key never depends on where files lie or when they were written. Comments, docstrings, file names and imports of the
project's own modules do not count, so that moving a module or wording a docstring better repeats no work.
"""

import dataclasses
import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from pipeline.config.schema import Config
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.files import fingerprint
from pipeline.runtime.fingerprint_cache import cached_fingerprint
from pipeline.runtime.paths import project_root
from pipeline.stages.inputs import require_file
from pipeline.stages.paths import record_folder, root

_LISTS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
LIBRARIES: dict[str, list[str]] = _LISTS["libraries"]
BASELINE_LIBRARIES: dict[str, list[str]] = _LISTS["baseline_libraries"]
HUB: list[str] = _LISTS["hub"]
TRAINING_CODE: list[str] = _LISTS["training_code"]
RECORD_CODE: list[str] = _LISTS["record_code"]
# Environment variables that choose the kernels of OpenBLAS (gensim, scipy), MKL and torch: other last digits.
KERNEL_SETTINGS = ("OPENBLAS_CORETYPE", "MKL_CBWR", "ATEN_CPU_CAPABILITY")

_STRING_OR_COMMENT = re.compile(
    r'"""(?:\\.|[^\\])*?"""'
    r"|'''(?:\\.|[^\\])*?'''"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'(?:\\.|[^'\\\n])*'"
    r"|(?:\n[ \t]*(?:#[^\n]*)?)+(?=\n)"  # blank lines and lines of comments
    r"|[ \t]*#[^\n]*",
    re.DOTALL,
)
_OWN_IMPORT = r"from pipeline[\w.]* import (\([^)]*\)|[^\n]*)\n"
_OWN_IMPORTS = re.compile(rf"^([ \t]*){_OWN_IMPORT}(?:\1{_OWN_IMPORT})*", re.MULTILINE)


def code_key(parts: Iterable[str], libraries: Iterable[str]) -> dict[str, Any]:
    """The part of a key that stands for the program.

    `parts` are modules and folders below `pipeline/`; a folder counts with all files below it, whatever their type.
    `libraries` are names of distributions; one that is not installed is left out.
    """
    package = project_root() / "pipeline"
    paths = {path for part in parts for path in (package / part, *(package / part).rglob("*"))}
    files = (path for path in paths if path.is_file() and "__pycache__" not in path.parts)
    contents = sorted(map(_content_digest, files))  # by content: a move costs nothing
    versions = {name: version for name in libraries if (version := _version(name)) is not None}
    key: dict[str, Any] = {"sources": fingerprint(contents), "libraries": versions}
    settings = {name: os.environ[name] for name in KERNEL_SETTINGS if name in os.environ}
    return key | ({"kernels": settings} if settings else {})


@cache
def _content_digest(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".py":
        content = code_without_prose(content.decode("utf-8")).encode()
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def code_without_prose(source: str) -> str:
    """Python source without comments, docstrings, blank lines and the paths of the project's own modules.

    A lexical scan, many times faster than `tokenize`: it relies on docstrings in triple quotes, which ruff enforces.
    """

    def replacement(match: re.Match[str]) -> str:
        text = match[0]
        if text[0] not in "\"'":
            return ""
        before = source[source.rfind("\n", 0, match.start()) + 1 : match.start()]
        after = source[match.end() : match.end() + 1]
        alone = text[:3] in ('"""', "'''") and not before.strip() and after in ("\n", "")
        return '""' if alone else text

    code = _STRING_OR_COMMENT.sub(replacement, source)
    imported: list[str] = []

    def collect_names(block: re.Match[str]) -> str:
        for match in re.finditer(_OWN_IMPORT, block[0]):
            imported.extend(" ".join(name.split()) for name in match[1].strip("() \n").split(",") if name.strip())
        return f'{block[1]}""\n' if block[1] else ""  # a block of imports alone stays a block

    code = _OWN_IMPORTS.sub(collect_names, code + "\n")
    return code + "\n".join(sorted(imported))


@cache
def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def training_key(config: Config, prepared: Stage, vectors: Mapping[str, Stage]) -> dict[str, Any]:
    """What determines the weights of a classifier, its code aside."""
    embedding = dataclasses.asdict(config.embedding)
    path = embedding.pop("path")
    source = None
    if "pretrained" in config.embedding.inits:
        source = input_fingerprint(config, "embedding.path", path)
    elif path and "run" in config.embedding.inits:
        from pipeline.prediction.trained_model import EMBEDDING, VOCABULARY  # loads numpy

        source = files_fingerprint(config, [Path(path) / EMBEDDING, Path(path) / VOCABULARY])
    return {
        "prepare": prepared.key,
        "vectors": {init: stage.key for init, stage in vectors.items()} | ({"file": source} if source else {}),
        "label_budget": config.data.label_budget,
        "embedding": embedding,
        "model": dataclasses.asdict(config.model),
        "train": dataclasses.asdict(config.train) | {"device": device_used(config)},
        "seed": config.seed,
    }


def trial_key(config: Config, prepared: Stage, vectors: Mapping[str, Stage]) -> dict[str, Any]:
    """What determines the outcome of a trial."""
    code = code_key(("stages/trial.py", *TRAINING_CODE), LIBRARIES["trial"])
    return training_key(config, prepared, vectors) | {"code": code}


def record_key_and_folder(
    config: Config, prepared: Stage, vectors: Mapping[str, Stage], tasks: Mapping[str, str]
) -> tuple[dict[str, Any], Path]:
    """What determines a run's record, given the keys of the transfer tasks by name; and the record's folder.

    It is the record that serves the run: with its embedding where that is wanted or stored already.
    """
    from pipeline.evaluation.probes.opinion_words import opinion_words, resolve_opinion_words

    probe = dataclasses.asdict(config.probe)
    for index, path in enumerate(config.probe.similarity_files):
        probe["similarity_files"][index] = input_fingerprint(config, "probe.similarity_files", path)
    probe["transfer"] = dict(tasks)
    del probe["transfer_path"]  # a location; the contents are in the keys of the tasks
    opinions = resolve_opinion_words(config.probe.polarity, config.data.source)
    probe["opinion_words"] = None if opinions is None else fingerprint(opinion_words(opinions))
    code = code_key((*TRAINING_CODE, *RECORD_CODE), LIBRARIES["train"])
    key = training_key(config, prepared, vectors) | {"probe": probe, "keep_embedding": True, "code": code}
    if not config.tracking.keep_embedding and not record_folder(config, key).exists():
        key["keep_embedding"] = False
    return key, record_folder(config, key)


def input_fingerprint(config: Config, key: str, path: str | None) -> str | None:
    """The fingerprint of an input file that the configuration names; raises UserError where it does not exist."""
    require_file(key, path)
    return path and files_fingerprint(config, [Path(path)])


def files_fingerprint(config: Config, paths: Sequence[Path]) -> str:
    """The fingerprint of input files and folders; large ones are read again only where they changed, or by force."""
    return cached_fingerprint(paths, root(config) / "artifacts" / "inputs", refresh=config.force)


def device_used(config: Config) -> str:
    """`cpu` or `cuda`: numbers differ a little between them."""
    if config.train.device == "cpu":
        return "cpu"
    from pipeline.classifier.device import resolve_device

    return str(resolve_device(config.train.device))
