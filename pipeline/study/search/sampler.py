"""The sampler of settings (optuna): the same sequence for the same seed, batch size and scores."""

import warnings
from collections.abc import Sequence
from importlib import util
from typing import Any

from pipeline.runtime.errors import UserError
from pipeline.study.search.space import Range


def require_optuna() -> None:
    """Raise UserError where optuna is not installed."""
    if util.find_spec("optuna") is None:
        raise UserError("stage=search needs the extra 'search': ./scripts/setup search")


class Sampler:
    """The settings of one variant, by optuna's ask-and-tell interface.

    kind : `random` (independent draws) or `tpe` (optuna's tree-structured Parzen estimator, Bergstra et al. 2011: its
        first ten settings are random, later ones follow the better scores so far).
    minimize : whether lower scores are better.
    """

    def __init__(self, ranges: Sequence[Range], kind: str, seed: int, *, minimize: bool) -> None:
        require_optuna()
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._ranges = ranges
        with warnings.catch_warnings():
            # optuna 4 calls this option experimental. Without it, the settings of a batch may be near copies.
            warnings.simplefilter("ignore")
            if kind == "tpe":
                sampler: Any = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            else:
                sampler = optuna.samplers.RandomSampler(seed=seed)
        self._study = optuna.create_study(sampler=sampler, direction="minimize" if minimize else "maximize")
        self._pending: list[Any] = []

    def ask(self, count: int) -> list[dict[str, Any]]:
        """The next settings; the scores of earlier ones must have been told."""
        self._pending = [self._study.ask() for _ in range(count)]
        return [{range_.key: _suggested(trial, range_) for range_ in self._ranges} for trial in self._pending]

    def tell(self, scores: Sequence[float | None]) -> None:
        """The scores of the settings asked last, in order; None, of one that diverged, counts below all scores."""
        from optuna.trial import TrialState

        for trial, score in zip(self._pending, scores, strict=True):
            self._study.tell(trial, score, state=TrialState.PRUNED if score is None else TrialState.COMPLETE)


def _suggested(trial: Any, range_: Range) -> Any:
    """A value of `range_`; numbers are rounded to four digits, so that they are easy to read and to repeat."""
    if range_.choices:
        return range_.choices[trial.suggest_categorical(range_.key, range(len(range_.choices)))]
    if range_.whole:
        return trial.suggest_int(range_.key, int(range_.low), int(range_.high), log=range_.log)
    value = trial.suggest_float(range_.key, range_.low, range_.high, log=range_.log)
    return min(max(float(f"{value:.4g}"), range_.low), range_.high)
