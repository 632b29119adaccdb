"""The command line: check the whole command, then run it once or, with -m, once for each combination of values.

Exit codes: 0 done, 1 a run failed, 2 the command or configuration is wrong, 130 interrupted, 143 terminated.
"""

import argparse
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig

from pipeline.config import compose as config
from pipeline.config import launchers
from pipeline.runtime.errors import RunError, UserError, nearest
from pipeline.runtime.log import log
from pipeline.runtime.paths import project_root

DONE, FAILED, WRONG = 0, 1, 2
INTERRUPTED, TERMINATED, BROKEN_PIPE = (128 + number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE))
FULL_ERROR = "HYDRA_FULL_ERROR"
REFUSED_FLAGS = {
    "config_path": "the configuration is in conf/; add your own files with --config-dir FOLDER",
    "config_name": "the configuration is in conf/; add your own files with --config-dir FOLDER",
    "experimental_rerun": "it would load a pickle; repeat the command line instead",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (by default that of the process) and return its exit code."""
    before = signal.signal(signal.SIGTERM, _terminate)
    show_traceback = os.environ.get(FULL_ERROR) == "1"
    try:
        with _quiet_libraries():
            return _command(list(sys.argv[1:] if argv is None else argv), show_traceback)
    except KeyboardInterrupt:
        return _end(INTERRUPTED, "interrupted")
    except SystemExit as stop:
        # Hydra leaves with 1 where it has told the user what is wrong with a flag.
        return _end(TERMINATED, "terminated") if stop.code == TERMINATED else WRONG if stop.code else DONE
    except BrokenPipeError:
        # The reader of our output has left (`… --help | head`); point stdout elsewhere so that leaving does not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:
        if show_traceback:
            traceback.print_exc()
        if isinstance(error, OSError | RunError) and not isinstance(error, HydraException):
            return _end(FAILED, _what_and_where(error))
        return _end(WRONG, config.one_line(error))
    finally:
        signal.signal(signal.SIGTERM, before)


def _command(argv: list[str], show_traceback: bool) -> int:
    flags, overrides, arguments = _split(argv)
    overrides = config.readable(overrides)
    multirun = arguments.multirun or "hydra.mode=MULTIRUN" in overrides
    configs = []
    added = [f"hydra.searchpath=['{os.path.abspath(arguments.config_dir)}']"] if arguments.config_dir else []
    if arguments.help:
        print(config.help_text(overrides + added, resolve=arguments.resolve))
        return DONE
    if not (arguments.hydra_help or arguments.info or arguments.shell_completion):
        configs = config.compose_all(overrides + added, multirun=multirun)
    asks = arguments.hydra_help or arguments.info or arguments.shell_completion or arguments.cfg or arguments.resolve
    if not (multirun or asks):
        launchers.check_sweep(overrides)
    jobs, folder = len(configs), os.getcwd()

    def job(composed: DictConfig) -> tuple[str, bool] | None:
        """One run, in this process or in one of a launcher. A failure is what it returns, so that it stops no other."""
        current = HydraConfig.get()
        label = f"job {current.job.num + 1} of {jobs} ({' '.join(current.overrides.task)})" if multirun else ""
        try:
            os.chdir(folder)  # what relative paths mean, in another process too
            if label:
                log.info(label)
            typed = config.to_typed(composed)
            if typed.stage == "compare":
                from pipeline.stages import dvc as dvc_files
                from pipeline.study import run as compare

                variants = config.variants(current.overrides.task, typed)
                dvc_files.copy_study(typed, compare.run(typed, variants, current.overrides.task))
            elif typed.stage == "search":
                from pipeline.study.search import run as search

                search.run(typed, config.variants(current.overrides.task, typed), current.overrides.task)
            else:
                from pipeline.stages import run as stages

                stages.run(typed, current.overrides.task)
            return None
        except Exception as error:
            if show_traceback:
                traceback.print_exc()
            if label:
                log.warning(f"{label} failed")
            what = _what_and_where(error)
            return f"{label}: {what}" if label else what, isinstance(error, UserError)

    if asks or (arguments.run and arguments.multirun):
        with _hydra_reads([*flags, *overrides]):
            hydra.main(str(config.conf_folder()), config.CONFIG_NAME, config.VERSION_BASE)(job)()
        return DONE
    with hydra.initialize_config_dir(str(config.conf_folder()), job_name="pipeline", version_base=config.VERSION_BASE):
        application = GlobalHydra.instance().hydra
        assert application is not None
        if multirun:
            with launchers.launched(overrides, configs), config.composed_before():
                swept = application.multirun(config.CONFIG_NAME, job, [*overrides, *added, "hydra.mode=MULTIRUN"])
            done = [one for batch in swept for one in batch]
        else:
            done = [application.run(config.CONFIG_NAME, job, [*overrides, *added, "hydra.mode=RUN"])]
    failures = [one.return_value for one in done if one.return_value]
    for line, _ in failures:
        _end(FAILED, line)
    return DONE if not failures else WRONG if all(wrong for _, wrong in failures) else FAILED


def _split(argv: list[str]) -> tuple[list[str], list[str], argparse.Namespace]:
    """Flags and overrides of a command line, which may stand in any order, and the flags as parsed."""
    parser = get_args_parser()
    parser.exit_on_error = False
    try:
        arguments, unknown = parser.parse_known_intermixed_args(argv)
    except argparse.ArgumentError as error:
        raise UserError(str(error)) from None
    if unknown:
        known = [option for action in parser._actions for option in action.option_strings]
        raise UserError(f"unknown flag {unknown[0]}{nearest(unknown[0], known)}")
    for name, reason in REFUSED_FLAGS.items():
        if getattr(arguments, name):
            raise UserError(f"--{name.replace('_', '-')} is not supported: {reason}")
    return [part for part in argv if part not in arguments.overrides], arguments.overrides, arguments


@contextmanager
def _hydra_reads(arguments: list[str]) -> Iterator[None]:
    """Give `hydra.main` its command line, and have it raise its errors instead of printing them and leaving with 1."""
    argv, full_error = sys.argv, os.environ.get(FULL_ERROR)
    sys.argv = [argv[0], *arguments]
    os.environ[FULL_ERROR] = "1"
    try:
        yield
    finally:
        sys.argv = argv
        if full_error is None:
            del os.environ[FULL_ERROR]
        else:
            os.environ[FULL_ERROR] = full_error


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Show only the project's own warnings, unless `python -W …` asks for others."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
            warnings.filterwarnings("default", module=r"pipeline\.")
        yield


def _terminate(number: int, frame: FrameType | None) -> None:
    """End like an interrupt, so that unfinished folders are removed."""
    raise SystemExit(TERMINATED)


def _what_and_where(error: Exception) -> str:
    """What went wrong and, unless the user can tell from that, the innermost line of the project it went through."""
    message = " ".join(str(error).split())
    if isinstance(error, UserError):
        return message
    package = project_root() / "pipeline"
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(package)
    ]
    where = f" ({Path(frames[-1].filename).relative_to(package.parent)}:{frames[-1].lineno})" if frames else ""
    return f"{message if isinstance(error, RunError) else f'{type(error).__name__}: {message}'}{where}"


def _end(code: int, line: str) -> int:
    print(f"error: {line}", file=sys.stderr)
    return code
