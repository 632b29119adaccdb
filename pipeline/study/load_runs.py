"""Records of runs -> data frames and arrays: predictions, metrics, learning-rate trials, probe tables."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.classifier.metrics import confusion_matrix
from pipeline.config.variants import without_amount
from pipeline.data.label_budget import budget_rows
from pipeline.evaluation.probes.unseen_tokens import bins, unseen_shares
from pipeline.prediction.trained_model import load_embedding
from pipeline.runtime.files import flatten, read_csv, read_json
from pipeline.stages.corpus_selection import TRAIN, selected_sources
from pipeline.study.design import INITS, RunKey, Study
from pipeline.study.report.examples import disagreements
from pipeline.study.report.phrases import difference_of
from pipeline.study.report.word_map import word_map
from pipeline.study.statistics.frames import LEARNED, Cell, Outcomes
from pipeline.study.statistics.probe_frames import TransferHits
from pipeline.study.study_runs import StudyRuns
from pipeline.text.encoded_split import EncodedSplit
from pipeline.tracking.read_record import load_predictions, load_test_probabilities, read_record
from pipeline.tracking.run_record import StoredRun

KEY = ("variant", "label_budget", "seed")  # names the parts of a `RunKey`
# Keys that every study varies on purpose.
VARIED = (
    *("data.label_budget", "seed", "cbow.seed", "cbow.vector_size"),
    *("train.lr_head", "train.lr_embedding", "model.dropout"),
)
# Keys that do not change a run's numbers, or whose contents are compared by fingerprint.
NOT_COMPARED = (
    *("embedding.", "probe.transfer", "tracking.", "workers", "force", "stage", "study.", "paths."),
    *("data.path", "cbow.extra_text", "probe.similarity_files"),
)
Records = Mapping[RunKey, StoredRun]


def read_records(runs: StudyRuns) -> dict[RunKey, StoredRun]:
    """The record of every run, in the order of the variants, then by label budget and seed."""
    order = list(runs.study.variants)
    keys = sorted(runs.folders, key=lambda key: (order.index(key[0]), *key))
    return {key: read_record(runs.folders[key]) for key in keys}


def load_outcomes(runs: StudyRuns) -> Outcomes:
    """True labels of the test split, and what every run and baseline predicted."""
    predictions: dict[Cell, dict[int, NDArray[np.int64]]] = {}
    probabilities: dict[Cell, dict[int, NDArray[np.float32]]] = {}
    labels = np.empty(0, np.int64)
    for (variant, budget, seed), folder in sorted(runs.folders.items()):
        labels, probabilities_NC = load_test_probabilities(folder)
        probabilities.setdefault((variant, budget), {})[seed] = probabilities_NC
        predictions.setdefault((variant, budget), {})[seed] = probabilities_NC.argmax(axis=1)
    for (name, budget, seed), stage in sorted(runs.baselines.items()):
        probabilities_NC = np.load(stage.folder / "probabilities.npy")
        predictions.setdefault((name, budget), {})[seed] = probabilities_NC.argmax(axis=1)
        if stage.outcome["metrics"]["test/nll"] is not None:  # None: classes without probabilities
            probabilities.setdefault((name, budget), {})[seed] = probabilities_NC
    baselines = frozenset(name for name, _, _ in runs.baselines)
    study = runs.study.config.study
    return Outcomes(labels, predictions, baselines, study.metric, study.resamples, probabilities)


def run_frame(runs: StudyRuns, records: Records) -> pd.DataFrame:
    """`StudyResults.runs`."""
    chosen = {(c.variant, c.label_budget, seed): setting for c in runs.choices for seed, setting in c.chosen.items()}
    rows = []
    for key, record in records.items():
        factor, dropout = chosen.get(key, (None, None))
        own = {"run": record.header["name"], "lr_factor": factor, "dropout": dropout}
        own |= {"chosen_epoch": record.header["chosen_epoch"], **record.metrics}
        rows.append({"kind": "variant", **dict(zip(KEY, key, strict=True)), **own})
    for key, stage in sorted(runs.baselines.items()):
        own = {"run": stage.key, **stage.outcome["metrics"]}
        rows.append({"kind": "baseline", **dict(zip(KEY, key, strict=True)), **own})
    return pd.DataFrame(rows)


def parameters(runs: pd.DataFrame) -> dict[Cell, tuple[float | None, float | None]]:
    """Trainable and total parameters of each cell: the mean over seeds, as a baseline's words depend on its tweets."""
    means = runs.groupby(["variant", "label_budget"])[["params/trainable", "params/total"]].mean()
    present = means.astype(object).where(means.notna(), None)
    return {(str(row[0]), int(row[1])): row[2:] for row in present.reset_index().itertuples(index=False, name=None)}


def trial_frame(runs: StudyRuns) -> pd.DataFrame:
    """`StudyResults.trials`."""
    rows = []
    for choice in runs.choices:
        seeds = Counter(choice.chosen.values())
        for setting, score in sorted(choice.scores.items()):
            rates = list(setting.values(runs.study.variants[choice.variant].config).values())[:2]
            edge = seeds[setting] > 0 and choice.at_edge(setting)
            rows.append((choice.variant, choice.label_budget, *setting, *rates, score, seeds[setting], edge))
    columns = ["variant", "label_budget", "factor", "dropout", "lr_head", "lr_embedding", "score", "seeds", "edge"]
    return pd.DataFrame(rows, columns=columns)


def failure_frame(runs: StudyRuns) -> pd.DataFrame:
    """`StudyResults.failures`."""
    # Seeds are text, as a frame would write a whole number beside a missing one as 0.0.
    rows = [row | {"seed": "all" if row["seed"] is None else f"{row['seed']}"} for row in runs.failures]
    return pd.DataFrame(rows, columns=["variant", "label_budget", "seed", "reason"])


def different_keys(records: Records, varied: Sequence[str]) -> list[str]:
    """Keys outside `embedding` whose value differs between runs although the study does not vary them.

    The settings of vectors, such as CBOW's, are compared among the runs that start from them.
    """
    configs = [flatten(record.config) for record in records.values()]

    def values(key: str) -> set[str]:
        init = INITS.get(key.partition(".")[0], "")
        compared = [c for c in configs if init in c["embedding.init"]] if init else configs
        return {repr(config.get(key)) for config in compared}

    keys = {key for config in configs for key in config} - {*varied, *VARIED}
    return sorted(key for key in keys if not key.startswith(NOT_COMPARED) and len(values(key)) > 1)


def amount_frame(study: Study, differences: pd.DataFrame) -> pd.DataFrame:
    """`StudyResults.amounts`, from the leads among `differences`."""
    amounts: dict[str, dict[int, str]] = {}
    for name, variant in study.variants.items():
        config, corpus = variant.config, study.prepared[name].outcome["corpus"]["sources"]
        if {"cbow", "ppmi"} & {*config.embedding.inits}:
            sources = selected_sources(config, [source for source, _, _ in corpus])
            texts = sum(lines for source, lines, _ in corpus if source != TRAIN and source in sources)
            size = config.cbow.unlabelled_texts
            amounts.setdefault(without_amount(name), {})[texts if size is None else size] = name
    rows = []
    for base, names in amounts.items():
        for size, name in sorted(names.items()) if len(names) > 1 else ():
            for budget in sorted(set(differences["label_budget"])):
                if lead := difference_of(differences, name, LEARNED, budget):
                    rows.append((base, size, name, budget, lead.seeds, lead.mean, lead.low, lead.high))
    columns = ["variant", "unlabelled_texts", "a", "label_budget", "n", "mean", "low", "high"]
    return pd.DataFrame(rows, columns=columns) if rows else pd.DataFrame()


def outcome_read(study: Study, outcome: Mapping[str, Any]) -> dict[str, Any]:
    """The outcome of a transfer task, its `overlap` without sources that no CBOW of the study reads."""
    names = {"own_train", TRAIN}
    for variant in study.variants.values():
        if "cbow" in variant.config.embedding.inits and not variant.config.cbow.without_transfer:
            names |= {*selected_sources(variant.config, [*outcome["overlap"]])}
    return {**outcome, "overlap": {name: counts for name, counts in outcome["overlap"].items() if name in names}}


def probe_tables(runs: StudyRuns, name: str, budget: int) -> dict[str, list[list[dict[str, str]]]]:
    """A probe's table of every seed of each variant at a label budget."""
    tables: dict[str, list[list[dict[str, str]]]] = {}
    for (variant, tweets, _), folder in sorted(runs.folders.items()):
        if tweets == budget:
            tables.setdefault(variant, []).append(read_csv(folder / f"{name}.csv"))
    return {variant: tables[variant] for variant in runs.study.variants if variant in tables}


def tweets_by_unseen(runs: StudyRuns) -> dict[RunKey, dict[str, NDArray[np.bool_]]]:
    """Test tweets (N,) of every run in each bin of their share of tokens that no labelled tweet has."""

    @cache
    def tweets(folder: Path, budget: int, seed: int) -> dict[str, NDArray[np.bool_]]:
        train, test = (EncodedSplit.open(folder, split) for split in ("train", "test"))
        labelled = np.zeros(len(train), bool)
        labelled[budget_rows(train.labels, budget if budget < len(train) else None, seed)] = True
        touched = np.zeros(1 + max(train.ids.max(initial=0), test.ids.max(initial=0)), bool)
        touched[train.ids[np.repeat(labelled, np.diff(train.offsets))]] = True
        return {name: members for _, name, members in bins(unseen_shares(test.ids, test.offsets, touched))}

    return {key: tweets(runs.study.prepared[key[0]].folder, *key[1:]) for key in runs.folders}


def transfer_hits(runs: StudyRuns, budget: int) -> dict[str, TransferHits]:
    """Each transfer task's test labels, and which of them every run predicted, before and after training."""
    hits = {task: TransferHits(np.load(stage.folder / "test.labels.npy"), {}) for task, stage in runs.transfers.items()}
    for (variant, tweets, seed), folder in sorted(runs.folders.items()):
        for row in read_csv(folder / "transfer.csv") if hits and tweets == budget else []:
            for when in ("before", "after"):
                by_seed = hits[row["task"]].hits.setdefault((variant, when), {})
                by_seed[seed] = np.frombuffer(row[when].encode(), np.uint8) == ord("1")
    return hits


def changed_words(runs: StudyRuns, budget: int) -> pd.DataFrame:
    """`StudyResults.changed`."""
    rows = []
    for variant in runs.study.variants:
        folder = runs.folders.get((variant, budget, 0))
        for row in read_csv(folder / "most_changed.csv") if folder else []:
            numbers = {key: float(row[key]) if row[key] else None for key in ("count", "drift", "relative_l2")}
            rows.append({"variant": variant, "word": row["word"]} | numbers | {"direction": float(row["score"])})
    return pd.DataFrame(rows, columns=["variant", "word", "count", "drift", "relative_l2", "direction"])


def map_of_words(runs: StudyRuns, budget: int) -> dict[str, Any]:
    """`StudyResults.words_map`, of the variants with the first one's vocabulary whose embedding is stored."""
    from pipeline.evaluation.probes.opinion_words import opinion_words, resolve_opinion_words

    config, variants = runs.study.config, runs.study.variants
    kind = resolve_opinion_words(config.probe.polarity, config.data.source)
    opinions = opinion_words(kind) if kind else {}
    prepared = runs.study.prepared
    folders = {
        name: runs.folders.get((name, budget, 0))
        for name in variants
        if prepared[name].key == prepared[next(iter(variants))].key
    }
    stored = {name: folder for name, folder in folders.items() if folder and (folder / "vocabulary.json").exists()}
    if not stored:
        return {}
    vocabulary = read_json(next(iter(stored.values())) / "vocabulary.json")
    matrices = {name: load_embedding(folder) for name, folder in stored.items()}
    return word_map(vocabulary["words"], vocabulary["counts"], opinions, config.probe.neighbour_words, matrices)


def example_tweets(runs: StudyRuns, outcomes: Outcomes, budget: int) -> pd.DataFrame:
    """`StudyResults.examples`, of the first planned pair that was trained at this label budget."""
    trained = [name for name in runs.study.variants if (name, budget) in outcomes.predictions]
    folder = next((folder for (_, tweets, _), folder in sorted(runs.folders.items()) if tweets == budget), None)
    pair = next((pair for pair in runs.planned if set(pair) <= set(trained)), None)
    if folder is None or pair is None:
        return pd.DataFrame()
    texts = load_predictions(folder)["test"].texts
    predictions = {name: outcomes.predictions[name, budget] for name in trained}
    return disagreements(texts, outcomes.labels, predictions, pair, runs.study.facts["label_names"])


def mean_confusion(runs: StudyRuns, outcomes: Outcomes, budget: int) -> dict[str, list[list[float]]]:
    """`StudyResults.confusion`: counts (true × predicted) at a label budget, mean over seeds."""
    classes = len(runs.study.facts["label_names"])
    counts = {
        variant: [confusion_matrix(outcomes.labels, predicted, classes) for predicted in seeds.values()]
        for variant in runs.study.variants
        if (seeds := outcomes.predictions.get((variant, budget)))
    }
    return {variant: np.mean(matrices, axis=0).tolist() for variant, matrices in counts.items()}
