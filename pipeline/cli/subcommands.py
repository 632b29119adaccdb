"""The subcommands of `python -m pipeline`, each with one line of help and the module that runs it."""

import re
from collections.abc import Callable, Sequence
from importlib import import_module

from pipeline.config.schema import Config
from pipeline.runtime.errors import UserError, closest

SUBCOMMANDS = {
    "predict": "label texts, and show the words that carried each decision",
    "export": "write a trained model as a word-score table or as ONNX",
    "vectors": "write a run's word vectors as a word2vec file",
    "explain": "walk one text through a trained model, step by step",
    "summary": "all finished runs as one table",
    "sync": "log everything in results/ to MLflow",
}


def subcommand(name: str) -> Callable[[Sequence[str]], int]:
    """The main function of the module `cli/NAME.py`: it takes the arguments and returns the exit code."""
    main: Callable[[Sequence[str]], int] = import_module(f"pipeline.cli.{name}").main
    return main


def check_first_word(word: str, recipes: Sequence[str]) -> None:
    """Raise UserError where a command begins with a word that is no subcommand, no override and no key.

    The error names the nearest subcommand, recipe or stage.
    """
    stages = Config.__dataclass_fields__["stage"].metadata["choices"]
    if not re.fullmatch(r"\w[\w-]*", word) or (word in Config.__dataclass_fields__ and word not in stages):
        return
    suggestions = {name: name for name in SUBCOMMANDS}
    suggestions |= {name: f"+experiment={name}" for name in recipes}
    suggestions |= {name: f"stage={name}" for name in stages if name not in recipes}
    close = closest(word, suggestions)
    hint = f"did you mean '{suggestions[close]}'?" if close else f"valid: {', '.join(SUBCOMMANDS)}, or key=value"
    raise UserError(f"unknown subcommand '{word}'; {hint}")
