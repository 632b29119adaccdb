"""The stage `baseline`: a method without an embedding layer, fitted on a run's labelled tweets."""

import dataclasses
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config.schema import Config, TextConfig
from pipeline.runtime.cached_folder import Stage
from pipeline.stages.cache_keys import BASELINE_LIBRARIES, LIBRARIES, code_key, files_fingerprint
from pipeline.stages.cached import cached_stage

if TYPE_CHECKING:
    from pipeline.evaluation.baselines.data import BaselineData


def baseline(config: Config, prepared: Stage, name: str) -> Stage:
    """Fit a baseline on a run's labelled tweets; the outcome holds its scores."""
    libraries = (*LIBRARIES["baseline"], *BASELINE_LIBRARIES.get(name, ()))
    key = {
        "prepare": prepared.key,
        "baseline": name,
        "label_budget": config.data.label_budget,
        "seed": config.seed,
        "trials": baseline_trials(config),
        "code": code_key(("stages/baseline.py", "evaluation/baselines", "evaluation/line_search.py"), libraries),
    }
    if name == "model2vec":
        model = config.study.model2vec
        key["model"] = files_fingerprint(config, [Path(model)]) if Path(model).is_dir() else model
    return cached_stage(config, "baseline", key, partial(fit_baseline, config, prepared, name))


def baseline_trials(config: Config) -> tuple[int, int, int, str]:
    """Values of the grid, further ones, finalists, and the score: those of the learning rates of a variant."""
    study = config.study
    return len(study.lr_factors), study.extra_trials, study.finalists, config.train.monitor


def fit_baseline(config: Config, prepared: Stage, name: str, folder: Path) -> dict[str, Any]:
    """Fit a baseline on the labelled tweets of a run and write its predictions of the test tweets."""
    import numpy as np

    from pipeline.data.label_budget import budget_rows
    from pipeline.evaluation.baselines.run import run_baseline

    data = _baseline_data(prepared.folder, tuple(prepared.outcome["label_names"]), **dataclasses.asdict(config.text))
    rows = budget_rows(data.train.labels, config.data.label_budget, config.seed)
    trials = baseline_trials(config)
    result = run_baseline(name, data, config.seed, rows, *trials, static_model=config.study.model2vec)
    np.save(folder / "probabilities.npy", result.probabilities)
    metrics = {f"test/{score}": value for score, value in result.scores(data.test.labels).items()}
    metrics |= {f"validation/{score}": value for score, value in result.validation.items()}
    metrics |= dict.fromkeys(("params/total", "params/trainable"), float(result.parameters))
    settings = [dataclasses.asdict(trial) for trial in result.trials]
    return {"metrics": metrics, "trials": settings, "notes": list(result.notes)}


@lru_cache(maxsize=1)
def _baseline_data(folder: Path, label_names: tuple[str, ...], **text: Any) -> "BaselineData":
    """The splits as baselines read them; a process that fits several tokenizes once."""
    from pipeline.evaluation.baselines.data import read_data

    return read_data(folder, label_names, TextConfig(**text))
