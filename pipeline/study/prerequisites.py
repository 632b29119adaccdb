"""What a study's runs start from or are compared with: word vectors, data audit, transfer tasks, baselines."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from pipeline.config.schema import Config
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.errors import RunError, UserError
from pipeline.runtime.log import log
from pipeline.runtime.worker_pool import TaskResult, WorkerPool
from pipeline.stages.audit import audit
from pipeline.stages.baseline import baseline
from pipeline.stages.prepare import prepare
from pipeline.stages.transfer import transfer
from pipeline.stages.vectors import vectors
from pipeline.study.design import (
    EMOTICONS,
    Cell,
    LabelBudget,
    RunKey,
    Study,
    Variants,
    failure,
    vectors_key,
    with_settings,
)
from pipeline.study.jobs import VectorResults

Tasks = Mapping[Any, Callable[[], Any]]


class BaselineFit(NamedTuple):
    """One fit of a baseline; `labels` as configured (None: all training tweets)."""

    name: str
    labels: int | None
    seed: int


@dataclass(frozen=True)
class Prerequisites:
    """Outcomes that the runs of a study share: word vectors by `vectors_key`, the others as in `StudyRuns`."""

    vectors: VectorResults
    audits: dict[str, Stage]
    transfers: dict[str, Stage]
    baselines: dict[RunKey, Stage]
    failures: list[dict[str, Any]]


def encode_tweets(config: Config, variants: Variants) -> dict[str, Stage]:
    """The tweets, encoded for each value of `text.emoticons`; UserError where there are no validation tweets."""
    modes = sorted({mode for _, mode in variants.values()})
    prepared = {mode: prepare(with_settings(config, {EMOTICONS: mode})) for mode in modes}
    if "validation" not in next(iter(prepared.values())).outcome["rows"]:
        chosen = "study chooses learning rates" if config.stage == "compare" else "search chooses settings"
        raise UserError(f"the {chosen} on validation: set data.validation_size=0.1")
    return prepared


def run_prerequisites(
    workers: WorkerPool, study: Study, cells: Sequence[Cell], budgets: Sequence[LabelBudget]
) -> Prerequisites:
    """Train word vectors, encode transfer tasks, audit the data and fit the baselines, all in one pool of tasks.

    Raises RunError where an audit or a transfer task fails.
    """
    fits = baseline_fits(study, budgets)
    results = run_task_groups(
        workers,
        {
            "vectors": vector_tasks(cells),
            "transfer": transfer_tasks(study),
            "audit": audit_tasks(study),
            "baseline": baseline_tasks(study, fits.values()),
        },
        "compare: vectors, audit and baselines",
    )
    transfers, audits = (_all_or_error(name, results[name]) for name in ("transfer", "audit"))
    fitted = results["baseline"]
    rows = int(study.facts["rows"]["train"])
    first_mode = next(iter(study.prepared))
    return Prerequisites(
        vectors=results["vectors"],
        audits=audits,
        transfers={task: stage for (task, mode), stage in transfers.items() if mode == first_mode},
        baselines={key: fitted[fit].get() for key, fit in fits.items() if fitted[fit].reason is None},
        failures=[
            failure(fit.name, fit.labels or rows, fit.seed, result.reason)
            for fit, result in fitted.items()
            if result.reason is not None
        ],
    )


def vector_tasks(cells: Sequence[Cell]) -> Tasks:
    """The word vectors that the runs start from, by `vectors_key`."""
    tasks: dict[Any, Callable[[], Any]] = {}
    for cell in cells:
        tasks.setdefault(vectors_key(cell), partial(vectors, cell.config, cell.prepared))
    return tasks


def transfer_tasks(study: Study) -> Tasks:
    """The other tasks' tweets, encoded with each vocabulary of the study, by task and `text.emoticons`."""
    return {
        (task, mode): partial(transfer, with_settings(study.config, {EMOTICONS: mode}), stage, task)
        for mode, stage in study.prepared.items()
        for task in study.config.probe.transfer
    }


def audit_tasks(study: Study) -> Tasks:
    """The audit of the data, by `text.emoticons`."""
    return {
        mode: partial(audit, with_settings(study.config, {EMOTICONS: mode}), stage)
        for mode, stage in study.prepared.items()
    }


def baseline_fits(study: Study, budgets: Sequence[LabelBudget]) -> dict[RunKey, BaselineFit]:
    """The fit of each baseline at each label budget with each seed; several may share one, as it would be the same."""
    from pipeline.evaluation.baselines.run import reason_to_skip

    fits = {}
    for name in study.config.study.baselines:
        if reason := reason_to_skip(name, study.facts["label_names"]):
            log.info("compare: no baseline %s: %s", name, reason)
            continue
        for budget in sorted(budgets, key=lambda budget: -budget.tweets):
            for seed in range(study.config.study.seeds):
                # With all labels a seed changes fastText alone. VADER has a lexicon of its own and reads no labels.
                seeded = budget.configured is not None or name == "fasttext"
                fit = BaselineFit(name, budget.configured, seed if seeded else 0)
                fits[name, budget.tweets, seed] = BaselineFit(name, None, 0) if name == "vader" else fit
    return fits


def baseline_tasks(study: Study, fits: Iterable[BaselineFit]) -> Tasks:
    """The fits, each once, on the tweets of the first variants."""
    mode, stage = next(iter(study.prepared.items()))

    def config(fit: BaselineFit) -> Config:
        return with_settings(study.config, {EMOTICONS: mode, "data.label_budget": fit.labels, "seed": fit.seed})

    return {fit: partial(baseline, config(fit), stage, fit.name) for fit in dict.fromkeys(fits)}


def run_task_groups(
    workers: WorkerPool, groups: Mapping[str, Tasks], label: str
) -> dict[str, dict[Any, TaskResult[Any]]]:
    """Run the tasks of all groups in one pool; the results of each group, by the keys of its tasks."""
    results = workers.do({(name, key): task for name, tasks in groups.items() for key, task in tasks.items()}, label)
    return {name: {key: results[name, key] for key in tasks} for name, tasks in groups.items()}


def _all_or_error(name: str, results: Mapping[Any, TaskResult[Stage]]) -> dict[Any, Stage]:
    """The outcomes of tasks that a study cannot do without; RunError for the first that failed."""
    for key, result in results.items():
        if result.reason is not None:
            raise RunError(f"{name} {key if isinstance(key, str) else ' '.join(key)}: {result.reason}")
    return {key: result.get() for key, result in results.items()}
