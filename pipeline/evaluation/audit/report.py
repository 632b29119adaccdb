"""The audit report: duplicates, near duplicates, label leaks and statistics of the splits, with findings."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.stats import chi2_contingency

from pipeline.config.schema import UNK
from pipeline.data.duplicates import KEYS
from pipeline.evaluation.audit.concatenated import Ints, LabelledRows, concatenate, group_texts
from pipeline.evaluation.audit.duplicates import find_duplicates
from pipeline.evaluation.audit.findings import findings
from pipeline.evaluation.audit.label_leaks import find_label_leaks
from pipeline.evaluation.audit.near_duplicates import find_near_duplicates
from pipeline.evaluation.audit.split_shift import split_shift
from pipeline.text.encoded_split import EncodedSplit

QUANTILES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)


def audit_report(
    texts: Mapping[str, Iterable[str]],
    encoded: Mapping[str, EncodedSplit],
    words: Sequence[str],
    label_names: Sequence[str],
) -> dict[str, Any]:
    """Look for duplicates, conflicting labels, empty texts, label leaks and differences between splits.

    The `texts` of `train`, `test` and, if there is one, `validation` are iterated once. Returns a value for JSON, equal
    for equal input, of the records that the functions below return. Raises RunError where a split has more or fewer
    texts than labels.
    """
    rows = concatenate(texts, encoded, label_names)
    ordered = {name: encoded[name] for name in rows.split_names}
    splits = describe_splits(rows, ordered)
    groups = {kind: group_texts(rows, kind) for kind in KEYS}
    report: dict[str, Any] = {
        "splits": splits,
        "class_shares": compare_class_shares(np.array([list(record["classes"].values()) for record in splits])),
        "shift": split_shift(rows, groups["masked"]),
        "duplicates": {kind: find_duplicates(rows, groups[kind]) for kind in KEYS},
        "near_duplicates": find_near_duplicates(rows, groups["masked"]),
        "leaks": find_label_leaks(ordered, list(words), list(label_names)),
    }
    return report | {"findings": [asdict(finding) for finding in findings(report)]}


def describe_splits(rows: LabelledRows, encoded: dict[str, EncodedSplit]) -> list[dict[str, Any]]:
    """One record per split.

    `texts`: number of texts, of which `empty` (nothing but white space), `without_tokens` (including the empty ones)
    and `only_unknown` (with tokens, but none of the vocabulary). `classes`: texts of each label. `tokens_per_text`:
    quantiles. `unknown_tokens`: share of tokens outside the vocabulary. `unseen_tokens`: share of tokens that no
    training text contains, unknown ones included; null for training. Both shares are null where there are no tokens.
    """
    blank = rows.blank
    seen = np.zeros(1 + max((int(np.max(split.ids, initial=0)) for split in encoded.values()), default=0), np.bool_)
    records = []
    for number, name in enumerate(rows.split_names):
        split = encoded[name]
        ids, lengths = np.asarray(split.ids), np.diff(split.offsets)
        known_per_text = np.diff(np.concatenate([[0], np.cumsum(ids != UNK)])[split.offsets])
        if name == "train":
            seen[ids] = True
            seen[UNK] = False
        classes = np.bincount(rows.labels[rows.splits == number], minlength=len(rows.label_names))
        records.append(
            {
                "split": name,
                "texts": len(split),
                "empty": int(blank[rows.splits == number].sum()),
                "without_tokens": int((lengths == 0).sum()),
                "only_unknown": int(((lengths > 0) & (known_per_text == 0)).sum()),
                "classes": dict(zip(rows.label_names, classes.tolist(), strict=True)),
                "tokens_per_text": {str(q): float(np.quantile(lengths, q)) for q in QUANTILES} if len(lengths) else {},
                "unknown_tokens": float(np.mean(ids == UNK)) if len(ids) else None,
                "unseen_tokens": float(np.mean(~seen[ids])) if len(ids) and name != "train" else None,
            }
        )
    return records


def compare_class_shares(counts: Ints) -> dict[str, Any]:
    """Pearson's chi-square test of equal class shares in all splits.

    `counts` is (splits, C). Returns `chi2`, `degrees` of freedom, `p`, and Cramér's `v`, the effect size in [0, 1]; all
    null where fewer than two splits or classes have texts. Duplicates make `p` too small.
    """
    table = counts[counts.any(axis=1)][:, counts.any(axis=0)]
    if min(table.shape) < 2:
        return {"chi2": None, "degrees": None, "p": None, "v": None}
    test = chi2_contingency(table, correction=False)
    return {
        "chi2": float(test.statistic),
        "degrees": int(test.dof),
        "p": float(test.pvalue),
        "v": float(np.sqrt(test.statistic / (table.sum() * (min(table.shape) - 1)))),
    }
