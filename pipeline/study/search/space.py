"""The search space: which keys are searched between what values, checked against the schema."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pipeline.config.literals import value_text
from pipeline.config.schema import SELECTION, Config
from pipeline.config.validate import KEYS, RANGE, SPACE, check, unknown_key
from pipeline.runtime.errors import UserError, nearest
from pipeline.study.design import Settings, with_settings

SECTIONS = ("train.", "model.", "cbow.", "ppmi.")
# Keys that define the task or say where it is computed. Trials with different train.monitor have no common score.
FIXED = (
    *("train.device", "train.threads", "train.monitor", "model.encoder"),
    *("cbow.seed", "cbow.vector_size", "cbow.workers", "cbow.use_unlabelled", "cbow.extra_text", "cbow.extra_encoding"),
    *(f"cbow.{key}" for key in SELECTION),
)
SEARCHABLE = (
    *(key for key in KEYS if key.startswith(SECTIONS) and key not in FIXED),
    *("embedding.dim", "embedding.scale"),
)
EDGE = 0.05  # a value nearer than this to an end of its range, as a share of it, is at the edge


@dataclass(frozen=True)
class Range:
    """The values of a key: numbers from `low` to `high`, or one of `choices`."""

    key: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the key takes only whole numbers."""
        return float not in _types(self.key)

    def at_edge(self, value: Any) -> bool:
        """Whether a better value may lie beyond: it is near an end of the range, or an end of three choices or more."""
        if self.choices:
            numbers = [choice for choice in self.choices if isinstance(choice, int | float)]
            return len(numbers) == len(self.choices) > 2 and value in (min(numbers), max(numbers))
        distances = (value / self.low, self.high / value) if self.log else (value - self.low, self.high - value)
        near = (self.high / self.low) ** EDGE if self.log else (self.high - self.low) * EDGE
        return bool(min(distances) < near)

    def __str__(self) -> str:
        """As in a table: `0.0001 to 0.1, log`."""
        if self.choices:
            return ", ".join(map(value_text, self.choices))
        return f"{self.low:g} to {self.high:g}{', log' if self.log else ''}"


def search_space(config: Config) -> list[Range]:
    """The ranges of `search.space`; raises UserError for the first one that is wrong."""
    ranges = [_range(config, key, value) for key, value in _entries(config.search.space) if value is not None]
    if not ranges:
        raise UserError("search.space is empty: expected at least one key, such as train.lr_head: {low: …, high: …}")
    return ranges


def with_setting(config: Config, setting: Settings) -> Config:
    """The configuration with other values; raises UserError where they do not fit the schema or each other."""
    return check(dataclasses.asdict(with_settings(config, setting)))


def _entries(space: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys with the range of each; raises UserError for unknown keys and for keys that are not searched."""
    for name, value in space.items():
        key = f"{prefix}{name}"
        if key not in KEYS and any(known.startswith(f"{key}.") for known in KEYS) and isinstance(value, dict):
            yield from _entries(value, f"{key}.")
        elif key not in KEYS:
            raise UserError(f"search.space: {unknown_key(key)}")
        elif key not in SEARCHABLE:
            sections = f"{', '.join(section.rstrip('.') for section in SECTIONS)}, embedding.dim and embedding.scale"
            raise UserError(f"search.space: {key} is not searched, only keys of {sections} that say how to learn")
        else:
            yield key, value


def _range(config: Config, key: str, value: Any) -> Range:
    name = f"{SPACE}{key}"
    if not isinstance(value, dict):
        raise UserError(f"{name}={value_text(value)}: expected {{low: …, high: …}}, {{choices: […]}} or null")
    for part in value:
        if part not in RANGE:
            raise UserError(f"{name}: unknown '{part}'{nearest(str(part), RANGE)}")
    parts = {part: item for part, item in value.items() if item is not None}
    if "choices" in parts:
        range_ = Range(key, choices=tuple(parts["choices"]) if isinstance(parts["choices"], list) else ())
        if len(parts) > 1 or len({value_text(choice) for choice in range_.choices}) < max(2, len(range_.choices)):
            raise UserError(f"{name}: expected two different choices or more and nothing else, or low and high")
    else:
        range_ = _interval(name, key, parts)
    for item in range_.choices or (range_.low, range_.high):
        try:
            with_setting(config, {key: item})
        except UserError as error:
            raise UserError(f"search.space: {error}") from None
    return range_


def _interval(name: str, key: str, parts: Mapping[str, Any]) -> Range:
    low, high, log = (parts.get(part) for part in ("low", "high", "log"))
    if not {int, float} & _types(key):
        raise UserError(f"{name}: it is no number, expected {{choices: […]}}")
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high)) or not low < high:  # type: ignore[operator]
        values = f"low={value_text(low)} and high={value_text(high)}"
        raise UserError(f"{name}: expected numbers low below high, found {values}")
    if log not in (None, True, False):
        raise UserError(f"{name}.log={value_text(log)}: expected true or false")
    if log and low <= 0:  # type: ignore[operator]
        raise UserError(f"{name}.low={value_text(low)}: a logarithmic scale begins above 0")
    return Range(key, low, high, bool(log))  # type: ignore[arg-type]


def _types(key: str) -> set[Any]:
    return {KEYS[key].type, *get_args(KEYS[key].type)}
