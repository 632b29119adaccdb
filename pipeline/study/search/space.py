"""The search space: which keys are searched and between what values, and a configuration with a setting of them."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pipeline.config.schema import Config
from pipeline.config.validate import KEYS, RANGE, SPACE, check, unknown_key, value_text
from pipeline.runtime.errors import UserError, nearest

Setting = dict[str, Any]  # values by dotted key

SECTIONS = ("train.", "model.", "cbow.", "ppmi.")
# Keys that say what is asked or where it is computed. Trials with different train.monitor have no score in common.
FIXED = (
    *("train.device", "train.threads", "train.monitor", "model.encoder"),
    *("cbow.seed", "cbow.vector_size", "cbow.workers", "cbow.use_unlabelled", "cbow.extra_text"),
)
SEARCHABLE = (
    *(key for key in KEYS if key.startswith(SECTIONS) and key not in FIXED),
    *("embedding.dim", "embedding.scale"),
)
EDGE = 0.05  # a value nearer than this to an end of its range, as a share of it, is at the edge


@dataclass(frozen=True)
class Range:
    """What a key may be: from `low` to `high`, whole numbers or not, or one of `choices`."""

    key: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether it takes whole numbers alone."""
        return float not in _types(self.key)

    def at_edge(self, value: Any) -> bool:
        """Whether a better value may lie beyond: it is near an end of the range, or an end of three choices or more."""
        if self.choices:
            numbers = [choice for choice in self.choices if isinstance(choice, int | float)]
            return len(numbers) == len(self.choices) > 2 and value in (min(numbers), max(numbers))
        place = (value / self.low, self.high / value) if self.log else (value - self.low, self.high - value)
        reach = (self.high / self.low) ** EDGE if self.log else (self.high - self.low) * EDGE
        return bool(min(place) < reach)

    def __str__(self) -> str:
        """As in a table: `0.0001 to 0.1, log`."""
        if self.choices:
            return ", ".join(map(value_text, self.choices))
        return f"{self.low:g} to {self.high:g}{', log' if self.log else ''}"


def ranges(config: Config) -> list[Range]:
    """What `search.space` says, checked against the schema; raises UserError for the first part that is wrong."""
    found = [_range(config, key, said) for key, said in _leaves(config.search.space) if said is not None]
    if not found:
        raise UserError("search.space is empty: expected at least one key, such as train.lr_head: {low: …, high: …}")
    return found


def with_setting(config: Config, setting: Mapping[str, Any]) -> Config:
    """The configuration with other values; raises UserError where they do not fit the schema or each other."""
    values = dataclasses.asdict(config)
    for key, value in setting.items():
        section, _, name = key.partition(".")
        values[section][name] = value
    values["cbow"]["vector_size"] = values["embedding"]["dim"]
    return check(values)


def value_of(config: Config, key: str) -> Any:
    """The value of a dotted key."""
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)


def _leaves(part: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys with what is said of each; refuses names that are no keys and keys that are not searched."""
    for name, said in part.items():
        key = f"{prefix}{name}"
        if key not in KEYS and any(known.startswith(f"{key}.") for known in KEYS) and isinstance(said, dict):
            yield from _leaves(said, f"{key}.")
        elif key not in KEYS:
            raise UserError(f"search.space: {unknown_key(key)}")
        elif key not in SEARCHABLE:
            where = f"{', '.join(section.rstrip('.') for section in SECTIONS)}, embedding.dim and embedding.scale"
            raise UserError(f"search.space: {key} is not searched, only keys of {where} that say how to learn")
        else:
            yield key, said


def _range(config: Config, key: str, said: Any) -> Range:
    where = f"{SPACE}{key}"
    if not isinstance(said, dict):
        raise UserError(f"{where}={value_text(said)}: expected {{low: …, high: …}}, {{choices: […]}} or null")
    for name in said:
        if name not in RANGE:
            raise UserError(f"{where}: unknown '{name}'{nearest(str(name), RANGE)}")
    told = {name: value for name, value in said.items() if value is not None}
    if "choices" in told:
        found = Range(key, choices=tuple(told["choices"]) if isinstance(told["choices"], list) else ())
        if len(told) > 1 or len({value_text(choice) for choice in found.choices}) < max(2, len(found.choices)):
            raise UserError(f"{where}: expected two different choices or more and nothing else, or low and high")
    else:
        found = _interval(where, key, told)
    for value in found.choices or (found.low, found.high):
        try:
            with_setting(config, {key: value})
        except UserError as error:
            raise UserError(f"search.space: {error}") from None
    return found


def _interval(where: str, key: str, told: Mapping[str, Any]) -> Range:
    low, high, log = (told.get(name) for name in ("low", "high", "log"))
    if not {int, float} & _types(key):
        raise UserError(f"{where}: it is no number, expected {{choices: […]}}")
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high)) or not low < high:  # type: ignore[operator]
        raise UserError(
            f"{where}: expected numbers low below high, found low={value_text(low)} and high={value_text(high)}"
        )
    if log not in (None, True, False):
        raise UserError(f"{where}.log={value_text(log)}: expected true or false")
    if log and low <= 0:  # type: ignore[operator]
        raise UserError(f"{where}.low={value_text(low)}: a logarithmic scale begins above 0")
    return Range(key, low, high, bool(log))  # type: ignore[arg-type]


def _types(key: str) -> set[Any]:
    return {KEYS[key].type, *get_args(KEYS[key].type)}
