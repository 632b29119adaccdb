"""Remedies of an audit's findings and of a run's scores: the key to set, or what to change in the data."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pipeline.config.schema import Config
from pipeline.evaluation.audit.findings import NOTABLE_SHARE, TEXTS
from pipeline.evaluation.audit.label_leaks import is_punctuation
from pipeline.text.clean import is_context_free, is_emoticon
from pipeline.text.presets import HANDLE, LINK


def remedy(finding: Mapping[str, Any], report: Mapping[str, Any], config: Config) -> str:
    """The remedy of a finding of an audit `report`, or of a run's scores, that leads on from `config`; may be empty."""
    code, values = finding["code"], finding["values"]
    match code:
        case "label_leak" | "shortcut" | "deciding_tokens":
            name = _of_tokens(report["leaks"]["deciding"]["tokens"], config) or code
        case "duplicates_between_splits":
            name = _of_duplicates(values)
        case "class_shares":
            name = "balanced" if config.train.class_weights == "none" else "macro_recall"
        case "unknown_texts":
            name = "min_count" if values["split"] == "Training" and config.text.min_count > 1 else "vocabulary"
        case "validation_above_test" | "below_majority" | "at_chance" if values["drops"]:
            name = _of_drop(report)
        case "below_majority" if config.train.class_weights == "balanced":
            name = "unbalanced"
        case "at_chance" if values["predicts_majority"] and config.train.class_weights == "none":
            name = "balanced"
        case "below_majority" | "at_chance":
            name = _of_training(values["chosen_epoch"], config)
        case _:
            name = code
    return str(TEXTS["remedies"].get(name, "")).format(epochs=2 * config.train.max_epochs)


def _of_tokens(deciding: list[dict[str, Any]], config: Config) -> str:
    """The remedy for most tweets with a deciding token."""
    text, sample = config.text, config.data.sample

    def of_token(token: str) -> str:
        if is_emoticon(token) and text.emoticons == "keep":
            return "strip"
        if is_punctuation(token) and not is_context_free(token[0]) and text.emoticons != "strip_fragments":
            return "strip_fragments"
        if token.startswith("@") and text.handles != "strip":
            return "strip_handles" if token == HANDLE else "mask_handles"
        if token == LINK and text.links == "mask":
            return "strip_links"
        return "sample_leak" if sample is not None and sample.leak else ""

    tweets = Counter[str]()
    for record in deciding:
        tweets[of_token(record["token"])] += record["tweets"]
    return tweets.most_common(1)[0][0]


def _of_duplicates(values: Mapping[str, Any]) -> str:
    """`data.deduplicate` drops training texts alone, and near duplicates never."""
    if values["first"] != "train":
        return "duplicates_held_out"
    return "masked" if values["masked"] else "exact" if values["exact"] else "near"


def _of_drop(report: Mapping[str, Any]) -> str:
    """Validation texts that repeat training texts, or else a test split of another kind."""
    texts = {record["split"]: record["texts"] for record in report["splits"]}
    across = report["duplicates"]["masked"]["across"]
    repeated = [pair["rows_second"] for pair in across if (pair["first"], pair["second"]) == ("train", "validation")]
    return "masked" if repeated and repeated[0] >= NOTABLE_SHARE * texts["validation"] else "another_test"


def _of_training(chosen_epoch: int | None, config: Config) -> str:
    """More labels or more epochs, where the run used fewer than there are."""
    if config.data.label_budget is not None:
        return "label_budget"
    return "max_epochs" if chosen_epoch == config.train.max_epochs else "more_labels"
