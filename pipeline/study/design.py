"""The design of a study: which runs it has, and each run as overrides, as a configuration and as a command."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from operator import attrgetter
from typing import Any, NamedTuple

from pipeline.config.overrides import key_of, override_text
from pipeline.config.schema import Config
from pipeline.config.study_schema import PLACEMENT
from pipeline.config.variants import Variants, repetitions
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.files import fingerprint
from pipeline.study.statistics.frames import LEARNED

# Values by key, as on a command line; `embedding` names an option of conf/embedding/.
Settings = Mapping[str, Any]
Pair = tuple[str, str]  # of variants, first minus second
RunKey = tuple[str, int, int]  # variant (or baseline), label budget, seed
LABELS = "data.label_budget"

INITS = {"cbow": "cbow", "ppmi": "ppmi", "distill": "distilled"}  # the init that a section's settings belong to

# Keys that follow another key in conf/, unless the command gives them a value of their own.
FOLLOWS = {
    "cbow.seed": "seed",
    "cbow.vector_size": "embedding.dim",
    "ppmi.window": "cbow.window",
    "ppmi.min_count": "cbow.min_count",
}
# Overrides that say where and how results are computed and stored, not what they are.
PLACES = (
    *("paths", "workers", "force", "tracking.enabled", "tracking.uri", "tracking.experiment"),
    *(f"study.{key}" for key in PLACEMENT),
)


class LabelBudget(NamedTuple):
    """A label budget as configured (None: all training tweets) and as the number of labelled tweets."""

    configured: int | None
    tweets: int


@dataclass(frozen=True)
class Cell:
    """One run of the study: the settings that are its own, and the configuration that follows from them."""

    variant: str
    label_budget: int
    seed: int
    settings: Settings
    config: Config
    prepared: Stage

    @property
    def key(self) -> RunKey:
        """Variant, label budget and seed."""
        return self.variant, self.label_budget, self.seed


@dataclass(frozen=True)
class Study:
    """What all runs of a study share.

    overrides : of the command line. prepared : the encoded tweets of each variant.
    """

    config: Config
    variants: Variants
    overrides: Sequence[str]
    prepared: Mapping[str, Stage]

    @property
    def facts(self) -> Mapping[str, Any]:
        """The outcome of the stage `prepare` for the first variants: label names, rows of each split, corpus, notes."""
        outcome: Mapping[str, Any] = next(iter(self.prepared.values())).outcome
        return outcome

    @property
    def texts(self) -> dict[str, str]:
        """The first variant of each encoding of the tweets, by the settings that make it, those of the first first."""
        labels: dict[str, str] = {}
        keys = set()
        for name, variant in self.variants.items():
            if (key := self.prepared[name].key) not in keys:
                keys.add(key)
                emoticons = f"text.emoticons={variant.config.text.emoticons}"
                labels[emoticons if emoticons not in labels else name.partition("@")[2]] = name
        return labels

    def cell(self, variant: str, budget: LabelBudget, seed: int, *, largest: bool) -> Cell:
        """One run with the settings of the study; `largest` : whether no label budget of the study is larger."""
        config, shared = self.variants[variant].config, self.config.study.cbow_seeds
        settings = {
            "stage": "all",
            **self.variants[variant].settings,
            LABELS: budget.configured,
            "seed": seed,
            # Transfer is measured with the most labels. One embedding of each variant is stored for the report.
            # CBOW without their texts names the tasks in every run.
            "probe.transfer": self.config.probe.transfer if largest or config.cbow.without_transfer else [],
            "tracking.keep_embedding": largest and seed == 0,
        }
        if shared and "cbow" in config.embedding.inits and "cbow.seed" in _following(config):
            settings["cbow.seed"] = seed % shared
        return Cell(variant, budget.tweets, seed, settings, with_settings(config, settings), self.prepared[variant])

    def changed(self, cell: Cell, settings: Settings) -> Cell:
        """The cell with other or further settings."""
        merged = {**cell.settings, **settings}
        return replace(cell, settings=merged, config=with_settings(self.variants[cell.variant].config, merged))

    def with_setting(self, cell: Cell, setting: "Setting") -> Cell:
        """The cell with a setting of the trials, which multiplies the learning rates of its variant."""
        return self.changed(cell, setting.values(self.variants[cell.variant].config))

    def command(self, cell: Cell) -> list[str]:
        """The overrides that repeat one run by itself: those of the study that it shares, then its own settings."""
        replaced = {*cell.settings, *_following(self.config)}
        keys = {text: key_of(text) for text in self.overrides}
        shared = [t for t, key in keys.items() if key not in replaced and not key.startswith(("study", "search"))]
        return [*shared, *(override_text(key, value) for key, value in cell.settings.items())]

    def example(self, cells: Sequence[Cell]) -> list[str]:
        """The command of the first cell, if any, without what only says where results go."""
        return without_places(self.command(cells[0])) if cells else []


class Setting(NamedTuple):
    """What trials choose: the factor of both learning rates, and the dropout rate."""

    factor: float
    dropout: float

    def values(self, config: Config) -> dict[str, float]:
        """As settings of a cell; rates have six digits, so that 0.003 × 0.3 is written as 0.0009."""
        rates = {"train.lr_head": config.train.lr_head, "train.lr_embedding": config.train.lr_embedding}
        rounded = {key: float(f"{rate * self.factor:.6g}") for key, rate in rates.items()}
        return rounded | {"model.dropout": self.dropout}


@dataclass(frozen=True)
class Choice:
    """The trials of a variant at a label budget, and what its seeds chose.

    scores : the mean validation score of every setting over the trial seeds, None where a trial diverged.
    chosen : the setting of each seed.
    """

    variant: str
    label_budget: int
    scores: Mapping[Setting, float | None]
    chosen: Mapping[int, Setting]

    def at_edge(self, setting: Setting) -> bool:
        """Whether its factor is the smallest or the largest of several with the same dropout rate."""
        factors = [other.factor for other in self.scores if other.dropout == setting.dropout]
        return len(factors) > 1 and setting.factor in (min(factors), max(factors))


def study_cells(study: Study, budgets: Sequence[LabelBudget]) -> list[Cell]:
    """Every variant at every label budget with every seed, with the learning rates of the study."""
    largest = max(budget.tweets for budget in budgets)
    return [
        study.cell(variant, budget, seed, largest=budget.tweets == largest)
        for budget in budgets
        for variant in study.variants
        for seed in range(study.config.study.seeds)
    ]


def with_settings(config: Config, settings: Settings) -> Config:
    """The configuration that a command with these settings gives: a copy of `config` with other values.

    `embedding` names the option that `config` has already.
    """
    changed = copy.deepcopy(config)
    for key, value in settings.items():
        if key != "embedding":
            _set_value(changed, key, copy.deepcopy(value))
    for key in _following(config):
        if key not in settings:
            _set_value(changed, key, value_of(changed, FOLLOWS[key]))
    return changed


def value_of(config: Config, key: str) -> Any:
    """The value of a dotted key."""
    return attrgetter(key)(config)


def _set_value(config: Config, key: str, value: Any) -> None:
    section, _, name = key.rpartition(".")
    setattr(attrgetter(section)(config) if section else config, name, value)


def _following(config: Config) -> list[str]:
    """The keys of FOLLOWS with the value of the key that they follow."""
    return [key for key, source in FOLLOWS.items() if value_of(config, key) == value_of(config, source)]


def label_budgets(config: Config, rows: int) -> tuple[list[LabelBudget], list[str]]:
    """The label budgets of the study with so many training tweets, ascending; and a note for each that is left out.

    A budget of exactly all training tweets is the same as None. Where every budget is larger, all tweets are used.
    """
    configured = config.study.label_budgets
    smaller = sorted(budget for budget in configured if budget is not None and budget < rows)
    larger = sorted(budget for budget in configured if budget is not None and budget > rows)
    notes = [f"label budget {budget:,} is left out: there are {rows:,} training tweets" for budget in larger]
    budgets = [LabelBudget(budget, budget) for budget in smaller]
    if None in configured or rows in configured or not smaller:
        budgets.append(LabelBudget(None, rows))
    return budgets, notes


def planned_pairs(study: Study) -> list[Pair]:
    """The pairs of `study.pairs` whose variants the study has."""
    return [(first, second) for first, second in study.config.study.pairs if {first, second} <= set(study.variants)]


def other_pairs(study: Study, planned: Sequence[Pair]) -> list[Pair]:
    """All other pairs; a variant with fewer unlabelled texts stands against itself and vectors learned from scratch."""
    repeated = repetitions(study.variants)
    pairs = [pair for pair in combinations(study.variants, 2) if pair not in planned and pair[::-1] not in planned]
    bases = {pair: {repeated.get(name, name) for name in pair} for pair in pairs}
    return [pair for pair in pairs if not {*pair} & {*repeated} or LEARNED in pair or len(bases[pair]) == 1]


def varied_keys(study: Study, planned: Sequence[Pair]) -> frozenset[str]:
    """Keys of the variants' conditions, but for those in which a planned pair of two different embeddings differs.

    The settings of vectors, such as CBOW's, count where both start from them.
    """

    def condition(name: str) -> dict[str, Any]:
        return {key: value for key, value in study.variants[name].settings.items() if key != "embedding"}

    keys = {key for name in study.variants for key in condition(name)}
    for first, second in planned:
        if first.partition("@")[0] != second.partition("@")[0]:
            inits = [study.variants[name].config.embedding.inits for name in (first, second)]
            keys -= {
                key
                for key in keys
                if condition(first).get(key) != condition(second).get(key)
                and all(INITS.get(key.partition(".")[0], of_variant[0]) in of_variant for of_variant in inits)
            }
    return frozenset(keys)


def vectors_key(cell: Cell) -> tuple[tuple[str, str, str], ...]:
    """Runs with the same key start from the same word vectors: init, encoded tweets and settings of each stage."""
    config, inits = cell.config, dict.fromkeys(cell.config.embedding.inits)
    sections: dict[str, Any] = {"cbow": asdict(config.cbow), "distilled": asdict(config.distill)}
    sections["ppmi"] = [asdict(config.ppmi), config.cbow.selection]
    settings = {init: fingerprint([sections[init], config.embedding.dim]) for init in inits if init in sections}
    return tuple((init, cell.prepared.key, key) for init, key in settings.items())


def failure(variant: str, budget: int, seed: int | None, reason: str | None) -> dict[str, Any]:
    """A row on what failed; `seed` is None where it concerns all seeds."""
    return {"variant": variant, "label_budget": budget, "seed": seed, "reason": reason}


def without_places(overrides: Sequence[str]) -> list[str]:
    """Overrides without those that only say where and how results are computed and stored."""
    return [text for text in overrides if not key_of(text).startswith(PLACES)]
