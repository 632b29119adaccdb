"""The audit report: duplicates, near duplicates, label leaks and statistics of the splits, with findings."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.data.duplicates import KEYS
from pipeline.evaluation.audit.concatenated import concatenate
from pipeline.evaluation.audit.duplicates import find_duplicates
from pipeline.evaluation.audit.findings import findings
from pipeline.evaluation.audit.label_leaks import find_label_leaks
from pipeline.evaluation.audit.near_duplicates import find_near_duplicates
from pipeline.evaluation.audit.split_statistics import compare_class_shares, describe_splits
from pipeline.text.encoded_split import EncodedSplit


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
    report: dict[str, Any] = {
        "splits": splits,
        "class_shares": compare_class_shares(np.array([list(record["classes"].values()) for record in splits])),
        "duplicates": {kind: find_duplicates(rows, kind) for kind in KEYS},
        "near_duplicates": find_near_duplicates(rows),
        "leaks": find_label_leaks(ordered, list(words), list(label_names)),
    }
    return report | {"findings": [asdict(finding) for finding in findings(report)]}
