"""Checks the whole command, then runs it once or, with --multirun, once per combination of values."""

import argparse
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig

from pipeline.cli import exit_codes
from pipeline.cli.exit_codes import DONE, FULL_ERROR, command
from pipeline.cli.help import TEXTS, help_text
from pipeline.cli.subcommands import SUBCOMMANDS, check_first_word, subcommand
from pipeline.config import compose, launchers
from pipeline.config.comments import conf_folder, group_options
from pipeline.config.overrides import one_line, override_text, quote_values, quoted, repeatable
from pipeline.config.schema import Config
from pipeline.runtime.errors import RunError, UserError, nearest
from pipeline.runtime.log import log
from pipeline.stages.inputs import check_inputs


@command
def main(arguments: list[str]) -> int:
    """Run a command line of Hydra's grammar."""
    try:
        return _execute(arguments)
    except Exception as error:
        if isinstance(error, UserError | RunError | OSError) and not isinstance(error, HydraException):
            raise
        raise UserError(one_line(error)) from error


def _execute(arguments: list[str]) -> int:
    flags, words, options = _split(arguments)
    overrides = quote_values(words)
    folders = [conf_folder()]
    search_path: list[str] = []
    if options.config_dir:
        folders.append(Path(os.path.abspath(options.config_dir)))
        if not folders[-1].is_dir():
            raise UserError(f"--config-dir {options.config_dir}: no such folder")
        search_path.append(override_text("hydra.searchpath", [str(folders[-1])]))
    if options.help and overrides and overrides[0] in SUBCOMMANDS:
        return subcommand(overrides[0])(["--help"])
    if options.help:
        print(help_text(overrides, folders, search_path, resolve=options.resolve))
        return DONE
    if overrides and not options.shell_completion:
        check_first_word(overrides[0], list(group_options(folders)["experiment"]))
    if options.hydra_help:
        return _ask_hydra([*flags, *overrides, f"hydra.hydra_help.template={quoted(TEXTS['hydra_help'])}"])
    if options.info or options.shell_completion:
        return _ask_hydra([*flags, *overrides])
    multirun = options.multirun or "hydra.mode=MULTIRUN" in overrides
    configs = compose.compose_all(overrides + search_path, multirun=multirun)
    if options.cfg or options.resolve or (options.run and options.multirun):
        return _ask_hydra([*flags, *overrides])
    check_inputs(configs)
    return _run(overrides, search_path, configs, multirun=multirun)


def _ask_hydra(arguments: list[str]) -> int:
    """Have Hydra answer a question (--cfg, --info, --hydra-help, -sc) or refuse the combination; nothing is run."""

    def no_job(composed: DictConfig) -> None:
        raise AssertionError("Hydra runs no job for a question")

    # `run`, of ./scripts/run, is the name for which Hydra's shell completion registers itself. With the variable, Hydra
    # raises its errors instead of printing them and exiting with 1.
    argv, environment = sys.argv, dict(os.environ)
    sys.argv, os.environ[FULL_ERROR] = ["run", *arguments], "1"
    try:
        hydra.main(str(conf_folder()), compose.CONFIG_NAME, compose.VERSION_BASE)(no_job)()
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(environment)
    return DONE


def _run(overrides: list[str], search_path: list[str], configs: Sequence[Config], *, multirun: bool) -> int:
    """Run the job in this process or, with `multirun`, one for each configuration, wherever the launcher runs them."""
    words = [*overrides, *search_path, f"hydra.mode={'MULTIRUN' if multirun else 'RUN'}"]
    jobs = len(configs) if multirun else None
    job = partial(run_job, jobs=jobs, folder=os.getcwd(), tracebacks=exit_codes.full_errors())
    if not multirun:
        if (launcher := launchers.launcher_of(overrides)) not in (None, f"{launchers.GROUP}=basic"):
            raise UserError(f"'{launcher}' is for sweeps, and without -m this process runs the job: add -m")
        with compose.hydra_application() as application:
            batches = [[application.run(compose.CONFIG_NAME, job, words)]]
    else:
        with compose.hydra_application() as application, launchers.launcher_session(overrides, configs):
            batches = application.multirun(compose.CONFIG_NAME, job, words)
    failures = [result.return_value for batch in batches for result in batch if result.return_value]
    codes = {exit_codes.print_error(line, code) for line, code in failures}
    return exit_codes.FAILED if exit_codes.FAILED in codes else max(codes, default=DONE)


def run_job(composed: DictConfig, *, jobs: int | None, folder: str, tracebacks: bool) -> tuple[str, int] | None:
    """Run one job, in this process or in a process of a launcher; where it fails, its line and exit code are returned.

    `jobs` is the number of jobs in the sweep, None for a run that is no sweep; `folder` is the current directory of the
    command, from which relative paths start in other processes too.
    """
    job = HydraConfig.get()
    overrides = job.overrides.task
    label = f"job {job.job.num + 1} of {jobs} ({shlex.join(overrides)})" if jobs is not None else ""
    search_path = [text for text in job.overrides.hydra if text.startswith(compose.SEARCH_PATH)]
    try:
        os.chdir(folder)
        if label:
            log.info(label)
        config = compose.to_typed(composed)
        _run_stage(config, repeatable([*overrides, *search_path], config))
        return None
    except BrokenPipeError:
        raise
    except Exception as error:
        if tracebacks:
            traceback.print_exc()
        if label:
            log.warning(f"{label} failed")
        line = exit_codes.error_text(error)
        return f"{label}: {line}" if label else line, exit_codes.exit_code(error)


def _run_stage(config: Config, overrides: Sequence[str]) -> None:
    if config.stage not in ("compare", "search"):
        from pipeline.stages import run as stages

        stages.run(config, overrides)
        return
    variants = compose.study_variants(overrides, config)
    check_inputs([variant.config for variant in variants.values()])
    if config.stage == "compare":
        from pipeline.stages import dvc
        from pipeline.study import run as study

        dvc.copy_study(config, study.run(config, variants, overrides))
    else:
        from pipeline.study.search import run as search

        search.run(config, variants, overrides)


def _split(arguments: list[str]) -> tuple[list[str], list[str], argparse.Namespace]:
    """Flags and overrides of a command line, in any order, and the flags as parsed."""
    parser = compose.flag_parser()
    try:
        options, unknown = parser.parse_known_intermixed_args(arguments)
    except argparse.ArgumentError as error:
        raise UserError(str(error)) from None
    if unknown:
        actions = [action for action in parser._actions if action.dest not in TEXTS["refused_flags"]]
        known = [option for action in actions for option in action.option_strings]
        raise UserError(f"unknown flag {unknown[0]}{nearest(unknown[0], known)}")
    for name, reason in TEXTS["refused_flags"].items():
        if getattr(options, name):
            raise UserError(f"--{name.replace('_', '-')} is not supported: {reason}")
    return [word for word in arguments if word not in options.overrides], options.overrides, options
