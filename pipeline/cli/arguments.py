"""What the parsers of the subcommands share: --root, --run, --uri, and finding the run that --run names."""

import argparse
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NoReturn

from pipeline.prediction.trained_model import EMBEDDING, VOCABULARY
from pipeline.runtime.cached_folder import MANIFEST, read_manifest
from pipeline.runtime.errors import UserError, nearest
from pipeline.runtime.paths import project_root, script


def run_command(recipe: str, root: Path) -> str:
    """The command of a recipe whose results are those below `root`."""
    from pipeline.config.overrides import override_text  # loads Hydra, which `predict` does not need

    folder = [] if root == project_root() else [override_text("paths.root", str(root.absolute()))]
    return f"{script('run')} {shlex.join([f'+experiment={recipe}', *folder])}"


class Parser(argparse.ArgumentParser):
    """A parser whose errors are a UserError of one line that names the nearest valid option.

    `texts` are the arguments of a command that takes texts: a text that looks like an option is answered with advice.
    """

    def __init__(
        self, subcommand: str, description: str, epilog: str | None = None, texts: Sequence[str] | None = None
    ):
        prog = f"python -m pipeline {subcommand}"
        if texts is not None:
            epilog = f'A text that begins with a dash goes after two dashes: {prog} -- "-_- meh"'
        super().__init__(prog=prog, description=description, epilog=epilog)
        self.texts = texts
        for text in before_dashes(texts or ())[0]:
            if re.match("-h.", text):  # argparse would print the help, as for -h
                self.error(f"unrecognized arguments: {text}")

    def error(self, message: str) -> NoReturn:
        """Raise UserError instead of printing the usage and exiting."""
        unknown = message.removeprefix("unrecognized arguments: ").split(" ")
        if message.startswith("unrecognized arguments: -"):
            options = [option for option in self._option_string_actions if option.startswith("--")]
            hint = nearest(unknown[0].partition("=")[0], options)
            if self.texts is not None and not (unknown[0].startswith("--") and hint.startswith("; did you mean")):
                options, texts = before_dashes(self.texts)
                command = [option for option in options if option not in unknown] + ["--", *texts, *unknown]
                hint = f"; a text that begins with a dash goes after two dashes: {self.prog} {shlex.join(command)}"
            raise UserError(f"unknown option {unknown[0]}{hint}")
        raise UserError(f"{message}; see {self.prog} --help")


def before_dashes(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments before the first `--`, and those after it, which are texts."""
    end = [*arguments, "--"].index("--")
    return list(arguments[:end]), list(arguments[end + 1 :])


def check_output(path: Path) -> None:
    """Raise UserError where `--to` names no file in a folder that exists and can be written to."""
    problem = None
    if not path.parent.is_dir():
        problem = f"there is no folder {path.parent}"
    elif path.exists() and not path.is_file():
        problem = "is no regular file"
    else:
        try:
            with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
                pass
        except OSError as error:
            problem = f"cannot be written ({error.strerror})"
    if problem is not None:
        raise UserError(f"--to {path}: {problem}; expected a file in a folder that exists")


def add_root(parser: argparse.ArgumentParser, *, positional: bool = False) -> None:
    """Add `--root`; where `positional`, the folder may also be given without the option's name."""
    root_help = "folder that holds results/ and mlflow.db (default: the project)"
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--root", type=Path, default=project_root(), help=root_help)
    if positional:
        # Without a type: argparse would convert the default of a missing argument, and take it for a given one.
        either.add_argument(
            "root", nargs="?", default=argparse.SUPPRESS, metavar="ROOT", help="the same as --root ROOT"
        )


def add_uri(parser: argparse.ArgumentParser) -> None:
    """Add `--uri`."""
    parser.add_argument("--uri", help="MLflow store, such as http://127.0.0.1:5000 (default: mlflow.db in the root)")


def add_run(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Add `--run`, `--root` and `--uri`; with `several`, `--run` may be repeated, and `options.run` is a list."""
    repeated = "; repeated, the average of the runs' probabilities" if several else ""
    parser.add_argument(
        "--run",
        action="append" if several else "store",
        help="folder of a run or of an export, name in results/, MLflow run id, or models:/NAME@champion (default: the "
        f"newest finished run that kept its embedding){repeated}",
    )
    add_root(parser)
    add_uri(parser)


def find_runs(references: Sequence[str | None] | None, root: Path, uri: str | None) -> list[Path]:
    """`find_run` for each reference of a repeated `--run`; raises UserError for a model named twice."""
    folders = [find_run(reference, root, uri) for reference in references or [None]]
    for index, folder in enumerate(folders):
        if folder.resolve() in map(Path.resolve, folders[:index]):
            raise UserError(f"--run {folder}: named twice; an average counts each run once")
    return folders


def find_run(reference: str | None, root: Path, uri: str | None) -> Path:
    """The folder of the model that `--run` names; raises UserError where there is none.

    `reference` is a folder, a name in results/, an MLflow run id or `models:/…`; None is the newest run with an
    embedding. `root` holds results/ and mlflow.db, which is the store where `uri` is None.
    """
    results = root / "results"
    if reference is None:
        if newest := newest_run(results):
            return newest
        raise UserError(f"{results}: no finished run that kept its embedding; try {run_command('cbow_frozen', root)}")
    if reference.startswith("models:/") or re.fullmatch("[0-9a-f]{32}", reference):
        from pipeline.tracking.mlflow.models import find_model

        store = root / "mlflow.db"
        if uri is None and not store.is_file():
            raise UserError(f"--run {reference}: there is no {store}; give the store as --uri, or its folder as --root")
        return find_model(reference, uri or f"sqlite:///{store.resolve()}")
    if reference and Path(reference).is_dir():
        return Path(reference)
    if (results / reference).is_dir() and reference not in ("", ".", ".."):
        return results / reference
    names = [path.parent.name for path in results.glob("[!.]*/run.json")]
    close = nearest(reference, names)
    if len(names) >= 10 and not close.startswith("; did you mean"):
        close = ""
    raise UserError(f"--run {reference}: no such folder, and no run in {results}{close}")


def newest_run(results: Path) -> Path | None:
    """The finished run below `results` that ended last and kept its embedding; None where there is none."""
    for folder in reversed(run_folders(results)):
        if (folder / EMBEDDING).is_file() and (folder / VOCABULARY).is_file() and read_manifest(folder):
            return folder
    return None


def run_folders(results: Path) -> list[Path]:
    """The folders of runs below `results` that have a manifest, in the order in which the runs ended."""
    folders = [manifest.parent for manifest in results.glob(f"[!.]*/{MANIFEST}")]
    ended = {folder: str((read_manifest(folder) or {}).get("finished", "")) for folder in folders}
    return sorted(folders, key=lambda folder: (ended[folder], folder.name))
