"""Texts of `python -m pipeline --help`: the first screen; `--help KEY`, `--help GROUP` and `--help all`."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.cli.subcommands import SUBCOMMANDS
from pipeline.config.comments import group_options, meanings
from pipeline.config.compose import composed_values
from pipeline.config.validate import FIELDS, KEYS, SPACE, expected_text, unknown_key, value_at, value_text

WIDTH = 100
TITLE = "Word vectors for tweet sentiment: learned from scratch, frozen or fine-tuned."
EXAMPLES = {
    "+experiment=cbow_frozen": "one run on generated tweets, offline",
    "+experiment=compare study=quick": "a study: 4 variants, 5 seeds",
    "data=files data.path=my.csv": "your own labelled texts",
    "-m model=mean,cnn seed=0,1": "a sweep: 4 runs",
    "--cfg job +experiment=course": "the configuration, no run",
    'predict "so happy"': "label a text with the newest run",
}
MORE = "More: --help train.lr_head (a key), --help train (a group), --help all; predict --help"
FLAGS = {
    "-m, --multirun": "run every combination of values that are separated by commas",
    "--cfg job": "print the configuration, run nothing; --resolve fills in ${…}, --package train prints one group",
    "--config-dir FOLDER": "add recipes and options of your own, such as FOLDER/experiment/mine.yaml",
    "--hydra-help": "Hydra's own settings, such as hydra/launcher=joblib",
    "--info": "what Hydra read: all, config, defaults, defaults-tree, plugins or searchpath",
}
EXIT_CODES = "0 done, 1 a run failed, 2 the command or configuration is wrong; HYDRA_FULL_ERROR=1 shows tracebacks"


def help_text(words: Sequence[str], folders: Sequence[Path], search_path: Sequence[str], *, resolve: bool) -> str:
    """The text that `--help` prints.

    Parameters
    ----------
    words : what stands beside `--help`: topics (keys, groups, `all`), and overrides, with which values are shown.
    folders : hold configuration files: conf/, and the folder of `--config-dir`.
    search_path : the override that has Hydra read that folder.
    resolve : show `${…}` as its value.

    Raises UserError for a topic that is no key and no group, with the nearest name.
    """
    options = group_options(folders)
    if not words:
        return first_screen(options["experiment"])
    topics = [word for word in words if re.fullmatch(r"[\w./]+", word)]
    overrides = [word for word in words if word not in topics]
    for topic in topics:
        if topic not in (*options, *FIELDS, "all") or topic.startswith(SPACE):
            raise unknown_key(topic)
    plain, resolved = composed_values([*overrides, *search_path])
    values = resolved if resolve else plain
    comments = meanings()
    texts = []
    for topic in topics or ["all"]:
        if topic in KEYS:
            texts.append(_key_help(topic, comments[topic], value_at(plain, topic), value_at(resolved, topic)))
        elif topic == "all":
            texts.append(_all_help(options, comments, values))
        else:
            texts.append(_group_help(topic, options, comments, values))
    return "\n\n".join(texts)


def first_screen(recipes: Mapping[str, str]) -> str:
    """Examples, recipes and subcommands, each on one line: as many lines as a terminal of 24 has."""
    examples = [f"  python -m pipeline {arguments:<32} # {comment}" for arguments, comment in EXAMPLES.items()]
    recipe_lines = [f"  +experiment={name:<17} {purpose}" for name, purpose in recipes.items()]
    subcommands = [f"  {name:<8} {purpose}" for name, purpose in SUBCOMMANDS.items()]
    return "\n".join([TITLE, *examples, "Recipes:", *recipe_lines, "Subcommands:", *subcommands, MORE])


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
        plus = "+" if group == "experiment" else ""
        lines += [
            f"{group}: options",
            *_columns({f"{plus}{group}={name}": text for name, text in options[group].items()}),
        ]
    keys = [key for key in KEYS if key.startswith(f"{group}.")]
    if keys:
        lines += [f"{group}: keys", *_columns({_assignment(key, values): comments[key] for key in keys})]
    return "\n".join(lines)


def _all_help(options: Mapping[str, Mapping[str, str]], comments: Mapping[str, str], values: Mapping[str, Any]) -> str:
    """Every group with its options and keys, then the keys without a group, flags and exit codes."""
    sections = [name for name in FIELDS if "." not in name and name not in KEYS]
    groups = [*(group for group in options if group not in sections), *sections]
    top = {_assignment(key, values): comments[key] for key in KEYS if "." not in key}
    return "\n\n".join(
        [
            *(_group_help(group, options, comments, values) for group in groups),
            "\n".join(["Keys without a group", *_columns(top)]),
            "\n".join(["Flags", *_columns(FLAGS)]),
            f"Exit codes: {EXIT_CODES}",
        ]
    )


def _assignment(key: str, values: Mapping[str, Any]) -> str:
    value = value_at(values, key)
    return key if isinstance(value, dict) else f"{key}={value_text(value)}"


def _columns(rows: Mapping[str, str]) -> list[str]:
    """Lines of a name and its text, which is wrapped below itself; a name that is too wide has a line of its own."""
    indent = min(max(map(len, rows)), 32) + 4
    lines = []
    for name, text in rows.items():
        wrapped = textwrap.wrap(text, WIDTH - indent)
        if len(name) > indent - 4:
            lines.append(f"  {name}")
        else:
            lines.append(f"  {name:<{indent - 4}}  {wrapped.pop(0) if wrapped else ''}".rstrip())
        lines += [" " * indent + line for line in wrapped]
    return lines
