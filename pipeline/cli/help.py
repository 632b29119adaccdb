"""Texts of `python -m pipeline --help`: the first screen; `--help KEY`, `--help GROUP` and `--help all`."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from pipeline.cli.subcommands import SUBCOMMANDS
from pipeline.config.comments import group_options, meanings
from pipeline.config.compose import composed_values
from pipeline.config.literals import value_text
from pipeline.config.validate import FIELDS, KEYS, SPACE, expected_text, unknown_key, value_at

WIDTH = 100
TEXTS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))


def help_text(words: Sequence[str], folders: Sequence[Path], search_path: Sequence[str], *, resolve: bool) -> str:
    """The text that `--help` prints.

    `words` stand beside `--help`: topics (keys, groups, `all`), and overrides, with which values are shown. `folders`
    hold configuration files: conf/, and the folder of `--config-dir`, which Hydra reads by the override `search_path`.
    With `resolve`, `${…}` is shown as its value. Raises UserError for a topic that is no key and no group.
    """
    options = group_options(folders)
    if not words:
        return first_screen(options["experiment"])
    topics = [word for word in words if re.fullmatch(r"[\w./]+", word)]
    overrides = [word for word in words if word not in topics]
    for topic in topics:
        if topic not in (*options, *FIELDS, "all") or topic.startswith(SPACE):
            raise unknown_key(topic, options)
    plain, resolved = composed_values([*overrides, *search_path])
    values = resolved if resolve else plain
    comments = meanings()
    texts = []
    for topic in topics or ["all"]:
        if topic in KEYS:
            texts.append(_key_help(topic, comments[topic], value_at(plain, topic), value_at(resolved, topic)))
        else:
            texts.append((_all_help if topic == "all" else partial(_group_help, topic))(options, comments, values))
    return "\n\n".join(texts)


def first_screen(recipes: Mapping[str, str]) -> str:
    """Examples, recipes and subcommands, each on one line: as many lines as a terminal of 24 has."""
    examples = [f"  python -m pipeline {arguments:<32} # {comment}" for arguments, comment in TEXTS["examples"].items()]
    recipe_lines = [f"  +experiment={name:<17} {purpose}" for name, purpose in recipes.items()]
    subcommands = [f"  {name:<8} {purpose}" for name, purpose in SUBCOMMANDS.items()]
    return "\n".join(
        [TEXTS["title"], *examples, "Recipes:", *recipe_lines, "Subcommands:", *subcommands, TEXTS["more"]]
    )


def _key_help(key: str, meaning: str, default: Any, resolved: Any) -> str:
    """Meaning, default and valid values of one key."""
    text = value_text(default) if default == resolved else f"{value_text(resolved)} (from {value_text(default)})"
    meaning = textwrap.fill(f"{key}: {meaning}", WIDTH, subsequent_indent="  ")
    return f"{meaning}\n  default: {text}\n  expected: {expected_text(key)}"


def _group_help(
    group: str, options: Mapping[str, Mapping[str, str]], comments: Mapping[str, str], values: Mapping[str, Any]
) -> str:
    """The options of a group, each with its purpose, and the keys below it, each with value and meaning."""
    lines = []
    if group in options:
        name = "+experiment" if group == "experiment" else group
        lines = [f"{group}: options", *_columns({f"{name}={key}": text for key, text in options[group].items()})]
    keys = [key for key in KEYS if key.startswith(f"{group}.")]
    if keys:
        lines += [f"{group}: keys", *_columns({_assignment(key, values): comments[key] for key in keys})]
    return "\n".join(lines)


def _all_help(options: Mapping[str, Mapping[str, str]], comments: Mapping[str, str], values: Mapping[str, Any]) -> str:
    """Every group with its options and keys, then the keys without a group, flags and exit codes."""
    sections = [name for name in FIELDS if "." not in name and name not in KEYS]
    groups = [*(group for group in options if group not in sections), *sections]
    top = {_assignment(key, values): comments[key] for key in KEYS if "." not in key}
    texts = [_group_help(group, options, comments, values) for group in groups]
    texts += ["\n".join(["Keys without a group", *_columns(top)]), "\n".join(["Flags", *_columns(TEXTS["flags"])])]
    return "\n\n".join([*texts, f"Exit codes: {TEXTS['exit_codes']}"])


def _assignment(key: str, values: Mapping[str, Any]) -> str:
    value = value_at(values, key)
    return key if isinstance(value, dict) else f"{key}={value_text(value)}"


def _columns(rows: Mapping[str, str]) -> list[str]:
    """Lines of a name and its text, which is wrapped below itself; a name that is too wide has a line of its own."""
    width = min(max(map(len, rows)), 32)
    indent = " " * (width + 4)
    lines = []
    for name, text in rows.items():
        first = f"  {name:<{width}}  "
        if len(name) > width:
            lines.append(first.rstrip())
            first = indent
        lines += textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=indent) or [first.rstrip()]
    return lines
