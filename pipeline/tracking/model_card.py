"""Model card of a trained model: intended use, data, scores, parameters, limits, and how to load it."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.variants import prose_name
from pipeline.runtime.files import read_csv
from pipeline.runtime.templates import render
from pipeline.tracking.read_record import read_record
from pipeline.tracking.run_record import StoredRun
from pipeline.tracking.score_intervals import score_intervals

EXAMPLES = ("what a lovely morning :)", "worst. service. ever.")


def registered_name(tags: dict[str, Any]) -> str:
    """The name under which models of a data set are registered in MLflow."""
    return f"tweet-sentiment-{tags['data']}"


def model_card(folder: Path, run: StoredRun | None = None) -> str:
    """Write the card of the run whose record is in `folder`, as markdown.

    run : that record, if it has been read already.

    Raises OSError, ValueError or KeyError where the record is incomplete.
    """
    run = run or read_record(folder)
    names, tags, dataset = run.header["label_names"], run.header["tags"], run.header["dataset"]
    confusion = np.array([[int(row[name]) for name in names] for row in read_csv(folder / "confusion_matrix.csv")])
    labels = []
    for name, hits, true, predicted in zip(
        names, confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0), strict=True
    ):
        labels.append((name, true, *(hits / count if count else None for count in (true, predicted))))
    text = render(
        "pipeline.tracking",
        "model_card.md.j2",
        run=run,
        metrics=run.metrics,
        source=Path(dataset["source"]).name if Path(dataset["source"]).is_absolute() else dataset["source"],
        prose_name=prose_name(tags["variant"]),
        has_validation="validation" in dataset["rows"],
        n=int(confusion.sum()),
        intervals=score_intervals(confusion),
        labels=labels,
        uri=f"models:/{registered_name(tags)}@champion",
        examples=EXAMPLES,
    )
    return text + "\n"
