"""Size, classes and tokens of each split, and whether the splits share their classes alike."""

from typing import Any

import numpy as np
from scipy.stats import chi2_contingency

from pipeline.config.schema import UNK
from pipeline.evaluation.audit.concatenated import Ints, Rows
from pipeline.text.encoded_split import EncodedSplit

QUANTILES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)


def describe_splits(rows: Rows, encoded: dict[str, EncodedSplit]) -> list[dict[str, Any]]:
    """One record per split.

    `texts` in it; `empty` ones (nothing but white space); `without_tokens` (the empty ones among them); `only_unknown`
    (tokens, but none that the vocabulary has); `classes`: texts of each label; `tokens_per_text`: quantiles;
    `unknown_tokens`: share of its running tokens that the vocabulary lacks; `unseen_tokens`: share that no training
    text holds, unknown ones included, null for training; both null where there are no tokens.
    """
    blank = rows.blank
    seen = np.zeros(0, dtype=np.bool_)
    records = []
    for number, name in enumerate(rows.split_names):
        split = encoded[name]
        ids, lengths = np.asarray(split.ids), np.diff(split.offsets)
        known = np.concatenate([[0], np.cumsum(ids != UNK)])
        known_per_text = known[split.offsets[1:]] - known[split.offsets[:-1]]
        if name == "train":
            seen = np.bincount(ids, minlength=UNK + 1) > 0
            seen[UNK] = False
        of_seen = np.zeros(int(ids.max(initial=UNK)) + 1, dtype=np.bool_)
        of_seen[: len(seen)] = seen[: len(of_seen)]
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
                "unseen_tokens": float(np.mean(~of_seen[ids])) if len(ids) and name != "train" else None,
            }
        )
    return records


def compare_classes(counts: Ints) -> dict[str, Any]:
    """Pearson's chi-square test of equal class shares in all splits.

    `counts` is (splits, C). Returns `chi2`, `degrees` of freedom, `p`, and Cramér's `v`, the size of the difference in
    [0, 1]; all null where fewer than two splits or two classes hold a text. Copies make `p` too small.
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
