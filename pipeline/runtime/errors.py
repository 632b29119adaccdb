"""Exceptions of the pipeline, and one-line error messages with the nearest valid name."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """The command, the configuration or an input file is wrong: one line for the user, exit code 2."""


class RunError(Exception):
    """A run failed although its configuration is valid: one line for the user, exit code 1."""


def closest(name: str, valid: Iterable[str]) -> str | None:
    """The one of `valid` that is most like `name`, upper and lower case aside; None where none is like it."""
    options = {option.casefold(): option for option in valid}
    close = difflib.get_close_matches(name.casefold(), options, n=1, cutoff=0.5)
    return options[close[0]] if close else None


def nearest(name: str, valid: Iterable[str], *, every: bool = False) -> str:
    """The closest of `valid` to `name`, as the end of an error line: `; did you mean 'x'?`, or the list of all.

    With `every`, the list follows in any case.
    """
    options = list(valid)
    close = closest(name, options)
    hint = f"; did you mean '{close}'?" if close else ""
    return f"{hint}; valid: {', '.join(options)}" if options and (every or not close) else hint


def one_line(error: BaseException) -> str:
    """The message of a library's error, on one line of at most 300 characters; its type where it has no message."""
    return " ".join(str(error).split())[:300] or type(error).__name__
