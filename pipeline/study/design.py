"""The study's runs as configurations: what they share, what differs, and how each is repeated by itself."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.schema import PLACEMENT, Config, EmbeddingConfig
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.files import fingerprint
from pipeline.runtime.worker_pool import TaskResult

Variants = Mapping[str, tuple[EmbeddingConfig, str]]

PLACES = (
    *("paths", "workers", "force", "tracking.enabled", "tracking.uri", "tracking.experiment"),
    *(f"study.{key}" for key in PLACEMENT),
)


@dataclass(frozen=True)
class Cell:
    """One run of the study. `label_budget` is the number of labelled tweets, `labels` how that is configured."""

    variant: str
    labels: int | None
    label_budget: int
    seed: int
    config: Config
    prepared: Stage


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
    """What a study's runs left on disk, for `collect`."""

    config: Config
    variants: Variants
    prepared: dict[str, Stage]
    folders: dict[tuple[str, int, int], Path]
    choices: list[Choice]
    baselines: dict[tuple[str, int, int], Stage]
    audits: dict[str, Stage]
    transfers: dict[str, Stage]
    failures: list[dict[str, Any]]
    notes: list[str]
    overrides: list[str]
    example: list[str]


def label_budgets(config: Config, prepared: Stage) -> tuple[list[tuple[int | None, int]], list[str]]:
    """The study's budgets, ascending: as configured (None: all) and in labelled tweets; and what was left out.

    A budget of exactly all training tweets is the same as None. Where every budget is beyond them, all are used.
    """
    rows = int(prepared.outcome["rows"]["train"])
    wanted = config.study.label_budgets
    kept = sorted(budget for budget in wanted if budget is not None and budget < rows)
    beyond = sorted(budget for budget in wanted if budget is not None and budget > rows)
    notes = [f"label budget {budget:,} is left out: there are {rows:,} training tweets" for budget in beyond]
    found: list[tuple[int | None, int]] = [(budget, budget) for budget in kept]
    if None in wanted or rows in wanted or not kept:
        found.append((None, rows))
    return found, notes


def cell_config(
    config: Config, variant: tuple[EmbeddingConfig, str], labels: int | None, seed: int, factor: float = 1.0
) -> Config:
    """The configuration of one run: the study's, but for `embedding`, label budget, seed and learning rates."""
    cell = with_emoticons(config, variant[1])
    cell.stage = "all"
    cell.embedding = copy.deepcopy(variant[0])
    if cell.cbow.seed == config.seed:
        cell.cbow.seed = seed
    cell.cbow.vector_size = cell.embedding.dim
    cell.data.label_budget = labels
    cell.seed = seed
    # Rounded, so that 0.003 × 0.3 is written as 0.0009 and a run can be repeated from what its record says.
    cell.train.lr_head = float(f"{config.train.lr_head * factor:.6g}")
    cell.train.lr_embedding = float(f"{config.train.lr_embedding * factor:.6g}")
    return cell


def cell_overrides(config: Config, variant: str, overrides: Sequence[str]) -> list[str]:
    """What to write on the command line to repeat one run of the study by itself."""
    own = {
        "stage": "all",
        "embedding": variant.partition("@")[0],
        "text.emoticons": config.text.emoticons,
        "data.label_budget": config.data.label_budget or "null",
        "seed": config.seed,
        "train.lr_head": config.train.lr_head,
        "train.lr_embedding": config.train.lr_embedding,
        "probe.transfer": f"[{','.join(config.probe.transfer)}]",
        "tracking.keep_embedding": str(config.tracking.keep_embedding).lower(),
    }
    # Left out, cbow.seed is the run's seed, as it is here unless the study fixes it.
    replaced = {*own, "cbow.seed"} if config.cbow.seed == config.seed else set(own)
    keys = [text.partition("=")[0].lstrip("+") for text in overrides]
    kept = [
        text for key, text in zip(keys, overrides, strict=True) if key not in replaced and not key.startswith("study")
    ]
    return [*kept, *(f"{key}={value}" for key, value in own.items())]


def with_emoticons(config: Config, mode: str) -> Config:
    """The same configuration with `text.emoticons=mode`."""
    changed = copy.deepcopy(config)
    changed.text.emoticons = mode
    return changed


def best_factor(scores: Mapping[float, float], monitor: str) -> float:
    """The factor with the best score, which is the lowest `nll` and the highest of other scores.

    Of equal ones it is the nearest to 1, as a ratio, and of those the smaller.
    """
    sign = 1 if monitor == "nll" else -1
    return min(scores, key=lambda factor: (sign * scores[factor], max(factor, 1 / factor), factor))


def mean_score(results: Sequence[TaskResult[Stage]]) -> float | None:
    """The mean validation score of the same trial with several seeds; None where one of them failed or diverged."""
    scores = [None if result.reason else result.get().outcome["score"] for result in results]
    usable = [float(score) for score in scores if score is not None]
    return sum(usable) / len(usable) if usable and len(usable) == len(scores) else None


def vectors_key(cell: Cell) -> tuple[str, ...]:
    """Runs with the same key start from the same word vectors."""
    init = cell.config.embedding.init
    own = ""
    if init in ("cbow", "ppmi"):
        knobs = cell.config.cbow if init == "cbow" else cell.config.ppmi
        own = fingerprint([dataclasses.asdict(knobs), cell.config.embedding.dim])
    return ("vectors", init, cell.config.text.emoticons, own)


def with_factor(cell: Cell, config: Config, factor: float) -> Config:
    """The configuration of a cell with the study's learning rates times `factor`."""
    variant = (cell.config.embedding, cell.config.text.emoticons)
    return cell_config(config, variant, cell.labels, cell.seed, factor)


def failure(variant: str, budget: int, seed: int | None, reason: str | None) -> dict[str, Any]:
    """A row of what failed; `seed` is None where it concerns all seeds."""
    return {"variant": variant, "label_budget": budget, "seed": seed, "reason": reason}


def repeatable(overrides: Sequence[str]) -> list[str]:
    """Overrides without what only says where and how results are computed and kept."""
    return [text for text in overrides if not text.lstrip("+").startswith(PLACES)]
