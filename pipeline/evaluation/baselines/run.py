"""The one door to the baselines: settings are tried on validation, then the test split is read once.

Shapes: `N` tweets, `C` classes.
"""

import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pipeline.classifier.metrics import scores
from pipeline.evaluation.baselines.data import BaselineData, FloatArray, IntArray, Model, Split, Training
from pipeline.evaluation.baselines.fasttext import fasttext
from pipeline.evaluation.baselines.linear import nb_logistic, tfidf_logistic
from pipeline.evaluation.baselines.majority import majority
from pipeline.evaluation.baselines.vader import polarity_classes, vader
from pipeline.runtime.errors import UserError, nearest

MONITOR = "macro_recall"
NEEDS_PROBABILITIES = ("nll", "ece")


@dataclass(frozen=True)
class Recipe:
    """A baseline with a setting: what it is called, the range that trials cover, how a value is fitted."""

    setting: str
    low: float
    high: float
    prepare: Callable[[Training], Callable[[float], Model]]


# The ranges in which validation found its best values, from 100 to 45,615 labels (NLTK's tweets, TweetEval sentiment).
RECIPES = {
    "tfidf_logistic": Recipe("C", 1, 100, tfidf_logistic),
    "nb_logistic": Recipe("C", 0.1, 10, nb_logistic),
    "fasttext": Recipe("lr", 0.02, 1, fasttext),
}
NAMES = ("majority", "vader", *RECIPES)
PACKAGES = {"vader": "vaderSentiment", "fasttext": "floret"}


@dataclass(frozen=True)
class Trial:
    """One setting that was tried, and its macro recall on validation (None without a validation split)."""

    setting: str
    value: float
    validation_macro_recall: float | None
    chosen: bool


@dataclass(frozen=True, eq=False)
class BaselineResult:
    """What a baseline leaves.

    Attributes
    ----------
    probabilities : of the test tweets, (N, C).
    validation_macro_recall : of the chosen setting; None without a validation split.
    trials : every setting tried, ascending; none for `majority` and `vader`.
    parameters : numbers fitted: coefficients, shares, or rows of fastText's matrices times their dimensions.
    seconds : wall time of all trials and the prediction.
    notes : what a reader should know.
    decides_only : the rows of `probabilities` are one-hot decisions.
    """

    name: str
    probabilities: FloatArray
    validation_macro_recall: float | None
    trials: tuple[Trial, ...]
    parameters: int
    seconds: float
    notes: tuple[str, ...]
    decides_only: bool

    def scores(self, labels_N: IntArray) -> dict[str, float | None]:
        """The five scores on the test labels; `nll` and `ece` are None for decisions without probabilities."""
        found: dict[str, float | None] = {**scores(labels_N, self.probabilities)}
        return found | dict.fromkeys(NEEDS_PROBABILITIES) if self.decides_only else found


def applicable(name: str, label_names: Sequence[str]) -> str | None:
    """Why a baseline is left out on this machine or for these labels; None where it applies.

    An unknown name is a UserError.
    """
    if name not in NAMES:
        raise UserError(f"study.baselines: no baseline {name!r}{nearest(name, NAMES)}")
    package = PACKAGES.get(name)
    if package and importlib.util.find_spec(package) is None:
        return f"the package {package} is not installed"
    if name == "vader" and polarity_classes(label_names) is None:
        shown = ", ".join(label_names[:5]) + (", …" if len(label_names) > 5 else "")
        return f"it tells negative, neutral and positive; the labels are {shown}"
    return None


def run_baseline(
    name: str, data: BaselineData, seed: int, rows: NDArray[np.integer], trials: int = 4
) -> BaselineResult:
    """Fit a baseline on the labelled `rows`, choose its setting on validation, and predict the test split.

    Labels of the test split are not looked at. The same arguments give the same numbers: one thread is used.
    `vader` depends on neither seed nor rows; of the others, the seed itself matters to `fasttext` alone.

    Parameters
    ----------
    name : one of NAMES.
    data : all splits, tokens as the neural variants get them.
    seed : of the run.
    rows : labelled rows of the training split (budget,), as `budget_rows` gives them.
    trials : values of the setting to try, from 1: as many as the learning rates that each variant tries.

    Raises
    ------
    UserError
        The baseline does not apply, or there are settings to choose and no validation split.
    """
    if reason := applicable(name, data.label_names):
        raise UserError(f"baseline {name}: {reason}")
    if name in RECIPES and trials > 1 and data.validation is None:
        raise UserError("a trial needs a validation split: set data.validation_size=0.1")
    started = perf_counter()
    labelled = Training([data.train.tokens[row] for row in rows], data.train.labels[rows], len(data.label_names), seed)
    tried: list[tuple[float | None, float | None]] = []
    chosen = 0
    # Sums over half a million features end in other digits with another number of threads.
    with threadpool_limits(1):
        for value, model in _candidates(name, data.label_names, labelled, trials):
            score = None if data.validation is None else _score(model, data.validation)
            if not tried or (score or 0) > (tried[chosen][1] or 0):  # the first, most cautious of equal ones
                chosen, kept = len(tried), model
            tried.append((value, score))
        probabilities_NC = kept.probabilities(data.test)
    notes = list(kept.notes)
    if len(tried) > 1 and chosen in (0, len(tried) - 1):
        end = "largest" if chosen else "smallest"
        notes.append(f"{RECIPES[name].setting}={tried[chosen][0]:g} is the {end} of {len(tried)} values tried")
    return BaselineResult(
        name,
        probabilities_NC,
        tried[chosen][1],
        tuple(
            Trial(RECIPES[name].setting, value, score, place == chosen)
            for place, (value, score) in enumerate(tried)
            if value is not None
        ),
        kept.parameters,
        perf_counter() - started,
        tuple(notes),
        kept.decides_only,
    )


def _candidates(
    name: str, label_names: Sequence[str], labelled: Training, trials: int
) -> Iterator[tuple[float | None, Model]]:
    """Yield every value of the setting with the model it gives; None for a method without one."""
    if name == "vader":
        yield None, vader(label_names)
    elif name == "majority":
        yield None, majority(labelled)
    elif len(np.unique(labelled.labels)) == 1 or not any(labelled.tokens):
        note = "the labelled tweets hold one class, or no token: every tweet gets their class shares"
        yield None, replace(majority(labelled), notes=(note,))
    else:
        recipe = RECIPES[name]
        fit = recipe.prepare(labelled)
        for value in grid(recipe.low, recipe.high, trials):
            yield value, fit(value)


def _score(model: Model, split: Split) -> float:
    return scores(split.labels, model.probabilities(split))[MONITOR]


def grid(low: float, high: float, trials: int) -> list[float]:
    """Values at equal ratios from `low` to `high`, to three digits; a single one is their geometric mean."""
    values = np.geomspace(low, high, trials) if trials > 1 else [math.sqrt(low * high)]
    return [float(f"{value:.3g}") for value in values]
