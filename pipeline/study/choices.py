"""The choice of learning rates and dropout on validation: equal trials for variants, a choice for each seed.

Every seed is a repetition of the whole procedure, its choice included: the trials of the first seeds select the best
settings, and each seed then chooses among these by its own trials on its own resample of the validation tweets.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

from pipeline.config.study_schema import StudyConfig
from pipeline.evaluation.line_search import finalists, next_value, validation_resample
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.worker_pool import TaskResult, WorkerPool
from pipeline.stages.trial import resampled_score, validation_labels
from pipeline.study.design import Cell, Choice, RunKey, Setting, Study, failure
from pipeline.study.jobs import VectorResults, job, run_jobs

K = TypeVar("K", bound=Hashable)
Group = tuple[str, int]  # variant and label budget
Scores = dict[Setting, float | None]  # None where a trial failed or diverged


def choose_settings(
    workers: WorkerPool, study: Study, cells: Sequence[Cell], vectors: VectorResults, label: str = "compare"
) -> tuple[list[Choice], list[dict[str, Any]]]:
    """The choice of every variant at every label budget; and a row for each, or for each seed, that has none.

    `label` opens the lines on progress. Where the study has a single setting, there are no trials.
    """
    groups: dict[Group, list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: -cell.label_budget):  # the longest trials come first
        groups.setdefault((cell.variant, cell.label_budget), []).append(cell)
    settings = {group: grid(study.config.study, members[0]) for group, members in groups.items()}
    scores: dict[Group, Scores] = {group: {} for group in groups}
    reasons: dict[Group, str | None] = {}
    if any(len(of_group) > 1 for of_group in settings.values()) or study.config.study.extra_trials:
        scores, reasons = trial_scores(workers, study, groups, settings, vectors, label)
        count, sign = study.config.study.finalists, _sign(study.config.train.monitor)
        settings = {group: finalists(_by_nearness(scores[group], sign), count) for group in groups}

    candidates = {
        cell.key: {setting: study.with_setting(cell, setting) for setting in settings[group]}
        for group, members in groups.items()
        for cell in members
        if settings[group]
    }
    chosen, failures = choose_by_seed(workers, candidates, vectors, f"{label}: trials of every seed")
    choices = []
    for group, members in groups.items():
        of_seeds = {cell.seed: chosen[cell.key] for cell in members if cell.key in chosen}
        choices.append(Choice(*group, scores[group], of_seeds))
        if not settings[group]:
            failures.append(failure(*group, None, f"no trial of a setting worked: {reasons[group]}"))
    return choices, failures


def trial_scores(
    workers: WorkerPool,
    study: Study,
    groups: Mapping[Group, Sequence[Cell]],
    grids: Mapping[Group, Sequence[Setting]],
    vectors: VectorResults,
    label: str,
) -> tuple[dict[Group, Scores], dict[Group, str | None]]:
    """The mean validation score over the trial seeds of every setting of the grids and of as many further ones.

    The second result says why the first trial without a score has none.
    """
    design, sign = study.config.study, _sign(study.config.train.monitor)
    settings = {group: list(grids[group]) for group in groups}
    scores: dict[Group, Scores] = {group: {} for group in groups}
    reasons: dict[Group, str | None] = {}
    for number in range(1 + design.extra_trials):
        step = f"further trials, {number} of {design.extra_trials}" if number else "trials"
        for group in groups if number else ():
            settings[group].append(next_setting(scores[group], sign))
        jobs = {
            (group, setting, cell.seed): job(study.with_setting(cell, setting), vectors)
            for group, members in groups.items()
            for cell in members[: design.trial_seeds]
            for setting in settings[group]
            if setting not in scores[group]
        }
        results = run_jobs(workers, jobs, f"{label}: {step}")
        for group, setting in dict.fromkeys(key[:2] for key in jobs):
            of_setting = [result for key, result in results.items() if key[:2] == (group, setting)]
            scores[group][setting] = mean_score(of_setting)
            reasons[group] = reasons.get(group) or failure_reason(of_setting)
    return scores, reasons


def choose_by_seed(
    workers: WorkerPool, candidates: Mapping[RunKey, Mapping[K, Cell]], vectors: VectorResults, label: str
) -> tuple[dict[RunKey, K], list[dict[str, Any]]]:
    """For every run the best of its candidates, by trials with its seed on its resample of the validation tweets.

    A single candidate is taken without a trial. The second result is a row for each run without a usable candidate.
    """
    jobs = {
        (key, setting): job(cell, vectors)
        for key, cells in candidates.items()
        for setting, cell in cells.items()
        if len(cells) > 1
    }
    results = run_jobs(workers, jobs, label)
    chosen, failures = {}, []
    for key, cells in candidates.items():
        if len(cells) == 1:
            chosen[key] = next(iter(cells))
            continue
        trials = {setting: results[key, setting] for setting in cells}
        scores = {setting: _resampled(cells[setting], trial) for setting, trial in trials.items()}
        usable = {setting: score for setting, score in scores.items() if score is not None}
        if usable:
            chosen[key] = max(usable, key=lambda setting: usable[setting])
        else:
            reason = failure_reason(list(trials.values()))
            failures.append(failure(*key, f"no trial of a setting worked: {reason}"))
    return chosen, failures


def with_chosen_settings(study: Study, cells: Sequence[Cell], choices: Sequence[Choice]) -> list[Cell]:
    """The cells for which a setting was chosen, with it."""
    chosen = {(c.variant, c.label_budget, seed): setting for c in choices for seed, setting in c.chosen.items()}
    return [study.with_setting(cell, chosen[cell.key]) for cell in cells if cell.key in chosen]


def grid(design: StudyConfig, cell: Cell) -> list[Setting]:
    """Every factor of the learning rates with every dropout rate of the study, each once."""
    configured = cell.config.model.dropout
    dropouts = dict.fromkeys(configured if rate is None else rate for rate in design.dropouts)
    return [Setting(factor, rate) for rate in dropouts for factor in design.lr_factors]


def next_setting(scores: Mapping[Setting, float | None], sign: int = 1) -> Setting:
    """The setting to try next, with the dropout rate of the best one; scores times `sign`: higher is better."""
    usable = _by_nearness(scores, sign)
    dropout = max(usable, key=lambda setting: usable[setting], default=next(iter(scores))).dropout
    return Setting(next_value({s.factor: usable.get(s) for s in scores if s.dropout == dropout}), dropout)


def mean_score(trials: Sequence[TaskResult[Stage]]) -> float | None:
    """The mean validation score of the same trial with several seeds; None where one of them failed or diverged."""
    scores = [None if trial.reason else trial.get().outcome["score"] for trial in trials]
    usable = [float(score) for score in scores if score is not None]
    return sum(usable) / len(usable) if usable and len(usable) == len(scores) else None


def _resampled(cell: Cell, trial: TaskResult[Stage]) -> float | None:
    """The score of a trial on the seed's validation tweets, higher is better; None where it failed or diverged."""
    if trial.reason is not None or trial.get().outcome["score"] is None:
        return None
    labels_N, monitor = validation_labels(cell.prepared), cell.config.train.monitor
    indices_N = validation_resample(len(labels_N), cell.seed)
    return _sign(monitor) * resampled_score(trial.get(), labels_N, indices_N, monitor)


def _by_nearness(scores: Mapping[Setting, float | None], sign: int) -> dict[Setting, float]:
    """The settings with a score, times `sign`; the factor nearest to 1 first, as a ratio, so that it wins a tie."""
    usable = {setting: sign * score for setting, score in scores.items() if score is not None}
    return dict(sorted(usable.items(), key=lambda item: (max(item[0].factor, 1 / item[0].factor), item[0].factor)))


def _sign(monitor: str) -> int:
    return -1 if monitor == "nll" else 1


def failure_reason(trials: Sequence[TaskResult[Stage]]) -> str | None:
    """Why the first trial without a score has none; None where every trial has one."""
    reasons = (trial.reason or trial.get().outcome.get("reason") for trial in trials)
    return next((reason for reason in reasons if reason), None)
