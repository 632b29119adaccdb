"""Compose conf/ and the command line with Hydra into one checked `Config`; every error becomes one line.

This is the only module that uses Hydra's private interface. A sweep of hundreds of jobs would read the same YAML files
once per job, so files are composed once and values applied to copies (`ConfigLoaderImpl`). The jobs must be known and
checked before the first one starts (`BasicSweeper`), and Hydra's sweeper would compose each of them again to validate
it, so that validation is switched off. Hydra's parser of flags is private as well.
"""

import argparse
import copy
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from operator import attrgetter
from typing import Any, cast

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pipeline.config import launchers
from pipeline.config.comments import conf_folder
from pipeline.config.literals import value_text
from pipeline.config.overrides import (
    VARIANT_KEYS,
    check_override,
    key_of,
    one_line,
    override_text,
    parse_override,
    quote_values,
    selects_file,
)
from pipeline.config.schema import Config
from pipeline.config.validate import FIELDS, KEYS, check, holds_list, holds_text, unknown_key
from pipeline.config.variants import AMOUNT, Variant, split_condition
from pipeline.runtime import ray
from pipeline.runtime.errors import UserError, nearest
from pipeline.runtime.files import flatten
from pipeline.runtime.paths import cpu_count, project_root

VERSION_BASE = "1.3"
CONFIG_NAME = "config"
SEARCH_PATH = "hydra.searchpath="  # the folders of --config-dir, as an override
# Sections of the keys that a variant's name may set.
CONDITIONS = ("text.", "embedding.", "cbow.", "ppmi.", "distill.", "model.", "train.")


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _absolute_or_id(path: str) -> str:
    """An absolute path, unless it may be the id of a data set or model on the hub: owner/name."""
    return _absolute(path) if path.startswith((".", "~")) or os.path.exists(path) else path


def _root(path: str | None) -> str:
    return str(project_root()) if path is None else _absolute(path)


OmegaConf.register_new_resolver("cpu_count", cpu_count, replace=True)
OmegaConf.register_new_resolver("root", _root, replace=True)
OmegaConf.register_new_resolver("ray_address", lambda: ray.ray_address(None), replace=True)
OmegaConf.register_new_resolver("ray_setting", ray.ray_setting, replace=True)
OmegaConf.register_new_resolver("ray_environment", ray.worker_environment, replace=True)


def compose(overrides: Sequence[str] = ()) -> Config:
    """The configuration that `python -m pipeline` runs with these overrides, checked and with absolute paths."""
    return compose_all(quote_values(overrides), multirun=False)[0]


def compose_all(overrides: Sequence[str], *, multirun: bool) -> list[Config]:
    """The configuration of each job of a command; raises UserError if any of them is wrong.

    With `multirun` there is one job for each combination of the swept values, otherwise a single job.
    """
    search_path = [text for text in overrides if text.startswith(SEARCH_PATH)]

    @cache
    def options(group: str) -> list[str]:
        loader = GlobalHydra.instance().config_loader()
        return loader.get_group_options(group, config_name=CONFIG_NAME, overrides=search_path)

    @cache
    def compose_files(*files: str) -> DictConfig:
        return hydra.compose(CONFIG_NAME, overrides=list(files))

    configs = []
    with hydra.initialize_config_dir(str(conf_folder()), version_base=VERSION_BASE):
        for job in _jobs(overrides, multirun):
            parsed = [parse_override(text) for text in job]
            for override in parsed:
                check_override(override, options)
            files = [str(override.input_line) for override in parsed if selects_file(override, options)]
            try:
                # In Hydra's order: the files first, which take most of the time and are shared by jobs; then values.
                composed = copy.deepcopy(compose_files(*files))
                values = [override for override in parsed if not selects_file(override, options)]
                ConfigLoaderImpl._apply_overrides_to_config(values, composed)
            except (HydraException, OmegaConfBaseException, ValueError) as error:
                raise _composition_error(error, files) from None
            configs.append(to_typed(composed))
            if configs[-1].stage in ("compare", "search"):
                study_variants(job, configs[-1])
    return configs


def flag_parser() -> argparse.ArgumentParser:
    """Hydra's parser of a command line: its flags, such as `--cfg`, and the overrides."""
    parser = get_args_parser()
    parser.exit_on_error = False
    return parser


@contextmanager
def hydra_application() -> Iterator[Hydra]:
    """Hydra, initialized with conf/: its `run` and `multirun` run jobs.

    Its sweeper does not compose every job once more to validate it: `compose_all` has done that.
    """
    validate = Sweeper.validate_batch_is_legal
    Sweeper.validate_batch_is_legal = lambda self, batch: None  # type: ignore[method-assign]
    try:
        with hydra.initialize_config_dir(str(conf_folder()), job_name="pipeline", version_base=VERSION_BASE):
            application = GlobalHydra.instance().hydra
            assert application is not None
            yield application
    finally:
        Sweeper.validate_batch_is_legal = validate  # type: ignore[method-assign]


def composed_values(overrides: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The nested values that Hydra composes, unchecked: with interpolations such as `${seed}`, and resolved."""
    with hydra.initialize_config_dir(str(conf_folder()), version_base=VERSION_BASE):
        composed = hydra.compose(CONFIG_NAME, overrides=list(overrides))
    plain, resolved = (OmegaConf.to_container(composed, resolve=resolve) for resolve in (False, True))
    return cast(dict[str, Any], plain), cast(dict[str, Any], resolved)


def study_variants(overrides: Sequence[str], config: Config) -> dict[str, Variant]:
    """Each of `study.variants`, with its configuration; all that its name does not say they share.

    A name is an option of conf/embedding/, alone or with a condition: NAME@strip (a value of `text.emoticons`), or
    NAME@key=value,key=value. `study.unlabelled_budgets` repeats every CBOW variant. Hydra must be initialized. Raises
    UserError where a name is neither, or where an override does not fit a variant.
    """
    options = GlobalHydra.instance().config_loader().get_group_options("embedding", config_name=CONFIG_NAME)
    others = [text for text in overrides if not text.startswith("embedding=")]
    for text in others:
        if key_of(text) in VARIANT_KEYS:
            raise UserError(f"'{text}': the variants of a study differ in this key; choose them with study.variants")
    study = config.study
    conditions = {}
    for key, names in (("variants", study.variants), ("pairs", [name for pair in study.pairs for name in pair])):
        for variant in names:
            name, _, condition = variant.partition("@")
            if name not in options:
                raise UserError(f"study.{key}: '{name}' is no option of conf/embedding/{nearest(name, options)}")
            try:
                conditions[variant] = _condition(condition)
            except UserError as error:
                raise UserError(f"study.{key}: '{variant}': {error}") from None
    if not any(set(pair) <= set(study.variants) for pair in study.pairs):
        setting = f"study.variants={value_text(study.variants)}"
        if len(study.variants) < 2:
            raise UserError(f"{setting}: expected two variants or more")
        pair = f"study.pairs={value_text([study.variants[:2]])}"
        raise UserError(f"{setting}: none of study.pairs is among them; set {pair}")
    variants = {name: _variant(name, conditions[name], others) for name in study.variants}
    repeated = {
        f"{name}{',' if '@' in name else '@'}{AMOUNT}={size}": {**conditions[name], AMOUNT: str(size)}
        for size in study.unlabelled_budgets
        for name, variant in variants.items()
        if "cbow" in variant.config.embedding.inits and AMOUNT not in conditions[name]
    }
    if study.unlabelled_budgets and not repeated:
        setting = f"study.unlabelled_budgets={value_text(study.unlabelled_budgets)}"
        raise UserError(f"{setting}: expected a CBOW variant in study.variants={value_text(study.variants)}")
    return variants | {name: _variant(name, own, others) for name, own in repeated.items()}


def _variant(name: str, own: Mapping[str, str], others: Sequence[str]) -> Variant:
    """A variant of a study: an option of conf/embedding/ with settings of its own, and those that all share."""
    embedding = name.partition("@")[0]
    shared = [text for text in others if key_of(text) not in own]
    words = [*shared, f"embedding={embedding}", *(f"{key}={value}" for key, value in own.items())]
    try:
        config = to_typed(hydra.compose(CONFIG_NAME, overrides=words))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"study.variants: {name}: {one_line(error)}") from None
    except UserError as error:
        raise UserError(f"study.variants: {name}: {error}") from None
    return Variant(config, {"embedding": embedding, **{key: attrgetter(key)(config) for key in own}})


def _condition(condition: str) -> dict[str, str]:
    """The keys and values after the @ of a variant's name."""
    settings, modes = {}, KEYS["text.emoticons"].metadata["choices"]
    for setting in split_condition(condition) if condition else ():
        key, equals, value = setting.partition("=")
        if not equals:
            if setting not in modes:
                raise UserError(f"'{setting}' is not a choice{nearest(setting, modes)}, and no key=value")
            key, value = "text.emoticons", setting
        if key not in KEYS:
            raise unknown_key(key)
        if not key.startswith(CONDITIONS):
            sections = ", ".join(section.rstrip(".") for section in CONDITIONS)
            raise UserError(f"{key}: the variants of a study differ in keys of {sections} alone")
        settings[key] = value
    return settings


def to_typed(composed: DictConfig) -> Config:
    """Check a composed configuration against the schema and make its paths absolute.

    Raises UserError naming the key, the value found and the value expected.
    """
    try:
        values: Any = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key}: {one_line(error)}") from None
    config = check(values)
    root = config.paths.root = _root(config.paths.root)
    if os.path.exists(root) and not os.path.isdir(root):
        raise UserError(f"paths.root={root}: found a file, expected a folder")
    if set(root) & set("%?#"):
        raise UserError(f"paths.root={root}: MLflow cannot have %, ? or # in the path of its store")
    config.tracking.uri = config.tracking.uri or f"sqlite:///{root}/mlflow.db"
    # The user's paths start from the current directory, in which the command was started.
    config.paths.dvc = config.paths.dvc and _absolute(config.paths.dvc)
    extra = config.cbow.extra_text
    config.cbow.extra_text = [*map(_absolute, extra)] if isinstance(extra, list) else extra and _absolute(extra)
    config.distill.model = _absolute_or_id(config.distill.model)
    config.study.model2vec = _absolute_or_id(config.study.model2vec)
    config.embedding.path = config.embedding.path and _absolute(config.embedding.path)
    config.probe.similarity_files = [_absolute(path) for path in config.probe.similarity_files]
    config.probe.transfer_path = _absolute_or_id(config.probe.transfer_path)
    tasks = [task.partition("@") for task in config.probe.transfer]
    config.probe.transfer = [name + at + (path and _absolute_or_id(path)) for name, at, path in tasks]
    if path := config.data.path:
        config.data.path = _absolute(path) if config.data.source == "files" else _absolute_or_id(path)
    return config


def _jobs(overrides: Sequence[str], multirun: bool) -> list[list[str]]:
    """The overrides of each job: a single job, or with `multirun` one for each combination of the swept values."""
    parsed = [parse_override(text) for text in overrides]
    swept = next((override for override in parsed if override.is_sweep_override()), None)
    if swept is None:
        return [list(overrides)]
    if not multirun:
        key, value = key_of(str(swept.input_line)), str(swept.input_line).partition("=")[2]
        if holds_list(key):
            advice = f", or write {shlex.quote(f'{key}=[{value}]')} for a list"
        else:
            advice = f", or quote it as one text: {shlex.quote(override_text(key, value))}" if holds_text(key) else ""
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


def _composition_error(error: Exception, files: Sequence[str]) -> UserError:
    line = one_line(error)
    match = re.match(r"Could not override '((.+)\.\w+)'", line)
    if match and match[1] in FIELDS:
        option = match[2].replace(".", "=")
        return UserError(f"{match[1]} cannot be set here: {match[2]} is null; it belongs to {option}")
    if match and match[1].startswith(launchers.LAUNCHER_KEYS):
        launcher = launchers.launcher_of(files) or f"{launchers.GROUP}=basic"
        composed = hydra.compose(CONFIG_NAME, overrides=[launcher], return_hydra_config=True)
        settings: Any = OmegaConf.to_container(composed.hydra.launcher)
        keys = [key for key in flatten({"hydra": {"launcher": settings}}) if "._" not in key]
        return UserError(f"unknown key '{match[1]}' with {launcher}{nearest(match[1], keys)}")
    return UserError(line)
