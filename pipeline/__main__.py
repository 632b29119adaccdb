"""`python -m pipeline`: runs the subcommand that the first argument names; without one, runs the pipeline."""

import sys
from collections.abc import Sequence

from pipeline.cli.subcommands import SUBCOMMANDS, subcommand


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (by default that of the process) and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments and arguments[0] in SUBCOMMANDS:
        return subcommand(arguments[0])(arguments[1:])
    return subcommand("run")(arguments)


if __name__ == "__main__":
    sys.exit(main())
