"""Saved views of the MLflow UI (columns, sorting, charts), stored as tags of the MLflow experiment.

Without them the UI hides the runs of a study under its row, and its table shows no scores.
"""

import json
from collections.abc import Sequence
from typing import Any

PREFIX = "mlflow.sharedViewState."
NOTE = """\
**A run** is one (data, text, variant, label budget, seed): its description summarizes the result, its artifacts hold \
plots and predictions. **A study** compares runs; open its `report.html` among its artifacts.

*Views*, above the table: **Runs by score**, every run, best test score first; **Means over seeds**, of the runs that \
are loaded (100 at first: *Load more* below); **Studies**. *Exit shared view* shows runs under their study.
"""
SCORES = ("test/macro_recall", "test/accuracy", "validation/macro_recall", "test/nll")
METRICS = (*SCORES, "params/trainable", "time/train_seconds")
NAME, CREATED, DURATION = "attributes.`Run Name`", "runDateAndNestInfo", "duration"


def experiment_views() -> dict[str, str]:
    """The saved views as tags of an MLflow experiment; a tag's key ends in the `viewStateShareKey` of a link to it."""
    metrics = [f"metrics.`{name}`" for name in METRICS]
    data, warnings, count = "tags.`data`", "tags.`warnings`", "tags.`runs`"
    # Sorted by a score, the UI shows all runs; sorted by time, it hides the runs of a study under the study's row.
    runs = _columns([*metrics, data]) | _charts() | {"orderByKey": metrics[0], "orderByAsc": False}
    keys = [{"mode": "tag", "groupByData": name} for name in ("variant", "label_budget", "data")]
    means = _columns(metrics, {NAME: 430}) | _charts()
    means |= {"groupBy": {"aggregateFunction": "average", "groupByKeys": keys}, "useGroupedValuesInCharts": True}
    studies = _columns([data, count, warnings], {warnings: 420}) | {"searchFilter": "tags.`pipeline.study` LIKE '%'"}
    views = {"runs": ("Runs by score", runs), "means": ("Means over seeds", means), "studies": ("Studies", studies)}
    # The times order the list of views. They are constants, so that equal views give equal tags.
    return {
        f"{PREFIX}{key}": json.dumps({"name": name, "createdAt": rank, "updatedAt": rank, "state": json.dumps(state)})
        for rank, (key, (name, state)) in enumerate(reversed(views.items()))
    }


def _columns(names: Sequence[str], widths: dict[str, int] | None = None) -> dict[str, Any]:
    """Columns of the table in this order; the column of run names is wide enough to read."""
    widths = {NAME: 330, CREATED: 150} | dict.fromkeys(names, 120) | (widths or {})
    return {"selectedColumns": list(names), "columnOrder": [NAME, CREATED, *names, DURATION], "columnWidths": widths}


def _charts() -> dict[str, Any]:
    """First section of the chart view, for 20 runs; below it the UI adds a chart for every other metric."""
    bar = {"type": "BAR", "runsCountToCompare": 20}
    line = {"type": "LINE", "runsCountToCompare": 20, "xAxisKey": "step", "lineSmoothness": 0}
    scatter = {"type": "SCATTER", "runsCountToCompare": 100, "yaxis": {"key": SCORES[0], "type": "METRIC"}}
    charts: list[dict[str, Any]] = [
        bar | {"metricKey": SCORES[0], "displayName": SCORES[0]},
        scatter | {"xaxis": {"key": "params/trainable", "type": "METRIC"}},
        line | {"metricKey": "epoch/validation/macro_recall", "displayName": "validation/macro_recall by epoch"},
        line | {"metricKey": "epoch/train/loss", "displayName": "train/loss by epoch"},
    ]
    section = {"uuid": "main", "name": "Scores and curves", "display": True, "isReordered": True}
    ids = {"metricSectionId": "main", "deleted": False, "isGenerated": False}
    return {
        "compareRunCharts": [chart | ids | {"uuid": f"main-{rank}"} for rank, chart in enumerate(charts)],
        "compareRunSections": [section],
        "isAccordionReordered": True,
        "runsHiddenMode": "FIRST_20_RUNS",
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }
