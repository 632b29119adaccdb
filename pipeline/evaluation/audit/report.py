"""The audit of labelled, encoded splits: the one call that makes the report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.data.duplicates import KEYS
from pipeline.evaluation.audit.concatenated import gather
from pipeline.evaluation.audit.duplicates import find_copies
from pipeline.evaluation.audit.findings import findings
from pipeline.evaluation.audit.label_leaks import find_leaks
from pipeline.evaluation.audit.near_duplicates import find_near_copies
from pipeline.evaluation.audit.split_statistics import compare_classes, describe_splits
from pipeline.text.encoded_split import EncodedSplit


def audit_report(
    texts: Mapping[str, Iterable[str]],
    encoded: Mapping[str, EncodedSplit],
    words: Sequence[str],
    label_names: Sequence[str],
) -> dict[str, Any]:
    """Look for copies, conflicting labels, empty texts, leaks and splits that differ.

    Parameters
    ----------
    texts : the texts of `train`, `test` and, where there is one, `validation`; read once.
    encoded : the same splits as token ids, with their labels.
    words : (V,) the vocabulary, as the ids count it.
    label_names : (C,) the classes, as the labels count them.

    Returns
    -------
    A value for JSON, equal for equal input:

    - `splits`: list of records, see `shape.describe_splits`;
    - `class_shares`: see `shape.compare_classes`;
    - `duplicates`: `exact` and `masked`, see `copies.find_copies`;
    - `near_duplicates`: see `near.find_near_copies`;
    - `leaks`: see `leaks.find_leaks`;
    - `findings`: list of records `code`, `severity` and `text`, see `findings.Finding`.

    Raises
    ------
    RunError
        The texts of a split are not as many as its labels.
    """
    rows = gather(texts, encoded, label_names)
    ordered = {name: encoded[name] for name in rows.split_names}
    splits = describe_splits(rows, ordered)
    report: dict[str, Any] = {
        "splits": splits,
        "class_shares": compare_classes(np.array([list(record["classes"].values()) for record in splits])),
        "duplicates": {kind: find_copies(rows, kind) for kind in KEYS},
        "near_duplicates": find_near_copies(rows),
        "leaks": find_leaks(ordered, list(words), list(label_names)),
    }
    return report | {"findings": [asdict(finding) for finding in findings(report)]}
