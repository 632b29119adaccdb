"""The embedding variants (learned from scratch, CBOW frozen or fine-tuned, …): names, colours and markers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import yaml

from pipeline.config.schema import Config, EmbeddingConfig

_WORDS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
VARIANT_STYLES: dict[str, dict[str, str]] = _WORDS["variants"]
# The same words in log, table, plot, report and README.
PROSE_NAMES = {name: variant["name"] for name, variant in VARIANT_STYLES.items()}


@dataclass(frozen=True)
class Variant:
    """A variant of a study: its configuration, and the settings in which it differs from the study's."""

    config: Config
    settings: Mapping[str, Any]


Variants = Mapping[str, Variant]


def variant_name(embedding: EmbeddingConfig) -> str:
    """The variant's name in keys, such as `random_trainable`, `random_frozen`, `cbow_frozen`, `cbow_finetuned`."""
    kinds = {"multichannel": embedding.multichannel, "projected": embedding.projected, "anchored": embedding.anchor > 0}
    kinds |= {"frozen": not embedding.trainable, "finetuned": embedding.init != "random"}
    return f"{embedding.init}_{next((kind for kind, holds in kinds.items() if holds), 'trainable')}"


def prose_name(name: str) -> str:
    """The name for readers: `CBOW, frozen (emoticons stripped)` for `cbow_frozen@strip`; baselines keep their name."""
    base, _, condition = name.partition("@")
    text = PROSE_NAMES.get(base, base)
    return f"{text} ({_WORDS['conditions'].get(condition, condition)})" if condition else text


def variant_style(name: str) -> dict[str, Any]:
    """Colour and marker of a variant, the same in every figure; hollow where `name` has an @ with another text."""
    base, _, other_text = name.partition("@")
    code = crc32(base.encode())
    other = {key: values[code % len(values)] for key, values in _WORDS["others"].items()}
    style = VARIANT_STYLES.get(base, other)
    face = "white" if other_text else style["colour"]
    line = "--" if other_text else "-"
    return {"color": style["colour"], "marker": style["marker"], "markerfacecolor": face, "linestyle": line}
