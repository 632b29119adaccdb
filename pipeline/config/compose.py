"""From conf/ and the command line to one checked `Config`; whatever is wrong becomes one line for the user.

Hydra composes. Before it, the overrides of every job are checked by name, because Hydra accepts `+train.lrr=1` and its
own messages run over many lines; after it, the values are held against the schema.
"""

import copy
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException, OverrideParseException
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from pipeline.config import launchers
from pipeline.config.schema import Config, EmbeddingConfig
from pipeline.config.validate import FIELDS, KEYS, check, shown, takes_list, takes_text, unknown_key
from pipeline.runtime import ray
from pipeline.runtime.errors import UserError, nearest
from pipeline.runtime.paths import cpu_count, project_root

VERSION_BASE = "1.3"
CONFIG_NAME = "config"
MADE_OF = tuple(f"embedding.{key}" for key in ("init", "trainable", "multichannel", "projected", "anchor"))


def conf_folder() -> Path:
    """The folder of the configuration files."""
    return project_root() / "conf"


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _root(path: str | None) -> str:
    return str(project_root()) if path is None else _absolute(path)


OmegaConf.register_new_resolver("cpu_count", cpu_count, replace=True)
OmegaConf.register_new_resolver("root", _root, replace=True)
OmegaConf.register_new_resolver("ray_address", lambda: ray.ray_address(None), replace=True)
OmegaConf.register_new_resolver("ray_setting", ray.ray_setting, replace=True)
OmegaConf.register_new_resolver("ray_environment", ray.worker_environment, replace=True)


def compose(overrides: Sequence[str] = ()) -> Config:
    """The configuration that `python -m pipeline` runs with these overrides, checked and with absolute paths."""
    return compose_all(readable(overrides), multirun=False)[0]


def compose_all(overrides: Sequence[str], *, multirun: bool) -> list[Config]:
    """The configuration of each job of a command; raises UserError if any of them is wrong."""
    search_path = [text for text in overrides if text.startswith("hydra.searchpath=")]

    @cache
    def options(group: str) -> list[str]:
        loader = GlobalHydra.instance().config_loader()
        return loader.get_group_options(group, config_name=CONFIG_NAME, overrides=search_path)

    @cache
    def composed_of(*files: str) -> DictConfig:
        return hydra.compose(CONFIG_NAME, overrides=list(files))

    configs = []
    with hydra.initialize_config_dir(str(conf_folder()), version_base=VERSION_BASE):
        for job in _jobs(overrides, multirun):
            parsed = [_parse(text) for text in job]
            for override in parsed:
                _check_override(override, options)
            files = [str(override.input_line) for override in parsed if _chooses(override, options)]
            try:
                # In Hydra's order: first the files, which takes most of the time, then values, in which jobs differ.
                composed = copy.deepcopy(composed_of(*files))
                values = [override for override in parsed if not _chooses(override, options)]
                ConfigLoaderImpl._apply_overrides_to_config(values, composed)
            except (HydraException, OmegaConfBaseException, ValueError) as error:
                raise _composition_error(error, files) from None
            configs.append(to_typed(composed))
            if configs[-1].stage in ("compare", "search"):
                variants(job, configs[-1])
    return configs


@contextmanager
def composed_before() -> Iterator[None]:
    """Within it Hydra's sweeper does not compose every job to see that it can be: `compose_all` did."""
    validate = Sweeper.validate_batch_is_legal
    Sweeper.validate_batch_is_legal = lambda self, batch: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        Sweeper.validate_batch_is_legal = validate  # type: ignore[method-assign]


def help_text(overrides: Sequence[str], *, resolve: bool) -> str:
    """What `--help` prints: the template of conf/config.yaml with all groups and the configuration put in.

    Hydra's own takes a copy of everything it read for every group it lists, which takes longer than all else.
    """
    with hydra.initialize_config_dir(str(conf_folder()), version_base=VERSION_BASE):
        composed = hydra.compose(CONFIG_NAME, overrides=list(overrides), return_hydra_config=True)
    folders = [conf_folder(), *(Path(folder) for folder in composed.hydra.searchpath)]
    options: dict[str, set[str]] = {}
    for folder in folders:
        for file in folder.glob("*/**/*.yaml"):
            options.setdefault(file.parent.relative_to(folder).as_posix(), set()).add(file.stem)
    groups = "".join(f"{group}: {', '.join(sorted(names))}\n" for group, names in sorted(options.items()))
    template = Template(composed.hydra.help.template)
    with open_dict(composed):
        del composed["hydra"]
    return template.substitute(APP_CONFIG_GROUPS=groups, CONFIG=OmegaConf.to_yaml(composed, resolve=resolve))


def variants(overrides: Sequence[str], config: Config) -> dict[str, tuple[EmbeddingConfig, str]]:
    """The embedding section and `text.emoticons` of each of `study.variants`; everything else they share.

    Hydra must be initialized. Raises UserError where a name is no option of conf/embedding/, or where what is on the
    command line does not fit one of them.
    """
    options = GlobalHydra.instance().config_loader().get_group_options("embedding", config_name=CONFIG_NAME)
    emoticons = KEYS["text.emoticons"].metadata["choices"]
    others = [text for text in overrides if not text.startswith("embedding=")]
    for text in others:
        if text.lstrip("+").partition("=")[0] in MADE_OF:
            raise UserError(
                f"'{text}': it is the variants of the study that differ in this; choose them by study.variants"
            )
    study = config.study
    for key, names in (("variants", study.variants), ("pairs", [name for pair in study.pairs for name in pair])):
        for variant in names:
            name, _, mode = variant.partition("@")
            if name not in options:
                raise UserError(f"study.{key}: '{name}' is no option of conf/embedding/{nearest(name, options)}")
            if mode and mode not in emoticons:
                raise UserError(f"study.{key}: '{variant}': '{mode}' is not a choice{nearest(mode, emoticons)}")
    if not any(set(pair) <= set(study.variants) for pair in study.pairs):
        asked = f"study.variants={shown(study.variants)}"
        raise UserError(f"{asked}: none of study.pairs is among them; set study.pairs=[[first,second]]")
    found = {}
    for variant in study.variants:
        name, _, mode = variant.partition("@")
        try:
            embedding = to_typed(hydra.compose(CONFIG_NAME, overrides=[*others, f"embedding={name}"])).embedding
        except UserError as error:
            raise UserError(f"study.variants: {variant}: {error}") from None
        found[variant] = (embedding, mode or config.text.emoticons)
    return found


def to_typed(composed: DictConfig) -> Config:
    """Check what Hydra composed against the schema and make its paths absolute.

    Raises UserError naming the key, what was found and what was expected.
    """
    try:
        values: Any = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key}: {one_line(error)}") from None
    config = check(values)
    _make_absolute(config)
    return config


def readable(overrides: Sequence[str]) -> list[str]:
    """Quote the text values that Hydra's grammar cannot read, such as `data.path=~/tweets(1).csv`."""
    quoted = []
    for text in overrides:
        key, _, value = text.partition("=")
        if takes_text(key.lstrip("+")) and value and value[0] not in "'\"[{":
            try:
                _parse(text)
            except UserError:
                text = f"{key}={QuotedString(value, Quote.single).with_quotes()}"
        quoted.append(text)
    return quoted


def one_line(error: BaseException) -> str:
    """Message and cause of an error of Hydra or OmegaConf, without the pointers that help only programmers."""
    text = "\n".join(str(part) for part in (error, error.__cause__) if part).partition("Config search path:")[0]
    lines = [line.strip() for line in text.splitlines()]
    return " ".join(line for line in lines if line and not line.startswith(("See https:", "full_key:", "object_type=")))


def _parse(text: str) -> Override:
    try:
        return OverridesParser.create().parse_overrides([text])[0]
    except OverrideParseException:
        key = text.lstrip("+~").partition("=")[0]
        advice = f"write key=value, and quote a value that holds special characters: '{key}=\"…\"'"
        raise UserError(f"cannot read '{text}': {advice}") from None
    except HydraException as error:
        raise UserError(f"cannot read '{text}': {one_line(error)}") from None


def _jobs(overrides: Sequence[str], multirun: bool) -> list[list[str]]:
    """The overrides of each job: one, or with `multirun` one for each combination of the swept values."""
    parsed = [_parse(text) for text in overrides]
    swept = next((override for override in parsed if override.is_sweep_override()), None)
    if swept is None:
        return [list(overrides)]
    if not multirun:
        advice = f", or write {swept.key_or_group}=[…] for a list" if takes_list(swept.key_or_group) else ""
        raise UserError(f"'{swept.input_line}' holds several values: add -m to run each{advice}")
    for override in parsed:
        override.config_loader = GlobalHydra.instance().config_loader()
    try:
        jobs = BasicSweeper.split_arguments(parsed, None)[0]
    except HydraException as error:
        raise UserError(one_line(error)) from None
    if not jobs:
        raise UserError(f"'{' '.join(overrides)}' holds no value to run")
    return jobs


def _chooses(override: Override, options: Callable[[str], list[str]]) -> bool:
    """Whether an override is about files, as `model=cnn` is, or about Hydra itself; any other sets values."""
    key = override.key_or_group
    return override.is_hydra_override() or (
        key not in KEYS and not isinstance(override.value(), dict) and bool(key and options(key))
    )


def _check_override(override: Override, options: Callable[[str], list[str]]) -> None:
    """Refuse an override that names no key, group or option, whose sign does not fit, or that has no value."""
    if override.is_hydra_override():
        if override.key_or_group == launchers.GROUP:
            launchers.check_launcher(str(override.value()), options(launchers.GROUP))
        return
    key, line, value = override.key_or_group, str(override.input_line), override.value()
    valid = options(key) if _chooses(override, options) else []
    names = [key, *(f"{key}.{name}" for name in value)] if isinstance(value, dict) else [] if valid else [key]
    for name in names:
        if name not in FIELDS:
            raise unknown_key(name)
    if override.is_delete():
        raise UserError(f"'{line}': nothing can be removed; set a key to null where it may be empty")
    if value == "":
        raise UserError(f"'{line}' has no value" + (f"; valid: {', '.join(valid)}" if valid else "; null means none"))
    if key == "experiment" and not override.is_add():
        raise UserError(f"'{line}' needs one plus: use +experiment={shown(value)}")
    if key != "experiment" and (override.is_add() or (valid and override.is_force_add())):
        raise UserError(f"'{line}': {key} is set already, leave out the plus")
    if valid and isinstance(value, list) and key != "experiment":
        raise UserError(f"'{line}': {key} takes one option; several runs: -m {key}={','.join(map(str, value))}")
    for option in (value if isinstance(value, list) else [value]) if valid else []:
        if option not in valid:
            name = f"experiment '{option}'" if key == "experiment" else f"option {key}={shown(option)}"
            raise UserError(f"unknown {name}{nearest(str(option), valid)}")


def _composition_error(error: Exception, files: Sequence[str]) -> UserError:
    line = one_line(error)
    found = re.match(r"Could not override '((.+)\.\w+)'", line)
    if found and found[1] in FIELDS:
        return UserError(f"{found[1]} cannot be set here: {found[2]} is null in this configuration")
    if found and found[1].startswith(launchers.LAUNCHER_KEYS):
        launcher = launchers.launcher_of(files) or f"{launchers.GROUP}=basic"
        composed = hydra.compose(CONFIG_NAME, overrides=[launcher], return_hydra_config=True)
        settings: Any = OmegaConf.to_container(composed.hydra.launcher)
        return launchers.unknown_setting(found[1], launcher, settings)
    return UserError(line)


def _make_absolute(config: Config) -> None:
    """Resolve the user's paths against the current directory, which is where the command was started."""
    config.paths.root = _root(config.paths.root)
    if os.path.exists(config.paths.root) and not os.path.isdir(config.paths.root):
        raise UserError(f"paths.root={config.paths.root}: found a file, expected a folder")
    if set(config.paths.root) & set("%?#"):
        raise UserError(f"paths.root={config.paths.root}: MLflow cannot have %, ? or # in the path of its store")
    config.paths.dvc = config.paths.dvc and _absolute(config.paths.dvc)
    config.tracking.uri = config.tracking.uri or f"sqlite:///{config.paths.root}/mlflow.db"
    config.cbow.extra_text = config.cbow.extra_text and _absolute(config.cbow.extra_text)
    config.embedding.path = config.embedding.path and _absolute(config.embedding.path)
    config.probe.similarity_files = [_absolute(path) for path in config.probe.similarity_files]
    path = config.data.path
    # Anything else may be the name of a data set on the hub: owner/name.
    if path and (config.data.source == "files" or path.startswith((".", "~")) or os.path.exists(path)):
        config.data.path = _absolute(path)
