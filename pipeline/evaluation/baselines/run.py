"""Fits a baseline: its hyper-parameters chosen on validation, its scores on validation and test.

Shapes: `N` tweets, `C` classes.
"""

import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pipeline.classifier.metrics import score, scores
from pipeline.evaluation import line_search
from pipeline.evaluation.baselines.data import BaselineData, FittedBaseline, FloatArray, IntArray, Split, TrainingSet
from pipeline.evaluation.baselines.fasttext import fasttext
from pipeline.evaluation.baselines.linear import nb_logistic, tfidf_logistic
from pipeline.evaluation.baselines.model2vec import model2vec
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
NAMES = ("majority", "vader", *RECIPES, "model2vec")
SEEDED = ("fasttext", "model2vec")  # a seed changes more than which tweets are labelled
PACKAGES = {"vader": "vaderSentiment", "fasttext": "floret", "model2vec": "model2vec"}


@dataclass(frozen=True)
class Trial:
    """One value of the setting, and its score on validation (None without a validation split)."""

    setting: str
    value: float
    validation_score: float | None
    chosen: bool


@dataclass(frozen=True, eq=False)
class BaselineResult:
    """The outcome of a baseline."""

    probabilities: FloatArray  # of the test tweets, (N, C)
    validation: dict[str, float | None]  # scores of the chosen setting; empty without a validation split
    trials: tuple[Trial, ...]  # every value tried, ascending; none for the baselines outside RECIPES
    parameters: int  # number fitted: coefficients, shares, or entries of matrices
    notes: tuple[str, ...]  # remarks for the reader
    one_hot: bool  # `probabilities` are one-hot predictions without probabilities

    def scores(self, labels_N: IntArray) -> dict[str, float | None]:
        """The five scores on the test labels; `nll` and `ece` are None for one-hot predictions."""
        return _scores(labels_N, self.probabilities, self.one_hot)


def _scores(labels_N: IntArray, probabilities_NC: FloatArray, one_hot: bool) -> dict[str, float | None]:
    result: dict[str, float | None] = {**scores(labels_N, probabilities_NC)}
    return result | dict.fromkeys(("nll", "ece")) if one_hot else result


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
    name: str,
    data: BaselineData,
    seed: int,
    rows: NDArray[np.integer],
    trials: int = 4,
    extra_trials: int = 0,
    finalists: int = 1,
    monitor: str = "nll",
    static_model: str | None = None,
) -> BaselineResult:
    """Fit a baseline on the labelled `rows`, choose its setting on validation, and predict the test split.

    The rule is that of the variants: values of a grid, then `extra_trials` more by `line_search`, each scored by
    `monitor` on validation; the seed chooses among the best on its resample of the validation tweets. Labels of the
    test split are not read. The result is reproducible: one thread is used. `vader` depends on neither seed nor rows;
    of the others, only those of SEEDED depend on the seed itself.

    Parameters
    ----------
    rows : labelled rows of the training split (budget,), from `budget_rows`.
    trials : number of values of the grid, at least 1; as many as each variant tries learning rates.
    finalists : number of best values among which the seed chooses; with 1, the best on all validation tweets.
    static_model : what `model2vec` is fine-tuned from, a hub id or local folder.

    Raises UserError where the baseline cannot run, or has a setting to choose and no validation split.
    """
    if reason := reason_to_skip(name, data.label_names):
        raise UserError(f"baseline {name}: {reason}")
    if name in RECIPES and trials + extra_trials > 1 and data.validation is None:
        raise UserError("a trial needs a validation split: set data.validation_size=0.1")
    tokens = [data.train.tokens[row] for row in rows]
    training = TrainingSet(tokens, data.train.labels[rows], len(data.label_names), seed)
    # With another number of threads, sums over half a million features differ in their last digits.
    with threadpool_limits(1):
        all_trials: tuple[Trial, ...] = ()
        notes: tuple[str, ...] = ()
        if name == "vader":
            model = vader(data.label_names)
        elif name == "majority":
            model = majority(training)
        elif len(np.unique(training.labels)) < 2 or not any(training.tokens):
            notes = ("the labelled tweets have one class, or no tokens: class shares are predicted for every tweet",)
            model = majority(training)
        elif name == "model2vec":
            texts = [data.train.texts[row] for row in rows]
            model = model2vec(texts, training, data.validation, str(static_model))
        else:
            counts = (trials, extra_trials, finalists)
            model, all_trials, notes = _chosen_model(name, data.validation, training, *counts, monitor)
        probabilities_NC = model.probabilities(data.test)
        validation: dict[str, float | None] = {}
        if (split := data.validation) is not None:
            validation = _scores(split.labels, model.probabilities(split), model.one_hot)
    return BaselineResult(
        probabilities_NC, validation, all_trials, model.parameters, (*model.notes, *notes), model.one_hot
    )


def _chosen_model(
    name: str,
    validation: Split | None,
    training: TrainingSet,
    trials: int,
    extra_trials: int,
    finalists: int,
    monitor: str,
) -> tuple[FittedBaseline, tuple[Trial, ...], tuple[str, ...]]:
    """The model with the chosen value of the setting, all trials, and a note where the choice is the last value."""
    recipe = RECIPES[name]
    fit = recipe.prepare(training)
    values = grid(recipe.low, recipe.high, trials)
    if validation is None:
        return fit(values[0]), (Trial(recipe.setting, values[0], None, True),), ()
    labels_N, sign = validation.labels, -1 if monitor == "nll" else 1
    resample_N = line_search.validation_resample(len(labels_N), training.seed)
    models: dict[float, FittedBaseline] = {}  # the best so far: a model may be large
    whole: dict[float, float] = {}  # scores on all validation tweets, higher is better
    resampled: dict[float, float] = {}
    for number in range(trials + extra_trials):
        value = values[number] if number < trials else line_search.next_value(whole)
        models[value] = fit(value)
        probabilities_NC = models[value].probabilities(validation)
        true_N, predicted_N = probabilities_NC[np.arange(len(labels_N)), labels_N], probabilities_NC.argmax(axis=1)
        for scores_of, rows in ((whole, slice(None)), (resampled, resample_N)):
            scores_of[value] = sign * score(monitor, labels_N[rows], predicted_N[rows], true_N[rows])
        models = {value: models[value] for value in line_search.finalists(whole, finalists)}
    best = max(models, key=lambda value: resampled[value]) if finalists > 1 else next(iter(models))
    ascending = sorted(whole)
    ends = {ascending[0]: "smallest", ascending[-1]: "largest"} if len(ascending) > 1 else {}
    notes = (f"{recipe.setting}={best:g} is the {ends[best]} of {len(ascending)} values tried",) if best in ends else ()
    all_trials = tuple(Trial(recipe.setting, value, sign * whole[value], value == best) for value in ascending)
    return models[best], all_trials, notes


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
