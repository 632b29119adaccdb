"""The variants: their names in keys, their names in prose, and their colours and markers in plots."""

from typing import Any
from zlib import crc32

from pipeline.config.schema import EmbeddingConfig

# The same words in log, table, plot, report and README.
PROSE_NAMES = {
    "random_trainable": "vectors learned from scratch",
    "random_frozen": "random vectors, frozen",
    "cbow_frozen": "CBOW, frozen",
    "cbow_finetuned": "CBOW, fine-tuned",
    "cbow_anchored": "CBOW, anchored",
    "cbow_multichannel": "CBOW, two channels",
    "cbow_projected": "CBOW, projected",
    "ppmi_frozen": "PPMI, frozen",
    "ppmi_finetuned": "PPMI, fine-tuned",
    "pretrained_frozen": "pretrained vectors, frozen",
    "pretrained_finetuned": "pretrained vectors, fine-tuned",
}
# What follows the @ of a variant's name: a value of `text.emoticons`, or a search's default settings.
CONDITIONS = {
    "keep": "emoticons kept",
    "strip": "emoticons stripped",
    "strip_fragments": "emoticons and their fragments stripped",
    "default": "default settings",
}
# Hue tells where the vectors come from, as far as a palette for every kind of colour vision allows
# (Okabe and Ito 2008).
VARIANT_STYLES = {
    "random_trainable": ("#d55e00", "o"),
    "random_frozen": ("#e69f00", "s"),
    "cbow_frozen": ("#56b4e9", "D"),
    "cbow_finetuned": ("#0072b2", "^"),
    "cbow_anchored": ("#009e73", "v"),
    "cbow_multichannel": ("#cc79a7", "P"),
    "cbow_projected": ("#6a3d9a", "X"),
    "ppmi_frozen": ("#999933", "<"),
    "ppmi_finetuned": ("#117733", ">"),
    "pretrained_frozen": ("#aa4499", "p"),
    "pretrained_finetuned": ("#661100", "h"),
}
OTHER_COLOURS = ("#000000", "#332288", "#44aa99", "#882255", "#b8860b")
OTHER_MARKERS = ("d", "8", "H", "*")


def variant_name(embedding: EmbeddingConfig) -> str:
    """The variant's name in keys, such as `random_trainable`, `random_frozen`, `cbow_frozen`, `cbow_finetuned`."""
    if embedding.multichannel:
        return f"{embedding.init}_multichannel"
    if embedding.projected:
        return f"{embedding.init}_projected"
    if embedding.anchor > 0:
        return f"{embedding.init}_anchored"
    if not embedding.trainable:
        return f"{embedding.init}_frozen"
    return "random_trainable" if embedding.init == "random" else f"{embedding.init}_finetuned"


def prose_name(name: str) -> str:
    """The name for readers: `CBOW, frozen (emoticons stripped)` for `cbow_frozen@strip`; baselines keep their name."""
    base, _, condition = name.partition("@")
    text = PROSE_NAMES.get(base, base)
    return f"{text} ({CONDITIONS.get(condition, condition)})" if condition else text


def variant_style(name: str) -> dict[str, Any]:
    """Colour and marker of a variant, the same in every figure; hollow where `name` has an @ with another text."""
    base, _, other_text = name.partition("@")
    code = crc32(base.encode())
    other = OTHER_COLOURS[code % len(OTHER_COLOURS)], OTHER_MARKERS[code % len(OTHER_MARKERS)]
    colour, marker = VARIANT_STYLES.get(base, other)
    face = "white" if other_text else colour
    return {"color": colour, "marker": marker, "markerfacecolor": face, "linestyle": "--" if other_text else "-"}
