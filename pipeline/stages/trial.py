"""The stage `trial`: one classifier trained and scored on validation; the test split is never read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config.schema import Config
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.errors import RunError, UserError
from pipeline.stages.cache_keys import trial_key
from pipeline.stages.cached import cached_stage

if TYPE_CHECKING:
    from pipeline.stages.learn import Request


def trial(
    config: Config, prepared: Stage, vectors: Mapping[str, Stage], score: Mapping[str, Any] | None = None
) -> Stage:
    """Train one classifier without reading the test split; the outcome holds its score on validation.

    `score` : that outcome, where the classifier was trained already, in a batch with others.
    """

    def work(folder: Path) -> Mapping[str, Any]:
        return score or validation_scores([(config, prepared, vectors)])[0]

    return cached_stage(config, "trial", trial_key(config, prepared, vectors), work)


def validation_scores(requests: "Sequence[Request]") -> list[dict[str, Any]]:
    """Train runs that never see the test split; the score of each on validation, None where it diverged."""
    from pipeline.stages.learn import train_requests

    if "validation" not in requests[0][1].outcome["rows"]:
        raise UserError("a trial needs a validation split: set data.validation_size=0.1")
    return [
        {"score": None, "reason": str(result)}
        if isinstance(result, RunError)
        else {"score": result.metrics[f"validation/{config.train.monitor}"], "chosen_epoch": result.chosen_epoch}
        for (config, _, _), result in zip(requests, train_requests(requests, test=False), strict=True)
    ]
