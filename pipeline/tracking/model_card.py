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


def model_card(folder: Path, run: StoredRun | None = None, model_id: str | None = None) -> str:
    """Write the card of the run whose record is in `folder`, as markdown.

    run : that record, if it has been read already. model_id : MLflow's, which names a model that is no champion.

    Raises OSError, ValueError or KeyError where the record is incomplete.
    """
    run = run or read_record(folder)
    names, tags = run.header["label_names"], run.header["tags"]
    source = Path(run.header["dataset"]["source"])
    confusion = np.array([[int(row[name]) for name in names] for row in read_csv(folder / "confusion_matrix.csv")])
    counts = zip(names, confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0), strict=True)
    text = render(
        "pipeline.tracking",
        "model_card.md.j2",
        run=run,
        source=source.name if source.is_absolute() else run.header["dataset"]["source"],
        prose_name=prose_name(tags["variant"]),
        n=int(confusion.sum()),
        intervals=score_intervals(confusion),
        counts=counts,
        uri=f"models:/{model_id if run.has_leak and model_id else registered_name(tags) + '@champion'}",
        examples=EXAMPLES,
    )
    return text + "\n"
