"""note.md of a run: what was trained, on which data, the test scores with intervals, and how to repeat it."""

import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.overrides import VARIANT_KEYS, key_of
from pipeline.config.variants import prose_name
from pipeline.runtime.markdown import escape, table
from pipeline.runtime.templates import render
from pipeline.tracking.score_intervals import score_intervals

if TYPE_CHECKING:
    from pipeline.tracking.run_record import RunRecord

VARIANTS = ("random_trainable", "random_frozen", "cbow_frozen", "cbow_finetuned")


def run_note(record: "RunRecord", confusion: NDArray[np.integer]) -> str:
    """Markdown about one run; `confusion` holds the test counts (C, C), true labels as rows."""
    label_counts = confusion.sum(axis=1)
    overrides = record.overrides or []
    text = render(
        "pipeline.tracking",
        "note.md.j2",
        record=record,
        prose_name=prose_name(record.tags["variant"]),
        n=int(confusion.sum()),
        hits=int(np.trace(confusion)),
        intervals=score_intervals(confusion),
        majority=record.label_names[label_counts.argmax()],
        majority_count=label_counts.max(),
        neighbours=neighbour_table(record.neighbours),
        comparison=_comparison(overrides),
        repetition=shlex.join(["./scripts/run", *overrides]),
    )
    return text + "\n"


def neighbour_table(neighbours: Iterable[Mapping[str, Any]]) -> str:
    """Markdown table with one row per word: its nearest words before and after training, nearest first."""
    nearest: dict[str, dict[str, list[str]]] = {}
    for row in sorted(neighbours, key=lambda row: row["rank"] or 0):
        for column, words in nearest.setdefault(row["word"], {"before": [], "after": []}).items():
            if row[column] is not None:
                words.append(f"{escape(row[column])} ({row[f'{column}_cosine']:.2f})")
    if not nearest:
        return "No words were listed for this probe.\n"
    rows = [[escape(word), *(", ".join(words) or "-" for words in lists.values())] for word, lists in nearest.items()]
    return table(["word", "nearest before training (cosine)", "nearest after training (cosine)"], rows) + "\n"


def _comparison(overrides: list[str]) -> str:
    """The command of a sweep over variants and seeds in which the run's other settings stay."""
    recipe = [override for override in overrides if key_of(override) == "experiment"]
    if not recipe or recipe[0].partition("=")[2] in VARIANTS:
        variants = ["+experiment=random_trainable,cbow_frozen,cbow_finetuned"]
    else:
        variants = [*recipe, "embedding=random_trainable,cbow_frozen,cbow_finetuned"]
    swept = ("experiment", "embedding", "seed", *VARIANT_KEYS)
    settings = [override for override in overrides if key_of(override) not in swept]
    return shlex.join(["./scripts/run", "-m", *variants, "seed=0,1,2,3,4", *settings])
