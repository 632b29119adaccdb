"""Parse the overrides of a command line, such as `train.lr_head=0.01`, and check them by name before composing.

Hydra accepts `+train.lrr=1` silently and reports most other errors over many lines.
"""

from collections.abc import Callable, Sequence

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException, OverrideParseException

from pipeline.config import launchers
from pipeline.config.validate import FIELDS, KEYS, holds_text, unknown_key, value_text
from pipeline.runtime.errors import UserError, nearest


def parse_override(text: str) -> Override:
    """Parse one override by Hydra's grammar; raises UserError that says how to write it."""
    try:
        return OverridesParser.create().parse_overrides([text])[0]
    except OverrideParseException:
        key = text.lstrip("+~").partition("=")[0]
        advice = f"write key=value, and quote a value that holds special characters: '{key}=\"…\"'"
        raise UserError(f"cannot parse '{text}': {advice}") from None
    except HydraException as error:
        raise UserError(f"cannot parse '{text}': {one_line(error)}") from None


def quote_values(overrides: Sequence[str]) -> list[str]:
    """Quote the text values that Hydra's grammar cannot parse, such as `data.path=~/tweets(1).csv`."""
    quoted = []
    for text in overrides:
        key, _, value = text.partition("=")
        if key == "data.labels" and value[:1] in ("[", "{") and is_flow(value):
            text = text_override(key, value)  # Hydra's grammar has no quoted keys, and takes null for no value
        elif holds_text(key.lstrip("+")) and value and value[0] not in "'\"[{":
            try:
                parse_override(text)
            except UserError:
                text = text_override(key, value)
        quoted.append(text)
    return quoted


def is_flow(value: str) -> bool:
    """Whether `value` is one list or mapping of YAML's flow style, and no sweep over several."""
    try:
        yaml.load(value, yaml.BaseLoader)
    except yaml.YAMLError:
        return False
    return True


def text_override(key: str, value: str) -> str:
    """The override that sets a key to a text of any characters."""
    return f"{key}={QuotedString(value, Quote.single).with_quotes()}"


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
        raise UserError(f"'{line}' has no value" + (f"; valid: {', '.join(valid)}" if valid else "; null means none"))
    if key == "experiment" and not override.is_add():
        raise UserError(f"'{line}' needs one plus: use +experiment={value_text(value)}")
    if key != "experiment" and (override.is_add() or (valid and override.is_force_add())):
        raise UserError(f"'{line}': {key} is set already, leave out the plus")
    if valid and isinstance(value, list) and key != "experiment":
        raise UserError(f"'{line}': {key} takes one option; several runs: -m {key}={','.join(map(str, value))}")
    for option in (value if isinstance(value, list) else [value]) if valid else []:
        if option not in valid:
            name = f"experiment '{option}'" if key == "experiment" else f"option {key}={value_text(option)}"
            raise UserError(f"unknown {name}{nearest(str(option), valid)}")


def one_line(error: BaseException) -> str:
    """Message and cause of an error of Hydra or OmegaConf on one line, without links and internal details."""
    text = "\n".join(str(part) for part in (error, error.__cause__) if part).partition("Config search path:")[0]
    lines = [line.strip() for line in text.splitlines()]
    return " ".join(line for line in lines if line and not line.startswith(("See https:", "full_key:", "object_type=")))
