"""From a study's records on disk to `Findings`, and the folder of its report."""

import csv
import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.cells import Finished
from pipeline.classifier.metrics import confusion_matrix
from pipeline.files import Stage, read_json, write_json
from pipeline.progress import log
from pipeline.schema import data_name
from pipeline.study.analysis import (
    Cell,
    Outcomes,
    crossover_frame,
    difference_frame,
    factorial_frame,
    mcnemar_frame,
    score_frame,
)
from pipeline.study.examples import disagreements
from pipeline.study.findings import Findings
from pipeline.study.methods import methods
from pipeline.study.summaries import band_frame, probe_frame, transfer_frame, unknown_frame
from pipeline.study.verdicts import verdicts
from pipeline.study.warned import Facts, warned
from pipeline.study.words_map import words_map
from pipeline.tracking.record import StoredRun, load_embedding, load_predicted, load_predictions, read_record

Key = tuple[str, int, int]  # variant (or baseline), label budget, seed
METRIC_NAMES = {"accuracy": "accuracy", "macro_recall": "macro recall"}
SPLITS = ("train", "validation", "test")
UNTOUCHED = ("data.label_budget", "seed", "cbow.seed", "train.lr_head", "train.lr_embedding", "cbow.vector_size")
PLACES = ("paths", "workers", "force", "tracking.enabled", "tracking.uri", "tracking.experiment")
MADE_FOR = (
    *("embedding.", "probe.transfer", "tracking.", "workers", "force", "stage", "study.", "paths."),
    *("data.path", "cbow.extra_text", "probe.similarity_files"),  # what is read there is part of what names a run
)


def write_study(finished: Finished, folder: Path) -> dict[str, Any]:
    """Compare what ran and write report, plots, tables and `study.json` into `folder`; returns the answers."""
    from pipeline.study.figures import write_figures
    from pipeline.study.report import write_report
    from pipeline.study.tables import write_tables

    found = collect(finished)
    log.info("compare: statistics done, drawing")
    figures = write_figures(found, folder / "figures")
    write_tables(found, folder / "tables")
    write_report(found, figures, folder)
    best = found.scores[found.scores["label_budget"] == found.design["label_budgets"][-1]]
    write_json(
        folder / "study.json",
        {
            "title": found.title,
            "tags": {
                "data": found.data["name"],
                "generated": str(found.generated).lower(),
                "warnings": " ".join(warning.code for warning in found.warnings) or "none",
                "runs": str(len(found.runs)),
            },
            "params": {"study": dataclasses.asdict(finished.config.study), "data": found.data["name"]},
            "metrics": {f"score/{row.variant}": float(row.mean) for row in best.itertuples()},
            "verdicts": [dataclasses.asdict(verdict) for verdict in found.verdicts],
            "warnings": [dataclasses.asdict(warning) for warning in found.warnings],
            "failures": finished.failures,
        },
    )
    answers = [f"{verdict.question} {verdict.answer}" for verdict in found.verdicts]
    return {"answers": [*(f"warning: {warning.text}" for warning in found.warnings), *answers]}


def collect(finished: Finished) -> Findings:
    """Read the records of a study and compare them."""
    finished = _as_read(finished)
    study = finished.config.study
    records = {key: read_record(folder) for key, folder in sorted(finished.folders.items())}
    prepared = next(iter(finished.prepared.values()))
    facts = prepared.outcome
    facts = facts | {"rows": {split: facts["rows"][split] for split in SPLITS if split in facts["rows"]}}
    budgets = sorted({budget for _, budget, _ in records})
    largest = budgets[-1]
    outcomes = Outcomes(
        *_predictions(finished), frozenset(name for name, _, _ in finished.baselines), study.metric, study.resamples
    )
    runs = _runs(finished, records)
    metric_name = METRIC_NAMES[study.metric]
    planned = [(first, second) for first, second in study.pairs if {first, second} <= set(finished.variants)]
    design: dict[str, Any] = {
        "variants": list(finished.variants),
        "label_budgets": budgets,
        "budget_names": [f"{n:,}" if n < facts["rows"]["train"] else f"all ({n:,})" for n in budgets],
        "seeds": study.seeds,
        "metric": study.metric,
        "metric_name": metric_name,
        "smallest_effect": study.smallest_effect,
        "pairs": [list(pair) for pair in planned],
        "encoder": finished.config.model.encoder,
        "dim": finished.config.embedding.dim,
        "resamples": study.resamples,
        "lr_factors": list(study.lr_factors),
        "trial_seeds": study.trial_seeds,
        "transfer": list(finished.config.probe.transfer),
        "baselines": sorted(outcomes.baselines),
    }
    scores = score_frame(outcomes, _parameters(runs)).sort_values(
        ["kind", "variant", "label_budget"], ascending=[False, True, True]
    )
    others = [pair for pair in combinations(finished.variants, 2) if pair not in planned and pair[::-1] not in planned]
    differences = difference_frame(outcomes, planned, others, study.smallest_effect)
    crossover = crossover_frame(outcomes, [name for name in finished.variants if name.partition("_")[0] != "random"])
    audits = {mode: stage.outcome for mode, stage in finished.audits.items()}
    audit = next(iter(audits.values()))
    leak = next((f["text"] for f in audit["findings"] if f["code"] == "label_leak"), None)
    trials = _trials(finished)
    first = next(iter(records.values()))
    title = f"{data_name(finished.config.data)}: {metric_name} of {len(finished.variants)} variants"
    return Findings(
        title=title + (" · generated tweets" if facts["generated"] else ""),
        generated=bool(facts["generated"]),
        data={
            "name": data_name(finished.config.data),
            "source": finished.config.data.source,
            "fingerprint": facts["fingerprint"],
            "label_names": facts["label_names"],
            "rows": facts["rows"],
            "unlabelled": sum(n for name, n in facts["corpus"]["texts"].items() if name != "train"),
            "tokens": facts["corpus"]["tokens"],
        },
        design=design,
        verdicts=verdicts(
            scores,
            differences,
            crossover,
            runs,
            leak,
            design,
            {task: stage.outcome for task, stage in finished.transfers.items()},
        ),
        warnings=warned(
            Facts(
                generated=bool(facts["generated"]),
                not_comparable=_different_keys(records),
                scores=scores,
                differences=differences,
                trials=trials,
                audits=audits,
                failures=finished.failures,
                notes=finished.notes,
            )
        ),
        runs=runs,
        failures=pd.DataFrame(
            # Text, as a frame would write a whole number beside a missing one as 0.0.
            [row | {"seed": "all" if row["seed"] is None else f"{row['seed']}"} for row in finished.failures],
            columns=["variant", "label_budget", "seed", "reason"],
        ),
        trials=trials,
        scores=scores,
        differences=differences,
        factorial=factorial_frame(outcomes),
        crossover=crossover,
        mcnemar=mcnemar_frame(outcomes, planned[0]) if planned else pd.DataFrame(),
        probes=probe_frame(runs, largest),
        transfer=transfer_frame(runs, largest, _references(finished)),
        bands=band_frame(_tables(finished, "drift_by_count", largest)),
        unknown=unknown_frame(_tables(finished, "score_by_unseen", largest)),
        changed=_changed(finished, largest),
        words_map=_words_map(finished, largest),
        examples=_examples(finished, outcomes, planned, facts["label_names"]),
        confusion=_confusion(outcomes, largest, len(facts["label_names"]), list(finished.variants)),
        audit=audit if len(audits) == 1 else audit | {"conditions": audits},
        methods=methods(design, facts, finished.config),
        commands=_commands(finished),
        environment={
            key: first.header["environment"].get(key)
            for key in ("python", "platform", "cpu", "cores", "device", "libraries", "git_sha", "git_dirty")
        },
    )


def _as_read(finished: Finished) -> Finished:
    """The same, every outcome in the order of its file: a report does not tell what was done now and what before."""

    def read(stages: Mapping[Any, Stage]) -> dict[Any, Stage]:
        manifests = {key: json.loads(json.dumps(stage.manifest, sort_keys=True)) for key, stage in stages.items()}
        return {key: dataclasses.replace(stage, manifest=manifests[key]) for key, stage in stages.items()}

    return dataclasses.replace(
        finished,
        prepared=read(finished.prepared),
        baselines=read(finished.baselines),
        audits=read(finished.audits),
        transfers=read(finished.transfers),
    )


def _predictions(finished: Finished) -> tuple[NDArray[np.int64], dict[Cell, dict[int, NDArray[np.int64]]]]:
    """True labels of the test split, and predicted ones of every run and baseline."""
    predictions: dict[Cell, dict[int, NDArray[np.int64]]] = {}
    labels = np.empty(0, np.int64)
    for (variant, budget, seed), folder in sorted(finished.folders.items()):
        labels, predicted = load_predicted(folder)
        predictions.setdefault((variant, budget), {})[seed] = predicted
    for (name, budget, seed), stage in sorted(finished.baselines.items()):
        predictions.setdefault((name, budget), {})[seed] = np.load(stage.folder / "predicted.npy").astype(np.int64)
    return labels, predictions


def _runs(finished: Finished, records: Mapping[Key, StoredRun]) -> pd.DataFrame:
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


def _parameters(runs: pd.DataFrame) -> dict[Cell, tuple[float | None, float | None]]:
    """Trainable and total parameters of each cell: the mean over seeds, as a baseline's words depend on its tweets."""
    means = runs.groupby(["variant", "label_budget"])[["params/trainable", "params/total"]].mean()
    return {
        (str(variant), int(budget)): tuple(None if pd.isna(value) else float(value) for value in values)  # type: ignore[misc]
        for (variant, budget), values in zip(means.index, means.to_numpy(), strict=True)
    }


def _trials(finished: Finished) -> pd.DataFrame:
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


def _different_keys(records: Mapping[Key, StoredRun]) -> list[str]:
    """Keys outside `embedding` whose value differs between runs, those that the study varies on purpose aside."""
    flat = [_flat(record.config) for record in records.values()]
    keys = sorted({key for values in flat for key in values})
    return [
        key
        for key in keys
        if key not in UNTOUCHED and not key.startswith(MADE_FOR) and len({repr(values.get(key)) for values in flat}) > 1
    ]


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _tables(finished: Finished, name: str, budget: int) -> dict[str, list[list[dict[str, str]]]]:
    """A probe's table of every seed of each variant at a budget."""
    found: dict[str, list[list[dict[str, str]]]] = {}
    for (variant, n, _), folder in sorted(finished.folders.items()):
        if n == budget:
            found.setdefault(variant, []).append(_read_csv(folder / f"{name}.csv"))
    return {variant: found[variant] for variant in finished.variants if variant in found}


def _read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _references(finished: Finished) -> dict[str, dict[str, dict[str, float]]]:
    """What transfer tasks give without any embedding, by task."""
    return {task: stage.outcome["references"] for task, stage in finished.transfers.items()}


def _changed(finished: Finished, budget: int) -> pd.DataFrame:
    rows = []
    for variant in finished.variants:
        folder = finished.folders.get((variant, budget, 0))
        for row in _read_csv(folder / "most_changed.csv") if folder else []:
            numbers = {key: float(row[key]) if row[key] else None for key in ("count", "drift", "relative_l2")}
            rows.append({"variant": variant, "word": row["word"]} | numbers | {"direction": float(row["score"])})
    return pd.DataFrame(rows, columns=["variant", "word", "count", "drift", "relative_l2", "direction"])


def _words_map(finished: Finished, budget: int) -> dict[str, Any]:
    from pipeline.probes.opinion_words import opinion_words, resolve_opinion_words

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
    return words_map(
        vocabulary["words"], vocabulary["counts"], opinions, finished.config.probe.neighbour_words, matrices
    )


def _examples(
    finished: Finished, outcomes: Outcomes, planned: Sequence[tuple[str, str]], label_names: Sequence[str]
) -> pd.DataFrame:
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


def _confusion(outcomes: Outcomes, budget: int, classes: int, variants: Sequence[str]) -> dict[str, list[list[float]]]:
    found = {}
    for variant in variants:
        seeds = outcomes.predictions.get((variant, budget), {})
        if seeds:
            counts = [confusion_matrix(outcomes.labels, predicted, classes) for predicted in seeds.values()]
            found[variant] = np.mean(counts, axis=0).tolist()
    return found


def _commands(finished: Finished) -> list[str]:
    """The commands of the study and of one of its runs, without what only says where results go."""
    one = min(finished.folders.values())
    commands = []
    for overrides in (finished.overrides, read_record(one).header["overrides"] or []):
        kept = [text for text in overrides if not text.lstrip("+").startswith(PLACES)]
        commands.append(" ".join(["python -m pipeline", *map(shlex.quote, kept)]))
    return commands
