"""Reads the comments in conf/: the meaning, unit and range of each key, which `--help` shows."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from pipeline.runtime.paths import project_root

KEY_LINE = re.compile(r"( *)(\w+):(?: (.*?))?(?: *(?<!\S)# (.*))?$")


def conf_folder() -> Path:
    """The folder of the configuration files."""
    return project_root() / "conf"


def meanings() -> dict[str, str]:
    """Dotted key → the comment beside it in the file that holds all keys of its group (the default option)."""
    main_file = conf_folder() / "config.yaml"
    comments = dict(key_comments(main_file))
    for entry in yaml.safe_load(main_file.read_text("utf-8"))["defaults"]:
        if isinstance(entry, dict):
            ((group, option),) = entry.items()
            if not group.startswith("override "):
                file = conf_folder() / group / f"{option}.yaml"
                comments |= {f"{group}.{key}": comment for key, comment in key_comments(file)}
    return comments


def key_comments(file: Path) -> Iterator[tuple[str, str]]:
    """Each dotted key of a YAML file with its comment, which may go on in lines that hold a comment alone."""
    path: list[tuple[int, str]] = []  # indentation and name of the keys that enclose a line
    key, comment = "", ""
    for line in file.read_text("utf-8").splitlines():
        if re.match(r" +# ", line) and comment:
            comment += f" {line.strip().removeprefix('# ')}"
        elif match := KEY_LINE.fullmatch(line):
            if comment:
                yield key, comment
            indentation = len(match[1])
            path = [*(parent for parent in path if parent[0] < indentation), (indentation, match[2])]
            key, comment = ".".join(name for _, name in path), match[4] or ""
    if comment:
        yield key, comment


def header(file: Path) -> str:
    """The first comment line of a file, up to the end of its first sentence: what the file is for."""
    lines = file.read_text("utf-8").splitlines()
    comments = [line.removeprefix("# ") for line in lines if line.startswith("# ") and "@package" not in line]
    return comments[0].partition(". ")[0].rstrip(".") if comments else ""


def group_options(folders: Sequence[Path]) -> dict[str, dict[str, str]]:
    """Group → option → what it is for, from every YAML file below `folders`, both sorted by name."""
    options: dict[str, dict[str, str]] = {}
    for folder in folders:
        for file in folder.glob("*/**/*.yaml"):
            options.setdefault(file.parent.relative_to(folder).as_posix(), {})[file.stem] = header(file)
    return {group: dict(sorted(options[group].items())) for group in sorted(options)}
