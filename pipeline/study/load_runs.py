"""What a study's records hold, as the frames and arrays that its comparison is made from."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.prediction.trained_model import load_embedding
from pipeline.runtime.files import read_json
from pipeline.study.design import StudyRuns
from pipeline.study.report.examples import disagreements
from pipeline.study.report.word_map import word_map
from pipeline.study.statistics.frames import Cell, Outcomes
from pipeline.tracking.read_record import load_predicted_labels, load_predictions
from pipeline.tracking.run_record import StoredRun

Key = tuple[str, int, int]  # variant (or baseline), label budget, seed
UNTOUCHED = ("data.label_budget", "seed", "cbow.seed", "train.lr_head", "train.lr_embedding", "cbow.vector_size")
MADE_FOR = (
    *("embedding.", "probe.transfer", "tracking.", "workers", "force", "stage", "study.", "paths."),
    *("data.path", "cbow.extra_text", "probe.similarity_files"),  # what is read there is part of what names a run
)


def predictions(finished: StudyRuns) -> tuple[NDArray[np.int64], dict[Cell, dict[int, NDArray[np.int64]]]]:
    """True labels of the test split, and predicted ones of every run and baseline."""
    predictions: dict[Cell, dict[int, NDArray[np.int64]]] = {}
    labels = np.empty(0, np.int64)
    for (variant, budget, seed), folder in sorted(finished.folders.items()):
        labels, predicted = load_predicted_labels(folder)
        predictions.setdefault((variant, budget), {})[seed] = predicted
    for (name, budget, seed), stage in sorted(finished.baselines.items()):
        predictions.setdefault((name, budget), {})[seed] = np.load(stage.folder / "predicted.npy").astype(np.int64)
    return labels, predictions


def run_frame(finished: StudyRuns, records: Mapping[Key, StoredRun]) -> pd.DataFrame:
    """`StudyResults.runs`."""
    factors = {(choice.variant, choice.label_budget): choice.factor for choice in finished.choices}
    rows = []
    for (variant, budget, seed), record in records.items():
        row = {"kind": "variant", "variant": variant, "label_budget": budget, "seed": seed}
        row |= {"run": record.header["name"], "lr_factor": factors[variant, budget]}
        rows.append(row | {"chosen_epoch": record.header["chosen_epoch"]} | record.metrics)
    for (name, budget, seed), stage in sorted(finished.baselines.items()):
        row = {"kind": "baseline", "variant": name, "label_budget": budget, "seed": seed, "run": stage.key}
        rows.append(row | stage.outcome["metrics"])
    return pd.DataFrame(rows)


def parameters(runs: pd.DataFrame) -> dict[Cell, tuple[float | None, float | None]]:
    """Trainable and total parameters of each cell: the mean over seeds, as a baseline's words depend on its tweets."""
    means = runs.groupby(["variant", "label_budget"])[["params/trainable", "params/total"]].mean()
    return {
        (str(variant), int(budget)): tuple(None if pd.isna(value) else float(value) for value in values)  # type: ignore[misc]
        for (variant, budget), values in zip(means.index, means.to_numpy(), strict=True)
    }


def trial_frame(finished: StudyRuns) -> pd.DataFrame:
    """`StudyResults.trials`."""
    train = finished.config.train
    rows = [
        {
            "variant": choice.variant,
            "label_budget": choice.label_budget,
            "factor": factor,
            "lr_head": float(f"{train.lr_head * factor:.6g}"),
            "lr_embedding": float(f"{train.lr_embedding * factor:.6g}"),
            "score": score,
            "chosen": factor == choice.factor,
            "edge": factor == choice.factor and choice.at_edge,
        }
        for choice in finished.choices
        for factor, score in sorted(choice.scores.items())
    ]
    columns = ["variant", "label_budget", "factor", "lr_head", "lr_embedding", "score", "chosen", "edge"]
    return pd.DataFrame(rows, columns=columns)


def different_keys(records: Mapping[Key, StoredRun]) -> list[str]:
    """Keys outside `embedding` whose value differs between runs, those that the study varies on purpose aside.

    How vectors are made counts among the runs that start from them.
    """
    flat = [_flat(record.config) for record in records.values()]
    keys = sorted({key for values in flat for key in values})
    found = []
    for key in keys:
        if key in UNTOUCHED or key.startswith(MADE_FOR):
            continue
        init = key.partition(".")[0]
        concerned = [run for run in flat if init not in ("cbow", "ppmi") or run["embedding.init"] == init]
        if len({repr(values.get(key)) for values in concerned}) > 1:
            found.append(key)
    return found


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def probe_tables(finished: StudyRuns, name: str, budget: int) -> dict[str, list[list[dict[str, str]]]]:
    """A probe's table of every seed of each variant at a budget."""
    found: dict[str, list[list[dict[str, str]]]] = {}
    for (variant, n, _), folder in sorted(finished.folders.items()):
        if n == budget:
            found.setdefault(variant, []).append(_read_csv(folder / f"{name}.csv"))
    return {variant: found[variant] for variant in finished.variants if variant in found}


def _read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def changed_words(finished: StudyRuns, budget: int) -> pd.DataFrame:
    """`StudyResults.changed`."""
    rows = []
    for variant in finished.variants:
        folder = finished.folders.get((variant, budget, 0))
        for row in _read_csv(folder / "most_changed.csv") if folder else []:
            numbers = {key: float(row[key]) if row[key] else None for key in ("count", "drift", "relative_l2")}
            rows.append({"variant": variant, "word": row["word"]} | numbers | {"direction": float(row["score"])})
    return pd.DataFrame(rows, columns=["variant", "word", "count", "drift", "relative_l2", "direction"])


def map_of_words(finished: StudyRuns, budget: int) -> dict[str, Any]:
    """`StudyResults.words_map`, of the variants that share the first one's vocabulary and kept their embedding."""
    from pipeline.evaluation.probes.opinion_words import opinion_words, resolve_opinion_words

    kind = resolve_opinion_words(finished.config.probe.polarity, finished.config.data.source)
    opinions = opinion_words(kind) if kind else {}
    matrices, vocabulary = {}, None
    mode = next(iter(finished.variants.values()))[1]
    for variant in (name for name, (_, own) in finished.variants.items() if own == mode):
        folder = finished.folders.get((variant, budget, 0))
        if folder and (folder / "vocabulary.json").exists():
            vocabulary = vocabulary or read_json(folder / "vocabulary.json")
            matrices[variant] = load_embedding(folder)
    if vocabulary is None:
        return {}
    return word_map(
        vocabulary["words"], vocabulary["counts"], opinions, finished.config.probe.neighbour_words, matrices
    )


def example_tweets(
    finished: StudyRuns, outcomes: Outcomes, planned: Sequence[tuple[str, str]], label_names: Sequence[str]
) -> pd.DataFrame:
    """`StudyResults.examples`."""
    budget = outcomes.budgets[-1]
    columns = {
        name: outcomes.predictions[name, budget] for name in finished.variants if (name, budget) in outcomes.predictions
    }
    folder = next((folder for (_, n, _), folder in sorted(finished.folders.items()) if n == budget), None)
    pair = next((pair for pair in planned if set(pair) <= set(columns)), None)
    if folder is None or pair is None:
        return pd.DataFrame()
    texts = load_predictions(folder)["test"].texts
    return disagreements(texts, outcomes.labels, columns, (pair[0], pair[1]), label_names)
