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
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.stages.learn import Request


def trial(
    config: Config, prepared: Stage, vectors: Mapping[str, Stage], score: Mapping[str, Any] | None = None
) -> Stage:
    """Train one classifier without reading the test split; the outcome holds its score on validation.

    `score` : that outcome, where the classifier was trained already, in a batch with others.
    """

    def work(folder: Path) -> Mapping[str, Any]:
        import numpy as np

        outcome = dict(score or validation_scores([(config, prepared, vectors)])[0])
        for name, values_N in outcome.pop("tweets", {}).items():
            np.save(folder / f"{name}.npy", values_N)
        return outcome

    return cached_stage(config, "trial", trial_key(config, prepared, vectors), work)


def validation_scores(requests: "Sequence[Request]") -> list[dict[str, Any]]:
    """Train runs that never see the test split; the score of each on validation, None where it diverged.

    `tweets` holds the predicted class and the probability of the true class for every validation tweet (N,).
    """
    import numpy as np

    from pipeline.stages.learn import train_requests

    if "validation" not in requests[0][1].outcome["rows"]:
        raise UserError("a trial needs a validation split: set data.validation_size=0.1")
    labels_N = validation_labels(requests[0][1])
    outcomes: list[dict[str, Any]] = []
    for (config, _, _), result in zip(requests, train_requests(requests, test=False), strict=True):
        if isinstance(result, RunError):
            outcomes.append({"score": None, "reason": str(result)})
            continue
        probabilities_NC = result.probabilities["validation"]
        tweets = {
            "predicted": probabilities_NC.argmax(axis=1).astype(np.int32),
            "true_probability": probabilities_NC[np.arange(len(labels_N)), labels_N],
        }
        score = result.metrics[f"validation/{config.train.monitor}"]
        outcomes.append({"score": score, "chosen_epoch": result.chosen_epoch, "tweets": tweets})
    return outcomes


def validation_labels(prepared: Stage) -> "NDArray[np.int64]":
    """The true classes (N,) of the validation tweets."""
    import numpy as np

    from pipeline.text.encoded_split import EncodedSplit

    return np.asarray(EncodedSplit.open(prepared.folder, "validation").labels, dtype=np.int64)


def resampled_score(trial: Stage, labels_N: "NDArray[np.int64]", indices_N: "NDArray[np.int64]", monitor: str) -> float:
    """The score of a finished trial on a resample of the validation tweets, given by their indices."""
    import numpy as np

    from pipeline.classifier.metrics import score

    predicted_N, probability_N = (np.load(trial.folder / f"{name}.npy") for name in ("predicted", "true_probability"))
    return score(monitor, labels_N[indices_N], predicted_N[indices_N], probability_N[indices_N])
