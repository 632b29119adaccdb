"""The typed configuration of studies and searches: `study` and `search`."""

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.config.fields import MISSING, choice, within

# Keys of `study` that say where its tasks run and do not change results.
PLACEMENT = ("launcher", "address", "task_cpus", "task_gpus", "task_retries")


@dataclass
class StudyConfig:
    """Which runs are compared (`stage=compare`), and how."""

    variants: list[str] = MISSING
    label_budgets: list[int | None] = within(1)  # noqa: RUF009 - within() makes a field
    seeds: int = within(2)
    pairs: list[list[str]] = MISSING
    baselines: list[str] = choice(  # noqa: RUF009
        "majority", "vader", "tfidf_logistic", "nb_logistic", "fasttext", "model2vec"
    )
    model2vec: str = MISSING
    metric: str = choice("accuracy", "macro_recall")
    lr_factors: list[float] = within(0, above=True)  # noqa: RUF009 - within() makes a field
    dropouts: list[float | None] = within(0, 0.99)  # noqa: RUF009
    extra_trials: int = within(0, 8)
    finalists: int = within(1)
    trial_seeds: int = within(1)
    cbow_seeds: int | None = within(1)
    resplits: int = within(0)
    unlabelled_budgets: list[int] = within(0)  # noqa: RUF009
    smallest_effect: float = within(0, 1, above=True)
    resamples: int = within(100)
    launcher: str = choice("local", "ray")
    address: str | None = MISSING
    task_cpus: float = within(0, above=True)
    task_gpus: float = within(0)
    task_retries: int = within(0)


@dataclass
class SearchConfig:
    """A search for hyper-parameters (`stage=search`): the same number of trials for every variant."""

    trials: int = within(2)
    batch: int = within(1)
    sampler: str = choice("random", "tpe")
    seed: int = within(0, 2**32 - 1)
    space: dict[str, Any] = MISSING


def study_design(study: StudyConfig) -> dict[str, Any]:
    """The settings of a study that change its results: all but those that say where its tasks run."""
    return {key: value for key, value in asdict(study).items() if key not in PLACEMENT}
