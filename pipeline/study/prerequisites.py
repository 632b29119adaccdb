"""What a study's runs start from or are compared with: word vectors, data audit, transfer tasks, baselines."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from pipeline.config.schema import Config
from pipeline.config.variants import Variants
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.errors import RunError, UserError
from pipeline.runtime.files import fingerprint
from pipeline.runtime.log import log
from pipeline.runtime.worker_pool import WorkerPool
from pipeline.stages.audit import audit
from pipeline.stages.baseline import baseline
from pipeline.stages.corpus_selection import check_selection
from pipeline.stages.prepare import prepare
from pipeline.stages.transfer import transfer
from pipeline.stages.vectors import MAKERS
from pipeline.study.design import (
    Cell,
    LabelBudget,
    RunKey,
    Study,
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
    """Outcomes that the runs of a study share: word vectors as in `VectorResults`, the others as in `StudyRuns`."""

    vectors: VectorResults
    audits: dict[str, Stage]
    transfers: dict[str, Stage]
    baselines: dict[RunKey, Stage]
    failures: list[dict[str, Any]]


def encode_tweets(config: Config, variants: Variants) -> dict[str, Stage]:
    """The tweets as each variant reads them; UserError where there are no validation tweets."""
    prepared: dict[str, Stage] = {}
    by_settings: dict[str, Stage] = {}
    for name, variant in variants.items():
        data, text, cbow = (dataclasses.asdict(getattr(variant.config, key)) for key in ("data", "text", "cbow"))
        key = fingerprint([data, text, [cbow[name] for name in ("use_unlabelled", "extra_text", "extra_encoding")]])
        if key not in by_settings:
            by_settings[key] = prepare(variant.config)
        prepared[name] = by_settings[key]
        check_selection(variant.config, prepared[name])
    if "validation" not in next(iter(prepared.values())).outcome["rows"]:
        purpose = "study chooses learning rates" if config.stage == "compare" else "search chooses settings"
        raise UserError(f"the {purpose} on validation: set data.validation_size=0.1")
    return prepared


def run_prerequisites(
    workers: WorkerPool, study: Study, cells: Sequence[Cell], budgets: Sequence[LabelBudget]
) -> Prerequisites:
    """Train word vectors, encode transfer tasks, audit the data and fit the baselines, all in one pool of tasks.

    Transfer tasks are encoded with each vocabulary of the study. Baselines read the tweets of the first variants.
    Raises RunError where an audit or a transfer task fails.
    """
    texts = {text: (study.variants[name].config, study.prepared[name]) for text, name in study.texts.items()}
    first_text, (config, first) = next(iter(texts.items()))
    fits = baseline_fits(study, budgets)
    tasks: dict[str, Tasks] = {
        "vectors": vector_tasks(cells),
        "transfer": {
            (task, text): partial(transfer, *of_text, task)
            for text, of_text in texts.items()
            for task in study.config.probe.tasks
        },
        "audit": {(text,): partial(audit, *of_text) for text, of_text in texts.items()},
        "baseline": {
            fit: partial(
                baseline, with_settings(config, {"data.label_budget": fit.labels, "seed": fit.seed}), first, fit.name
            )
            for fit in dict.fromkeys(fits.values())
        },
    }
    results = workers.do(
        {(kind, key): task for kind, group in tasks.items() for key, task in group.items()},
        "compare: vectors, audit and baselines",
    )
    for (kind, key), result in results.items():
        if kind in ("transfer", "audit") and result.reason is not None:
            raise RunError(f"{kind} {' '.join(key)}: {result.reason}")
    fitted = {fit: results["baseline", fit] for fit in tasks["baseline"]}
    rows = int(study.facts["rows"]["train"])
    return Prerequisites(
        vectors={key: results["vectors", key] for key in tasks["vectors"]},
        audits={text: results["audit", (text,)].get() for text in texts},
        transfers={task: results["transfer", (task, first_text)].get() for task in study.config.probe.tasks},
        baselines={key: fitted[fit].get() for key, fit in fits.items() if fitted[fit].reason is None},
        failures=[
            failure(fit.name, fit.labels or rows, fit.seed, result.reason)
            for fit, result in fitted.items()
            if result.reason is not None
        ],
    )


def vector_tasks(cells: Sequence[Cell]) -> Tasks:
    """The word vectors that the runs start from, by the parts of `vectors_key`: each made once."""
    return {key: partial(MAKERS[key[0]], cell.config, cell.prepared) for cell in cells for key in vectors_key(cell)}


def baseline_fits(study: Study, budgets: Sequence[LabelBudget]) -> dict[RunKey, BaselineFit]:
    """The fit of each baseline at each label budget with each seed; several may share one, as it would be the same."""
    from pipeline.evaluation.baselines.run import SEEDED, reason_to_skip

    fits = {}
    for name in study.config.study.baselines:
        if reason := reason_to_skip(name, study.facts["label_names"]):
            log.info("compare: no baseline %s: %s", name, reason)
            continue
        for budget in sorted(budgets, key=lambda budget: -budget.tweets):
            for seed in range(study.config.study.seeds):
                # With all labels a seed changes few baselines. VADER has a lexicon of its own and reads no labels.
                seeded = budget.configured is not None or name in SEEDED
                fit = BaselineFit(name, budget.configured, seed if seeded else 0)
                fits[name, budget.tweets, seed] = BaselineFit(name, None, 0) if name == "vader" else fit
    return fits
