"""Fits a baseline: its hyper-parameters chosen on validation, its scores on validation and test.

Shapes: `N` tweets, `C` classes.
"""

import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pipeline.classifier.metrics import scores
from pipeline.evaluation.baselines.data import BaselineData, FittedBaseline, FloatArray, IntArray, Split, TrainingSet
from pipeline.evaluation.baselines.fasttext import fasttext
from pipeline.evaluation.baselines.linear import nb_logistic, tfidf_logistic
from pipeline.evaluation.baselines.vader import polarity_classes, vader
from pipeline.runtime.errors import UserError, nearest


@dataclass(frozen=True)
class Recipe:
    """A baseline with a setting: the setting's name, the range of its values, and the function that fits one."""

    setting: str
    low: float
    high: float
    prepare: Callable[[TrainingSet], Callable[[float], FittedBaseline]]


# The best values on validation lie in these ranges, from 100 to 45,615 labels (NLTK's tweets, TweetEval sentiment).
RECIPES = {
    "tfidf_logistic": Recipe("C", 1, 100, tfidf_logistic),
    "nb_logistic": Recipe("C", 0.1, 10, nb_logistic),
    "fasttext": Recipe("lr", 0.02, 1, fasttext),
}
NAMES = ("majority", "vader", *RECIPES)
PACKAGES = {"vader": "vaderSentiment", "fasttext": "floret"}


@dataclass(frozen=True)
class Trial:
    """One value of the setting, and its macro recall on validation (None without a validation split)."""

    setting: str
    value: float
    validation_macro_recall: float | None
    chosen: bool


@dataclass(frozen=True, eq=False)
class BaselineResult:
    """The outcome of a baseline."""

    probabilities: FloatArray  # of the test tweets, (N, C)
    validation_macro_recall: float | None  # of the chosen setting; None without a validation split
    trials: tuple[Trial, ...]  # every value tried, ascending; none for `majority` and `vader`
    parameters: int  # number fitted: coefficients, shares, or entries of fastText's matrices
    notes: tuple[str, ...]  # remarks for the reader
    one_hot: bool  # `probabilities` are one-hot predictions without probabilities

    def scores(self, labels_N: IntArray) -> dict[str, float | None]:
        """The five scores on the test labels; `nll` and `ece` are None for one-hot predictions."""
        result: dict[str, float | None] = {**scores(labels_N, self.probabilities)}
        return result | dict.fromkeys(("nll", "ece")) if self.one_hot else result


def reason_to_skip(name: str, label_names: Sequence[str]) -> str | None:
    """Why a baseline cannot run on this machine or for these labels; None where it can.

    Raises UserError for an unknown name.
    """
    if name not in NAMES:
        raise UserError(f"study.baselines: no baseline {name!r}{nearest(name, NAMES)}")
    package = PACKAGES.get(name)
    if package and importlib.util.find_spec(package) is None:
        return f"the package {package} is not installed"
    if name == "vader" and polarity_classes(label_names) is None:
        names = ", ".join(label_names[:5]) + (", …" if len(label_names) > 5 else "")
        return f"it predicts negative, neutral and positive; the labels are {names}"
    return None


def run_baseline(
    name: str, data: BaselineData, seed: int, rows: NDArray[np.integer], trials: int = 4
) -> BaselineResult:
    """Fit a baseline on the labelled `rows`, choose its setting on validation, and predict the test split.

    Labels of the test split are not read. The result is reproducible: one thread is used. `vader` depends on neither
    seed nor rows; of the others, only `fasttext` depends on the seed itself.

    Parameters
    ----------
    rows : labelled rows of the training split (budget,), from `budget_rows`.
    trials : number of values of the setting to try, at least 1; as many as each variant tries learning rates.

    Raises UserError where the baseline cannot run, or has a setting to choose and no validation split.
    """
    if reason := reason_to_skip(name, data.label_names):
        raise UserError(f"baseline {name}: {reason}")
    if name in RECIPES and trials > 1 and data.validation is None:
        raise UserError("a trial needs a validation split: set data.validation_size=0.1")
    tokens = [data.train.tokens[row] for row in rows]
    training = TrainingSet(tokens, data.train.labels[rows], len(data.label_names), seed)
    settings: list[tuple[float | None, float | None]] = []  # value, score on validation
    best = 0
    # With another number of threads, sums over half a million features differ in their last digits.
    with threadpool_limits(1):
        for value, model in _candidates(name, data.label_names, training, trials):
            score = None
            if (split := data.validation) is not None:
                score = scores(split.labels, model.probabilities(split))["macro_recall"]
            if not settings or (score or 0) > (settings[best][1] or 0):  # of equal scores the first, most regularised
                best, best_model = len(settings), model
            settings.append((value, score))
        probabilities_NC = best_model.probabilities(data.test)
    notes = list(best_model.notes)
    if len(settings) > 1 and best in (0, len(settings) - 1):
        end = "largest" if best else "smallest"
        notes.append(f"{RECIPES[name].setting}={settings[best][0]:g} is the {end} of {len(settings)} values tried")
    all_trials = tuple(
        Trial(RECIPES[name].setting, value, score, number == best)
        for number, (value, score) in enumerate(settings)
        if value is not None
    )
    model, score = best_model, settings[best][1]
    return BaselineResult(probabilities_NC, score, all_trials, model.parameters, tuple(notes), model.one_hot)


def _candidates(
    name: str, label_names: Sequence[str], training: TrainingSet, trials: int
) -> Iterator[tuple[float | None, FittedBaseline]]:
    """Yield every value of the setting with its fitted model; the value is None for a method without a setting."""
    if name == "vader":
        yield None, vader(label_names)
    elif name == "majority":
        yield None, majority(training)
    elif len(np.unique(training.labels)) == 1 or not any(training.tokens):
        note = "the labelled tweets have one class, or no tokens: class shares are predicted for every tweet"
        yield None, replace(majority(training), notes=(note,))
    else:
        recipe = RECIPES[name]
        fit = recipe.prepare(training)
        for value in grid(recipe.low, recipe.high, trials):
            yield value, fit(value)


def majority(training: TrainingSet) -> FittedBaseline:
    """Predict the class shares of the training rows for every tweet; of equally frequent classes, the first wins.

    The parameters are C - 1 free shares.
    """
    counts_C = np.bincount(training.labels, minlength=training.classes)
    shares_C = (counts_C / counts_C.sum()).astype(np.float32)

    def probabilities(split: Split) -> FloatArray:
        return np.tile(shares_C, (len(split.labels), 1))

    return FittedBaseline(probabilities, training.classes - 1)


def grid(low: float, high: float, trials: int) -> list[float]:
    """Values at equal ratios from `low` to `high`, to three digits; a single value is their geometric mean."""
    values = np.geomspace(low, high, trials) if trials > 1 else [math.sqrt(low * high)]
    return [float(f"{value:.3g}") for value in values]
