"""Size, classes and tokens of each split, and a chi-square test of equal class shares."""

from typing import Any

import numpy as np
from scipy.stats import chi2_contingency

from pipeline.config.schema import UNK
from pipeline.evaluation.audit.concatenated import Ints, LabelledRows
from pipeline.text.encoded_split import EncodedSplit

QUANTILES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)


def describe_splits(rows: LabelledRows, encoded: dict[str, EncodedSplit]) -> list[dict[str, Any]]:
    """One record per split.

    `texts`: number of texts, of which `empty` (nothing but white space), `without_tokens` (including the empty ones)
    and `only_unknown` (with tokens, but none of the vocabulary). `classes`: texts of each label. `tokens_per_text`:
    quantiles. `unknown_tokens`: share of tokens outside the vocabulary. `unseen_tokens`: share of tokens that no
    training text contains, unknown ones included; null for training. Both shares are null where there are no tokens.
    """
    blank = rows.blank
    seen = np.zeros(0, dtype=np.int64)
    records = []
    for number, name in enumerate(rows.split_names):
        split = encoded[name]
        ids, lengths = np.asarray(split.ids), np.diff(split.offsets)
        known_per_text = np.diff(np.concatenate([[0], np.cumsum(ids != UNK)])[split.offsets])
        if name == "train":
            seen = np.setdiff1d(ids, [UNK])
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
                "unseen_tokens": float(np.mean(~np.isin(ids, seen))) if len(ids) and name != "train" else None,
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
