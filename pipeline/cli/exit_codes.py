"""Exit codes of every command, and the one `error: …` line that an exception becomes.

0 done, 1 a run failed, 2 the command or configuration is wrong, 130 interrupted, 143 terminated, 141 broken pipe.
HYDRA_FULL_ERROR=1 shows the traceback as well.
"""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import FrameType

from pipeline.runtime.errors import RunError, UserError
from pipeline.runtime.paths import project_root

DONE, FAILED, WRONG = 0, 1, 2
INTERRUPTED, TERMINATED, BROKEN_PIPE = (128 + number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE))
FULL_ERROR = "HYDRA_FULL_ERROR"


def command(main: Callable[[list[str]], int]) -> Callable[[Sequence[str] | None], int]:
    """Decorate the main function of a command: every exception becomes one line on stderr and an exit code.

    The decorated function takes the arguments, by default those of the process, and returns the exit code.
    """

    @wraps(main)
    def run(arguments: Sequence[str] | None = None) -> int:
        previous_handler = signal.signal(signal.SIGTERM, _terminate)
        try:
            with _quiet_libraries():
                code = main(list(sys.argv[1:] if arguments is None else arguments))
                print(end="", flush=True)  # raises BrokenPipeError here rather than when Python exits
                return code
        except KeyboardInterrupt:
            return print_error("interrupted", INTERRUPTED)
        except SystemExit as stop:
            # argparse and Hydra exit like this after --help, and Hydra with 1 where it has printed what is wrong.
            return print_error("terminated", TERMINATED) if stop.code == TERMINATED else WRONG if stop.code else DONE
        except BrokenPipeError:
            # The reader of our output is gone (`… | head`): redirect stdout, so that Python's own flush does not fail.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        except Exception as error:
            if full_errors():
                traceback.print_exc()
            return print_error(error_text(error), exit_code(error))
        finally:
            signal.signal(signal.SIGTERM, previous_handler)

    return run


def exit_code(error: Exception) -> int:
    """2 where the user must change the command, the configuration or an input; 1 for any other error."""
    return WRONG if isinstance(error, UserError) else FAILED


def error_text(error: Exception) -> str:
    """The message of an error on one line; unless it is a UserError, with the innermost line of the project's code."""
    message = " ".join(str(error).split())
    if isinstance(error, UserError):
        return message
    package = project_root() / "pipeline"
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(package)
    ]
    where = f" ({Path(frames[-1].filename).relative_to(package.parent)}:{frames[-1].lineno})" if frames else ""
    return f"{message if isinstance(error, RunError) else f'{type(error).__name__}: {message}'}{where}"


def print_error(line: str, code: int) -> int:
    """Print `error: …` on stderr and return the exit code."""
    print(f"error: {line}", file=sys.stderr)
    return code


def full_errors() -> bool:
    """Whether tracebacks are shown (HYDRA_FULL_ERROR=1)."""
    return os.environ.get(FULL_ERROR) == "1"


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Show only the project's own warnings, unless `python -W …` asks for others."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
            # Hydra attributes a warning of its own to whichever frame is some levels up, which is one of cli/.
            warnings.filterwarnings("default", module=r"pipeline\.(?!cli\.)")
        yield


def _terminate(number: int, frame: FrameType | None) -> None:
    """Handle SIGTERM like an interrupt, so that unfinished folders are removed."""
    raise SystemExit(TERMINATED)
