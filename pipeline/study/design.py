"""The design of a study: which runs it has, and each run as overrides, as a configuration and as a command."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.config.overrides import key_of, override_text
from pipeline.config.schema import PLACEMENT, Config, EmbeddingConfig
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.files import fingerprint

# The embedding section and `text.emoticons` of each variant.
Variants = Mapping[str, tuple[EmbeddingConfig, str]]
# Values by key, as on a command line; `embedding` names an option of conf/embedding/.
Settings = Mapping[str, Any]
Pair = tuple[str, str]  # of variants, first minus second
RunKey = tuple[str, int, int]  # variant (or baseline), label budget, seed
EMOTICONS, LABELS = "text.emoticons", "data.label_budget"

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

    overrides : of the command line. prepared : the encoded tweets for each value of `text.emoticons`.
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

    def cell(self, variant: str, budget: LabelBudget, seed: int, *, largest: bool) -> Cell:
        """One run with the learning rates of the study; `largest` : whether no label budget of the study is larger."""
        emoticons = self.variants[variant][1]
        settings = {
            "stage": "all",
            "embedding": variant.partition("@")[0],
            EMOTICONS: emoticons,
            LABELS: budget.configured,
            "seed": seed,
            **learning_rates(self.config, 1.0),
            # Transfer is measured with the most labels. One embedding of each variant is stored for the report.
            "probe.transfer": self.config.probe.transfer if largest else [],
            "tracking.keep_embedding": largest and seed == 0,
        }
        config = with_settings(self.config, settings, self.variants)
        return Cell(variant, budget.tweets, seed, settings, config, self.prepared[emoticons])

    def changed(self, cell: Cell, settings: Settings) -> Cell:
        """The cell with other or further settings."""
        merged = {**cell.settings, **settings}
        return replace(cell, settings=merged, config=with_settings(self.config, merged, self.variants))

    def command(self, cell: Cell) -> list[str]:
        """The overrides that repeat one run by itself: those of the study that it shares, then its own settings."""
        replaced = {*cell.settings, *_following(self.config)}
        keys = {text: key_of(text) for text in self.overrides}
        shared = [t for t, key in keys.items() if key not in replaced and not key.startswith(("study", "search"))]
        return [*shared, *(override_text(key, value) for key, value in cell.settings.items())]

    def example(self, cells: Sequence[Cell]) -> list[str]:
        """The command of the first cell, if any, without what only says where results go."""
        return without_places(self.command(cells[0])) if cells else []


@dataclass(frozen=True)
class Choice:
    """The learning rates of a variant at a label budget: every factor with its mean validation score, and the best."""

    variant: str
    label_budget: int
    factor: float
    scores: dict[float, float | None]

    @property
    def at_edge(self) -> bool:
        """Whether the best factor is the smallest or the largest of several."""
        return len(self.scores) > 1 and self.factor in (min(self.scores), max(self.scores))


@dataclass(frozen=True)
class StudyRuns:
    """What the runs of a study left on disk, and what is compared.

    folders : of the records. baselines : their outcomes. audits : by `text.emoticons`. transfers : by task.
    planned, others : pairs to compare, with and without a test.
    varied : keys outside `embedding` that differ between runs on purpose, besides those of every study.
    failures : a row for each run or trial that failed. notes : what was left out of the design.
    example : the command of one run.
    """

    study: Study
    folders: dict[RunKey, Path]
    planned: Sequence[Pair]
    failures: list[dict[str, Any]]
    example: list[str]
    others: Sequence[Pair] = ()
    varied: frozenset[str] = frozenset()
    notes: Sequence[str] = ()
    choices: Sequence[Choice] = ()
    baselines: Mapping[RunKey, Stage] = field(default_factory=dict)
    audits: Mapping[str, Stage] = field(default_factory=dict)
    transfers: Mapping[str, Stage] = field(default_factory=dict)


def study_cells(study: Study, budgets: Sequence[LabelBudget]) -> list[Cell]:
    """Every variant at every label budget with every seed, with the learning rates of the study."""
    largest = max(budget.tweets for budget in budgets)
    return [
        study.cell(variant, budget, seed, largest=budget.tweets == largest)
        for budget in budgets
        for variant in study.variants
        for seed in range(study.config.study.seeds)
    ]


def with_settings(config: Config, settings: Settings, variants: Variants | None = None) -> Config:
    """The configuration that a command with these settings gives: a copy of `config` with other values."""
    changed = copy.deepcopy(config)
    for key, value in settings.items():
        if key == "embedding":
            sections = {name.partition("@")[0]: section for name, (section, _) in (variants or {}).items()}
            changed.embedding = copy.deepcopy(sections[value])
        else:
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


def learning_rates(config: Config, factor: float) -> dict[str, float]:
    """The settings of both learning rates times `factor`, to six digits, so that 0.003 × 0.3 is written as 0.0009."""
    rates = {"train.lr_head": config.train.lr_head, "train.lr_embedding": config.train.lr_embedding}
    return {key: float(f"{rate * factor:.6g}") for key, rate in rates.items()}


def label_budgets(config: Config, prepared: Stage) -> tuple[list[LabelBudget], list[str]]:
    """The label budgets of the study, ascending; and a note for each that is left out.

    A budget of exactly all training tweets is the same as None. Where every budget is larger, all tweets are used.
    """
    rows = int(prepared.outcome["rows"]["train"])
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
    """All other pairs of variants."""
    return [pair for pair in combinations(study.variants, 2) if pair not in planned and pair[::-1] not in planned]


def varied_keys(planned: Sequence[Pair]) -> frozenset[str]:
    """`text.emoticons` where every planned pair is one variant with two values of it, else no key."""
    of_emoticons = all(first.partition("@")[0] == second.partition("@")[0] for first, second in planned)
    return frozenset({EMOTICONS} if of_emoticons else ())


def vectors_key(cell: Cell) -> tuple[tuple[str, str, str], ...]:
    """Runs with the same key start from the same word vectors: init and key of each stage that makes them."""
    config, inits = cell.config, dict.fromkeys(cell.config.embedding.inits)
    sections = {"cbow": asdict(config.cbow), "ppmi": asdict(config.ppmi), "distilled": asdict(config.distill)}
    settings = {init: fingerprint([sections[init], config.embedding.dim]) for init in inits if init in sections}
    return tuple((init, config.text.emoticons, key) for init, key in settings.items())


def failure(variant: str, budget: int, seed: int | None, reason: str | None) -> dict[str, Any]:
    """A row on what failed; `seed` is None where it concerns all seeds."""
    return {"variant": variant, "label_budget": budget, "seed": seed, "reason": reason}


def without_places(overrides: Sequence[str]) -> list[str]:
    """Overrides without those that only say where and how results are computed and stored."""
    return [text for text in overrides if not key_of(text).startswith(PLACES)]
