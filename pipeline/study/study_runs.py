"""StudyRuns: what the runs of a study left on disk, and what is to be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.runtime.cached_folder import Stage
from pipeline.study.design import Choice, Pair, RunKey, Study

if TYPE_CHECKING:
    from pipeline.study.resplits import Resplits


@dataclass(frozen=True)
class StudyRuns:
    """What the runs of a study left on disk, and what is compared.

    folders : of the records. baselines : their outcomes. audits : as `Study.texts`. transfers : by task.
    resplits : the runs on resplits of the data set.
    planned, others : pairs to compare, with and without a test.
    varied : keys outside `embedding` that differ between runs on purpose, besides those of every study.
    failures : a row for each run or trial that failed. notes : what was left out of the design.
    example : the command of one run.
    """

    study: Study
    folders: dict[RunKey, Path]
    planned: Sequence[Pair]
    failures: list[dict[str, Any]]
    example: list[str]
    others: Sequence[Pair] = ()
    varied: frozenset[str] = frozenset()
    notes: Sequence[str] = ()
    choices: Sequence[Choice] = ()
    baselines: Mapping[RunKey, Stage] = field(default_factory=dict)
    audits: Mapping[str, Stage] = field(default_factory=dict)
    transfers: Mapping[str, Stage] = field(default_factory=dict)
    resplits: "Resplits | None" = None
