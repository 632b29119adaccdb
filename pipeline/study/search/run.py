"""The search (`stage=search`): as many settings tried for every variant, the best ones compared on test.

Trials are read on validation alone. Which settings are tried follows from the seed, the size of a batch and the scores,
not from the number of workers, and every trial is kept as it is finished: a search that was interrupted asks for the
same settings again, finds those that are done, and goes on.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config.schema import Config, data_name
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import fingerprint
from pipeline.runtime.log import log
from pipeline.runtime.worker_pool import TaskResult, WorkerPool
from pipeline.stages.cache_keys import LIBRARIES, code_key
from pipeline.stages.vectors import vectors
from pipeline.study import jobs as batches
from pipeline.study.design import (
    Cell,
    Variants,
    cell_config,
    cell_overrides,
    failure,
    mean_score,
    repeatable,
    vectors_key,
)
from pipeline.study.publish import report
from pipeline.study.search.results import Ended
from pipeline.study.search.sampler import Sampler, need_optuna
from pipeline.study.search.search_results import DEFAULT, Trial, best_of
from pipeline.study.search.space import Range, Setting, ranges, value_of, with_setting

SEARCHING = ("runtime/templates.py", "study", "tracking")


def run(config: Config, variants: Variants, overrides: Sequence[str] = ()) -> Path:
    """Search settings for every variant, train the best and the default ones, and write results/searches/NAME/.

    Parameters
    ----------
    variants : of `config.variants`: the embedding section and `text.emoticons` of each.
    overrides : what the command line said.

    Returns
    -------
    The folder of the report. Raises UserError where the search cannot be done, and RunError, after the report is
    written, where some of its runs failed.
    """
    need_optuna()
    searched, search = ranges(config), config.search
    prepared = batches.prepare(config, variants)
    rows = next(iter(prepared.values())).outcome["rows"]
    if "validation" not in rows:
        raise UserError("the search chooses settings on validation: set data.validation_size=0.1")
    if (config.data.label_budget or 1) > rows["train"]:
        raise UserError(f"data.label_budget={config.data.label_budget}: there are {rows['train']:,} training tweets")
    study = config.study
    log.info(
        "search: %d variants × %d settings × %d seeds = %d trials on validation, then %d runs",
        *(len(variants), search.trials, study.trial_seeds),
        *(len(variants) * search.trials * study.trial_seeds, 2 * len(variants) * study.seeds),
    )
    with batches.team(config) as workers:
        work = _Work(config, variants, prepared, workers, int(rows["train"]))
        trials = [trial for batch in _tried(work, searched) for trial in batch]
        chosen = {
            variant: best
            for variant in variants
            if (best := best_of([t for t in trials if t.variant == variant], config.train.monitor))
        }
        pieces = _pieces(work, searched, chosen, overrides)
        done = work.do(pieces, "search: runs")
    folders = {key: result.get() for key, result in done.items() if result.reason is None}
    failures = [failure(name, n, seed, result.reason) for (name, n, seed), result in done.items() if result.reason]
    reasons = {t.variant: t.reason for t in trials if t.variant not in chosen}
    failures += [failure(name, work.labels, None, f"no trial worked: {why}") for name, why in reasons.items()]
    example = next((pieces[key][1] for key in folders), [])
    said = (list(overrides), repeatable(example))
    return _report(Ended(config, searched, variants, prepared, trials, chosen, folders, failures, *said))


class _Work:
    """What trials and runs share: the encoded tweets, word vectors as they are needed, and who does the work."""

    def __init__(
        self, config: Config, variants: Variants, prepared: Mapping[str, Stage], workers: WorkerPool, rows: int
    ) -> None:
        self.config, self.variants, self.prepared, self.workers = config, variants, prepared, workers
        budget = config.data.label_budget
        self.labels = budget or rows
        self._budget = None if budget == rows else budget
        self._vectors: dict[Any, TaskResult[Stage | None]] = {}

    def cells(self, variant: str, setting: Setting, seeds: int) -> list[Cell]:
        """The runs of a variant with a setting, one for each seed."""
        embedding, mode = self.variants[variant]
        own = with_setting(dataclasses.replace(self.config, embedding=embedding), setting)
        return [
            Cell(
                *(variant, self._budget, self.labels, seed),
                cell_config(own, (own.embedding, mode), self._budget, seed),
                self.prepared[mode],
            )
            for seed in range(seeds)
        ]

    def vectors(self, cells: Sequence[Cell]) -> list[TaskResult[Stage | None]]:
        """The word vectors that runs start from, made where they are not there yet."""
        tasks: dict[Any, Any] = {}
        for cell in cells:
            if vectors_key(cell) not in self._vectors:
                tasks.setdefault(vectors_key(cell), partial(vectors, cell.config, cell.prepared))
        if tasks:
            self._vectors |= self.workers.do(tasks, "search: vectors")
        return [self._vectors[vectors_key(cell)] for cell in cells]

    def do(self, pieces: Mapping[Any, tuple[Cell, Any]], label: str) -> dict[Any, TaskResult[Any]]:
        """Do trials, or trainings where a piece has overrides; a piece without its word vectors has failed."""
        found = self.vectors([cell for cell, _ in pieces.values()])
        done: dict[Any, TaskResult[Any]] = {}
        tasks: dict[Any, batches.Trial] = {}
        for (key, (cell, overrides)), start in zip(pieces.items(), found, strict=True):
            if start.reason is not None:
                done[key] = TaskResult(None, f"its word vectors: {start.reason}")
            elif overrides is None:
                tasks[key] = batches.Trial(cell.config, cell.prepared, start.value)
            else:
                tasks[key] = batches.Training(cell.config, cell.prepared, start.value, overrides)
        return done | batches.do(self.workers, tasks, label)


def _tried(work: _Work, searched: Sequence[Range]) -> Iterator[list[Trial]]:
    """Ask for batches of settings and try them, for all variants side by side, until every one has had its trials."""
    search, monitor = work.config.search, work.config.train.monitor
    samplers = {
        variant: Sampler(searched, search.sampler, search.seed, minimize=monitor == "nll") for variant in work.variants
    }
    for start in range(0, search.trials, search.batch):
        numbers = range(start, min(start + search.batch, search.trials))
        asked = {
            (variant, number): setting
            for variant, sampler in samplers.items()
            for number, setting in zip(numbers, sampler.ask(len(numbers)), strict=True)
        }
        pieces = {
            (*key, cell.seed): (cell, None)
            for key, setting in asked.items()
            for cell in work.cells(key[0], setting, work.config.study.trial_seeds)
        }
        done = work.do(pieces, f"search: settings {numbers[0] + 1} to {numbers[-1] + 1} of {search.trials}")
        batch = [
            _trial(variant, number, setting, [result for key, result in done.items() if key[:2] == (variant, number)])
            for (variant, number), setting in asked.items()
        ]
        for variant, sampler in samplers.items():
            sampler.tell([trial.score for trial in batch if trial.variant == variant])
        yield batch


def _trial(variant: str, number: int, setting: Setting, results: Sequence[TaskResult[Stage]]) -> Trial:
    """A setting with its scores over seeds; one that failed or diverged with any seed has none."""
    reasons = [result.reason or result.get().outcome.get("reason") for result in results]
    reason = next((reason for reason in reasons if reason), None)
    return Trial(variant, number + 1, setting, mean_score(results), reason)


def _pieces(
    work: _Work, searched: Sequence[Range], chosen: Mapping[str, Trial], overrides: Sequence[str]
) -> dict[tuple[str, int, int], tuple[Cell, list[str]]]:
    """The runs with the best and the default setting of every variant, each with the command that repeats it."""
    config = work.config
    default = {range_.key: value_of(config, range_.key) for range_ in searched}
    pieces = {}
    for variant, best in chosen.items():
        embedding = work.variants[variant][0]
        own = default | {key: getattr(embedding, key.partition(".")[2]) for key in default if key[:10] == "embedding."}
        for name, setting in ((variant, best.setting), (f"{variant}{DEFAULT}", own)):
            for cell in work.cells(variant, setting, config.study.seeds):
                cell.config.probe.transfer = []
                cell.config.tracking.keep_embedding = cell.seed == 0
                pieces[name, cell.label_budget, cell.seed] = (cell, _alone(cell, setting, overrides))
    return pieces


def _alone(cell: Cell, setting: Setting, overrides: Sequence[str]) -> list[str]:
    """What to write on the command line to repeat one run of the search by itself."""
    kept = [text for text in overrides if not text.lstrip("+").startswith(("search", *setting))]
    own = cell_overrides(cell.config, cell.variant, kept)
    told = {key: "null" if value is None else value for key, value in setting.items()}
    return [text for text in own if text.partition("=")[0] not in told] + [f"{k}={v}" for k, v in told.items()]


def _report(ended: Ended) -> Path:
    """Name the search's report by what was asked for, and have it written and shown; RunError where runs failed."""
    config = ended.config
    asked = {
        "search": dataclasses.asdict(config.search),
        "variants": [str(variant) for variant in ended.variants.items()],
        "study": [config.study.seeds, config.study.trial_seeds, config.study.pairs, config.study.metric],
        "prepared": sorted(stage.key for stage in ended.prepared.values()),
        "labels": config.data.label_budget,
        "sections": [dataclasses.asdict(section) for section in (config.model, config.cbow, config.ppmi)],
        "train": {k: v for k, v in dataclasses.asdict(config.train).items() if k not in ("device", "threads")},
    }
    identity = asked | {
        "runs": sorted(folder.name for folder in ended.folders.values()),
        "trials": [dataclasses.asdict(trial) for trial in ended.trials],
        "failures": ended.failures,
        "report": [config.study.smallest_effect, config.study.resamples],
        "commands": repeatable(ended.overrides),
        "code": code_key(SEARCHING, LIBRARIES["compare"]),
    }
    budget = config.data.label_budget or "all"
    name = f"{data_name(config.data)}-n{budget}-{config.search.sampler}-{fingerprint(asked)[:8]}"

    def work(folder: Path) -> dict[str, Any]:
        from pipeline.study.search.results import write_search

        return write_search(ended, folder)

    return report(config, name, identity, work, set(ended.folders.values()), ended.failures)
