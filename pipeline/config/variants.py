"""The embedding variants (learned from scratch, CBOW frozen, …): which can be, names, colours and markers."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import yaml

from pipeline.config.literals import value_text
from pipeline.config.schema import Config, EmbeddingConfig
from pipeline.runtime.errors import UserError

_WORDS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
VARIANT_STYLES: dict[str, dict[str, str]] = _WORDS["variants"]
# The same words in log, table, plot, report and README.
PROSE_NAMES = {name: variant["name"] for name, variant in VARIANT_STYLES.items()}
# What `embedding.path` names for the values of `embedding.init` that read it.
PATH_OF = {"pretrained": "the file with the vectors", "run": "the folder of a finished run, such as results/NAME"}


AMOUNT = "cbow.unlabelled_texts"  # the setting by which `study.unlabelled_budgets` repeats variants


@dataclass(frozen=True)
class Variant:
    """A variant of a study: its configuration, and the settings in which it differs from the study's."""

    config: Config
    settings: Mapping[str, Any]


Variants = Mapping[str, Variant]


def check_variant(embedding: EmbeddingConfig) -> None:
    """Raise UserError for values that no embedding layer has together, and give equal variants one form."""
    init, trainable = (f"embedding.{key}={value_text(getattr(embedding, key))}" for key in ("init", "trainable"))
    inits = embedding.inits
    if isinstance(embedding.trainable, list) and len(embedding.trainable) != len(inits):
        raise UserError(f"{trainable} with {init}: expected a value for each table, {len(inits)} in all, or one value")
    if len(inits) == 1:
        embedding.init = inits[0]
    if isinstance(embedding.trainable, list) and len({*embedding.trainable}) == 1:
        embedding.trainable = embedding.trainable[0]
    for table in embedding.tables:
        if embedding.tables.count(table) > 1:
            raise UserError(
                f"{init} with {trainable}: {table[0]} is repeated; the same vectors can stand there twice "
                "only as a frozen and a trainable table"
            )
    sources = [name for name in PATH_OF if name in inits]
    if len(sources) > 1:
        raise UserError(f"{init}: pretrained and run both read embedding.path; expected one of them")
    if sources and embedding.path is None:
        raise UserError(f"embedding.init={sources[0]} needs embedding.path=…, {PATH_OF[sources[0]]}")
    if embedding.shuffled and {*inits} == {"random"}:
        raise UserError(f"embedding.shuffled=true with {init}: expected vectors, such as embedding.init=cbow")
    required_trainable = {"projected": False, "anchor": True}
    active = [key for key in required_trainable if getattr(embedding, key)]
    settings = [f"embedding.{key}={value_text(getattr(embedding, key))}" for key in active]
    if len(active) > 1:
        raise UserError(f"{' with '.join(settings)}: expected at most one of projected and anchor")
    if active and embedding.trainable is not required_trainable[active[0]]:
        expected = value_text(required_trainable[active[0]])
        raise UserError(f"{settings[0]} with {trainable}: expected embedding.trainable={expected}")


def variant_name(embedding: EmbeddingConfig) -> str:
    """The variant's name in keys, such as `random_frozen`, `cbow_finetuned`, `cbow_distilled_frozen`.

    Of tables side by side, the frozen ones come first: `cbow_frozen_distilled_finetuned`. The same vectors frozen and
    trainable are `cbow_multichannel`. With shuffled vectors, `shuffled` stands at the end, instead of `frozen`.
    """
    if embedding.shuffled:
        return variant_name(replace(embedding, shuffled=False)).removesuffix("_frozen") + "_shuffled"
    frozen, trained = ([init for init, trains in embedding.tables if trains is kind] for kind in (False, True))
    if frozen and frozen == trained:
        return f"{'_'.join(frozen)}_multichannel"
    of_frozen = "projected" if embedding.projected else "frozen"
    of_trained = "anchored" if embedding.anchor > 0 else "finetuned" if {*trained} - {"random"} else "trainable"
    parts = [(frozen, of_frozen), (trained, of_trained)]
    return "_".join(name for inits, kind in parts if inits for name in (*dict.fromkeys(inits), kind))


def prose_name(name: str) -> str:
    """The name for readers: `CBOW, frozen (emoticons stripped)` for `cbow_frozen@strip`; baselines keep their name."""
    base, _, condition = name.partition("@")
    text = PROSE_NAMES.get(base, base)
    return f"{text} ({condition_text(name)})" if condition else text


def condition_text(name: str) -> str:
    """What follows the @ of a variant's name, for readers: `2 dimensions` for `random_trainable@embedding.dim=2`."""
    return ", ".join(map(_words, split_condition(name.partition("@")[2])))


def split_condition(condition: str) -> list[str]:
    """The settings of a condition, which are separated by commas; a list in brackets is one value."""
    return re.split(r",(?![^\[]*\])", condition)


def without_amount(name: str) -> str:
    """A variant's name without its number of unlabelled texts."""
    base, _, condition = name.partition("@")
    rest = [setting for setting in split_condition(condition) if not setting.startswith(f"{AMOUNT}=")]
    return "@".join(filter(None, (base, ",".join(rest))))


def repetitions(names: Collection[str]) -> dict[str, str]:
    """The variants that are another one with fewer unlabelled texts, each with the name of that one."""
    return {name: base for name in names if (base := without_amount(name)) != name and base in names}


def _words(setting: str) -> str:
    key, _, value = setting.partition("=")
    words = _WORDS["conditions"].get(setting) or _WORDS["conditions"].get(key, setting)
    return str(words).format(f"{int(value):,}" if value.isdecimal() else value.strip("[]").replace(",", " and "))


def variant_style(name: str) -> dict[str, Any]:
    """Colour and marker of a variant, the same in every figure; hollow, with another marker, where `name` has an @."""
    base, _, condition = name.partition("@")

    def other(text: str) -> dict[str, str]:
        return {key: values[crc32(text.encode()) % len(values)] for key, values in _WORDS["others"].items()}

    style = VARIANT_STYLES.get(base) or other(base)
    own = {"marker": style["marker"], "markerfacecolor": style["colour"], "linestyle": "-"}
    if condition:
        own = {"marker": other(condition)["marker"], "markerfacecolor": "white", "linestyle": other(condition)["line"]}
    return {"color": style["colour"], **own}
