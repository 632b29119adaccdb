"""Invented results of a study: four variants, three baselines, five budgets, ten seeds, and hostile texts."""

from collections.abc import Collection
from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from pipeline.evaluation.audit.report import audit_report
from pipeline.study.report.study_results import StudyResults, StudyWarning, Verdict
from pipeline.text.encoded_split import EncodedSplit
from tests.study.report import fake_frames as frames
from tests.study.report.fake_frames import BUDGETS, MEANS, PAIRS, VARIANTS

LABELS = ["negative", "so_so $x_1$ & <b>", "positive <3"]
TEXTS = [
    '<script>alert("hello & goodbye")</script> good morning :)',
    'it\'s "fine" | 100 % _sure_ & C:\\new\\table $5_up$ #50%',
    "مرحبا بالعالم هذا يوم سعيد 😂🤷‍♀️ שלום",
    "={1+1}\n@SUM(A1) {curly} ~tilde^caret",
    "so happy " * 14 + "🎉",
]
WORDS = ["good", "bad", "<b>happy</b>", "sad_", "50%", "R&D", "c|d", "\\o/", "سعيد", "😂", '"quoted"', "$x_1$"]


def fake_results(empty: Collection[str] = (), seeds: int = 10, **changes: Any) -> StudyResults:
    """Build the results of a study on a bigger data set than the sample, with one failed run of `random_frozen`.

    empty : names of fields left empty; frames keep their columns; "all" empties everything that can be.
    seeds : runs per variant and budget; all p-values and intervals follow from them.
    changes : other values of fields, such as `generated=True`.
    """
    runs = frames.runs(seeds)
    results = StudyResults(
        title="tweet_eval-sentiment: macro recall of 4 variants",
        generated=False,
        data={
            "name": "tweet_eval-sentiment",
            "source": "tweet_eval",
            "fingerprint": "0f1e2d3c4b5a6978",
            "label_names": LABELS,
            "rows": {"train": 7200, "validation": 800, "test": 12284},
            "unlabelled": 540_000,
            "tokens": 8_120_331,
        },
        design={
            "variants": VARIANTS,
            "label_budgets": BUDGETS,
            "budget_names": ["100", "300", "1,000", "3,000", "all (7,200)"],
            "seeds": seeds,
            "metric": "macro_recall",
            "metric_name": "macro recall",
            "smallest_effect": 0.01,
            "pairs": PAIRS,
            "encoder": "mean",
            "dim": 256,
            "resamples": 2000,
            "lr_factors": [0.3, 1.0, 3.0, 10.0],
            "trial_seeds": 2,
            "monitor": "macro_recall",
            "monitor_name": "macro recall",
            "resplits": 5,
            "resplit_rows": {"train": 800, "test": 150},
            "own_test": "the data set's own test tweets",
        },
        verdicts=_verdicts(),
        warnings=[
            StudyWarning("learning_rate_at_edge", "CBOW, frozen at 100 labels chose the largest factor, 10."),
            StudyWarning(
                "below_baseline", "Frozen vectors are worse than tfidf_logistic <everywhere> & below 'vader'."
            ),
        ],
        runs=runs,
        failures=pd.DataFrame(
            [["random_frozen", 3000, 7, "loss is not finite at step 41: <nan> & 'inf' in C:\\runs_7 | 100 %"]],
            columns=["variant", "label_budget", "seed", "reason"],
        ),
        trials=frames.trials(),
        scores=frames.scores(runs),
        ensembles=frames.ensembles(seeds),
        resplits=frames.resplits(),
        amounts=frames.amounts(),
        differences=frames.differences(runs),
        factorial=frames.factorial(runs),
        crossover=pd.DataFrame(
            [
                [
                    "cbow_frozen",
                    "reached",
                    6040.0,
                    5480.0,
                    6910.0,
                    "random_trainable reaches cbow_frozen at 6,040 labels.",
                ],
                ["cbow_finetuned", "not reached", None, None, None, "not reached with 7,200 labels"],
            ],
            columns=["variant", "kind", "estimate", "low", "high", "sentence"],
        ),
        mcnemar=frames.mcnemar(seeds),
        probes=frames.probes(seeds),
        transfer=frames.transfer(seeds),
        bands=frames.bands(),
        unknown=frames.unknown(),
        unseen_leads=frames.unseen_leads(seeds),
        changed=_changed(),
        words_map=_words_map(),
        examples=_examples(),
        confusion={name: _confusion(MEANS[name][-1]) for name in VARIANTS},
        audit=_audit(),
        methods=[
            "Intervals are 95 % t-intervals over seeds.",
            "p-values are exact sign-flip tests & Holm's <step-down>.",
        ],
        commands=["./scripts/run +experiment=compare data=tweet_eval 'data.name=sentiment'"],
        environment={
            "python": "3.11.9",
            "torch": "2.13.0",
            "processor": "4 cores",
            "git_sha": "0123abc",
            "device": "cpu",
        },
    )
    for name in {field.name for field in fields(StudyResults)} - {"title", "generated", "data", "design"}:
        if name in empty or "all" in empty:
            value = getattr(results, name)
            changes.setdefault(name, value.iloc[:0] if isinstance(value, pd.DataFrame) else type(value)())
    return replace(results, **changes)


def _changed() -> pd.DataFrame:
    rows = [
        [name, word, 900 // (i + 1), 0.61 - 0.04 * i, 0.9 - 0.05 * i, LABELS[0 if i % 2 else 2]]
        for name in ("random_trainable", "cbow_finetuned")
        for i, word in enumerate(WORDS)
    ]
    return pd.DataFrame(rows, columns=["variant", "word", "count", "drift", "relative_l2", "direction"])


def _words_map() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    extra = [f"word{i}" for i in range(288)]
    words, coordinates = [*WORDS, *extra], {}
    for name in VARIANTS:
        before = rng.normal(0, 1, (len(words), 2)).round(3)
        moved = (before + rng.normal(0, 0.3, before.shape) * ("frozen" not in name)).round(3)
        coordinates[name] = {"before": before.tolist(), "after": moved.tolist()}
    polarity = [(1, -1, 0)[i % 3] for i in range(len(words))]
    return {
        "words": words,
        "counts": [3000 // (i + 1) for i in range(len(words))],
        "polarity": polarity,
        "variants": coordinates,
    }


def _examples() -> pd.DataFrame:
    rows = []
    for i, text in enumerate(TEXTS):
        predictions = {name: LABELS[(i + shift) % 3] for shift, name in enumerate(VARIANTS)}
        rows.append({"text": text, "label": LABELS[i % 3], **predictions})
    return pd.DataFrame(rows)


def _confusion(score: float) -> list[list[float]]:
    totals, shares = [3972, 5937, 2375], np.full((3, 3), (1 - score) / 2)
    np.fill_diagonal(shares, score)
    return (shares * np.array(totals)[:, None]).round(1).tolist()


def _verdicts() -> list[Verdict]:
    return [
        Verdict(
            "Are a few thousand labelled tweets enough to learn an embedding layer?",
            "Yes, nearly: with 7,200 labels random vectors that are trained reach 62.2 % macro recall.",
            ["random_trainable − cbow_frozen at 7,200: +1.5 points [+0.8, +2.1], n = 10 seeds <higher>."],
        ),
        Verdict(
            "Can the embeddings be used on another task?",
            "Little: they beat random vectors by 3 points & stay 14 below CBOW's.",
            ["emotion: 44.0 % [42.9, 45.2] against 58.0 % [56.9, 59.2]."],
        ),
        Verdict(
            "Would CBOW vectors have been better?",
            "Yes up to about 6,040 labels; fine-tuned they are better at every budget.",
            ["crossover with frozen CBOW at 6,040 labels, interval 5,480 to 6,910."],
        ),
    ]


def audit_of(texts: dict[str, list[str]], labels: dict[str, list[int]], label_names: list[str]) -> dict[str, Any]:
    """The audit of splits whose tokens are the words between spaces."""
    words = ["", "", *sorted({word for split in texts.values() for text in split for word in text.split()})]
    encoded = {}
    for name, split in texts.items():
        tokens = [[words.index(word) for word in text.split()] for text in split]
        offsets = np.cumsum([0, *map(len, tokens)])
        encoded[name] = EncodedSplit(np.concatenate(tokens).astype(np.int32), offsets, np.array(labels[name]))
    return audit_report(texts, encoded, words, label_names)


@cache
def _audit() -> dict[str, Any]:
    """Hostile texts, two of them copied into the test split and one under another label."""
    texts = {"train": [*TEXTS, "good day :)"] * 12, "validation": TEXTS[:2], "test": [*TEXTS[2:4], "a new day :)"]}
    labels = {"train": [0, 1, 2, 0, 1, 2] * 12, "validation": [0, 2], "test": [2, 0, 1]}
    return audit_of(texts, labels, LABELS)
