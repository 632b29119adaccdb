"""Shift between splits: how well a classifier of words tells the training texts from those of another split.

This is the classifier two-sample test of Lopez-Paz and Oquab (2017). It reads the words of the texts, not the ids of
the vocabulary: a vocabulary comes from training text, so unknown words alone would tell the splits apart.
"""

from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from pipeline.evaluation.auc import VARIANCE_FACTOR, Scorer, auc_interval, held_out_auc
from pipeline.evaluation.audit.concatenated import Bools, LabelledRows, TextGroups, sampled
from pipeline.text.clean import clean

MAX_TEXTS = 2_000  # of each split, sampled at even intervals
MIN_TEXTS = 20  # of each split
INVERSE_PENALTY = 0.1  # scikit-learn's C
TOKENS = 5  # named for each split
PATTERN = r"\w+|[^\w\s]+"


def split_shift(rows: LabelledRows, groups: TextGroups) -> list[dict[str, Any]]:
    """Compare the training texts with those of every other split; `groups` are those of `masked`, each read once.

    One record per split: `auc`, the area under the ROC curve of a logistic regression on the words of held-out texts
    (0.5: no shift), with its 95 % interval `low` to `high`; null for fewer than 20 texts or without repeated words.
    `texts`: the numbers of training texts and of others that were read. `train_tokens` and `tokens`: the words that
    speak most for training, and for the other split.
    """
    records = []
    for split, name in enumerate(rows.split_names[1:], 1):
        train, others = (sampled(np.flatnonzero(groups.counts[:, side]), MAX_TEXTS) for side in (0, split))
        vectorizer = CountVectorizer(lowercase=False, token_pattern=PATTERN, binary=True)
        sizes = [len(train), len(others)]
        record: dict[str, Any] = {"split": name, "texts": sizes} | dict.fromkeys(("auc", "low", "high"))
        records.append(record | {"train_tokens": [], "tokens": []})
        if min(sizes) < MIN_TEXTS:
            continue
        counts = vectorizer.fit_transform(clean(groups.keys[group]) for group in (*train.tolist(), *others.tolist()))
        repeated = np.flatnonzero(np.asarray(counts.sum(axis=0)).ravel() > 1)
        if not len(repeated):
            continue
        features, is_other = counts[:, repeated], np.arange(sum(sizes)) >= len(train)
        auc = held_out_auc(features, is_other, fit)
        low, high = auc_interval(auc, *(size / VARIANCE_FACTOR for size in sizes))
        words = vectorizer.get_feature_names_out()[repeated][np.argsort(regression(features, is_other).coef_[0])]
        tokens = {"train_tokens": words[:TOKENS].tolist(), "tokens": words[: -TOKENS - 1 : -1].tolist()}
        records[-1] |= {"auc": auc, "low": low, "high": high} | tokens
    return records


def regression(features: Any, is_other: Bools) -> LogisticRegression:
    """A logistic regression in which both splits weigh the same."""
    return LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced").fit(features, is_other)


def fit(features: Any, is_other: Bools) -> Scorer:
    """The decision function of `regression`."""
    model = regression(features, is_other)
    return lambda others: np.asarray(model.decision_function(others), dtype=np.float64)
