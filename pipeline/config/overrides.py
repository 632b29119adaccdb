"""Parse the overrides of a command line, such as `train.lr_head=0.01`, check them by name, and print them again.

Hydra accepts `+train.lrr=1` silently and reports most other errors over many lines.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException, OverrideParseException

from pipeline.config import launchers
from pipeline.config.literals import escape, value_text
from pipeline.config.schema import Config
from pipeline.config.validate import (
    FIELDS,
    KEYS,
    expected_text,
    holds_list,
    holds_text,
    unknown_key,
    value_at,
)
from pipeline.runtime.errors import UserError, nearest
from pipeline.runtime.paths import project_root

# The keys that make a variant: a study sets them itself, one variant after the other.
VARIANT_KEYS = tuple(f"embedding.{key}" for key in ("init", "trainable", "projected", "anchor", "shuffled"))
# Keys of files and folders, which a command may give relative to the current directory.
PATHS = (
    *("data.path", "cbow.extra_text", "embedding.path", "probe.similarity_files", "probe.transfer_path"),
    *("probe.transfer", "distill.model", "study.model2vec", "paths.root", "paths.dvc"),
)


def parse_override(text: str) -> Override:
    """Parse one override by Hydra's grammar; raises UserError that says how to write it."""
    try:
        return OverridesParser.create().parse_overrides([text])[0]
    except OverrideParseException:
        key, advice = key_of(text), "write key=value, and quote a value that holds special characters: "
        if "." in key and key not in FIELDS and not key.startswith("hydra"):
            raise unknown_key(key) from None
        advice += f"'{key}=[\"…\"]'" if holds_list(key) else f"'{key}=\"…\"'"
        raise UserError(f"cannot parse '{text}': {advice}") from None
    except HydraException as error:
        raise UserError(f"cannot parse '{text}': {one_line(error)}") from None


def key_of(override: str) -> str:
    """The key that an override sets, as written: without its plus signs."""
    return override.partition("=")[0].lstrip("+~")


def quote_values(overrides: Sequence[str]) -> list[str]:
    """Quote the texts that Hydra's grammar cannot parse, such as `data.path=~/tweets(1).csv`, or takes for numbers."""
    quoted_overrides = []
    for text in overrides:
        key, _, value = text.partition("=")
        if key_of(text) == "data.labels" and value[:1] in ("[", "{") and is_flow(value):
            text = f"{key}={quoted(value)}"  # Hydra's grammar has no quoted keys, and takes null for no value
        elif holds_text(key_of(text)) and value and value[0] not in "'\"[{":
            try:
                number = isinstance(parse_override(text).value(), bool | int | float)
            except UserError:
                number = True
            text = f"{key}={quoted(value)}" if number else text
        quoted_overrides.append(text)
    return quoted_overrides


def is_flow(value: str) -> bool:
    """Whether `value` is one list or mapping of YAML's flow style, and no sweep over several."""
    try:
        yaml.load(value, yaml.BaseLoader)
    except yaml.YAMLError:
        return False
    return True


def quoted(text: str) -> str:
    """A text of any characters in the quotes of Hydra's grammar; `${…}` in it stays an interpolation."""
    return str(QuotedString(text, Quote.double).with_quotes())


def override_text(key: str, value: Any) -> str:
    """The override that sets a key to a value: composed, it gives the same value, whatever characters a text holds.

    `shlex.join` makes a command line of overrides, which a shell reads back.
    """
    return f"{key}={_override_value(value)}"


def _override_value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_override_value, value))}]"
    if not isinstance(value, str):
        return value_text(value)
    try:
        plain = "${" not in value and parse_override(f"key=[{value}]").value() == [value]
    except UserError:
        plain = False
    return value if plain else quoted(escape(value))


def repeatable(overrides: Sequence[str], config: Config) -> list[str]:
    """The overrides of a command with absolute paths, so that they repeat it from any folder.

    A path that a recipe of the user or a value such as `data={path: …}` sets is added.
    """
    values, keys = dataclasses.asdict(config), [key_of(text) for text in overrides]
    paths = {key: value for key in PATHS if (value := value_at(values, key))}
    absolute = {key: override_text(key, value) for key, value in paths.items()}
    given = [absolute.get(key, text) for key, text in zip(keys, overrides, strict=True)]
    others = {key: value for key, value in paths.items() if key not in keys and value != str(project_root())}
    return given + [absolute[key] for key, value in others.items() if os.path.isabs(_as_list(value)[0])]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def selects_file(override: Override, options: Callable[[str], list[str]]) -> bool:
    """Whether an override selects a file, as `model=cnn` does, or configures Hydra; any other override sets values."""
    key = override.key_or_group
    return override.is_hydra_override() or (
        key not in KEYS and not isinstance(override.value(), dict) and bool(key and options(key))
    )


def check_override(override: Override, options: Callable[[str], list[str]]) -> None:
    """Raise UserError for an override with an unknown key, group or option, a wrong sign, or no value."""
    if override.is_hydra_override():
        if override.key_or_group == launchers.GROUP:
            name, known = str(override.value()), sorted({*launchers.LAUNCHERS, *options(launchers.GROUP)})
            if name not in known:
                raise UserError(f"unknown option {launchers.GROUP}={name}{nearest(name, known)}")
            launchers.require_extra(launchers.GROUP, name)
        return
    key, line, value = override.key_or_group, str(override.input_line), override.value()
    valid = options(key) if selects_file(override, options) else []
    names = [key, *(f"{key}.{name}" for name in value)] if isinstance(value, dict) else [] if valid else [key]
    for name in names:
        if name not in FIELDS:
            raise unknown_key(name)
    if override.is_delete():
        raise UserError(f"'{line}': nothing can be removed; set a key to null where it may be empty")
    if value == "":
        expected = expected_text(key) if key in KEYS else f"one of {', '.join(valid)}" if valid else "keys"
        raise UserError(f"'{line}' has no value; expected {expected}")
    if key == "experiment" and not override.is_add():
        raise UserError(f"'{line}' needs one plus: use +experiment={value_text(value)}")
    if key != "experiment" and (override.is_add() or (valid and override.is_force_add())):
        raise UserError(f"'{line}': {key} is set already, leave out the plus")
    if valid and isinstance(value, list) and key != "experiment":
        raise UserError(f"'{line}': {key} takes one option; several runs: -m {key}={','.join(map(str, value))}")
    for option in _as_list(value) if valid else []:
        if option not in valid:
            name = f"experiment '{option}'" if key == "experiment" else f"option {key}={value_text(option)}"
            raise UserError(f"unknown {name}{nearest(value_text(option), valid)}")


def one_line(error: BaseException) -> str:
    """Message and cause of an error of Hydra or OmegaConf on one line, without links and internal details."""
    text = "\n".join(str(part) for part in (error, error.__cause__) if part).partition("Config search path:")[0]
    lines = [line.strip() for line in text.splitlines()]
    return " ".join(line for line in lines if line and not line.startswith(("See https:", "full_key:", "object_type=")))
