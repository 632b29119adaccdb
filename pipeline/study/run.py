"""The study (`stage=compare`): many runs side by side, learning rates chosen on validation, and one report.

Everything is kept as it is finished (vectors, trials, runs, baselines, audit), so that a study that was interrupted
goes on where it stopped, and one that was finished is only read. A failed run is reported and stops no other.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config.schema import PLACEMENT, Config, data_name, study_design
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.errors import RunError, UserError
from pipeline.runtime.files import fingerprint
from pipeline.runtime.log import log
from pipeline.runtime.worker_pool import TaskResult, WorkerPool
from pipeline.stages.audit import audit
from pipeline.stages.baseline import baseline
from pipeline.stages.cache_keys import LIBRARIES, code_key
from pipeline.stages.transfer import transfer
from pipeline.stages.vectors import vectors
from pipeline.study import jobs as batches
from pipeline.study.design import (
    Cell,
    Choice,
    StudyRuns,
    Variants,
    cell_config,
    cell_overrides,
    failure,
    label_budgets,
    repeatable,
    vectors_key,
    with_emoticons,
    with_factor,
)
from pipeline.study.learning_rates import choose
from pipeline.study.publish import report

COMPARING = (
    "classifier/metrics.py",
    "runtime/templates.py",
    "study",
    "tracking",
)
# Keys that say where something lies or is computed: the same study elsewhere has the same name.
WHERE = ("extra_text", "transfer_path", "similarity_files", "device", "threads", *PLACEMENT)


def run(config: Config, variants: Variants, overrides: Sequence[str] = ()) -> Path:
    """Do all runs of the study, compare them, and write the report below results/studies/.

    Parameters
    ----------
    variants : of `config.variants`: the embedding section and `text.emoticons` of each.
    overrides : what the command line said.

    Returns
    -------
    The folder of the report. Raises UserError where the study cannot be done, and RunError, after the report is
    written, where some of its runs failed.
    """
    prepared = batches.prepare(config, variants)
    first = next(iter(prepared.values()))
    if "validation" not in first.outcome["rows"]:
        raise UserError("the study chooses learning rates on validation: set data.validation_size=0.1")
    budgets, notes = label_budgets(config, first)
    cells = [
        Cell(
            variant,
            labels,
            budget,
            seed,
            cell_config(config, variants[variant], labels, seed),
            prepared[variants[variant][1]],
        )
        for labels, budget in budgets
        for variant in variants
        for seed in range(config.study.seeds)
    ]
    log.info(
        "compare: %d variants × %d label budgets × %d seeds = %d runs, %s",
        len(variants),
        len(budgets),
        config.study.seeds,
        len(cells),
        f"up to {config.workers} side by side" if config.study.launcher == "local" else "on Ray",
    )
    with batches.team(config) as workers:
        base = _foundations(config, workers, prepared, cells, budgets)
        choices, failed_choices = choose(config, workers, cells, base.vectors)
        largest = max(n for _, n in budgets)
        folders, failed_runs = _train(config, workers, cells, base.vectors, choices, overrides, largest)
    return _report(
        StudyRuns(
            config=config,
            variants=variants,
            prepared=prepared,
            folders=folders,
            choices=list(choices.values()),
            baselines=base.baselines,
            audits=base.audits,
            transfers=base.transfers,
            failures=[*base.failures, *failed_choices, *failed_runs],
            notes=notes,
            overrides=list(overrides),
            example=_example(config, cells, choices, overrides),
        )
    )


def _example(
    config: Config, cells: Sequence[Cell], choices: Mapping[tuple[str, int], Choice], overrides: Sequence[str]
) -> list[str]:
    """How one run of the study is repeated by itself."""
    cell = next((cell for cell in cells if (cell.variant, cell.label_budget) in choices), None)
    if cell is None:
        return []
    own = with_factor(cell, config, choices[cell.variant, cell.label_budget].factor)
    return repeatable(cell_overrides(own, cell.variant, overrides))


@dataclass(frozen=True)
class _Foundations:
    """What runs start from or stand beside; `vectors` by `vectors_key`, the others as in `StudyRuns`."""

    vectors: dict[Any, TaskResult[Any]]
    audits: dict[str, Stage]
    transfers: dict[str, Stage]
    baselines: dict[tuple[str, int, int], Stage]
    failures: list[dict[str, Any]]


def _foundations(
    config: Config,
    workers: WorkerPool,
    prepared: Mapping[str, Stage],
    cells: Sequence[Cell],
    budgets: Sequence[tuple[int | None, int]],
) -> _Foundations:
    """Make word vectors, encode other tasks, audit the data and fit the baselines, all side by side."""
    from pipeline.evaluation.baselines.run import reason_to_skip

    tasks: dict[Any, Callable[[], Any]] = {}
    for cell in cells:
        tasks.setdefault(vectors_key(cell), partial(vectors, cell.config, cell.prepared))
    for mode, stage in prepared.items():
        condition = with_emoticons(config, mode)
        for task in config.probe.transfer:
            tasks["transfer", task, mode] = partial(transfer, condition, stage, task)
        tasks["audit", mode] = partial(audit, condition, stage)
    mode, stage = next(iter(prepared.items()))
    members: dict[tuple[str, int, int], Any] = {}
    for name in config.study.baselines:
        if reason := reason_to_skip(name, stage.outcome["label_names"]):
            log.info("compare: no baseline %s: %s", name, reason)
            continue
        for labels, budget in sorted(budgets, key=lambda pair: -pair[1]):
            for seed in range(config.study.seeds):
                alone = with_emoticons(config, mode)
                # VADER's lexicon comes with it, whatever the labels. With all labels only fastText's own draws differ.
                drawn = labels is not None or name == "fasttext"
                alone.data.label_budget = None if name == "vader" else labels
                alone.seed = seed if drawn and name != "vader" else 0
                key = ("baseline", name, alone.data.label_budget or stage.outcome["rows"]["train"], alone.seed)
                tasks[key] = partial(baseline, alone, stage, name)
                members[name, budget, seed] = key
    found = workers.do(tasks, "compare: vectors, audit and baselines")
    for key, result in found.items():
        if key[0] in ("audit", "transfer") and result.reason is not None:
            raise RunError(f"{' '.join(key)}: {result.reason}")
    return _Foundations(
        vectors={key: result for key, result in found.items() if key[0] == "vectors"},
        audits={mode: found["audit", mode].get() for mode in prepared},
        transfers={task: found["transfer", task, mode].get() for task in config.probe.transfer},
        baselines={cell: found[key].get() for cell, key in members.items() if found[key].reason is None},
        failures=[
            failure(key[1], key[2], key[3], result.reason)
            for key, result in found.items()
            if key[0] == "baseline" and result.reason is not None
        ],
    )


def _train(
    config: Config,
    workers: WorkerPool,
    cells: Sequence[Cell],
    vectors: Mapping[Any, TaskResult[Stage | None]],
    choices: Mapping[tuple[str, int], Choice],
    overrides: Sequence[str],
    largest: int,
) -> tuple[dict[tuple[str, int, int], Path], list[dict[str, Any]]]:
    """Train every cell with the chosen learning rates: the folders of the records, and what failed."""
    failures = []
    tasks: dict[tuple[str, int, int], batches.Training] = {}
    for cell in sorted(cells, key=lambda cell: (-cell.label_budget, cell.seed)):
        found = vectors[vectors_key(cell)]
        if found.reason is not None:
            failures.append(failure(cell.variant, cell.label_budget, cell.seed, f"its word vectors: {found.reason}"))
        elif (cell.variant, cell.label_budget) in choices:
            factor = choices[cell.variant, cell.label_budget].factor
            own = with_factor(cell, config, factor)
            # Transfer is asked where there is most to transfer. One embedding of each variant is kept for the report.
            own.probe.transfer = config.probe.transfer if cell.label_budget == largest else []
            own.tracking.keep_embedding = cell.label_budget == largest and cell.seed == 0
            tasks[cell.variant, cell.label_budget, cell.seed] = batches.Training(
                own, cell.prepared, found.value, cell_overrides(own, cell.variant, overrides)
            )
    done = batches.do(workers, tasks, "compare: runs")
    failures += [failure(*key, result.reason) for key, result in done.items() if result.reason]
    return {key: result.value for key, result in done.items() if result.value is not None}, failures


def _report(finished: StudyRuns) -> Path:
    """Name the study's report by what was asked for, and have it written and shown; RunError where runs failed."""
    config = finished.config
    identity = {
        "study": study_design(config.study),
        "runs": sorted(folder.name for folder in finished.folders.values()),
        "choices": [[choice.variant, choice.label_budget, choice.factor] for choice in finished.choices],
        "baselines": sorted({stage.key for stage in finished.baselines.values()}),
        "audits": sorted(stage.key for stage in finished.audits.values()),
        "transfers": sorted(stage.key for stage in finished.transfers.values()),
        "failures": finished.failures,
        "commands": [repeatable(finished.overrides), finished.example],
        "code": code_key(COMPARING, LIBRARIES["compare"]),
    }
    modes = sorted({mode for _, mode in finished.variants.values()})
    # Named by what was asked for, not by what came out: a study that is done again takes the place of the old one.
    sections = [getattr(config, name) for name in ("study", "model", "train", "cbow", "ppmi", "probe")]
    told = [value for section in sections for key, value in dataclasses.asdict(section).items() if key not in WHERE]
    prepared = sorted(stage.key for stage in finished.prepared.values())
    asked = fingerprint([told, prepared, [str(variant) for variant in finished.variants.values()]])
    name = "-".join([data_name(config.data), *(mode for mode in modes if mode != "keep"), asked[:8]])

    def work(folder: Path) -> dict[str, Any]:
        from pipeline.study.results import write_study

        return write_study(finished, folder)

    return report(config, name, identity, work, finished.folders.values(), finished.failures, promoting=True)
