import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pipeline.classifier import engine
from pipeline.classifier.batch import Texts
from pipeline.classifier.metrics import scores
from pipeline.classifier.run_spec import Run, RunResult, Task
from pipeline.config.compose import compose
from pipeline.config.schema import Config
from pipeline.evaluation.probes.convex import GRID, convex_note, convex_reference, is_convex
from pipeline.evaluation.probes.transfer import standardized
from pipeline.stages.learn import RunInputs, run_inputs
from pipeline.stages.prepare import prepare
from pipeline.stages.vectors import cbow

OVERRIDES = (
    *("+experiment=cbow_frozen", "embedding.dim=50", "cbow.epochs=8", "tracking.enabled=false", "workers=1"),
    *("model.dropout=0", "train.monitor=nll", "train.device=cpu", "data.label_budget=3000"),
)
SETTINGS = {
    "sample": ("data=sample",),
    "tweet_eval": ("data=tweet_eval", "data.path={}", "cbow.use_unlabelled=false"),
}


@pytest.fixture(params=list(SETTINGS), scope="module")
def frozen(request, shared, tmp_path_factory) -> tuple[Config, RunInputs]:
    """A frozen CBOW run on 3,000 labels, before training."""
    folder = shared("hub/cardiffnlp/tweet_eval") if request.param == "tweet_eval" else ""
    data = [override.format(folder) for override in SETTINGS[request.param]]
    config = compose([*OVERRIDES, *data, f"paths.root={tmp_path_factory.mktemp('root')}"])
    prepared = prepare(config)
    return config, run_inputs(config, prepared, cbow(config, prepared))


def mean_vectors(inputs: RunInputs) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The mean vector of each tweet, one tweet after the other, and the labels; train: the labelled tweets used."""
    matrix, means, labels = inputs.initial_VE.astype(np.float64), {}, {}
    for name, split in inputs.splits.items():
        rows = inputs.rows if name == "train" else range(len(split))
        ids = [split.ids[split.offsets[row] : split.offsets[row + 1]] for row in rows]
        means[name] = np.array([matrix[tweet].mean(axis=0) if len(tweet) else matrix[0] for tweet in ids])
        labels[name] = np.asarray(split.labels)[list(rows)]
    return means, labels


def trained(config: Config, inputs: RunInputs, *, validation: bool, **train: float | None) -> RunResult:
    texts = {name: Texts.from_arrays(split.ids, split.offsets, split.labels) for name, split in inputs.splits.items()}
    settings = dataclasses.replace(config.train, **train)
    run = Run(inputs.initial_VE, config.embedding, inputs.rows, config.seed, config.model, settings)
    classes = len(np.unique(inputs.splits["train"].labels))
    task = Task(texts["train"], texts["validation"] if validation else None, texts["test"], classes)
    (result,) = engine.train_batch(task, [run])
    assert isinstance(result, RunResult)
    return result


def test_a_run_without_early_stopping_reaches_the_optimum(frozen):
    """The loss has one minimum: the engine and scikit-learn end at the same classifier."""
    config, inputs = frozen
    means, labels = mean_vectors(inputs)
    model = LogisticRegression(C=1e4, solver="newton-cholesky").fit(means["train"], labels["train"])
    reference = scores(labels["test"], model.predict_proba(means["test"]))
    result = trained(config, inputs, validation=False, max_epochs=100, lr_head=0.01)
    assert result.metrics["test/accuracy"] == pytest.approx(reference["accuracy"], abs=0.003)
    assert result.metrics["test/nll"] == pytest.approx(reference["nll"], abs=0.01)


def test_a_run_by_validation_nll_is_as_good_as_the_chosen_regression(frozen):
    config, inputs = frozen
    means, labels = mean_vectors(inputs)
    features = standardized(means)
    solver = {"solver": "newton-cholesky"}
    fits = [LogisticRegression(C=strength, **solver).fit(features["train"], labels["train"]) for strength in GRID]
    validation = [scores(labels["validation"], fit.predict_proba(features["validation"]))["nll"] for fit in fits]
    best = scores(labels["test"], fits[int(np.argmin(validation))].predict_proba(features["test"]))
    reference = convex_reference(inputs.initial_VE, inputs.splits, inputs.rows, "none")
    assert reference is not None
    assert reference["accuracy"] == pytest.approx(best["accuracy"], abs=0.003)
    assert reference["nll"] == pytest.approx(best["nll"], abs=2e-3)
    assert reference["validation_nll"] == pytest.approx(min(validation), abs=1e-3)
    results = [trained(config, inputs, validation=True, lr_head=rate) for rate in (0.001, 0.003, 0.01, 0.03, 0.1)]
    result = min(results, key=lambda result: result.metrics["validation/nll"])
    assert result.metrics["validation/nll"] <= reference["validation_nll"] + 0.005
    tweets = len(labels["test"])  # 12,284 of TweetEval, 1,000 generated ones
    assert result.metrics["test/accuracy"] == pytest.approx(reference["accuracy"], abs=0.003 if tweets > 5000 else 0.01)
    far = reference | {"accuracy": result.metrics["test/accuracy"] + 0.0031}
    assert str(convex_note(far, result, config)).endswith("another way than the penalty C")


@pytest.mark.parametrize(
    ("changes", "loss", "reason"),
    [
        ((), 0.85, "other values of train.lr_head and train.max_epochs"),
        (("model.dropout=0.3",), 0.91, "other values of train.lr_head and train.max_epochs"),
        (("train.max_epochs=3",), 0.85, "compare train.max_epochs=6"),
        (("model.dropout=0.3",), 0.85, "model.dropout=0.3 can under-fit averaged vectors: compare model.dropout=0"),
        (("model.dropout=0.3", "train.monitor=macro_recall"), 0.85, "compare train.monitor=nll"),
        (("model.dropout=0.3",), 0.804, "another way than the penalty C"),
    ],
)
def test_the_note_names_the_reason(changes, loss, reason):
    config = compose(["train.monitor=nll", "model.dropout=0", *changes])
    metrics = {"test/accuracy": 0.6, "validation/nll": loss}
    zeros = np.zeros((2, 2), np.float32)
    result = RunResult(zeros, zeros, {}, np.zeros(2, bool), {}, metrics, [], 3, "cpu", 0.0)
    text = convex_note({"accuracy": 0.61, "validation_nll": 0.8}, result, config)
    assert text is not None
    assert f"accuracy of 0.610 and a validation NLL of 0.800, this run has 0.600 and {loss:.3f}: " in text
    assert text.endswith(reason)
    assert convex_note({"accuracy": 0.602, "validation_nll": 0.8}, result, config) is None


def test_only_frozen_means_are_convex():
    names = ("random_frozen", "cbow_frozen", "random_trainable", "cbow_projected", "cbow_multichannel")
    assert [name for name in names if is_convex(compose([f"embedding={name}"]))] == ["random_frozen", "cbow_frozen"]
    assert not is_convex(compose(["embedding=cbow_frozen", "model=meanmax"]))


def test_no_reference_without_validation_a_class_or_at_too_many_numbers(frozen, monkeypatch):
    _, inputs = frozen
    labels = np.asarray(inputs.splits["train"].labels)
    without = {name: split for name, split in inputs.splits.items() if name != "validation"}
    assert convex_reference(inputs.initial_VE, without, inputs.rows, "none") is None
    assert convex_reference(inputs.initial_VE, inputs.splits, np.flatnonzero(labels == 0), "none") is None
    monkeypatch.setattr("pipeline.evaluation.probes.convex.MAX_WORK", 1)
    assert convex_reference(inputs.initial_VE, inputs.splits, inputs.rows, "none") is None
