"""Check configuration values against the schema: names, types, ranges, choices and combinations.

Every error is a UserError of one line that names the key, the value found and the value expected.
"""

import codecs
import dataclasses
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Any, get_args, get_origin

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from pipeline.config.launchers import require_extra
from pipeline.config.literals import literal, value_text
from pipeline.config.schema import DELIMITERS, Config
from pipeline.config.variants import check_variant
from pipeline.runtime.errors import UserError, closest, nearest

TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", dict: "keys with values"}
TYPE_NAMES[Any] = "a list of names, or a mapping from value to name"  # data.labels

# Sources without a validation split of their own: the pipeline splits it off the training tweets.
SPLIT_SOURCES = ("sample", "nltk_twitter")

ENCODINGS = (
    "auto",
    "utf-8",
    "utf-16",
    "latin-1",
    "cp1252",
    "cp1250",
    "cp1251",
    "shift_jis",
    "gb18030",
    "euc_kr",
    "big5",
)

STORES = ("sqlite:////", "http://", "https://", "postgresql", "mysql", "mssql", "databricks")


def _section(annotation: Any) -> Any:
    """The dataclass in the annotation of a section (`X` or `X | None`); None for a key that holds a value."""
    return next((kind for kind in (annotation, *get_args(annotation)) if dataclasses.is_dataclass(kind)), None)


def _fields(schema: Any, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    for field in dataclasses.fields(schema):
        yield prefix + field.name, field
        if section := _section(field.type):
            yield from _fields(section, f"{prefix}{field.name}.")


# Sections and keys by dotted name, such as `train` and `train.lr_head`; then keys alone.
FIELDS = dict(_fields(Config))
KEYS = {name: field for name, field in FIELDS.items() if not _section(field.type)}
# search.space has a key for each searched key, and below it the range or the choices.
SPACE = "search.space."
RANGE = ("low", "high", "log", "choices")
FIELDS |= {
    f"{SPACE}{name}{suffix}": FIELDS["search.space"]
    for name in tuple(FIELDS)
    for suffix in ("", *(f".{key}" for key in RANGE))
}


def check(values: dict[str, Any]) -> Config:
    """Turn plain nested values into a `Config`; raises UserError for the first value that is wrong."""
    data = values.get("data")
    if isinstance(data, dict):
        data["labels"] = label_names(data.get("labels"))
    try:
        config: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), literal(values, holds_text)))
    except ConfigKeyError as error:
        raise unknown_key(str(error.full_key)) from None
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key} is not set") from None
    except OmegaConfBaseException as error:
        key = re.sub(r"\[\d+\]$", "", str(error.full_key))
        raise UserError(f"{key}={value_text(value_at(values, key))}: expected {type_text(FIELDS[key].type)}") from None
    assert isinstance(config, Config)
    typed_values = dataclasses.asdict(config)
    # cbow repeats seed and embedding.dim: its keys come last, so that the error names the key that the user set.
    for key in sorted(KEYS, key=lambda key: key.startswith("cbow.")):
        _check_value(key, KEYS[key], value_at(typed_values, key))
    _check_combinations(config)
    return config


def label_names(value: Any) -> list[str] | dict[str, str] | None:
    """`data.labels` with every label as text, as it stands in the command or file.

    A command is parsed by YAML without its types, so that `true`, `null`, `1e3` and `+1` are these characters. Raises
    UserError where a configuration file holds a value that YAML has read as no text and no whole number.
    """
    if value is None:
        return None
    shape = 'data.labels: expected a list [negative,positive] or a mapping {"0": negative, "4": positive}'
    if isinstance(value, str):
        try:
            parsed = yaml.load(value, yaml.BaseLoader)
            if isinstance(parsed, dict) and "" in parsed.values():  # {0:negative}: YAML wants a blank after the colon
                parsed = yaml.load(re.sub(r":(?=\S)", ": ", value), yaml.BaseLoader)
        except yaml.YAMLError:
            raise UserError(f"{shape}, found {value}") from None
    else:
        parsed = value
    if not isinstance(parsed, list | dict):
        raise UserError(f"{shape}, found {value}")
    for item in [*parsed, *(parsed.values() if isinstance(parsed, dict) else [])]:
        if isinstance(item, bool) or not isinstance(item, str | int):
            raise UserError(f"data.labels holds {item!r}, which is no text: write the label in quotes")
    if isinstance(parsed, dict):
        return {str(key): str(name) for key, name in parsed.items()}
    return [str(item) for item in parsed]


def unknown_key(key: str, others: Iterable[str] = ()) -> UserError:
    """The error for a dotted name that is no key, with the nearest key or one of `others`, or its section."""
    key = key.removeprefix(SPACE)
    known = [*others, *(name for name in FIELDS if not name.startswith(SPACE))]
    siblings = [name for name in known if name.startswith(f"{key.partition('.')[0]}.")]
    close = closest(key, siblings or known)
    top = [field.name for field in dataclasses.fields(Config)]
    return UserError(f"unknown key '{key}'{nearest(key, [close] if close else siblings or top)}")


def holds_text(key: str) -> bool:
    """Whether `key` is a key of text values."""
    return key in KEYS and str in (KEYS[key].type, *get_args(KEYS[key].type), KEYS[key].metadata.get("each"))


def holds_list(key: str) -> bool:
    """Whether `key` is a key of lists."""
    kinds = (KEYS[key].type, *get_args(KEYS[key].type)) if key in KEYS else ()
    several = key in KEYS and "each" in KEYS[key].metadata
    return several or key == "data.labels" or any(get_origin(kind) is list for kind in kinds)


def expected_text(key: str) -> str:
    """The valid values of a key in words: type with range, or choices."""
    field = KEYS[key]
    optional = " or null" if type(None) in get_args(field.type) or field.metadata.get("null") else ""
    each = field.metadata.get("each")
    if choices := field.metadata.get("choices"):
        kind = "one or a list of" if each else "list of" if holds_list(key) else "one of"
        return f"{kind} {', '.join(choices)}{optional}"
    if each:
        return f"{TYPE_NAMES[each]}, or a list{optional}"
    text = type_text(field.type).removesuffix(optional) if optional else type_text(field.type)
    return text + (f" {range_text(field)}" if "low" in field.metadata else "") + optional


def range_text(field: dataclasses.Field[Any]) -> str:
    """The range of a number in words, such as `from 0 to 0.5` or `above 0`."""
    low, high = field.metadata["low"], field.metadata["high"]
    text = f"above {low:g}" if field.metadata["above"] else f"from {low:g}"
    return text + (f" to {high:,}" if 1e6 <= high < math.inf else f" to {high:g}" if high < math.inf else "")


def type_text(annotation: Any) -> str:
    """An annotation in words, such as `a list, each a whole number`."""
    if get_origin(annotation) is list:
        return f"a list, each {type_text(get_args(annotation)[0])}"
    if get_origin(annotation) is dict or _section(annotation):
        return TYPE_NAMES[dict]
    if get_args(annotation):
        return f"{type_text(get_args(annotation)[0])} or null"
    return TYPE_NAMES[annotation]


def _check_value(key: str, field: dataclasses.Field[Any], value: Any) -> None:
    """Check a value, or each element of a list, against the choices or the range of its key."""
    if value is None and field.metadata.get("null"):
        return
    items = value if isinstance(value, list) else [value]
    if (each := field.metadata.get("each")) and not (items and all(isinstance(item, each) for item in items)):
        raise UserError(f"{key}={value_text(value)}: expected {expected_text(key)}")
    for item in items:
        if item == "":
            raise UserError(f"{key} has an empty value; expected {expected_text(key)}")
        choices = field.metadata.get("choices")
        name = item.partition("@")[0] if field.metadata.get("located") else item
        if choices and name not in choices:
            raise UserError(f"{key}={value_text(value)}: '{name}' is not a choice{nearest(name, choices)}")
        if not isinstance(item, int | float) or isinstance(item, bool):
            continue
        low, high = field.metadata.get("low", -math.inf), field.metadata.get("high", math.inf)
        excluded = field.metadata.get("above", False) and item == low
        if not math.isfinite(item) or not low <= item <= high or excluded:
            raise UserError(f"{key}={value_text(value)}: expected {TYPE_NAMES[type(item)]} {range_text(field)}")


def check_layout(encoding: str, delimiter: str, prefix: str = "data.") -> None:
    """Raise UserError for an encoding that does not exist, or a delimiter that is no character."""
    try:
        text_encoding = encoding == "auto" or codecs.lookup(encoding)._is_text_encoding
    except LookupError:
        text_encoding = False
    if not text_encoding:
        raise UserError(f"{prefix}encoding={encoding}: no such text encoding{nearest(encoding, ENCODINGS)}")
    if delimiter not in ("auto", *DELIMITERS) and (len(delimiter) != 1 or delimiter in '"\\\r\n'):
        names = ", ".join(("auto", *DELIMITERS))
        raise UserError(f"{prefix}delimiter={delimiter}: expected one character, or one of {names}")


def _check_combinations(config: Config) -> None:
    """Raise UserError for values that are valid on their own and wrong together."""
    data, cbow, embedding = config.data, config.cbow, config.embedding
    if (data.source == "sample") != (data.sample is not None):
        raise UserError(f"data.source={data.source}: choose the source with data={data.source}")
    check_layout(data.encoding, data.delimiter)
    check_layout(cbow.extra_encoding, "auto", "cbow.extra_")
    files = cbow.extra_text if isinstance(cbow.extra_text, list) else []
    if len({*cbow.extra_texts} - {"train", "unlabelled"}) < len(files):
        expected = "names before the first dot that differ from each other, train and unlabelled"
        raise UserError(f"cbow.extra_text={value_text(files)}: expected files with {expected}")
    if cbow.without_transfer and not config.probe.transfer:
        raise UserError("cbow.without_transfer=true with probe.transfer=[]: name the tasks, probe.transfer=[irony]")
    if data.text_column == data.label_column:
        raise UserError(f"data.label_column={data.label_column} is data.text_column as well: expected two columns")
    if data.source in ("hub", "files") and data.path is None:
        needed = "owner/name or a local folder" if data.source == "hub" else "the file or folder with your texts"
        raise UserError(f"data={data.source} needs data.path=…, {needed}")
    if "train" not in data.resplit_pool:
        pool = value_text(data.resplit_pool)
        raise UserError(f"data.resplit_pool={pool}: train is missing, a resplit needs its rows")
    if data.source in SPLIT_SOURCES and data.validation_size == 0 and config.train.patience is not None:
        settings = f"data.validation_size=0 with train.patience={config.train.patience}"
        advice = "early stopping needs validation tweets; set train.patience=null or data.validation_size=0.1"
        raise UserError(f"{settings}: {advice}")
    if not config.text.lowercase and config.text.tokenizer in ("tweet", "course"):
        raise UserError(f"text.lowercase=false: {config.text.tokenizer} tokens are lower-case; see text=sentence")
    if not config.model.widths:
        raise UserError("model.widths=[]: expected at least one width, such as [3,4,5]")
    names = [*config.probe.similarity, *(PurePath(path).stem for path in config.probe.similarity_files)]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"probe.similarity_files: two sets of word pairs are named '{name}'; rename a file")
    uri = config.tracking.uri
    if uri is not None and not uri.startswith(STORES):
        raise UserError(f"tracking.uri={uri}: expected sqlite:////absolute/path.db or the http address of a server")
    if "distilled" in embedding.inits:
        require_extra("embedding.init", "distilled")
    check_variant(embedding)
    _check_study(config)
    if cbow.vector_size != embedding.dim:
        raise UserError(
            f"cbow.vector_size={cbow.vector_size} with embedding.dim={embedding.dim}: expected equal values; leave out "
            f"the first and set embedding.dim={cbow.vector_size}"
        )
    if cbow.hs == 0 and cbow.negative == 0:
        raise UserError("cbow.hs=0 with cbow.negative=0: CBOW has no loss; set cbow.hs=1 or cbow.negative=10")
    if cbow.min_alpha > cbow.alpha:
        raise UserError(f"cbow.min_alpha={cbow.min_alpha}: expected at most cbow.alpha={cbow.alpha}")
    if cbow.min_n > cbow.max_n > 0:
        raise UserError(f"cbow.min_n={cbow.min_n}: expected at most cbow.max_n={cbow.max_n}")


def _check_study(config: Config) -> None:
    """Raise UserError for a study without comparisons, or with a value or pair that is repeated."""
    study = config.study
    if study.launcher != "local":
        require_extra("study.launcher", study.launcher)
    for key in ("variants", "label_budgets", "unlabelled_budgets", "baselines", "lr_factors", "dropouts"):
        values: list[Any] = getattr(study, key)
        for value in values:
            if values.count(value) > 1:
                raise UserError(f"study.{key}={value_text(values)}: {value_text(value)} is repeated")
        if not values and key in ("label_budgets", "lr_factors", "dropouts"):
            raise UserError(f"study.{key}=[]: expected at least one")
    for pair in study.pairs:
        if len(pair) != 2 or pair[0] == pair[1]:
            raise UserError(f"study.pairs: {value_text(pair)}: expected two different variants")
        if sum({*pair} == {*other} for other in study.pairs) > 1:
            raise UserError(f"study.pairs: {value_text(pair)} is repeated")
    no_validation = config.data.source in SPLIT_SOURCES and config.data.validation_size == 0
    if config.stage in ("compare", "search") and no_validation:
        purpose = "study chooses learning rates" if config.stage == "compare" else "search chooses settings"
        raise UserError(f"data.validation_size=0: the {purpose} on validation; set it to 0.1")
    if study.trial_seeds > study.seeds:
        raise UserError(f"study.trial_seeds={study.trial_seeds}: expected at most study.seeds={study.seeds}")
    tasks, data = config.probe.tasks, config.data
    if len(tasks) < len(config.probe.transfer):
        raise UserError(f"probe.transfer={value_text(config.probe.transfer)}: a task is repeated")
    name, key = (data.name, "data.name") if data.source == "tweet_eval" else (data.source, "data")
    if name in tasks:
        raise UserError(f"probe.transfer: {name} is the task of the run itself ({key})")


def value_at(values: Any, key: str) -> Any:
    """The value of a dotted key; None below a section that is null."""
    for name in key.split("."):
        values = None if values is None else values[name]
    return values
